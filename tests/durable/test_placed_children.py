"""Children of recursive calls that run elsewhere, as sessions of their own: as if they ran with their parent."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from durable.elsewhere import Others
from durable.test_durable_sessions import database

from host.test_snapshots_of_children import FORKS_WITH_CHILDREN, ONE, SEVERAL, Model
from rlm_wasm import (
    ChildGrants,
    Completion,
    CompletionRequest,
    Limits,
    Runtime,
    SessionHeld,
    SharedBudget,
)
from rlm_wasm.errors import LeaseLost
from rlm_wasm.limits import MIB
from rlm_wasm.runlog import events
from rlm_wasm.session_parts.placed import Reply, Work, error_of

pytestmark = pytest.mark.usefixtures("quick_lending")

TWO = '(map syntax-e (await-all-syntax (map (lambda (d) (llm-query-async #:instruction "Work" #:data d #:recursive #t)) (list "one 1" "one 2"))))'


class Writing:
    """The programs that it writes are this one; what those ask it answers by what it is asked."""

    free = True

    def __init__(self, program: str, *, wait: Callable[[CompletionRequest], Any] | None = None) -> None:
        self.program = program
        self.requests: list[CompletionRequest] = []
        self.answered: list[str] = []
        self.running = self.peak = 0
        self._wait = wait

    async def complete(self, request: CompletionRequest) -> Completion:
        """See Provider."""
        self.requests.append(request)
        self.running += 1
        self.peak = max(self.peak, self.running)
        try:
            await asyncio.sleep(0.001)
            if self._wait is not None:
                await self._wait(request)
        finally:
            self.running -= 1
        self.answered.append(request.idempotency_key or "")
        program = request.purpose == "program"
        text = f"```scheme\n{self.program}\n```" if program else f"<{request.data}>"
        return Completion(text=text, prompt_tokens=6, completion_tokens=4, model="m")


@contextlib.asynccontextmanager
async def spread(
    model: Any, url: str, count: int = 2, **options: Any
) -> AsyncIterator[tuple[Runtime, Others]]:
    """A runtime whose children run in others, on the same store."""
    options = {"store": url, "durable": True, "python": "off", **options}
    async with contextlib.AsyncExitStack() as stack:
        others = [
            await stack.enter_async_context(Runtime(model, **{**options, "log": None})) for _ in range(count)
        ]
        runtime = await stack.enter_async_context(Runtime(model, **options))
        elsewhere = Others(*others)
        runtime.run_children(elsewhere)
        yield runtime, elsewhere


def names(url: str, table: str = "rlm_sessions", column: str = "name") -> list[str]:
    """What a table has."""
    with database(url) as connection:
        return sorted(row[0] for row in connection.execute(f"SELECT {column} FROM {table}"))


# ---- the same as with their parent


async def test_a_child_elsewhere_does_what_one_with_its_parent_does(url: str) -> None:
    """The result, what was used, the scope log, the numbers of calls: and nothing of it is left in the store."""
    seen = []
    for placed in (False, True):
        model, records = Model(), list[events.Record]()
        store = f"{url}{placed}"
        async with spread(model, store, log=records.append) as (runtime, elsewhere):
            if not placed:
                elsewhere.places = False
            async with runtime.session(name="work") as session:
                result = await session.execute(ONE)
            used = result.execution
            calls = {record.call for record in records if isinstance(record, events.CallQueued)}
            ended = {record.call for record in records if isinstance(record, events.CallEnded)}
            children = [record.call for record in records if isinstance(record, events.ChildStarted)]
            written = [record for record in records if isinstance(record, events.ProgramWritten)]
            assert {record.run for record in records} == {records[0].run}
            assert {record.execution for record in written} == {0}
            seen.append(
                (
                    (result.status, result.value, used.calls, used.tokens, used.prompt_tokens),
                    {name: use.calls for name, use in used.models.items()},
                    [
                        (e["op"], e["datum_preview"], e["scope"], e.get("call_id"))
                        for e in session.scope_log()
                    ],
                    (calls, ended, children, [record.call for record in written]),
                    len(model.answered),
                )
            )
            assert names(store) == ["work"]
            assert names(store, "rlm_budgets") == names(store, "rlm_shares", "session") == []
            assert len(elsewhere.works) == placed
    assert seen[0] == seen[1]


async def test_what_a_child_is_given_travels_by_reference(url: str) -> None:
    """Its data are in the store, by their hash; the work itself is small, and depth and key are the call's."""
    model = Model()
    async with spread(model, url) as (runtime, elsewhere), runtime.session(name="work") as session:
        big = "one " + "x" * 1_000_000
        await session.load_context(big)
        program = '(finish (llm-query #:instruction "Work" #:data context #:recursive 2))'
        assert (await session.execute(program)).value == "<in a><in b>"
    [work] = elsewhere.works
    assert (work.request.data, len(work.data), work.depth, work.deepest) == ("", 64, 0, 2)
    assert work.name == f"work/{work.key}"
    assert model.answered[0] == work.key
    assert names(url, "rlm_references", "hash") != []
    assert work.data not in [key for key, session in _references(url) if session != "work"]


