"""Executions and what a session keeps."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref

import pytest

from rlm_wasm import Limits, Result, Runtime, SessionClosed, UsageError
from rlm_wasm.testing import GatedProvider, InlineProvider, bracketed


async def test_the_value_of_the_last_expression_comes_back(runtime: Runtime) -> None:
    """In display form and as data."""
    result = await runtime.run('(define x 20) (list (+ x 1) "two" \'three 1/2)')
    assert (result.status, result.value) == ("ok", "(21 two three 1/2)")
    assert result.data[:3] == [21, "two", "three"]
    assert result.ok
    assert result.error is None


async def test_finish_ends_the_program_from_any_depth(runtime: Runtime) -> None:
    """What stands after it does not run, neither do after thunks."""
    result = await runtime.run(
        '(dynamic-wind void (lambda () (map (lambda (x) (if (= x 2) (finish "done") x)) (list 1 2 3)))'
        ' (lambda () (display "after"))) (display "never")'
    )
    assert (result.status, result.value, result.stdout) == ("finished", "done", "")


@pytest.mark.parametrize("program", ['"(finish 1)"', "; (finish 1)\n2", "'(finish 1)", "#;(finish 1) 3"])
async def test_the_word_finish_alone_does_nothing(runtime: Runtime, program: str) -> None:
    """In strings, comments and quoted data."""
    assert (await runtime.run(program)).status == "ok"


async def test_state_persists_until_reset(runtime: Runtime) -> None:
    """Definitions, contexts, and the log."""
    async with runtime.session() as session:
        await session.load_context("abc")
        assert (await session.execute("(define x 5)")).value == ""
        assert (await session.execute("(+ x (string-length context))")).value == "8"
        assert await session.definitions() == ["x"]
        await session.reset()
        result = await session.execute("x")
        assert result.status == "error"
        assert "x" in str(result.error)
        assert (await session.execute("context")).status == "error"


async def test_a_library_s_name_that_a_program_defines_is_listed_once(runtime: Runtime) -> None:
    """In the session's state, too; the last value of a conversation is such a name."""
    async with runtime.session() as session:
        session.keep_last_value()
        await session.execute(
            "(define (first x) x) (define second 2) (define third 3) (define z 1) (set! z 2) z"
        )
        assert await session.definitions() == ["_", "first", "second", "third", "z"]
        assert session.state()["variables"] == ["_", "first", "second", "third", "z"]


async def test_an_error_keeps_what_was_defined_before_it(runtime: Runtime) -> None:
    """And says where it happened."""
    async with runtime.session() as session:
        result = await session.execute("(define a 1)\n(define b (car 5))\n(define c 3)", name="mine")
        assert result.status == "error"
        assert result.error is not None
        assert (result.error.line, result.error.source) == (2, "mine")
        assert str(result.error).endswith("(mine, line 2, column 11)")
        assert (await session.execute("a")).value == "1"
        assert (await session.execute("c")).status == "error"


async def test_output_comes_back(runtime: Runtime) -> None:
    """Both kinds, apart."""
    result = await runtime.run('(display "out") (eprintf "err ~a" 1) (printf "~a\\n" 2)')
    assert (result.stdout, result.stderr) == ("out2\n", "err 1")


async def test_a_result_is_plain_data_when_asked(runtime: Runtime) -> None:
    """For --json and MCP."""
    result = await runtime.run('(hash \'a 1.5 "b" (list 1/3 (void) #\\x))')
    plain = json.loads(json.dumps(result.to_dict()))
    assert plain["status"] == "ok"
    assert plain["data"] == {"a": 1.5, "b": ["1/3", None, "x"]}
    assert plain["execution"]["calls"] == 0


@pytest.mark.parametrize(("program", "what"), [("(display \0)", "NUL"), ('"\ud800"', "surrogate")])
async def test_text_that_is_no_text_is_a_guest_error(runtime: Runtime, program: str, what: str) -> None:
    """With the place; nothing crashes."""
    result = await runtime.run(program)
    assert result.status == "error"
    assert what in str(result.error)


async def test_an_empty_program_is_fine(runtime: Runtime) -> None:
    """It has no value."""
    for program in ("", "   ", "; nothing"):
        result = await runtime.run(program)
        assert (result.status, result.value) == ("ok", "")


