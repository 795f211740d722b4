"""Durable sessions in one process: what the store has of them, who holds them, and what is said."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from host.test_replies import BUSY, NEXT, PROGRAMS
from rlm_wasm import Result, Runtime, UsageError
from rlm_wasm.errors import (
    LeaseLost,
    ProviderError,
)
from rlm_wasm.execution import scheduler
from rlm_wasm.testing import GatedProvider, bracketed

ASK = '(define a (syntax-e (llm-query #:instruction "one"))) (define b (syntax-e (llm-query #:instruction "two"))) (finish (string-append a b))'


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store of the test's own."""
    return f"sqlite:///{tmp_path / 'state.db'}"


def database(url: str) -> contextlib.closing[sqlite3.Connection]:
    """The store as a database."""
    return contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None))


def expire(url: str) -> None:
    """The lease of whoever is gone runs out."""
    with database(url) as connection:
        connection.execute("UPDATE rlm_sessions SET held_until = 0")


async def crash(runtime: Runtime, url: str) -> None:
    """What is not written is lost, and nothing is said goodbye to."""
    for session in runtime.sessions:
        assert session._durable is not None
        writer = session._durable.writer
        with contextlib.suppress(LeaseLost):
            writer.lost = LeaseLost("the process was killed")
            session.cancel()
    await runtime.aclose()
    expire(url)


async def answered(gate: GatedProvider, *, running: asyncio.Task[Result], times: int = 1) -> None:
    """Let so many calls through, one after the other, while the execution runs."""
    for _ in range(times):
        await gate.arrived(1)
        gate.release()
    assert not running.done()


# ---- what is kept


async def test_a_session_with_a_name_is_found_again_as_it_was_left(url: str) -> None:
    """Definitions, contexts, checkpoints, the log, what was spent: by its name, in another runtime."""
    async with Runtime("echo", store=url, durable=True) as runtime, runtime.session(name="work") as session:
        assert (session.name, session.namespace, session.found) == ("work", "work", False)
        await session.load_context("a text")
        await session.execute('(define x 41) (checkpoint "k" 1) (llm-query #:instruction "q")')
        log, used = session.scope_log(), session.state()["used"]
    async with Runtime("echo", store=url, durable=True) as runtime:
        for again in (await runtime.resume("work"), None):
            session = again or runtime.session(name="work")
            async with session:
                assert session.found
                assert session.scope_log() == log
                assert {**session.state()["used"], "memory_bytes": 0, "host_bytes": 0} == {
                    **used,
                    "memory_bytes": 0,
                    "host_bytes": 0,
                }
                result = await session.execute('(list (add1 x) context (restore "k"))')
                assert result.value == "(42 a text 1)"
                log, used = session.scope_log(), session.state()["used"]


async def test_what_asks_nothing_of_a_model_needs_a_row_and_no_snapshot(url: str) -> None:
    """A thousand small executions are a thousand rows: snapshots come when replaying costs more."""
    async with Runtime("echo", store=url, durable=True) as runtime, runtime.session(name="work") as session:
        for number in range(20):
            await session.execute(f"(define v{number} {number})")
        with database(url) as connection:
            before = connection.execute("SELECT snapshot, base FROM rlm_sessions").fetchone()
        await session.execute("(define (loop i) (if (< i 0) 7 (loop (- i 1)))) (loop 3000000)")
        assert session._saving is not None
        await session._saving
        with database(url) as connection:
            after = connection.execute("SELECT snapshot, base FROM rlm_sessions").fetchone()
        assert before[1] < after[1]
    async with (
        Runtime("echo", store=url, durable=True) as runtime,
        await runtime.resume("work") as session,
    ):
        assert (await session.execute("(+ v19 (loop 10))")).value == "26"


async def test_python_s_variables_and_resets_are_replayed(url: str) -> None:
    """Without running Python again."""
    async with Runtime("echo", store=url, durable=True) as runtime, runtime.session(name="work") as session:
        await session.execute('(py-exec "n = 1")')
        await session.reset()
        await session.execute('(py-exec "m = 41")')
    async with (
        Runtime("echo", store=url, durable=True) as runtime,
        await runtime.resume("work") as session,
    ):
        assert (await session.execute('(py-eval "m + 1")')).value == "42"
        assert (await session.execute('(py-eval "n")')).status == "error"


async def test_a_session_that_ran_nothing_leaves_nothing(url: str) -> None:
    """Its name is free again."""
    async with Runtime("echo", store=url, durable=True) as runtime:
        await runtime.session(name="work").aclose()
        with pytest.raises(UsageError, match="no session work"):
            await runtime.resume("work")


