"""What a client sees of an execution while it runs, and how it ends one."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest
from mcp import Client

from rlm_wasm import Runtime
from rlm_wasm.mcp import make_server
from rlm_wasm.mcp import notifier as announcing
from rlm_wasm.testing import GatedProvider

THREE = """
(map-async (lambda (x) (llm-query-async #:instruction "say" #:data x #:model "gpt-4.1-nano"))
           (list "a" "b" "c"))
"""
ASK = '(syntax-e (llm-query #:instruction "say" #:data "{}"))'


class Heard:
    """Progress notifications, in order, to wait for."""

    def __init__(self) -> None:
        self.all: list[tuple[float, float | None, str]] = []
        self._news = asyncio.Condition()

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        self.all.append((progress, total, message or ""))
        async with self._news:
            self._news.notify_all()

    async def until(self, part: str) -> None:
        async with self._news:
            await self._news.wait_for(lambda: any(part in message for _, _, message in self.all))


class Log:
    """Log messages, in order, to wait for."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self._news = asyncio.Condition()

    async def __call__(self, params: Any) -> None:
        self.lines.append((params.level, params.data))
        async with self._news:
            self._news.notify_all()

    async def until(self, part: str) -> None:
        async with self._news:
            await self._news.wait_for(lambda: any(part in line for _, line in self.lines))


async def test_progress_arrives_with_every_change_and_only_increases(connect, mode) -> None:
    """The total is the number of calls known so far."""
    gate, heard = GatedProvider(), Heard()
    async with connect(gate, mode=mode) as client:
        call = asyncio.create_task(
            client.call_tool("execute_scheme", {"code": THREE}, progress_callback=heard)
        )
        await gate.arrived(3)
        await heard.until("0/3 done — 3 active: gpt-4.1-nano×3 (longest: 0s)")
        gate.release()
        await heard.until("1/3 done — 2 active: gpt-4.1-nano×2")
        gate.release_all()
        result = await call
    assert result.structured_content["data"] == ["a", "b", "c"]
    assert result.structured_content["execution"]["calls"] == 3
    values = [progress for progress, _, _ in heard.all]
    assert values == sorted(set(values))
    assert heard.all[-1][0] == 3.0
    assert all(total is None or progress <= total for progress, total, _ in heard.all)


async def test_the_total_is_known_before_most_calls_are_made(connect, mode) -> None:
    """A combinator says how many items it has: a client can show a bar from the first report on."""
    gate, heard = GatedProvider(), Heard()
    program = "(map-async (lambda (n) (llm-query-async #:instruction (~a n))) (range 50) #:max-concurrent 2)"
    async with connect(gate, mode=mode) as client:
        call = asyncio.create_task(
            client.call_tool("execute_scheme", {"code": program}, progress_callback=heard)
        )
        await gate.arrived(2)
        await heard.until("0/50 done — 2 active")
        while not call.done():
            gate.release_all()
            await asyncio.sleep(0)
        await call
    assert {total for _, total, _ in heard.all} == {50.0}
    assert heard.all[-1][0] == 50.0


async def test_an_error_in_a_procedure_of_an_earlier_program_names_that_program(connect, text_of) -> None:
    async with connect() as client:
        await client.call_tool("execute_scheme", {"code": '(define (check x)\n  (error "bad" x))'})
        earlier = await client.call_tool("execute_scheme", {"code": "\n\n(check 1)"})
        own = await client.call_tool("execute_scheme", {"code": "\n(car 5)"})
    assert "bad 1 (program 1, line 2, column 3)" in text_of(earlier)
    assert earlier.structured_content["error"]["source"] == "program 1"
    assert "\n(line 2, column 1)" in text_of(own)


async def test_progress_arrives_in_time_also_when_nothing_changes(connect, mode, monkeypatch) -> None:
    """Every two seconds; here every hundredth."""
    monkeypatch.setattr(announcing, "BEAT_S", 0.01)
    gate, heard = GatedProvider(), Heard()
    async with connect(gate, mode=mode) as client:
        call = asyncio.create_task(
            client.call_tool("execute_scheme", {"code": ASK.format("x")}, progress_callback=heard)
        )
        while len(heard.all) < 5:
            await heard.until("0/1 done")
            await asyncio.sleep(0)
        gate.release()
        await call
    values = [progress for progress, _, _ in heard.all]
    assert values == sorted(set(values))


async def test_words_on_standard_error_reach_the_log_as_they_are_said(connect, mode) -> None:
    """While the program still runs, a line a message."""
    gate, log = GatedProvider(), Log()
    code = f'(eprintf "phase ~a\\nhal" 1) {ASK.format("x")} (eprintf "f said")'
    async with connect(gate, mode=mode, client={"logging_callback": log, "log_level": "info"}) as client:
        call = asyncio.create_task(client.call_tool("execute_scheme", {"code": code}))
        await log.until("phase 1")
        await gate.arrived(1)
        assert log.lines == [("info", "phase 1")]
        gate.release()
        result = await call
    assert log.lines == [("info", "phase 1"), ("info", "half said")]
    assert result.structured_content["stderr"] == "phase 1\nhalf said"


@pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")
async def test_a_client_chooses_the_least_log_level(connect) -> None:
    """A connection of the handshake era sets it once."""
    log = Log()
    async with connect(client={"logging_callback": log}) as client:
        await client.session.set_logging_level("error")
        await client.call_tool("execute_scheme", {"code": '(eprintf "quiet\\n")'})
        await client.session.set_logging_level("debug")
        await client.call_tool("execute_scheme", {"code": '(eprintf "loud\\n")'})
    assert log.lines == [("info", "loud")]


async def test_the_approach_of_the_timeout_is_announced(connect, mode) -> None:
    """At four fifths of it."""
    log, heard = Log(), Heard()
    async with connect(
        GatedProvider(), mode=mode, client={"logging_callback": log, "log_level": "info"}
    ) as client:
        result = await client.call_tool(
            "execute_scheme", {"code": ASK.format("x"), "timeout": 0.25}, progress_callback=heard
        )
    assert result.structured_content["status"] == "limit"
    assert log.lines == [("warning", "timeout warning: 0.2 of 0.25 s used")]
    assert "timeout warning" in heard.all[-1][2]


async def test_several_programs_wait_for_each_other_in_order(connect, mode) -> None:
    """One session, one program at a time."""
    gate = GatedProvider()
    async with connect(gate, mode=mode) as client:
        calls = [
            asyncio.create_task(client.call_tool("execute_scheme", {"code": code}))
            for code in (f"(define log (list {ASK.format('1')}))", "(set! log (cons 2 log))", "(reverse log)")
        ]
        await gate.arrived(1)
        status = (await client.call_tool("get_status", {})).structured_content
        assert (status["running"], status["queued"]) == (True, 2)
        gate.release()
        results = [await call for call in calls]
    assert results[-1].structured_content["data"] == ["1", 2]


async def test_status_and_log_answer_while_a_program_runs(connect, mode) -> None:
    """At once: the gate is still closed."""
    gate = GatedProvider()
    async with connect(gate, mode=mode) as client:
        call = asyncio.create_task(client.call_tool("execute_scheme", {"code": THREE}))
        await gate.arrived(3)
        status = (await client.call_tool("get_status", {})).structured_content
        assert status["running"]
        assert {one["model"] for one in status["calls_in_flight"]} == {"gpt-4.1-nano"}
        assert status["run"]["calls"] == 3
        log = (await client.call_tool("get_scope_log", {})).structured_content
        assert log["total"] == 3
        state = (await client.call_tool("get_sandbox_state", {})).structured_content
        assert state["running"]
        assert "definitions" not in state
        gate.release_all()
        await call


async def test_one_call_can_be_cancelled(connect, mode) -> None:
    """Its program sees a condition, the others go on."""
    gate = GatedProvider()
    code = """
    (define hs (map (lambda (x) (llm-query-async #:instruction "say" #:data x)) (list "a" "b")))
    (map (lambda (h) (try (syntax-e (await h)) on-error (lambda (m) "lost"))) hs)
    """
    async with connect(gate, mode=mode) as client:
        call = asyncio.create_task(client.call_tool("execute_scheme", {"code": code}))
        await gate.arrived(2)
        status = (await client.call_tool("get_status", {})).structured_content
        first = status["calls_in_flight"][0]["call_id"]
        cancelled = await client.call_tool("cancel_call", {"call_id": first})
        assert cancelled.structured_content["cancelled"]
        gate.release_all()
        result = await call
        assert result.structured_content["data"] == ["lost", "b"]
        again = (await client.call_tool("cancel_call", {"call_id": first})).structured_content
        assert again == {"cancelled": False, "call_id": first, "in_flight": []}


async def test_the_running_program_can_be_cancelled_by_a_tool(connect, mode) -> None:
    """For clients that cannot cancel a request."""
    gate = GatedProvider()
    async with connect(gate, mode=mode) as client:
        call = asyncio.create_task(client.call_tool("execute_scheme", {"code": THREE}))
        await gate.arrived(3)
        await client.call_tool("cancel_call", {"call_id": "execution"})
        result = await call
        assert result.is_error
        assert result.structured_content["status"] == "cancelled"
        assert len(gate.cancelled) == 3
        again = await client.call_tool("execute_scheme", {"code": "(+ 1 1)"})
        assert again.structured_content["value"] == "2"
        idle = await client.call_tool("cancel_call", {"call_id": "execution"})
        assert not idle.structured_content["cancelled"]


async def test_a_cancelled_request_ends_its_program_and_nothing_else(connect, mode) -> None:
    """Its LLM requests are aborted; the session has what was defined before."""
    gate = GatedProvider()
    async with connect(gate, mode=mode) as client:
        await client.call_tool("execute_scheme", {"code": "(define kept 5)"})
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "execute_scheme", {"code": THREE})
            await gate.arrived(3)
            group.cancel_scope.cancel()
        result = await client.call_tool("execute_scheme", {"code": "kept"})
        assert result.structured_content["value"] == "5"
        assert len(gate.cancelled) == 3
        assert gate.waiting == []


async def test_a_request_cancelled_in_the_queue_never_runs(connect, mode) -> None:
    """And does not disturb the one that runs."""
    gate = GatedProvider()
    async with connect(gate, mode=mode) as client:
        running = asyncio.create_task(client.call_tool("execute_scheme", {"code": ASK.format("x")}))
        await gate.arrived(1)
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "execute_scheme", {"code": "(define never 1)"})
            while (await client.call_tool("get_status", {})).structured_content["queued"] == 0:
                await asyncio.sleep(0)
            group.cancel_scope.cancel()
        while (await client.call_tool("get_status", {})).structured_content["queued"]:
            await asyncio.sleep(0)
        gate.release()
        assert (await running).structured_content["value"] == "x"
        result = await client.call_tool("execute_scheme", {"code": "never"})
        assert "unbound variable" in result.structured_content["error"]["message"]


async def test_a_client_that_goes_away_in_mid_call_leaves_nothing_running(mode) -> None:
    """No request, no session, no task."""
    gate = GatedProvider()
    before = asyncio.all_tasks()
    async with Runtime(gate, python="off") as runtime:
        async with anyio.create_task_group() as group:

            async def dies() -> None:
                async with Client(make_server(runtime), mode=mode) as client:
                    await client.call_tool("execute_scheme", {"code": THREE})

            group.start_soon(dies)
            await gate.arrived(3)
            group.cancel_scope.cancel()
        assert gate.waiting == []
        assert len(gate.cancelled) == 3
        assert runtime.sessions == []
        assert asyncio.all_tasks() - before - {asyncio.current_task()} == set()
