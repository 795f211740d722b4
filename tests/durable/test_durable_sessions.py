"""Durable sessions in one process: what the store has of them, who holds them, and what is said."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from host.test_replies import BUSY, NEXT, PROGRAMS
from rlm_wasm import Limits, Result, Runtime, UsageError
from rlm_wasm.errors import (
    InstanceLost,
    JournalDiverged,
    LeaseLost,
    ProviderError,
    SessionClosed,
    SessionHeld,
    SnapshotCorrupt,
    StoreError,
)
from rlm_wasm.execution import guest, journal
from rlm_wasm.named_sessions import leave, open_named
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.sandbox import Sandbox
from rlm_wasm.session_parts.durable import Durable
from rlm_wasm.session_parts.stay import Stay
from rlm_wasm.store import connection as connections
from rlm_wasm.store.durable import DurableSessions
from rlm_wasm.store.records import Batch
from rlm_wasm.testing import GatedProvider, InlineProvider, bracketed

ASK = '(define a (syntax-e (llm-query #:instruction "one"))) (define b (syntax-e (llm-query #:instruction "two"))) (finish (string-append a b))'


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
        assert session._stay is not None
        writer = session._stay.durable.writer
        writer.lost = LeaseLost("the process was killed")
        writer._wake(writer._appended)
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
        assert session._stay.saving is not None
        await session._stay.saving
        with database(url) as connection:
            after = connection.execute("SELECT snapshot, base FROM rlm_sessions").fetchone()
        assert before[1] < after[1]
    async with (
        Runtime("echo", store=url, durable=True) as runtime,
        await runtime.resume("work") as session,
    ):
        assert (await session.execute("(+ v19 (loop 10))")).value == "26"


async def test_a_snapshot_that_is_due_waits_until_the_session_is_replayed(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody copies a guest that is on its way back."""
    monkeypatch.setattr(journal, "WORTH", 1_000_000)
    loop = "(define (loop i) (if (< i 0) 7 (loop (- i 1))))"
    async with Runtime("echo", store=url, durable=True) as runtime, runtime.session(name="work") as session:
        await session.execute(f"{loop} (define v (make-vector 300000 1)) (loop 1000000)")
        await session.execute("(loop 1000000) (define x 41)")
    monkeypatch.setattr(journal, "WORTH", 0)
    async with (
        Runtime("echo", store=url, durable=True) as runtime,
        await runtime.resume("work") as session,
    ):
        assert session._stay.saving is None
        assert (await session.execute("(+ x (vector-ref v 5))")).value == "42"
        assert session._stay.saving is not None
        await session._stay.saving
    async with (
        Runtime("echo", store=url, durable=True) as runtime,
        await runtime.resume("work") as session,
    ):
        assert (await session.execute("(+ x (vector-ref v 5))")).value == "42"


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
            with contextlib.suppress(LeaseLost, SessionClosed):
                await task
            assert before.closed
            self._begin()
            if not self._session.suspended and not task.cancelled() and not task.exception():
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
    monkeypatch.setattr(guest, "SLICE_STEPS", steps)
    program, right = PROGRAMS[name]
    url = f"sqlite:///{tmp_path_factory.mktemp('course') / 'state.db'}"

    async def course() -> Result:
        return await _Course(random.Random(seed), url, failing="fail" in name).run(*program.split(NEXT))

    result = asyncio.run(asyncio.wait_for(course(), 60))
    assert right(result.data), result.data
    if name.startswith("output"):
        assert result.stdout == "01234"


async def test_forks_of_a_program_are_taken_up_where_they_were(url: str) -> None:
    """None of their answered calls is asked again."""
    program = """
        (define (ask x n) (syntax-e (llm-query #:instruction (format "~a~a" x n))))
        (fork-map (lambda (x) (string-append (ask x 1) (ask x 2))) (list "a" "b"))
    """
    gate = GatedProvider(bracketed)
    runtime = Runtime(gate, store=url, durable=True)
    running = asyncio.create_task(runtime.session(name="work").execute(program))
    await gate.arrived(2)
    gate.release([request.instruction for request in gate.waiting].index("a1"))
    await gate.arrived(2)
    assert sorted(request.instruction for request in gate.requests) == ["a1", "a2", "b1"]
    await crash(runtime, url)
    with contextlib.suppress(LeaseLost):
        await running
    again = InlineProvider()
    async with Runtime(again, store=url, durable=True) as runtime, await runtime.resume("work") as session:
        result = await session.resume()
        assert result.data == ["[a1][a2]", "[b1][b2]"], result.error
        assert sorted(request.instruction for request in again.requests) == ["a2", "b1", "b2"]
        with database(url) as connection:
            assert connection.execute("SELECT count(*) FROM rlm_journal WHERE stream <> ''").fetchone() == (
                0,
            )
            assert connection.execute("SELECT count(*) FROM rlm_snapshots WHERE stream <> ''").fetchone() == (
                0,
            )