def _references(url: str) -> list[tuple[str, str]]:
    with database(url) as connection:
        return connection.execute("SELECT hash, session FROM rlm_references").fetchall()


async def test_children_of_children_are_spread_too_as_deep_as_the_limit_says(url: str) -> None:
    """Each is named by the calls above it; one deeper than the limit is a condition in its parent."""
    deeper = '(finish (with-handlers ([exn:fail? exn-message]) (syntax-e (llm-query #:instruction "Work" #:data "d" #:recursive #t))))'
    model = Writing(deeper)
    async with spread(model, url, limits=Limits(depth=2)) as (runtime, elsewhere):
        for other in elsewhere.runtimes:
            other.run_children(elsewhere)
        async with runtime.session(name="work") as session:
            result = await session.execute(f"(finish (car {TWO}))")
        assert "depth 3 is deeper than the limit of 2" in result.value, result.error
        assert Counter(work.name.count("/") for work in elsewhere.works) == {1: 2, 2: 2}
        assert {work.depth for work in elsewhere.works} == {0, 1}
        assert result.execution.calls == len(model.requests) == 4
        assert names(url) == ["work"]


@pytest.mark.parametrize("allowed", [(), ("pay",)])
async def test_a_child_elsewhere_has_the_grants_of_a_child(url: str, allowed: tuple[str, ...]) -> None:
    """A host function that it is granted runs where it runs; one that it is not is refused."""
    paid: list[int] = []
    model = Writing("(guard (e (#t (finish 'refused))) (pay 7) (finish 'done))")
    options = {"host_functions": {"pay": paid.append}, "child_grants": ChildGrants(host_functions=allowed)}
    async with spread(model, url, **options) as (runtime, elsewhere), runtime.session(name="work") as session:
        result = await session.execute(f"(finish (car {TWO}))")
    assert (result.value, paid) == (("done", [7, 7]) if allowed else ("refused", []))
    assert len(elsewhere.works) == 2


async def test_children_that_may_write_files_stay_with_their_parent(url: str, tmp_path: Path) -> None:
    """What they write counts to one limit, in one folder."""
    grants = ChildGrants(workspace_writable=True)
    options = {"workspace": tmp_path, "child_grants": grants}
    async with spread(Model(), url, **options) as (runtime, elsewhere), runtime.session(name="w") as session:
        assert (await session.execute(ONE)).status == "finished"
    assert elsewhere.works == []


@pytest.mark.parametrize(
    ("program", "says", "type_"),
    [
        ("Nothing", "the sub-model gave no program that works", "exn:fail:llm"),
        ("(finish 1)", None, None),
    ],
)
async def test_how_a_child_ends_is_its_call_s_end(
    url: str, program: str, says: str | None, type_: str | None
) -> None:
    """An error that it failed by is the parent's to handle."""
    model = Writing(program)
    async with (
        spread(model, url, limits=Limits(iterations=2)) as (runtime, _),
        runtime.session(name="w") as s,
    ):
        result = await s.execute('(finish (llm-query #:instruction "Work" #:data "d" #:recursive #t))')
        used = result.execution.calls
    if says is None:
        assert (result.value, used) == ("1", 1)
    else:
        assert result.error is not None
        assert (result.error.type, used) == (type_, 2)
        assert says in result.error.message
    assert names(url) == ["w"]


async def test_without_a_place_for_them_children_stay_with_their_parent(url: str) -> None:
    """No session and no budget more, and no entry in the journal."""
    async with Runtime(Model(), store=url, durable=True, python="off") as runtime:
        async with runtime.session(name="work") as session:
            assert (await session.execute(SEVERAL)).status == "finished"
            assert session._calls.placed == {}
        assert names(url) == ["work"]


