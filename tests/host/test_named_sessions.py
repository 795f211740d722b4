"""Named sessions: opened, saved while they run and afterwards; a store that fails costs no result."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from rlm_wasm import Runtime, UsageError
from rlm_wasm.errors import SnapshotVersionError, StoreError
from rlm_wasm.named_sessions import NamedSession
from rlm_wasm.sandbox.snapshot import Snapshot
from rlm_wasm.store.sessions import SessionRepository
from rlm_wasm.testing import GatedProvider

ASK = '(finish (syntax-e (llm-query #:instruction "say" #:data "paid")))'
NEVER_S = 3600.0


class Repository(SessionRepository):
    """Sessions in memory. The writes of these numbers fail; ``writes`` has the statuses of the others."""

    def __init__(self, *failing: int) -> None:
        self.failing = failing
        self.writes: list[str] = []
        self.snapshots: dict[str, Snapshot] = {}
        self._attempts = 0
        self._changed = asyncio.Condition()

    async def save(self, name: str, snapshot: Snapshot, *, status: str, note: str = "") -> None:
        self._attempts += 1
        number = self._attempts
        async with self._changed:
            self._changed.notify_all()
        if number in self.failing:
            raise StoreError("the disk is full")
        self.snapshots[name] = snapshot
        self.writes.append("suspended" if snapshot.suspended else f"{status}: {note}")

    async def attempted(self, count: int) -> None:
        """Wait for the so-manieth write from the first."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._attempts >= count)

    async def load(self, name: str) -> Snapshot | None:
        return self.snapshots.get(name)

    async def list(self) -> list:
        return [SimpleNamespace(name=name) for name in self.snapshots]


@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_a_last_save_that_fails_costs_no_result_and_is_told_once(nth: int) -> None:
    """Three programs, one of which cannot be saved: each gives its value, the next saves go on."""
    repository, messages = Repository(nth), []
    named = NamedSession(repository, "work", notify=messages.append, autosave_s=NEVER_S)
    async with Runtime("echo", python="off") as runtime, await named.open(runtime) as session:
        results = [await named.execute(session, session.execute(f"(finish {n})")) for n in (1, 2, 3)]
    assert [result.value for result in results] == ["1", "2", "3"]
    assert messages == ["session work is not saved: the disk is full"]
    assert repository.writes == [f"finished: {n}" for n in (1, 2, 3) if n != nth]


@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_an_autosave_that_fails_is_told_once_and_tried_again(nth: int) -> None:
    """While a call is in flight; the result is saved at the end."""
    gate, repository, messages = GatedProvider(), Repository(nth), []
    named = NamedSession(repository, "work", notify=messages.append, autosave_s=0)
    async with Runtime(gate, python="off") as runtime, await named.open(runtime) as session:
        execution = asyncio.ensure_future(named.execute(session, session.execute(ASK)))
        await gate.arrived(1)
        await repository.attempted(nth + 2)
        gate.release()
        result = await execution
    assert result.value == "paid"
    [message] = messages
    assert message.startswith("session work could not be saved while it runs: the disk is full")
    assert repository.writes[-1] == "finished: paid"
    assert set(repository.writes[:-1]) == {"suspended"}
    assert len(repository.writes) > nth


async def test_a_store_that_fails_all_the_time_is_told_once_while_it_runs_and_once_at_the_end() -> None:
    """The result comes all the same."""
    gate, repository, messages = GatedProvider(), Repository(*range(1, 100_000)), []
    named = NamedSession(repository, "work", notify=messages.append, autosave_s=0)
    async with Runtime(gate, python="off") as runtime, await named.open(runtime) as session:
        execution = asyncio.ensure_future(named.execute(session, session.execute(ASK)))
        await gate.arrived(1)
        await repository.attempted(5)
        gate.release()
        assert (await execution).value == "paid"
    assert len(messages) == 2
    assert messages[1] == "session work is not saved: the disk is full"


async def test_an_execution_that_was_interrupted_is_resumed_where_it_was() -> None:
    """The snapshot in the middle is not overwritten by the cancelled execution."""
    gate, repository, messages = GatedProvider(), Repository(), []
    named = NamedSession(repository, "work", notify=messages.append, autosave_s=NEVER_S)
    async with Runtime(gate, python="off") as runtime:
        async with await named.open(runtime) as session:
            execution = asyncio.ensure_future(named.execute(session, session.execute(ASK)))
            await gate.arrived(1)
            await named.interrupt(session)
            assert (await execution).status == "cancelled"
        assert repository.writes == ["suspended"]
        assert messages == ["kept in the middle: rlm-wasm sessions resume work goes on"]
        with pytest.raises(UsageError, match="rlm-wasm sessions resume work"):
            await named.open(runtime)
        async with await named.open(runtime, suspended=True) as session:
            execution = asyncio.ensure_future(named.execute(session, session.resume()))
            await gate.arrived(1)
            gate.release()
            assert (await execution).value == "paid"
        assert repository.writes == ["suspended", "finished: paid"]
        with pytest.raises(UsageError, match="nothing to resume"):
            await named.open(runtime, suspended=True)


async def test_an_interrupt_that_cannot_be_saved_cancels_and_says_so() -> None:
    """And does not claim that the execution can be resumed."""
    gate, repository, messages = GatedProvider(), Repository(1), []
    named = NamedSession(repository, "work", notify=messages.append, autosave_s=NEVER_S)
    async with Runtime(gate, python="off") as runtime, await named.open(runtime) as session:
        execution = asyncio.ensure_future(named.execute(session, session.execute(ASK)))
        await gate.arrived(1)
        await named.interrupt(session)
        assert (await execution).status == "cancelled"
    assert messages == ["session work is not saved: the disk is full"]
    assert repository.writes == []


async def test_a_name_that_is_not_there_is_answered_with_the_near_one() -> None:
    """For what needs one that is there; otherwise it is a new session."""
    repository = Repository()
    async with Runtime("echo", python="off") as runtime:
        named = NamedSession(repository, "first")
        async with await named.open(runtime) as session:
            await named.execute(session, session.execute("(define x 1)"))
        with pytest.raises(UsageError, match=r"no session frist\. Did you mean first\?"):
            await NamedSession(repository, "frist").load()
        with pytest.raises(UsageError, match="no session other"):
            await NamedSession(repository, "other").open(runtime, suspended=True)
        async with await NamedSession(repository, "first").open(runtime) as again:
            assert (await again.execute("x")).value == "1"


@pytest.mark.parametrize("name", ["", "n" * 256])
async def test_a_name_that_could_not_be_saved_is_refused_before_anything_runs(name: str) -> None:
    """Not when the result is there."""
    async with Runtime("echo", python="off") as runtime:
        with pytest.raises(UsageError, match="1 to 255 characters"):
            await NamedSession(Repository(), name).open(runtime)


async def test_a_session_of_another_release_is_refused_with_what_to_do() -> None:
    """As a usage error, which the command line and MCP clients show."""

    class OfAnotherRelease(Repository):
        async def load(self, name: str) -> Snapshot | None:
            raise SnapshotVersionError("made by another guest")

    async with Runtime("echo", python="off") as runtime:
        with pytest.raises(UsageError, match=r"made by another guest.*rlm-wasm sessions rm old"):
            await NamedSession(OfAnotherRelease(), "old").open(runtime)