async def test_a_fork_that_is_given_up_before_it_stands_in_the_store_is_closed(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is held any longer."""
    saving = asyncio.Event()

    async def save(*_: Any, **_options: Any) -> None:
        saving.set()
        await asyncio.Event().wait()

    async with Runtime(InlineProvider(), store=url, durable=True) as runtime:
        session = runtime.session(name="work")
        await session.execute("1")
        with monkeypatch.context() as patch:
            patch.setattr(Stay, "save", save)
            running = asyncio.create_task(session.execute("(fork-map add1 (range 3))"))
            await saving.wait()
            session.cancel()
            assert (await running).status == "cancelled"
        while session._children._open:
            await asyncio.sleep(0)
        assert session.state()["used"]["host_bytes"] == 0


async def test_what_the_store_has_begun_to_write_is_not_written_again(url: str) -> None:
    """Where whoever waited for it was cancelled: the store has it all the same."""
    troubles: list[str] = []
    begun, let_go = threading.Event(), threading.Event()

    async with Runtime(InlineProvider(), store=url, durable=True) as runtime:
        session = runtime.session(name="work", notify=troubles.append)
        await session.execute("(define x 1)")
        assert session._stay is not None
        durable = session._stay.durable

        async def transaction(batch: Batch) -> None:
            def work() -> None:
                begun.set()
                let_go.wait()
                durable._sessions.write(durable.name, durable.epoch, batch)

            assert batch.rows
            await durable._sessions.store.run(work)

        await session.load_context("a text")
        writing = asyncio.create_task(durable.writer.write(transaction))
        await asyncio.to_thread(begun.wait)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        let_go.set()
        await session.execute("(define y (string-length context))")
        assert await session.flush()
    assert troubles == []
    async with Runtime(InlineProvider(), store=url, durable=True) as runtime:
        session = await runtime.resume("work")
        assert (await session.execute("(list x y)")).value == "(1 6)"


async def test_an_execution_that_is_cancelled_while_it_waits_for_the_store_leaves_the_session_whole(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a snapshot says what the session is after one that was given up, and that snapshot was not taken."""
    saving = asyncio.Event()

    async def save(*_: Any) -> None:
        saving.set()
        await asyncio.Event().wait()

    gate = GatedProvider(bracketed)
    async with Runtime(gate, store=url, durable=True) as runtime:
        session = runtime.session(name="work")
        await session.execute("(define x 1)")
        given_up = asyncio.create_task(session.execute('(set! x 2) (llm-query #:instruction "q")'))
        await gate.arrived(1)
        given_up.cancel()
        await asyncio.wait([given_up])
        with monkeypatch.context() as patch:
            patch.setattr(Durable, "save", save)
            second = asyncio.create_task(session.execute("(set! x 3)"))
            await saving.wait()
            second.cancel()
            await asyncio.wait([second])
        await session.execute("(set! x (+ x 10))")
        await session.flush()
        now = (await session.execute("x")).value
    async with Runtime(gate, store=url, durable=True) as runtime:
        session = await runtime.resume("work")
        assert (await session.execute("x")).value == now == "12"


# ---- answers that come between two executions

LEAVES_CALLS = """
    (define hs (map (lambda (i) (llm-query-async #:instruction (number->string i))) (range 3)))
    "left"
"""
AWAITED = "(map syntax-e (await-all hs))"


class _Between:
    """A session whose calls go on between its executions, and which may go on in another process."""

    def __init__(self, url: str, **options: Any) -> None:
        self.gate = GatedProvider(bracketed)
        self._url = url
        self._options = options
        self._open()

    def _open(self) -> None:
        self._runtime = Runtime(self.gate, store=self._url, durable=True)
        self.session = self._runtime.session(name="work", **self._options)

    async def answer(self, count: int) -> None:
        """So many calls are answered, the newest first, and the answers are written."""
        await self.gate.arrived(count)
        for _ in range(count):
            left = len(self.session.pending()) - 1
            self.gate.release(-1)
            while len(self.session.pending()) > left:
                await asyncio.sleep(0)
        await self._written()

    async def _written(self) -> None:
        assert self.session._stay is not None
        await self.session._stay.durable.writer.flush()

    async def goes_on(self, how: str) -> None:
        """The same session: after a "snapshot", a "crash", in another process ("moved"), or as it is ("")."""
        await self._written()
        if how == "snapshot":
            await self.session._stay.save()
        elif how == "crash":
            await crash(self._runtime, self._url)
            self._open()
        elif how == "moved":
            await self._runtime.aclose()
            self._open()

    async def value(self, program: str) -> str | None:
        """What an execution gives."""
        result = await self.session.execute(program)
        assert result.status == "ok", result.error
        return result.value

    async def aclose(self) -> None:
        """The end."""
        await self._runtime.aclose()


WAYS = ("", "snapshot", "crash", "moved")


@pytest.mark.parametrize("last", ["crash", "moved"])
@pytest.mark.parametrize("between", WAYS)
async def test_answers_that_came_between_two_executions_are_given_to_one_execution(
    url: str, between: str, last: str
) -> None:
    """The next one takes them; the one after that takes nothing, and says so in the journal."""
    it = _Between(url)
    await it.value(LEAVES_CALLS)
    await it.answer(3)
    await it.goes_on(between)
    assert await it.value("(+ 1 2)") == "3"
    assert await it.value("(+ 3 4)") == "7"
    await it.goes_on(last)
    assert await it.value(AWAITED) == "([0] [1] [2])"
    await it.goes_on(last)
    assert await it.value(AWAITED) == "([0] [1] [2])"
    assert len(it.gate.requests) == 3
    await it.aclose()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("answer"), st.integers(1, 2)),
            st.tuples(st.just("execute"), st.sampled_from(["(+ 1 2)", "(car '())", "(finish 3)"])),
            st.tuples(st.just("go on"), st.sampled_from(WAYS[1:])),
            st.tuples(st.just("ask"), st.just(None)),
        ),
        max_size=10,
    )
)
def test_whatever_comes_between_executions_is_replayed(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[str, Any]]
) -> None:
    """Answers, executions that take them or end badly, snapshots, crashes: in any order, and nothing is lost.

    A program that fails or finishes cancels what was asked before it.
    """
    url = f"sqlite:///{tmp_path_factory.mktemp('between') / 'state.db'}"

    async def course() -> None:
        it = _Between(url)
        total = 0
        await it.value("(define hs '())")
        for move, what in moves:
            if move == "answer":
                waiting = len(it.session.pending())
                await it.value("1")  # what was in flight is sent again by an execution
                await it.answer(min(waiting, what))
            elif move == "execute":
                await it.session.execute(what)
            elif move == "ask":
                await it.value(f'(set! hs (cons (llm-query-async #:instruction "{total}") hs))')
                total += 1
            else:
                await it.goes_on(what)
        await it.goes_on("crash")
        running = asyncio.create_task(
            it.value(
                '(map (lambda (h) (with-handlers ([void (lambda (e) "cancelled")]) (syntax-e (await h)))) hs)'
            )
        )
        await asyncio.sleep(0)
        while not running.done():
            if it.gate.waiting:
                it.gate.release()
            await asyncio.sleep(0)
        given = (await running or "").strip("()").split()
        assert len(given) == total
        assert all(text in (f"[{total - 1 - at}]", "cancelled") for at, text in enumerate(given))
        if not any(move == "execute" and what != "(+ 1 2)" for move, what in moves):
            assert "cancelled" not in given
        await it.aclose()

    asyncio.run(asyncio.wait_for(course(), 60))