# ---- nothing is paid twice


@pytest.mark.parametrize(
    ("who", "program", "step"),
    [
        ("parent", ONE, 1),
        ("child", ONE, 1),
        ("both", ONE, 1),
        ("both", ONE.replace("DATA", "deeper"), 2),
        ("parent", SEVERAL, 4),
        ("child", SEVERAL, 4),
        ("both", SEVERAL, 3),
        ("parent", FORKS_WITH_CHILDREN, 2),
        ("both", FORKS_WITH_CHILDREN, 3),
    ],
    ids=[
        "parent",
        "child",
        "both",
        "both deeper",
        "parent of several",
        "several",
        "both several",
        "parent with forks",
        "both with forks",
    ],
)
async def test_a_crash_at_any_call_pays_nothing_twice(
    tmp_path: Path, who: str, program: str, step: int
) -> None:
    """Of the parent's process, of those where its children are, of all: what was answered is not asked again."""
    calls = dies_at = 1
    while dies_at <= calls:
        calls = await _crashed(f"sqlite:///{tmp_path / f'{dies_at}.db'}", who, program, dies_at)
        dies_at += step
    assert calls >= 6


async def dies(runtime: Runtime, url: str) -> None:
    """What is not written is lost; the leases of this process alone run out."""
    held = [session.name for session in runtime.sessions]
    for session in runtime.sessions:
        assert session._stay is not None
        writer = session._stay.durable.writer
        writer.lost = LeaseLost("the process was killed")
        writer._wake(writer._appended)
        session.cancel()
    await runtime.aclose()
    with database(url) as connection:
        for name in held:
            connection.execute("UPDATE rlm_sessions SET held_until = 0 WHERE name = ?", [name])


async def _crashed(url: str, who: str, program: str, dies_at: int) -> int:
    """How many calls it takes."""
    reached, dead, waiting = asyncio.Event(), asyncio.Event(), list[int]()

    async def wait() -> None:
        waiting.append(1)
        if len(waiting) >= dies_at:
            reached.set()
            await dead.wait()

    model, again = Model(wait), Model()
    options: dict[str, Any] = {"store": url, "durable": True, "python": "off"}
    one, *children = (Runtime(model, **options) for _ in range(3))
    other, *fresh = (Runtime(again, **options) for _ in range(3))
    elsewhere = Others(*children)
    for runtime in (one, other, *children, *fresh):
        runtime.run_children(elsewhere)
    running = asyncio.create_task(one.session(name="work").execute(program))
    await asyncio.wait({asyncio.create_task(reached.wait()), running}, return_when="FIRST_COMPLETED")
    assert not running.done(), running.result()
    for _ in range(500):  # what is answered beside it is written: an answer of this very moment may be lost
        await asyncio.sleep(0)
    for runtime in (one, *children):
        for session in runtime.sessions:
            await session.flush()
    if who != "parent":
        elsewhere.runtimes = fresh
        for runtime in children:
            await dies(runtime, url)
    if who == "child":
        dead.set()
        result = await running
        session = one.sessions[0]
    else:
        await dies(one, url)
        with contextlib.suppress(LeaseLost):
            await running
        dead.set()
        session = await other.resume("work")
        result = await session.resume()
    assert result.status == "finished", (dies_at, result.error)
    await session.aclose()
    for runtime in (one, other, *children, *fresh):
        await runtime.aclose()
    answered = Counter(model.answered + again.answered)
    assert set(answered.values()) == {1}, (dies_at, answered)
    assert session.calls_made == len(answered)
    assert names(url) == ["work"]
    return len(answered)