async def test_the_callers_own_mistakes_raise(runtime: Runtime) -> None:
    """They are no results."""
    session = runtime.session()
    with pytest.raises(UsageError):
        await session.execute(b"(+ 1 2)")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="suspended"):
        await session.resume()
    with pytest.raises(UsageError, match="offset 1"):
        await session.load_context(b"a\xff")
    with pytest.raises(UsageError, match="NUL"):
        await session.load_context(b"a\0b")
    await session.aclose()
    await session.aclose()
    with pytest.raises(SessionClosed):
        await session.execute("1")
    with pytest.raises(UsageError, match="provider"):
        Runtime(provider=object())  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="python"):
        Runtime(python="perl")


async def test_one_execution_at_a_time(gated: Runtime, gate: GatedProvider) -> None:
    """A second one meanwhile is refused, and harms nothing."""
    async with gated.session() as session:
        task = asyncio.create_task(session.execute('(syntax-e (llm-query #:instruction "q"))'))
        await gate.arrived(1)
        with pytest.raises(UsageError, match="one execution"):
            await session.execute("1")
        gate.release()
        assert (await task).value == "[q]"


async def test_cancelling_the_task_leaves_the_session_usable(gated: Runtime, gate: GatedProvider) -> None:
    """Its provider calls are cancelled too."""
    async with gated.session() as session:
        await session.execute("(define x 1)")
        task = asyncio.create_task(session.execute('(define y 2) (llm-query #:instruction "q")'))
        await gate.arrived(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)
        assert [request.instruction for request in gate.cancelled] == ["q"]
        assert (await session.execute("(+ x y)")).value == "3"


async def test_cancel_gives_a_result(gated: Runtime, gate: GatedProvider) -> None:
    """Unlike cancelling the task."""
    async with gated.session() as session:
        task = asyncio.create_task(session.execute('(llm-query #:instruction "q")'))
        await gate.arrived(1)
        session.cancel()
        assert (await task).status == "cancelled"
        assert (await session.execute("1")).value == "1"


async def test_a_running_program_can_be_cancelled(runtime: Runtime) -> None:
    """Also one that never waits: it gets its time in slices."""
    async with runtime.session() as session:
        task = asyncio.create_task(session.execute("(let loop () (loop))"))
        for _ in range(3):
            await asyncio.sleep(0)
        session.cancel()
        assert (await task).status == "cancelled"


async def test_closing_a_session_ends_what_runs_in_it(gated: Runtime, gate: GatedProvider) -> None:
    """The result says so."""
    session = gated.session()
    task = asyncio.create_task(session.execute('(llm-query #:instruction "q")'))
    await gate.arrived(1)
    await session.aclose()
    assert (await task).status == "cancelled"


async def test_two_busy_programs_share_the_loop(runtime: Runtime) -> None:
    """A guest that computes lets the others run."""
    program = "(let loop ((i 0)) (if (< i 2000000) (loop (+ i 1)) i))"

    async def run() -> Result:
        return await runtime.run(program)

    ticks = 0

    async def clock() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticker = asyncio.create_task(clock())
    results = await asyncio.gather(run(), run())
    ticker.cancel()
    assert [result.value for result in results] == ["2000000", "2000000"]
    assert ticks > 4


async def test_sessions_do_not_see_each_other(runtime: Runtime) -> None:
    """Neither definitions nor contexts; redefinitions of library names stay private too."""
    async with runtime.session() as one, runtime.session() as two:
        await one.execute("(define (map f l) 'mine) (define secret 1)")
        assert (await one.execute("(map car '((1)))")).value == "mine"
        assert (await two.execute("(map car '((1)))")).value == "(1)"
        assert (await two.execute("secret")).status == "error"


async def test_progress_is_reported(gated: Runtime, gate: GatedProvider) -> None:
    """Calls done, running and in all; the last report is always delivered."""
    seen = []
    task = asyncio.create_task(
        gated.run(
            '(eprintf "phase 1\\n") (map-async (lambda (x) (llm-query-async #:instruction x)) (list "a" "b"))',
            on_progress=seen.append,
        )
    )
    await gate.arrived(2)
    gate.release_many(2)
    await task
    assert (seen[-1].done, seen[-1].running, seen[-1].total) == (2, 0, 2)
    assert "".join(report.stderr for report in seen) == "phase 1\n"


async def test_a_program_longer_than_a_message_is_a_guest_error() -> None:
    """With both figures; the session is untouched."""
    async with Runtime(provider=GatedProvider(bracketed), limits=Limits(message_bytes=1000)) as runtime:
        result = await runtime.run('"' + "x" * 2000 + '"')
        assert result.status == "error"
        assert "2,002 bytes" in str(result.error)
        assert "message_bytes" in str(result.error)