# ---- ends that are replayed

ENDS: dict[str, tuple[Limits, str, str]] = {
    "handles": (
        Limits(handles=3),
        "(await-all (map (lambda (i) (llm-query-async #:instruction (number->string i))) (range 6)))",
        "limit exceeded: handles",
    ),
    "host_bytes": (
        Limits(host_bytes=1 << 20),
        "(define s (make-string 300000 #\\a)) (await-all (map (lambda (i) (llm-query-async #:instruction s)) (range 9)))",
        "limit exceeded: host_bytes",
    ),
    "fuel": (Limits(fuel=30_000_000), "(let loop () (loop))", "limit exceeded: fuel"),
    "memory": (Limits(memory_bytes=4 << 20), "(define v (make-vector 10000000 1))", "memory_bytes"),
    "a program without room": (
        Limits(memory_bytes=1 << 20),
        f'(define big "{"a" * 3_500_000}")',
        "limit exceeded: memory_bytes",
    ),
    "an error": (Limits(), "(car '())", "car: contract violation"),
    "finish": (Limits(), '(llm-query-async #:instruction "q") (finish 3)', "None"),
    "a value": (Limits(), "3", "None"),
}  # fmt: skip


@pytest.mark.parametrize("how", WAYS[1:])
@pytest.mark.parametrize("end", ENDS)
async def test_a_session_is_taken_up_after_an_execution_that_ended_in_any_way(
    url: str, end: str, how: str
) -> None:
    """What was defined before it is there, and answers that nobody had taken do no harm."""
    limits, program, said = ENDS[end]
    it = _Between(url, limits=limits)
    await it.value('(define x 41) (define h (llm-query-async #:instruction "early"))')
    await it.answer(1)
    result = await it.session.execute(program)
    assert said in str(result.error)
    await it.goes_on(how)
    if how == "snapshot":
        await it.goes_on("crash")
    assert await it.value("(define y (+ x 1)) y") == "42"
    await it.goes_on("crash")
    assert await it.value("(+ y 1)") == "43"
    await it.aclose()


