"""An execution that is asked for by an id runs once, however often and by whomever it is asked for."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from fractions import Fraction

import pytest
from durable.test_durable_sessions import ASK, answered, crash

from rlm_wasm import Limits, Runtime, SnapshotCorrupt, UsageError
from rlm_wasm.errors import LeaseLost
from rlm_wasm.testing import GatedProvider, InlineProvider, bracketed

PROGRAMS = {
    "a text": '(display "out") (finish "text")',
    "data": "(finish (list 1/3 'sym #\\\\c (vector 1.5 #t) (hash 'k \"v\")))".replace("\\\\", "\\"),
    "nothing": "(define x 1)",
    "an error": "(car 1)",
    "a limit": "(let loop () (loop))",
}


@pytest.mark.parametrize("what", PROGRAMS)
async def test_the_result_is_given_again_in_this_process_and_in_the_next(url: str, what: str) -> None:
    """All of it, and nothing runs: the host function is not called a second time."""
    called: list[int] = []
    options = {
        "store": url,
        "durable": True,
        "limits": Limits(fuel=50_000_000),
        "host_functions": {"note": called.append},
    }
    source = f"(note 1) {PROGRAMS[what]}"
    async with Runtime("echo", **options) as runtime, runtime.session(name="s") as session:  # type: ignore[arg-type]
        first = await session.execute(source, request="a")
        assert await session.execute(source, request="a") == first
    async with Runtime("echo", **options) as runtime, await runtime.resume("s") as session:  # type: ignore[arg-type]
        assert session.request == "a"
        assert await session.execute(source, request="a") == first
    assert called == [1], first
    if what == "data":
        assert first.data[0] == Fraction(1, 3)


@pytest.mark.parametrize("other", ["b", None])
async def test_by_another_id_or_by_none_a_program_runs_again(url: str, other: str | None) -> None:
    """And what came of it before is not given any more: a session knows its last execution."""
    async with Runtime("echo", store=url, durable=True) as runtime, runtime.session(name="s") as session:
        await session.execute("(define n 0)")
        for request, expected in (("a", "1"), ("a", "1"), (other, "2"), ("a", "3")):
            assert (await session.execute("(set! n (+ n 1)) n", request=request)).value == expected


async def test_an_execution_that_a_process_began_goes_on_by_its_id(url: str) -> None:
    """No call that was answered is sent again; a second asking gives what came of it."""
    gate = GatedProvider(bracketed)
    runtime = Runtime(gate, store=url, durable=True)
    running = asyncio.create_task(runtime.session(name="s").execute(ASK, request="r"))
    await answered(gate, running=running)
    await gate.arrived(1)
    await crash(runtime, url)
    with contextlib.suppress(LeaseLost):
        await running
    answers = InlineProvider()
    async with Runtime(answers, store=url, durable=True) as runtime, await runtime.resume("s") as session:
        with pytest.raises(UsageError, match="in the middle of an execution"):
            await session.execute(ASK, request="another")
        result = await session.execute(ASK, request="r")
        assert result.value == "[one][two]"
        assert await session.execute(ASK, request="r") == result
    assert [request.instruction for request in answers.requests] == ["two"]


async def test_an_id_without_a_durable_session_or_that_is_none_is_refused(url: str) -> None:
    """And a Result that somebody damaged is told of."""
    async with Runtime("echo", store=url, durable=True) as runtime:
        async with runtime.session() as plain:
            with pytest.raises(UsageError, match="request= is for durable sessions"):
                await plain.execute("1", request="r")
        async with runtime.session(name="s") as session:
            for wrong in ("", "r" * 256, 7):
                with pytest.raises(UsageError, match="a request's id has 1 to 255 characters"):
                    await session.execute("1", request=wrong)  # type: ignore[arg-type]
            await session.execute("1", request="r")
    with contextlib.closing(
        sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    ) as database:
        database.execute("UPDATE rlm_sessions SET result = x'8201'")
    async with Runtime("echo", store=url, durable=True) as runtime, await runtime.resume("s") as session:
        with pytest.raises(SnapshotCorrupt, match="the result of session s is damaged"):
            await session.execute("1", request="r")


async def test_a_question_between_two_asking_is_no_answer_to_the_first(url: str) -> None:
    """What ``ask`` runs in the session has no id."""
    async with (
        Runtime("extractive", store=url, durable=True) as runtime,
        runtime.session(name="s") as session,
    ):
        first = await session.execute("(finish 1)", request="r")
        await session.load_context("Ann lives in Rome.")
        await session.ask("Where does Ann live?")
        assert (await session.execute("(finish 2)", request="r")).value == "2" != first.value
