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

from host.test_snapshots_of_children import ONE, SEVERAL, Model
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
from rlm_wasm.session_parts import lending
from rlm_wasm.session_parts.placed import Reply, Work, error_of

TWO = '(map syntax-e (await-all-syntax (map (lambda (d) (llm-query-async #:instruction "Work" #:data d #:recursive #t)) (list "one 1" "one 2"))))'


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store of the test's own."""
    return f"sqlite:///{tmp_path / 'state.db'}"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions look after what they hold, and ask again, in moments."""
    monkeypatch.setattr(lending, "IDLE_S", 0.01)
    monkeypatch.setattr(lending, "LOOK_S", 0.02)
    monkeypatch.setattr(lending, "LONGEST_WAIT_S", 0.02)


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
        return sorted(row[0] for row in connection.execute(f"SELECT {column} FROM {table}"))  # noqa: S608


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


@pytest.mark.parametrize("who", ["parent", "child", "both"])
@pytest.mark.parametrize(
    "program", [ONE, ONE.replace("DATA", "deeper"), SEVERAL], ids=["one", "deeper", "several"]
)
async def test_a_crash_at_any_call_pays_nothing_twice(tmp_path: Path, who: str, program: str) -> None:
    """Of the parent's process, of those where its children are, and of all: what was answered is not asked again."""
    calls = dies_at = 1
    while dies_at <= calls:
        calls = await _crashed(f"sqlite:///{tmp_path / f'{dies_at}.db'}", who, program, dies_at)
        dies_at += 1
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