def without_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process dies when the next execution is over, before the store has that."""

    async def dies(stay: Stay, *_: Any) -> None:
        await stay.durable.writer.flush()
        raise LeaseLost("the process was killed")

    monkeypatch.setattr(Stay, "end", dies)


@pytest.mark.parametrize("end", ENDS)
async def test_an_end_that_was_not_written_comes_again(
    monkeypatch: pytest.MonkeyPatch, url: str, end: str
) -> None:
    """By ``resume``, with the same Result, and in a snapshot of that moment it is over."""
    limits, program, said = ENDS[end]
    monkeypatch.setattr(journal, "WORTH", 1_000)  # no snapshot comes between
    it = _Between(url, limits=limits)
    await it.value("(define x 41)")
    with monkeypatch.context() as dying:
        without_its_end(dying)
        with pytest.raises(LeaseLost):
            await it.session.execute(program)
    await it.goes_on("crash")
    assert it.session.suspended
    snapshot = await it.session.snapshot()
    result = await it.session.resume()
    assert said in str(result.error)
    assert await it.value("(+ x 1)") == "42"
    await it.goes_on("crash")
    assert await it.value("(+ x 1)") == "42"
    await it.aclose()
    async with Runtime("echo") as runtime, await runtime.restore(snapshot) as copy:
        if copy.suspended:
            assert said in str((await copy.resume()).error)
        assert (await copy.execute("(+ x 1)")).value == "42"


async def test_an_end_comes_again_where_garbage_was_collected_before_it_was_written(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """As for a snapshot that the process did not live to save."""
    monkeypatch.setattr(journal, "WORTH", 1_000)
    it = _Between(url)
    await it.value("(define x 41)")

    async def dies(stay: Stay, *_: Any) -> None:
        runs = stay.journal.runs
        await it.session._scheduler.guest.tidy()
        assert stay.journal.runs > runs  # it was worth it
        await stay.durable.writer.flush()
        raise LeaseLost("the process was killed")

    with monkeypatch.context() as dying:
        dying.setattr(Stay, "end", dies)
        with pytest.raises(LeaseLost):
            await it.session.execute("(for ([i 3000]) (make-string 200 #\\a)) (+ x 1)")
    await it.goes_on("crash")
    assert it.session.suspended
    assert (await it.session.resume()).value == "42"
    assert await it.value("(+ x 2)") == "43"
    await it.aclose()


@pytest.mark.parametrize("end", [name for name in ENDS if name != "a program without room"])
async def test_a_snapshot_of_the_moment_before_an_end_is_noted_is_whole(
    monkeypatch: pytest.MonkeyPatch, url: str, end: str
) -> None:
    """The note comes after it, and finds no execution under way."""
    limits, program, said = ENDS[end]
    it = _Between(url, limits=limits)
    await it.value("(define x 41)")
    noted = Stay.end

    async def saved_before(stay: Stay, *rest: Any) -> None:
        await stay.save()
        await noted(stay, *rest)

    with monkeypatch.context() as saving:
        saving.setattr(Stay, "end", saved_before)
        assert said in str((await it.session.execute(program)).error)
    await it.goes_on("crash")
    assert not it.session.suspended
    assert await it.value("(+ x 1)") == "42"
    await it.aclose()


async def test_a_session_that_is_closed_after_it_was_abandoned_is_not_suspended_again(url: str) -> None:
    """Only a snapshot says that: it is saved at the end."""
    it = _Between(url)
    running = asyncio.create_task(it.session.execute('(define x 41) (llm-query #:instruction "q")'))
    await it.gate.arrived(1)
    await it.session.suspend()
    assert (await running).status == "cancelled"
    await it.aclose()
    it = _Between(url)
    assert it.session.suspended
    it.session.abandon()
    await it.goes_on("moved")
    assert not it.session.suspended
    assert await it.value("(+ x 1)") == "42"
    await it.aclose()


# ---- one owner


async def test_a_second_resumer_is_told_who_holds_the_session_and_since_when(url: str) -> None:
    """In the same process or in another one; to look at it is free."""
    async with (
        Runtime("echo", store=url, durable=True) as one,
        Runtime("echo", store=url, durable=True) as two,
    ):
        session = one.session(name="work")
        await session.execute("(define x 1)")
        said = r"session work is in use: process \d+ on .* holds it since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
        with pytest.raises(SessionHeld, match=said):
            await two.resume("work")
        with pytest.raises(SessionHeld, match=said):
            two.session(name="work")
        with pytest.raises(SessionHeld, match=said):
            await two.store.sessions.delete("work")  # type: ignore[attr-defined]
        async with await two.look("work") as seen:
            assert seen.state()["variables"] == ["x"]
            with pytest.raises(UsageError, match="only looked at"):
                await seen.execute("1")
        await session.aclose()
        async with await two.resume("work") as session:
            assert (await session.execute("x")).value == "1"


async def test_a_lease_that_has_run_out_is_taken_over_and_its_holder_writes_nothing_more(url: str) -> None:
    """Its execution ends with an error that says where the session is."""
    gate, messages = GatedProvider(bracketed), list[str]()
    async with Runtime(gate, store=url, durable=True) as one, Runtime("echo", store=url, durable=True) as two:
        session = one.session(name="work", notify=messages.append)
        running = asyncio.create_task(session.execute(ASK))
        await gate.arrived(1)
        expire(url)
        async with await two.resume("work") as taken:
            assert taken.suspended
            gate.release()
            with pytest.raises(LeaseLost, match=r"taken over by process \d+ on .* it goes on there"):
                await running
            assert (await taken.resume()).status == "finished"
        assert len(messages) == 1
        assert not session.kept
        with pytest.raises(LeaseLost):
            await session.execute("1")


async def test_a_holder_is_told_that_the_session_went_on_also_where_that_is_over(url: str) -> None:
    """Who took it over has left it: there is nobody to name any longer, and nothing to write all the same."""
    gate, messages = GatedProvider(bracketed), list[str]()
    async with Runtime(gate, store=url, durable=True) as one, Runtime("echo", store=url, durable=True) as two:
        session = one.session(name="work", notify=messages.append)
        running = asyncio.create_task(session.execute(ASK))
        await gate.arrived(1)
        expire(url)
        async with await two.resume("work") as taken:
            await taken.resume()
        gate.release()
        with pytest.raises(LeaseLost, match="taken over by another process, which has left it by now"):
            await running
        async with await two.resume("work") as taken:
            assert (await taken.execute("(string-append a b)")).ok


@pytest.mark.parametrize("how", ["made anew", "copied"])
async def test_a_session_of_a_removed_one_s_name_is_not_written_by_who_held_that_one(
    url: str, how: str
) -> None:
    """It was stopped for longer than its lease holds; the new session has an epoch that it never had."""
    gate = GatedProvider(bracketed)
    async with Runtime(gate, store=url, durable=True) as one, Runtime("echo", store=url, durable=True) as two:
        async with two.session(name="other") as other:
            await other.execute("(define x 2)")
        session = one.session(name="work", notify=lambda _message: None)
        running = asyncio.create_task(session.execute(ASK))
        await gate.arrived(1)
        expire(url)
        durable: DurableSessions = two.store.durable  # type: ignore[attr-defined,assignment]
        assert durable.delete("work")
        if how == "copied":
            durable.copy("other", "work", None)
        async with two.session(name="work") as anew:
            await anew.execute("(define y 3)")
            gate.release()
            with pytest.raises(LeaseLost):
                await running
            assert not session.kept
        async with await two.resume("work") as anew:
            assert (await anew.execute("y")).value == "3"


@pytest.mark.parametrize("field", [0, 2, 3])
async def test_the_lease_of_a_process_that_has_ended_is_free_at_once(url: str, field: int) -> None:
    """On its own machine; another machine's has to run out."""
    async with Runtime("echo", store=url, durable=True) as runtime, runtime.session(name="work") as session:
        await session.execute("(define x 1)")
        with database(url) as connection:
            [holder] = connection.execute("SELECT holder FROM rlm_sessions").fetchone()
            parts = holder.split("|")
            parts[field] = {0: "another machine", 2: "999999999", 3: "1"}[field]
            connection.execute("UPDATE rlm_sessions SET holder = ?", ["|".join(parts)])
        if field == 0:
            with pytest.raises(SessionHeld):
                await runtime.resume("work")
        else:
            await (await runtime.resume("work")).aclose()