async def test_a_call_that_waits_for_its_place_when_its_process_dies_is_counted_once(url: str) -> None:
    """It stood in the account, and nothing said that it did: whoever went on counted it a second time."""
    dead, asked = asyncio.Event(), asyncio.Event()

    async def wait(request: CompletionRequest) -> None:
        if request.purpose == "query":
            await dead.wait()
        asked.set()
        while session.calls_made < 2:  # the other call stands behind the first one, before the third
            await asyncio.sleep(0)

    async def until_asked() -> None:
        await asked.wait()

    program = """
        (define below (llm-query-async #:instruction "Work" #:recursive #t)) ; asks a second time behind the next one
        (until-asked)
        (define other (llm-query-async #:instruction "other"))
        (finish (map syntax-e (await-all-syntax (list below other))))"""
    model, again = Writing("(define x 1)", wait=wait), Writing("(finish 7)")
    options: dict[str, Any] = {
        "store": url,
        "durable": True,
        "python": "off",
        "limits": Limits(concurrency=1),
        "host_functions": {"until-asked": until_asked},
    }
    async with Runtime(model, **options) as one, Runtime(again, **options) as two:
        session = one.session(name="work")
        running = asyncio.create_task(session.execute(program))
        while session.calls_made < 3:
            await asyncio.sleep(0)
        assert session._stay is not None
        session._stay.durable.writer.say(note="the account is written along")
        await session._stay.journal.flush()
        await dies(one, url)
        with contextlib.suppress(LeaseLost):
            await running
        dead.set()
        session = await two.resume("work")
        result = await session.resume()
        assert result.data == ["7", "<>"], result.error
        assert session.calls_made == 3
        assert len(model.answered) + len(again.answered) == 3


async def test_a_reply_that_was_lost_with_the_parent_is_given_again(url: str) -> None:
    """What came of a child stays in the store until its parent's journal has the answer; it is counted once."""
    model, again, key = Writing('(finish (string-append context "!"))'), Model(), b"a key of runtimes"
    async with spread(model, url, snapshot_key=key) as (runtime, elsewhere):
        answered = {1: asyncio.Event(), 2: asyncio.Event()}

        def lose(work: Work) -> bool:
            answered[work.number].set()
            return work.number == 2

        elsewhere.lose = lose
        running = asyncio.create_task(runtime.session(name="work").execute(f"(finish {TWO})"))
        for each in answered.values():
            await each.wait()
        await dies(runtime, url)
        with contextlib.suppress(LeaseLost):
            await running
    assert len(names(url)) >= 2
    # A runtime that places nothing by itself goes on with what was placed.
    async with Runtime(again, store=url, python="off", snapshot_key=key) as other:
        session = await other.resume("work")
        result = await session.resume()
        assert result.data == ["one 1!", "one 2!"], result.error
        assert (result.execution.calls, result.execution.tokens, again.answered) == (2, 20, [])
        assert names(url) == ["work"]
        assert names(url, "rlm_budgets") == names(url, "rlm_shares", "session") == []


async def test_a_long_answer_is_counted_once_wherever_the_parent_dies(url: str) -> None:
    """While it is encoded in turns it is counted already, and is not in the journal yet."""
    limits = Limits(output_bytes=8 * MIB)
    model = Writing("(finish (make-string 2000000 #\\x))")
    async with spread(model, url, limits=limits) as (runtime, _):
        session = runtime.session(name="work")
        running = asyncio.create_task(
            session.execute(
                '(finish (string-length (syntax-e (llm-query #:instruction "W" #:data "d" #:recursive 1))))'
            )
        )
        while not any(placed.over for placed in session._calls.placed.values()):
            await asyncio.sleep(0)
        await dies(runtime, url)
        with contextlib.suppress(LeaseLost):
            await running
    async with Runtime(Model(), store=url, durable=True, python="off", limits=limits) as other:
        session = await other.resume("work")
        result = await session.resume()
        assert (result.data, result.execution.calls, result.execution.tokens) == (2_000_000, 1, 10)
        assert names(url) == ["work"]


async def test_a_copy_asks_for_its_own_children(url: str) -> None:
    """In the middle of one, the copy of a session sends that call under its own key."""
    held = asyncio.Event()

    async def wait(request: CompletionRequest) -> None:
        if request.purpose == "query":
            await held.wait()

    model = Writing('(finish (llm-query #:instruction "q" #:data "a"))', wait=wait)
    async with spread(model, url) as (runtime, elsewhere):
        running = asyncio.create_task(runtime.session(name="work").execute(f"(finish {TWO})"))
        while sum(request.purpose == "query" for request in model.requests) < 2:
            await asyncio.sleep(0)
        await runtime.copy("work", "copy")
        held.set()
        first = await running
        copy = await runtime.resume("copy")
        assert (await copy.resume()).data == first.data == ["<a>", "<a>"]
        assert len({work.key for work in elsewhere.works}) == 4
        await copy.aclose()
    assert names(url) == ["copy", "work"]


