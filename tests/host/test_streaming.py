"""``session.stream``: what happens as it happens; and how far it is, with what combinators have announced."""

from __future__ import annotations

import asyncio

import pytest

from rlm_wasm import (
    CallEnded,
    CallStarted,
    CompletionRequest,
    Output,
    Progress,
    ProviderError,
    Result,
    Runtime,
    UsageError,
)
from rlm_wasm.execution.progress import StreamedEvents, progress_line
from rlm_wasm.testing import GatedProvider, InlineProvider, bracketed


async def test_output_calls_and_at_last_the_result_come_in_their_order() -> None:
    program = '(display "a")\n(define x (llm-query #:instruction "q" #:data "d" #:model "m"))\n(eprintf "b")\n(finish x)'
    async with Runtime(provider=InlineProvider()) as runtime, runtime.session() as session:
        events = [event async for event in session.stream(program)]
    seen = [event for event in events if not isinstance(event, Progress)]
    assert [type(event) for event in seen] == [Output, CallStarted, CallEnded, Output, Result]
    assert seen[0] == Output(stream="out", text="a")
    assert seen[1] == CallStarted(
        call_id=1, op="llm-query", model="m", instruction="q", data="d", line=2, fiber=0
    )
    ended = seen[2]
    assert isinstance(ended, CallEnded)
    assert (ended.status, ended.text, ended.prompt_tokens, ended.completion_tokens) == ("done", "[q]", 10, 5)
    assert seen[3] == Output(stream="err", text="b")
    assert seen[4].value == "[q]"  # type: ignore[union-attr]
    assert isinstance(events[-2], Progress)


async def test_events_come_while_the_program_waits() -> None:
    gate = GatedProvider(bracketed)
    async with Runtime(provider=gate) as runtime, runtime.session() as session:
        stream = session.stream('(display "early") (llm-query #:instruction "x")')
        assert await anext(stream) == Output(stream="out", text="early")
        while not isinstance(await anext(stream), CallStarted):
            pass
        await gate.arrived(1)
        gate.release()
        *_, last = [event async for event in stream]
    assert isinstance(last, Result)


async def test_a_failed_call_says_why() -> None:
    def broken(request: CompletionRequest) -> str:
        raise ProviderError("no room")

    async with Runtime(provider=InlineProvider(broken)) as runtime, runtime.session() as session:
        events = [event async for event in session.stream('(llm-query #:instruction "x")')]
    [ended] = [event for event in events if isinstance(event, CallEnded)]
    assert (ended.status, ended.error) == ("failed", "no room")
    assert events[-1].status == "error"  # type: ignore[union-attr]


async def test_whoever_stops_reading_cancels_the_program() -> None:
    gate = GatedProvider(bracketed)
    async with Runtime(provider=gate) as runtime, runtime.session() as session:
        stream = session.stream('(llm-query #:instruction "x")')
        async for event in stream:
            if isinstance(event, CallStarted):
                break
        await gate.arrived(1)
        await stream.aclose()  # type: ignore[attr-defined]
        assert not session.running
        assert len(gate.cancelled) == 1
        assert (await session.execute("(+ 1 2)")).value == "3"


@pytest.mark.parametrize("streamed", [True, False])
async def test_after_a_loop_that_was_left_the_session_runs_the_next_program_at_once(streamed: bool) -> None:
    gate = GatedProvider(bracketed)
    async with Runtime(provider=gate) as runtime, runtime.session() as session:
        async for event in session.stream('(display "left") (llm-query #:instruction "x")'):
            if isinstance(event, CallStarted):
                break
        if streamed:
            events = [event async for event in session.stream('(display "next") 3')]
            assert events[0] == Output(stream="out", text="next")
            result = events[-1]
        else:
            result = await session.execute("(+ 1 2)")
        assert isinstance(result, Result)
        assert result.value == "3"
        assert not session.running


async def test_a_loop_that_is_left_by_an_exception_leaves_the_session_usable() -> None:
    async with Runtime(provider="echo") as runtime, runtime.session() as session:

        async def failing() -> None:
            async for event in session.stream('(display "a") (let loop () (loop))'):
                raise LookupError(event)

        with pytest.raises(LookupError):
            await failing()
        assert (await session.execute("(+ 1 2)")).value == "3"