# ---- a store that fails


class Failing:
    """A store's writes fail while this is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.set = False
        self.attempts = 0
        for name in ("write", "save"):
            monkeypatch.setattr(DurableSessions, name, self._instead_of(getattr(DurableSessions, name)))

    def _instead_of(self, original: Callable[..., None]) -> Callable[..., None]:
        def write(*arguments: Any) -> None:
            self.attempts += 1
            if self.set:
                raise StoreError("the disk is full")
            original(*arguments)

        return write


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    """See Failing; nobody is very patient."""
    monkeypatch.setattr(journal, "PATIENCE_S", 0.2)
    return Failing(monkeypatch)


async def test_a_store_that_fails_for_a_while_is_told_at_once_and_loses_nothing(
    url: str, failing: Failing
) -> None:
    """The execution goes on, writing is tried again, and what comes to be written is whole."""
    gate, messages = GatedProvider(bracketed), list[str]()
    runtime = Runtime(gate, store=url, durable=True)
    session = runtime.session(name="work", notify=messages.append)
    running = asyncio.create_task(session.execute(ASK))
    await gate.arrived(1)
    failing.set = True
    gate.release()
    await gate.arrived(1)  # the second call: the guest has gone on
    assert messages == ["session work cannot be kept at present: the disk is full; trying again"]
    assert not session.kept
    failing.set = False
    while len(messages) < 2:
        await asyncio.sleep(0)
    assert messages[1] == "session work is kept again"
    assert session.kept
    await crash(runtime, url)
    with contextlib.suppress(LeaseLost):
        await running
    again = GatedProvider(bracketed)
    async with Runtime(again, store=url, durable=True) as runtime:
        resumed = asyncio.create_task((await runtime.resume("work")).resume())
        await again.arrived(1)
        assert [request.instruction for request in again.requests] == ["two"]
        again.release()
        assert (await resumed).value == "[one][two]"


async def test_a_store_that_fails_for_good_costs_no_result(url: str, failing: Failing) -> None:
    """It is told once, and what was kept before is there still."""
    messages = list[str]()
    async with Runtime(InlineProvider(), store=url, durable=True) as runtime:
        session = runtime.session(name="work", notify=messages.append)
        await session.execute("(define x 1)")
        failing.set = True
        assert (await session.execute(f"(define x 2) {ASK}")).ok
        await session.aclose()
        assert not session.kept
        failing.set = False
        async with await runtime.resume("work") as again:
            assert (await again.execute("x")).value == "1"
    assert [message for message in messages if "the disk is full" in message] == messages[:1]


async def test_a_store_that_cannot_be_written_is_found_out_before_money_is_spent(
    tmp_path: Path, url: str
) -> None:
    """When the session is opened: a store that may only be read is no place for one."""
    async with Runtime("echo", store=url, durable=True) as runtime:
        await runtime.session(name="other").aclose()
    read_only = f"sqlite:///file:{tmp_path / 'state.db'}?mode=ro&uri=true"
    answers = InlineProvider()
    async with Runtime(answers, store=read_only, durable=True) as runtime:
        with pytest.raises(StoreError, match="readonly"):
            runtime.session(name="work")
        with pytest.raises(StoreError, match="readonly"):
            await runtime.resume("work", make=True)
    assert answers.requests == []


async def test_a_store_without_room_for_the_guest_is_found_out_before_money_is_spent(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row fits, and what a session needs next does not; with more room all is as ever."""
    prepare, pages = connections._prepare_sqlite, 200

    def bounded(opened: Any, record: Any) -> None:
        prepare(opened, record)
        opened.execute(f"PRAGMA max_page_count = {pages}")

    monkeypatch.setattr(connections, "_prepare_sqlite", bounded)
    answers = InlineProvider()
    async with Runtime(answers, store=url, durable=True) as runtime:
        with pytest.raises(StoreError, match="is full: there is no room on its disk"):
            runtime.session(name="work")
        with pytest.raises(StoreError, match="is full"):
            await runtime.resume("work", make=True)
    assert answers.requests == []
    with database(url) as opened:
        assert opened.execute("SELECT count(*) FROM rlm_sessions").fetchone() == (0,)
    pages = 1_000_000
    async with Runtime(answers, store=url, durable=True) as runtime:
        async with runtime.session(name="work") as session:
            assert (await session.execute(ASK)).value == "[one][two]"
        async with await runtime.resume("work") as session:
            assert (await session.execute("a")).value == "[one]"