async def test_data_that_python_cannot_take_is_left_out(runtime: Runtime) -> None:
    """The value in display form is there all the same, and nothing is rolled back."""
    async with runtime.session() as session:
        result = await session.execute(
            "(define t (for/hash ([i 3000]) (values (* i 2305843009213693951) i))) t"
        )
        assert (result.status, result.data) == ("ok", None)
        assert result.value.startswith("#hash(")
        assert (await session.execute("(hash-count t)")).value == "3000"
        assert (await session.execute("(lambda (x) x)")).data is None
        assert (await session.execute('(list "a" (bytes 1 2))')).data == ["a", b"\x01\x02"]


async def test_a_context_longer_than_a_message_comes_whole() -> None:
    """In pieces."""
    text = "".join(f"line {i}\n" for i in range(1_100_000))
    async with Runtime(provider=GatedProvider(bracketed), limits=Limits(message_bytes=9 << 20)) as runtime:
        result = await runtime.run(
            "(list (string-length context) (substring context 9000000 9000012))", context=text
        )
        assert result.data == [len(text), text[9000000:9000012]]


async def test_the_state_shows_what_the_session_holds(gated: Runtime, gate: GatedProvider) -> None:
    """Without waiting; while a program runs its variables are not known."""
    async with gated.session() as session:
        await session.load_context("abc", "n")
        await session.execute('(define b 1) (define (a) b) (checkpoint "k" 5)')
        state = session.state()
        assert state["variables"] == ["a", "b"]
        assert (state["contexts"], state["checkpoints"]) == ({"n": 3}, ["k"])
        task = asyncio.create_task(session.execute('(llm-query #:instruction "q")'))
        await gate.arrived(1)
        state = session.state()
        assert state["variables"] is None
        assert [call["call_id"] for call in state["calls_in_flight"]] == [1]
        session.cancel()
        await task
        assert session.state()["used"]["calls"] == 1


async def test_a_callback_that_fails_harms_nothing(runtime: Runtime) -> None:
    """The event loop's exception handler hears of it."""
    heard = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: heard.append(context["exception"])
    )

    def broken(_what: object) -> None:
        raise ValueError("mine")

    async with runtime.session() as session:
        session.on_stderr = broken
        result = await session.execute(
            '(eprintf "x") (syntax-e (llm-query #:instruction "q"))', on_progress=broken
        )
        assert (result.status, result.value, result.stderr) == ("ok", "[q]", "x")
    assert {type(error) for error in heard} == {ValueError}


@pytest.mark.parametrize("python", ["off", "wasi"])
async def test_a_session_that_is_closed_goes_without_the_collector(python: str) -> None:
    """With what it was put together from, whatever it did."""
    async with Runtime(InlineProvider(), host_functions={"twice": lambda n: 2 * n}, python=python) as runtime:
        programs = [
            "(+ 1 2)",
            '(syntax-e (llm-query #:instruction "q"))',
            "(twice 21)",
            '(string-length context) (display "x") (checkpoint "c" 1) (restore "c")',
            "(car 1)",
            *(['(py-eval "1 + 1")'] if python == "wasi" else []),
        ]
        gc.collect()
        gc.disable()
        try:
            for program in programs:
                session = runtime.session()
                await session.load_context("text")
                result = await session.execute(program, on_progress=lambda _: None, on_output=lambda *_: None)
                assert result.status == ("error" if program == "(car 1)" else "ok"), result.error
                await session.aclose()
                gone = (
                    weakref.ref(session._parts.meter),
                    weakref.ref(session),
                    weakref.ref(session._parts),
                    weakref.ref(session._parts.scheduler),
                )
                del session
                await asyncio.sleep(0)
                assert [each() for each in gone] == [None] * 4, program
        finally:
            gc.enable()


async def test_a_call_that_comes_back_after_its_session_was_closed_tells_nobody() -> None:
    """Its session is gone, and nothing of it is asked any more."""
    gate = GatedProvider(bracketed)
    async with Runtime(gate) as runtime:
        session = runtime.session()
        running = asyncio.create_task(session.execute('(llm-query #:instruction "q")'))
        await gate.arrived(1)
        calls = session._parts.calls
        await session.aclose()
        assert (await running).status == "cancelled"
        calls._warn("too late")
        calls.child_over(1)
        session._parts.contexts._charge(1)
        assert session._parts.scheduler.requests.time_left() is None