async def test_a_copy_without_the_store_says_that_its_children_begin_anew(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """They are sessions of their own, and stand in no snapshot of their parent."""
    held = asyncio.Event()

    async def wait(request: CompletionRequest) -> None:
        if request.purpose == "query":
            await held.wait()

    model = Writing('(finish (llm-query #:instruction "q" #:data "a"))', wait=wait)
    async with spread(model, url) as (runtime, _), Runtime(model, python="off") as alone:
        session = runtime.session(name="work")
        running = asyncio.create_task(session.execute(f"(finish {TWO})"))
        while sum(request.purpose == "query" for request in model.requests) < 2:
            await asyncio.sleep(0)
        saved = (await session.snapshot()).dump()
        held.set()
        assert (await running).warnings == ()
        copy = await alone.restore(saved)
        result = await copy.resume()
        assert result.data == ["<a>", "<a>"]
        [warning] = result.warnings
        assert warning.startswith("2 recursive calls had begun in sessions of their own")
        assert warning in caplog.text
        again = await alone.restore((await copy.snapshot()).dump())
        assert (await again.execute("1")).warnings == ()


async def test_who_forgets_a_session_forgets_its_children(url: str) -> None:
    """Those that were left in their middle, too, and the budget that they shared."""
    model = Writing('(llm-query #:instruction "q" #:data "a")', wait=lambda request: asyncio.Event().wait())
    async with spread(model, url) as (runtime, _):
        running = asyncio.create_task(runtime.session(name="work").execute(TWO))
        while len(model.requests) < 2:
            await asyncio.sleep(0)
        await runtime.aclose()
        assert (await running).status == "cancelled"
    assert len(names(url)) == 3
    assert names(url, "rlm_budgets") != []
    async with Runtime(Model(), store=url, durable=True, python="off") as other:
        async with other.session(name="work/0000001-0123456789abcdef"):
            pass  # a document's session, as Runtime.map names them, is none of its children
        async with other.session(name="work/0000001-0123456789abcdef") as session:
            await session.execute("(define x 1)")
        assert await other.store.sessions.delete("work")  # type: ignore[attr-defined]
    assert names(url) == ["work/0000001-0123456789abcdef"]
    assert names(url, "rlm_budgets") == names(url, "rlm_shares", "session") == []


# ---- limits


@pytest.mark.parametrize(
    ("limits", "kind", "most"),
    [
        (Limits(calls=9), "calls", 9),
        (Limits(tokens=9 * 10 + 4096), "tokens", 10),
        (Limits(tokens=9 * 10 + 4096, concurrency=2), "tokens", 10),
    ],
    ids=["calls", "tokens", "tokens, few at once"],
)
async def test_a_family_s_ceilings_hold_over_all_of_it(
    url: str, limits: Limits, kind: str, most: int
) -> None:
    """So many calls are sent as there are, wherever they come from, and the execution ends by the limit."""
    child = '(map (lambda (n) (llm-query #:instruction "q" #:data "a" #:max-tokens 4)) (range 5))'
    model = Writing(f"{child} (finish 1)")
    program = '(map-async (lambda (d) (llm-query-async #:instruction "W" #:data (number->string d) #:recursive #t)) (range 6))'
    async with (
        spread(model, url, limits=limits) as (runtime, elsewhere),
        runtime.session(name="w") as session,
    ):
        result = await session.execute(program)
        assert result.status == "limit"
        assert result.error is not None
        assert (result.error.kind, result.error.limit) == (kind, getattr(limits, kind)), result.error
        assert len(elsewhere.works) > 1
        assert len(model.requests) <= most
        assert model.peak <= limits.concurrency
        used = session.state()["used"]
        assert used["tokens"] <= (limits.tokens or 10**9)
        assert used["calls"] <= limits.calls + 6
    assert names(url) == ["w"]


async def test_places_are_the_family_s_and_so_is_a_budget_of_the_embedder_s(url: str) -> None:
    """No more calls are in flight than the parent has places, nor more sent than the shared budget has."""
    child = '(finish (string-join (map-async (lambda (n) (llm-query-async #:instruction "q" #:data "a")) (range 4)) ","))'
    model = Writing(child)
    program = '(finish (length (map-async (lambda (d) (llm-query-async #:instruction "W" #:data (number->string d) #:recursive #t)) (range 6))))'
    budget = SharedBudget(name="all", calls=31, concurrency=40)
    options = {"limits": Limits(concurrency=3), "budget": budget}
    async with spread(model, url, **options) as (runtime, _), runtime.session(name="w") as session:
        result = await session.execute(program)
        assert (result.data, result.execution.calls, len(model.requests)) == (6, 30, 30), result.error
        assert model.peak <= 3
        refused = await session.execute(program)
        assert refused.error is not None
        assert "calls of the shared budget all" in refused.error.message
    assert len(model.requests) == 31
    async with Runtime("echo", store=url, durable=True) as other:
        state = other.store.budgets.state("all")  # type: ignore[attr-defined]
        assert (state.used["calls"], state.lent["calls"], state.lent["places"]) == (31, 31, 0)


async def test_fuel_and_memory_of_a_child_are_a_part_of_its_parent_s(url: str) -> None:
    """Each gets an equal share; all of it comes back, and what was used is charged."""
    limits = Limits(fuel=3_000_000_000, memory_bytes=96 * MIB, concurrency=2)
    model = Writing("(define (loop n) (if (= n 0) 0 (loop (- n 1)))) (loop 100000) (finish 1)")
    program = '(finish (length (map-async (lambda (d) (llm-query-async #:instruction "W" #:data (number->string d) #:recursive #t)) (range 5))))'
    async with (
        spread(model, url, limits=limits) as (runtime, elsewhere),
        runtime.session(name="w") as session,
    ):
        result = await session.execute(program)
        assert result.data == 5, result.error
        here = await session.execute("(define (loop n) (if (= n 0) 0 (loop (- n 1)))) (loop 500000)")
        assert result.execution.fuel > here.execution.fuel
        given = [work.limits for work in elsewhere.works]
        assert sum(part.fuel for part in given[:2]) < limits.fuel
        assert all(part.fuel > limits.fuel / 4 and part.memory_bytes > 20 * MIB for part in given)
        assert session._parts.meter.memory.free > 90 * MIB
        assert session._parts.meter.held == 0


@pytest.mark.parametrize(
    ("child", "kind"),
    [("(let loop () (loop))", "fuel"), ("(make-vector 100000000 1)", "memory_bytes")],
)
async def test_a_child_s_limit_ends_its_parent(url: str, child: str, kind: str) -> None:
    """As one that runs with it does; what is said names the part that the child was given."""
    limits = Limits(fuel=500_000_000, memory_bytes=32 * MIB)
    model = Writing(child)
    async with spread(model, url, limits=limits) as (runtime, _), runtime.session(name="w") as session:
        result = await session.execute(f"(guard (e (#t 'caught)) (car {TWO}))")
        assert result.error is not None
        assert (result.status, result.error.kind) == ("limit", kind)
        assert "was given" in result.error.message
        assert 0 < (result.error.limit or 0) < getattr(limits, kind)
        assert (await session.execute("(+ 1 2)")).value == "3"
    assert names(url) == ["w"]


# ---- the end of those that nobody waits for


THREE = """
(map-async
  (lambda (d)
    (cond
      [(string=? d "go") (llm-query #:instruction "q" #:data d) THEN]
      [else (llm-query #:instruction "W" #:data d #:recursive #t)]))
  (list "one 1" "one 2" "go"))
"""


@pytest.mark.parametrize("how", ["race", "cancelled", "limit", "error"])
async def test_children_that_nobody_wants_are_ended_and_what_they_sent_is_counted(url: str, how: str) -> None:
    """By the program, by the embedder, by a limit: nothing of them goes on, or is left."""
    sent, go = asyncio.Event(), asyncio.Event()

    async def wait(request: CompletionRequest) -> None:
        if request.data == "go":
            await go.wait()
        elif request.purpose == "query":
            if sum(each.data == "a" for each in model.requests) == 2:
                sent.set()
            await asyncio.Event().wait()

    model = Writing('(llm-query #:instruction "q" #:data "a")', wait=wait)
    program = {
        "race": f'(finish (race (list (lambda () {TWO}) (lambda () (llm-query #:instruction "q" #:data "go")))))',
        "limit": THREE.replace("THEN", "(let loop () (loop))"),
        "error": THREE.replace("THEN", '(error "no")'),
    }.get(how, THREE.replace("THEN", "1"))
    limits = Limits(tokens=100_000, fuel=300_000_000)
    async with (
        spread(model, url, limits=limits) as (runtime, elsewhere),
        runtime.session(name="w") as session,
    ):
        running = asyncio.create_task(session.execute(program))
        await sent.wait()
        if how == "cancelled":
            session.cancel()
        else:
            go.set()
        result = await running
        assert result.status == ("finished" if how == "race" else how), result.error
        assert model.running == 0
        assert sorted(elsewhere.ended) == sorted(work.name for work in elsewhere.works)
        # Two programs that were written, and two prompts that were sent; "go" is the parent's.
        answers = 2 + (how != "cancelled")
        used = session.state()["used"]
        assert (used["calls"], used["completion_tokens"]) == (5, 4 * answers)
        assert used["prompt_tokens"] > 6 * answers
        assert session._calls.budget.used_tokens > used["tokens"] + 2 * 4_000
        assert result.execution.calls == 5
        assert (await session.execute("(+ 1 2)")).value == "3"
    assert names(url) == ["w"]


async def test_a_child_whose_process_died_is_counted_by_what_the_store_has_of_it(url: str) -> None:
    """When its parent ends it: what it was answered, and what its call in flight may have cost."""
    sent = asyncio.Event()

    async def wait(request: CompletionRequest) -> None:
        if request.purpose == "query":
            sent.set()
            await asyncio.Event().wait()

    model = Writing('(llm-query #:instruction "q" #:data "a")', wait=wait)
    program = '(llm-query #:instruction "W" #:data "d" #:recursive #t)'
    limits = Limits(tokens=100_000)
    async with (
        spread(model, url, 1, limits=limits) as (runtime, elsewhere),
        runtime.session(name="w") as session,
    ):
        running = asyncio.create_task(session.execute(program))
        await sent.wait()
        [child] = elsewhere.runtimes
        elsewhere.runtimes = [Runtime(model, store=url, durable=True, python="off")]
        closed = asyncio.create_task(dies(child, url))
        session.cancel()
        result = await running
        await closed
        await elsewhere.runtimes[0].aclose()
        assert result.status == "cancelled"
        assert (result.execution.calls, result.execution.completion_tokens) == (2, 4)
        assert session._calls.budget.used_tokens > 4_000
    assert names(url) == ["w"]


async def test_children_that_were_ended_while_nobody_could_count_them_are_counted_later(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the session that is opened again, in whichever process."""

    async def nobody(*_: Any) -> None:
        raise SessionHeld("by nobody knows whom")

    sent = asyncio.Event()

    async def wait(request: CompletionRequest) -> None:
        if request.purpose == "query":
            sent.set()
            await asyncio.Event().wait()

    model = Writing('(llm-query #:instruction "q" #:data "a")', wait=wait)
    async with spread(model, url, 1) as (runtime, elsewhere), runtime.session(name="w") as session:
        with monkeypatch.context() as patched:
            patched.setattr(elsewhere, "end", nobody)
            running = asyncio.create_task(
                session.execute('(llm-query #:instruction "W" #:data "d" #:recursive #t)')
            )
            await sent.wait()
            session.cancel()
            assert (await running).execution.calls == 1
        for child in elsewhere.runtimes:
            await child.aclose()
    assert len(names(url)) == 2
    async with (
        Runtime(Model(), store=url, durable=True, python="off") as other,
        await other.resume("w") as again,
    ):
        assert (await again.execute("(+ 1 2)")).value == "3"
        assert again.calls_made == 2
    assert names(url) == ["w"]


def test_what_a_child_failed_by_is_what_its_call_fails_by() -> None:
    """The classes that a program can tell apart, and the status of a server."""
    told = {
        "ProviderError": "no server",
        "CapabilityDenied": "not granted",
        "UsageError": "no text",
        "ValueError": "bad",
    }
    said = {name: error_of(Reply(status="failed", error=name, message=text)) for name, text in told.items()}
    assert {name: (type(error).__name__, str(error)) for name, error in said.items()} == {
        "ProviderError": ("ProviderError", "no server"),
        "CapabilityDenied": ("CapabilityDenied", "not granted"),
        "UsageError": ("UsageError", "no text"),
        "ValueError": ("ProviderError", "ValueError: bad"),
    }
    assert (
        getattr(error_of(Reply(status="failed", error="ProviderError", http_status=503)), "status", 0) == 503
    )