async def test_too_much_that_cannot_be_written_is_replaced_by_a_snapshot(
    url: str, failing: Failing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is held for a store that fails is bounded; when it is back, the session is saved whole."""
    monkeypatch.setattr(journal, "MAX_UNWRITTEN", 1_000)
    async with Runtime(InlineProvider(), store=url, durable=True) as runtime:
        session = runtime.session(name="work", notify=lambda _message: None)
        await session.execute("(define x 1)")
        failing.set = True
        for number in range(20):
            await session.execute(f'(define y{number} "{"y" * 200}")')
        assert session._stay is not None
        assert session._stay.durable.writer.overflown
        assert not session.kept
        failing.set = False
        await session.execute("(define z 3)")
        await session.aclose()
        assert session.kept
        async with await runtime.resume("work") as again:
            assert (await again.execute("(list x (string-length y19) z)")).value == "(1 200 3)"


@pytest.mark.parametrize("goes_on", [False, True])
async def test_an_execution_that_was_undone_is_undone_in_the_store(
    url: str, monkeypatch: pytest.MonkeyPatch, goes_on: bool
) -> None:
    """A crash of the sandbox takes what its execution did, and nothing else; also where it closes at once."""
    run = Sandbox.run

    def trapping(self: Sandbox, message: bytes | None, *rest: Any) -> int:
        if message is not None and b"crash-now" in message:
            raise InstanceLost("trap", "a test")
        return run(self, message, *rest)

    monkeypatch.setattr(Sandbox, "run", trapping)
    async with Runtime(InlineProvider(), store=url, durable=True) as runtime:
        session = runtime.session(name="work")
        await session.execute("(define x 1)")
        assert (await session.execute("(set! x 2) 'crash-now")).rolled_back
        if goes_on:
            await session.execute("(set! x (+ x 10))")
        await session.aclose()
        async with await runtime.resume("work") as again:
            assert not again.suspended
            assert (await again.execute("x")).value == ("11" if goes_on else "1")


async def test_an_execution_that_was_undone_is_undone_where_no_snapshot_says_so(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replayed, the sandbox crashes once more; ``resume`` gives the Result, and what came before is there."""
    run = Sandbox.run

    def trapping(self: Sandbox, message: bytes | None, *rest: Any) -> int:
        if message is not None and (b"crash-now" in message or b"poison" in message):
            raise InstanceLost("trap", "a test")
        return run(self, message, *rest)

    monkeypatch.setattr(Sandbox, "run", trapping)
    for program in (
        "(set! x 2) 'crash-now",
        '(set! x 2) (llm-query #:instruction (string-append "poi" "son"))',
    ):
        it = _Between(f"{url}{len(program)}")
        await it.value('(define x 1) (define h (llm-query-async #:instruction "early"))')
        await it.answer(1)
        with monkeypatch.context() as dying:
            dying.setattr(Stay, "save_soon", lambda _: None)
            running = asyncio.create_task(it.session.execute(program))
            if "poi" in program:
                await it.gate.arrived(1)
                it.gate.release()
            assert (await running).rolled_back
        await it.goes_on("crash")
        assert it.session.suspended
        result = await it.session.resume()
        assert result.rolled_back
        assert "the sandbox crashed: a test" in str(result.error)
        for _ in range(2):
            assert await it.value("(list x (syntax-e (await h)))") == "(1 [early])"
            await it.goes_on("crash")
            assert not it.session.suspended
        await it.aclose()


# ---- left in the middle


async def test_an_execution_that_is_left_in_its_middle_is_resumed_there(url: str) -> None:
    """By name, for people: Ctrl-C and SIGTERM do so."""
    gate, messages = GatedProvider(bracketed), list[str]()
    async with Runtime(gate, store=url) as runtime:
        session = await open_named(runtime, "work")
        running = asyncio.create_task(session.execute(ASK))
        await answered(gate, running=running)
        await gate.arrived(1)
        await leave(session, messages.append)
        assert (await running).status == "cancelled"
        await session.aclose()
        assert messages == ["kept in the middle: rlm-wasm sessions resume work goes on"]
        [stored] = await runtime.store.sessions.list()  # type: ignore[attr-defined]
        assert (stored.status, stored.held_by) == ("suspended", None)
        with pytest.raises(UsageError, match="rlm-wasm sessions resume work goes on with it"):
            await open_named(runtime, "work")
        async with await open_named(runtime, "work", suspended=True) as session:
            running = asyncio.create_task(session.resume())
            await gate.arrived(1)
            gate.release()
            assert (await running).value == "[one][two]"
        with pytest.raises(UsageError, match="nothing to resume"):
            await open_named(runtime, "work", suspended=True)
    assert [request.instruction for request in gate.requests] == ["one", "two", "two"]
    assert (
        gate.requests[1].idempotency_key
        == gate.requests[2].idempotency_key
        != gate.requests[0].idempotency_key
    )


async def test_closing_a_session_leaves_its_execution_in_the_middle(url: str) -> None:
    """So does a task that is cancelled, until the session is used for something else."""
    gate = GatedProvider(bracketed)
    async with Runtime(gate, store=url, durable=True) as runtime:
        closed, cancelled = runtime.session(name="closed"), runtime.session(name="cancelled")
        running = [asyncio.create_task(session.execute(ASK)) for session in (closed, cancelled)]
        await gate.arrived(2)
        running[1].cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running[1]
    for name in ("closed", "cancelled"):
        async with (
            Runtime(InlineProvider(), store=url, durable=True) as runtime,
            await runtime.resume(name) as session,
        ):
            assert session.suspended
            assert (await session.resume()).status == "finished"


async def test_a_session_that_goes_on_after_its_task_was_cancelled_is_kept_as_it_is(url: str) -> None:
    """The execution is over then."""
    gate = GatedProvider(bracketed)
    async with Runtime(gate, store=url, durable=True) as runtime:
        session = runtime.session(name="work")
        await session.execute("(define x 1)")
        running = asyncio.create_task(session.execute(f"(define x 2) {ASK}"))
        await gate.arrived(1)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        assert (await session.execute("(set! x (+ x 40)) x")).value == "42"
    async with Runtime(gate, store=url, durable=True) as runtime, await runtime.resume("work") as session:
        assert not session.suspended
        assert (await session.execute("x")).value == "42"


async def test_a_program_that_was_cancelled_is_over(url: str) -> None:
    """By ``session.cancel``; limits likewise."""
    gate = GatedProvider(bracketed)
    async with Runtime(gate, store=url, durable=True) as runtime:
        session = runtime.session(name="work", limits=Limits(calls=1))
        running = asyncio.create_task(session.execute(f"(define x 1) {ASK}"))
        await gate.arrived(1)
        session.cancel()
        assert (await running).status == "cancelled"
        running = asyncio.create_task(session.execute(f"(define y 2) {ASK}"))
        await gate.arrived(1)
        gate.release()
        assert (await running).status == "limit"
        used = session.state()["used"]
    async with Runtime(gate, store=url, durable=True) as runtime, await runtime.resume("work") as session:
        assert not session.suspended
        assert session.limits.calls == 1, "its own limits are its own"
        assert session.state()["used"]["calls"] == used["calls"] == 2
        assert (await session.execute("(+ x y)")).value == "3"


# ---- bad input


async def test_names_that_cannot_be_and_runtimes_that_cannot_keep_are_refused(url: str) -> None:
    """Before anything runs."""
    async with Runtime("echo", store=url, durable=True) as runtime:
        for name in ("", "n" * 256, "a\0b", 7):
            with pytest.raises(UsageError, match="1 to 255 characters"):
                runtime.session(name=name)  # type: ignore[arg-type]
        await runtime.session(name="first").execute("1")
        with pytest.raises(UsageError, match=r"no session frist\. Did you mean first\?"):
            await runtime.resume("frist")
    async with Runtime("echo", store=url) as runtime:
        with pytest.raises(UsageError, match="durable=True"):
            runtime.session(name="work")
    with pytest.raises(UsageError, match="needs a store"):
        Runtime("echo", durable=True)
    async with Runtime("echo") as runtime:
        with pytest.raises(UsageError, match="needs a database"):
            await runtime.resume("work")


async def _half_way(url: str) -> list[str]:
    """A session that died after its first answer: which calls were asked until then."""
    gate = GatedProvider(bracketed)
    runtime = Runtime(gate, store=url, durable=True)
    running = asyncio.create_task(runtime.session(name="work").execute(ASK))
    await answered(gate, running=running)
    await gate.arrived(1)
    await crash(runtime, url)
    with contextlib.suppress(LeaseLost):
        await running
    return [request.instruction for request in gate.requests]


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        ("UPDATE rlm_journal SET payload = x'00'", SnapshotCorrupt),
        ("UPDATE rlm_journal SET payload = substr(payload, 1, length(payload) - 5)", SnapshotCorrupt),
        ("UPDATE rlm_journal SET payload = x'9f831863000100ff'", SnapshotCorrupt),
        ("UPDATE rlm_sessions SET account = x'a0'", SnapshotCorrupt),
        ("UPDATE rlm_sessions SET snapshot = substr(snapshot, 1, length(snapshot) - 20)", SnapshotCorrupt),
        ("DELETE FROM rlm_journal WHERE seq = (SELECT min(seq) FROM rlm_journal)", JournalDiverged),
    ],
)
async def test_damage_is_said_and_nothing_is_destroyed(url: str, damage: str, error: type[Exception]) -> None:
    """A cut, forged or missing row: what is in the store stays, and the lease is given back."""
    await _half_way(url)
    with database(url) as connection:
        connection.execute(damage)
        before = list(connection.execute("SELECT * FROM rlm_journal"))
    async with Runtime("echo", store=url, durable=True) as runtime:
        for _ in range(2):
            with pytest.raises(error):
                await runtime.resume("work")
            with pytest.raises(UsageError, match="rlm-wasm sessions rm work"):
                await open_named(runtime, "work", suspended=True)
        with database(url) as connection:
            assert list(connection.execute("SELECT * FROM rlm_journal")) == before
        assert runtime.sessions == []