async def test_host_functions_are_not_called_a_second_time(url: str) -> None:
    """One that was answered has its answer in the journal; one that was begun fails, or is begun again if allowed."""
    for resend, expected in (((), "not called a second time"), (("llm", "host"), "(1 2)")):
        counted: list[str] = []
        blocked = asyncio.Event()

        async def work(name: str, counted: list[str] = counted, blocked: asyncio.Event = blocked) -> int:
            counted.append(name)
            if name == "slow":
                await blocked.wait()
            return len(set(counted))

        name = f"work {len(resend)}"
        program = '(define a (work "quick")) (define b (work "slow")) (list a b)'
        runtime = Runtime("echo", store=url, durable=True, host_functions={"work": work})
        running = asyncio.create_task(runtime.session(name=name).execute(program))
        while len(counted) < 2:
            await asyncio.sleep(0)
        await crash(runtime, url)
        with contextlib.suppress(LeaseLost):
            await running
        blocked.set()
        async with Runtime("echo", store=url, durable=True, host_functions={"work": work}) as runtime:
            session = await runtime.resume(name, resend=resend)
            result = await session.resume()
        assert expected in (result.value or str(result.error))
        assert counted.count("quick") == 1
        assert counted.count("slow") == len(resend or "x")


# ---- crashes


class _Course:
    """One course of a program, with crashes in between: what is lost, and when, is chosen."""

    def __init__(self, choose: random.Random, url: str, *, failing: bool) -> None:
        self._choose = choose
        self._failing = failing
        self._url = url
        self._crashes = 0
        self._begin()

    def _begin(self) -> None:
        self._gate = GatedProvider(bracketed)
        self._runtime = Runtime(provider=self._gate, store=self._url, durable=True)
        self._session = self._runtime.session(name="work")

    async def run(self, *programs: str) -> Result:
        """One execution after the other; the last one's result."""
        try:
            for program in programs:
                result = await self._execute(BUSY + program)
                assert result.status == "ok", result.error
            return result
        finally:
            await self._runtime.aclose()

    async def _execute(self, program: str) -> Result:
        choose = self._choose
        while True:
            if self._session.suspended:
                task = asyncio.create_task(self._session.resume())
            else:
                task = asyncio.create_task(self._session.execute(program))
            crashes = False
            while not task.done() and not crashes:
                for _ in range(choose.choice((1, 1, 2, 5, 20))):
                    await asyncio.sleep(0)
                if choose.random() < 0.3:
                    await asyncio.sleep(0.0005)  # the store has a thread
                self._answer_some()
                crashes = self._crashes < 4 and choose.random() < 0.05
            if not crashes:
                return await task
            self._crashes += 1
            before = self._session
            await crash(self._runtime, self._url)
            with contextlib.suppress(LeaseLost):
                await task
            assert before.closed
            self._begin()
            if not self._session.suspended and task.done() and not task.cancelled() and not task.exception():
                ended = task.result()
                if ended.status == "ok":
                    return ended  # the store had its end

    def _answer_some(self) -> None:
        gate, choose = self._gate, self._choose
        if gate.waiting and choose.random() < 0.5:
            for _ in range(choose.randint(1, len(gate.waiting))):
                with contextlib.suppress(asyncio.InvalidStateError):  # it is being cancelled
                    at = choose.randrange(len(gate.waiting))
                    if self._failing and choose.random() < 0.3:
                        gate.fail(ProviderError("overloaded"), at)
                    else:
                        gate.release(at)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    name=st.sampled_from(sorted(PROGRAMS)),
    steps=st.sampled_from([101, 1_009, 10_007]),
    seed=st.integers(0, 2**32),
)
def test_every_order_of_answers_and_crashes_comes_to_the_same_end(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    steps: int,
    seed: int,
) -> None:
    """Whatever was not written is done again; whatever was is not."""
    monkeypatch.setattr(scheduler, "SLICE_STEPS", steps)
    program, right = PROGRAMS[name]
    url = f"sqlite:///{tmp_path_factory.mktemp('course') / 'state.db'}"

    async def course() -> Result:
        return await _Course(random.Random(seed), url, failing="fail" in name).run(*program.split(NEXT))

    result = asyncio.run(asyncio.wait_for(course(), 60))
    assert right(result.data), result.data
    if name.startswith("output"):
        assert result.stdout == "01234"