async def test_a_stream_that_is_still_held_is_not_ended_by_the_next_execution() -> None:
    gate = GatedProvider(bracketed)
    async with Runtime(provider=gate) as runtime, runtime.session() as session:
        stream = session.stream('(finish (llm-query #:instruction "x"))')
        async for event in stream:
            if isinstance(event, CallStarted):
                break
        with pytest.raises(UsageError, match="executing already"):
            await session.execute("(+ 1 2)")
        await gate.arrived(1)
        gate.release_all()
        rest = [event async for event in stream]
        assert isinstance(rest[-1], Result)


async def test_the_callers_own_mistakes_are_raised() -> None:
    async with Runtime(provider="echo") as runtime, runtime.session() as session:
        with pytest.raises(UsageError):
            [event async for event in session.stream(5)]  # type: ignore[arg-type]


async def test_a_slow_reader_gets_the_newest_progress_and_no_output_is_lost() -> None:
    events = StreamedEvents()
    for number in range(1_000):
        events.output("out", f"{number} ")
        events.progress(Progress(done=number))
        events.progress(Progress(done=number, stderr="x"))
    events.end(None)
    seen = []
    while (event := await events.next()) is not None:
        seen.append(event)
    assert "".join(event.text for event in seen if isinstance(event, Output)) == "".join(
        f"{n} " for n in range(1_000)
    )
    assert len(seen) == 2_000


# ---- how far it is


async def test_what_map_async_has_announced_is_in_the_total_from_the_beginning() -> None:
    gate = GatedProvider(bracketed)
    reports: list[Progress] = []
    program = '(map-async (lambda (i) (llm-query-async #:instruction "x")) (range 30) #:max-concurrent 5)'
    async with Runtime(provider=gate) as runtime:
        task = asyncio.create_task(runtime.run(program, on_progress=reports.append))
        await gate.arrived(5)
        for _ in range(5):
            gate.release()
        await gate.arrived(5)
        while not (reports and reports[-1].done == 5):
            await asyncio.sleep(0.01)
        report = reports[-1]
        assert (report.done, report.total, report.ahead) == (5, 30, 20)
        assert report.share == 5 / 30
        assert report.left_s is not None
        while not task.done():
            gate.release_all()
            await asyncio.sleep(0)
        await task
    assert (reports[-1].done, reports[-1].total, reports[-1].ahead) == (30, 30, 0)
    assert reports[-1].left_s is None


@pytest.mark.parametrize(
    "program",
    [
        '(parallel (map (lambda (i) (lambda () (llm-query #:instruction "x"))) (range 4)))',
        '(fold-sequential (lambda (acc i) (syntax-e (llm-query #:instruction "x"))) "" (range 4))',
        '(fan-out-aggregate (lambda (i) (llm-query-async #:instruction "x")) car (range 4))',
        '(vote (map (lambda (i) (lambda () (llm-query #:instruction "x"))) (range 4)))',
    ],
)
async def test_combinators_announce_their_items_and_forget_them(program: str) -> None:
    reports: list[Progress] = []
    async with Runtime(provider=InlineProvider()) as runtime, runtime.session() as session:
        result = await session.execute(program, on_progress=reports.append)
        assert result.ok, result.error
        assert (reports[-1].done, reports[-1].total, reports[-1].ahead) == (4, 4, 0)
        await session.execute('(llm-query #:instruction "x")', on_progress=reports.append)
        assert (reports[-1].total, reports[-1].ahead) == (1, 0)


async def test_the_last_line_that_was_printed_is_told() -> None:
    reports: list[Progress] = []
    async with Runtime(provider=InlineProvider()) as runtime:
        await runtime.run('(display "first\\nsecond")', on_progress=reports.append)
        assert reports[-1].last_line == "second"
        await runtime.run('(eprintf "third\\n\\n")', on_progress=reports.append)
        assert reports[-1].last_line == "third"
        await runtime.run("(display (make-string 100000 #\\x))", on_progress=reports.append)
        assert reports[-1].last_line == "x" * 200


def test_the_line_of_progress_says_its_share_and_what_is_left() -> None:
    progress = Progress(done=10, running=2, total=40, ahead=28, models={"m": 2}, elapsed_s=20, longest_s=3)
    assert (
        progress_line(progress)
        == "10/40 done — 2 active: m×2 (longest: 3s) — 25%, about 1 min 00 s left — 20.0 s"
    )
    assert "left" not in progress_line(Progress(done=1, running=1, total=2, models={"m": 1}, elapsed_s=20))