async def test_a_text_that_is_missing_is_said(url: str) -> None:
    """A context is kept once, by its hash."""
    async with Runtime("echo", store=url, durable=True) as runtime:
        for name in ("a", "b"):
            async with runtime.session(name=name) as session:
                await session.load_context("the same text")
                await session.execute("1")
        with database(url) as connection:
            text = hashlib.sha256(b"the same text").hexdigest()
            kept = {key for (key,) in connection.execute("SELECT hash FROM rlm_blobs")}
            assert kept == {text, Engine.shared().image_hash}
            connection.execute("UPDATE rlm_blobs SET content = x'00' WHERE hash = ?", [text])
        with pytest.raises(SnapshotCorrupt, match="missing or damaged"):
            await runtime.resume("a")


async def test_another_provider_is_said(url: str) -> None:
    """A session goes on with whatever it is given; people are told."""
    async with Runtime("extractive", store=url, durable=True) as runtime:
        await runtime.session(name="work").execute("1")
    messages = list[str]()
    async with Runtime("echo", model="small", store=url, durable=True) as runtime:
        await runtime.resume("work", notify=messages.append)
    assert messages == ["session work ran with extractive and goes on with echo (small)"]


async def test_a_collection_before_a_snapshot_is_part_of_the_journal(url: str) -> None:
    """What comes after it is replayed to the same state, whichever snapshot that begins from."""
    runtime = Runtime("echo", store=url, durable=True)
    session = runtime.session(name="work")
    await session.execute("(define kept '()) (for ([i 4000]) (make-string 100 #\\a))")
    await session.snapshot()  # collects, and is no snapshot of the store's
    for number in range(3):
        await session.execute(f"(set! kept (cons {number} kept)) (for ([i 4000]) (make-string 100 #\\b))")
        await session.snapshot()
    await session.flush()
    await crash(runtime, url)
    async with Runtime("echo", store=url, durable=True) as again, await again.resume("work") as back:
        assert (await back.execute("kept")).value == "(2 1 0)"


async def test_a_store_whose_file_is_gone_is_said_and_costs_no_result(url: str, tmp_path: Path) -> None:
    """An open file can be written after it was removed, and nobody will ever read that."""
    said: list[str] = []
    async with Runtime(InlineProvider(), store=url, durable=True) as runtime:
        session = runtime.session(name="work", notify=said.append)
        await session.execute("(define x 1)")
        await session.flush()
        for path in tmp_path.glob("state.db*"):
            path.rename(path.with_name(f"away {path.name}"))
        result = await session.execute(ASK)
        assert result.value == "[one][two]"
        assert not session.kept
        assert [text for text in said if "its file is gone, or is another one now" in text]
        for path in tmp_path.glob("away *"):
            path.rename(path.with_name(path.name.removeprefix("away ")))
        await session.aclose()
        assert session.kept
    async with (
        Runtime(InlineProvider(), store=url, durable=True) as runtime,
        runtime.session(name="work") as again,
    ):
        assert (await again.execute("(string-append a b)")).value == "[one][two]"


async def test_a_store_that_fails_at_the_first_snapshot_has_all_of_it_in_the_next_one(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The texts and the guest that it refers to, too."""
    save, failed = DurableSessions.save, []

    def once(self: DurableSessions, *arguments: Any) -> None:
        if not failed:
            failed.append(1)
            raise StoreError("database or disk is full")
        save(self, *arguments)

    monkeypatch.setattr(DurableSessions, "save", once)
    said: list[str] = []
    async with Runtime(InlineProvider(), store=url, durable=True) as runtime:
        session = runtime.session(name="work", notify=said.append)
        await session.load_context("a text of its own")
        assert (await session.execute("(define x 41) (string-length context)")).value == "17"
        await session.aclose()
        assert session.kept
    assert failed
    assert "disk is full" in said[0]
    with database(url) as connection:
        kept = {key for (key,) in connection.execute("SELECT hash FROM rlm_blobs")}
    assert Engine.shared().image_hash in kept
    async with (
        Runtime(InlineProvider(), store=url, durable=True) as runtime,
        await runtime.resume("work") as again,
    ):
        assert (await again.execute("(list (add1 x) context)")).value == "(42 a text of its own)"


# ---- long texts


@pytest.mark.parametrize(("how", "wide"), [("crash", ""), ("crash", "λ"), ("moved", "é"), ("moved", "🙂")])
async def test_long_texts_that_a_program_was_given_are_given_again(url: str, how: str, wide: str) -> None:
    """From the journal they come in bytes: what the program does, and its fuel, is the same as where it went on."""
    text, program = (
        "0123456 " * 50_000 + wide,
        "(define t context) (define s (tell 7)) (list (sha256 t) (string-length s))",
    )
    told = []

    def tell(number: int) -> str:
        told.append(number)
        return "x" * (300_000 + number) + wide

    async def begun(runtime: Runtime, **named: str) -> Any:
        runtime.host_function("tell")(tell)
        session = runtime.session(**named)
        await session.load_context(text)
        return session

    asked = f'(define v (begin {program})) (llm-query #:instruction "go on") v'
    gate = GatedProvider(bracketed)
    async with Runtime(gate, store=url, durable=True) as runtime:
        running = asyncio.create_task((await begun(runtime, name="other")).execute(asked))
        await gate.arrived(1)
        gate.release()
        expected = await running
    assert expected.ok, expected.error
    runtime = Runtime(gate, store=url, durable=True)
    session = await begun(runtime, name="work")
    running = asyncio.create_task(session.execute(asked))
    await gate.arrived(1)
    await session._stay.durable.writer.flush()
    if how == "crash":
        await crash(runtime, url)
    else:
        await runtime.aclose()
    running.cancel()
    async with Runtime(gate, store=url, durable=True) as runtime:
        runtime.host_function("tell")(tell)
        session = runtime.session(name="work")
        resumed = asyncio.create_task(session.resume())
        await gate.arrived(1)
        gate.release()
        result = await resumed
    assert told == [7, 7]
    assert (result.value, result.execution.fuel) == (expected.value, expected.execution.fuel)
