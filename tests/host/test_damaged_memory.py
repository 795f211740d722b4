"""A session whose memory is damaged: it says so and what to do, and its neighbours never notice."""

from __future__ import annotations

import asyncio
import sqlite3
from ctypes import memset
from pathlib import Path
from typing import Any

import pytest

from rlm_wasm import Runtime, Session, SnapshotCorrupt
from rlm_wasm.sandbox import protocol
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.sandbox import Sandbox
from rlm_wasm.testing import GatedProvider, InlineProvider

WHAT_TO_DO = r"memory is damaged, it cannot be copied .*reset\(\) makes it an empty one"
ASK = '(syntax-e (llm-query #:instruction "q"))'


def damage(session: Session, heap_used: int = 0) -> None:
    """All of its memory becomes ones: the guest cannot even say which of its pages it uses.

    ``heap_used`` is what the host reads there of the heap: it is collected where that is much.
    """
    instance = session._scheduler.guest.sandbox._awake()
    memset(instance.base, 255, instance.measure())
    assert instance.report is not None
    instance.report.heap_used = heap_used


async def heavy(session: Session) -> None:
    """Executes so much that there is no way back to before that."""
    await session.execute("(define x 1)")
    session._scheduler.guest.log._fuel = 1 << 60
    assert session._scheduler.guest.log.overdue


@pytest.mark.parametrize("what", ["snapshot", "fork", "execute"])
async def test_what_cannot_be_copied_says_so_and_can_be_reset(runtime: Runtime, what: str) -> None:
    """However often it is tried; an empty session takes its place where that is wanted."""
    async with runtime.session() as session, runtime.session() as neighbour:
        await heavy(session)
        damage(session)
        for _ in range(2):
            with pytest.raises(SnapshotCorrupt, match=WHAT_TO_DO):
                await getattr(session, what)(*["1"] if what == "execute" else [])
        assert session.state()["variables"] is None
        assert (await neighbour.execute("(+ 1 2)")).value == "3"
        await session.reset()
        assert (await session.execute("(+ 1 2)")).value == "3"
        async with await runtime.restore(await session.snapshot()) as back:
            assert (await back.execute("(+ 1 2)")).value == "3"


@pytest.mark.parametrize("collects", [True, False])
async def test_what_has_a_way_back_goes_there(runtime: Runtime, *, collects: bool) -> None:
    """Before the copy where garbage is collected first, and else by the next execution, which is undone."""
    async with runtime.session() as session:
        await session.execute("(define x 41)")
        damage(session, heap_used=-1 if collects else 0)
        if collects:
            async with await runtime.restore(await session.snapshot()) as back:
                assert (await back.execute("(+ x 1)")).value == "42"
        else:
            with pytest.raises(SnapshotCorrupt, match=WHAT_TO_DO):
                await session.fork()
            assert (await session.execute("(set! x 0)")).rolled_back
        assert (await session.execute("(+ x 1)")).value == "42"
        assert (await session.snapshot()).pages


async def test_a_collection_that_crashes_before_a_copy_changes_nothing(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where there was no way back before it: one is made first."""
    run = Sandbox.run

    def crashing(self: Sandbox, message: Any, *arguments: Any) -> int:
        if message == protocol.COLLECT:
            memset(self._awake().base, 255, self._awake().size)
        return run(self, message, *arguments)

    async with runtime.session() as session:
        await session.execute("(define kept (for/list ([i 50]) i)) (for ([i 9000]) (make-string 100 #\\a))")
        await heavy(session)
        monkeypatch.setattr(Sandbox, "run", crashing)
        snapshot = await session.snapshot()
        async with await runtime.restore(snapshot) as back:
            for one in (session, back):
                assert (await one.execute("(list x (length kept))")).value == "(1 50)"


async def test_a_damaged_neighbour_that_has_to_sleep_harms_nobody(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place is wanted, and it cannot be copied: that is found out by who needs it."""
    async with runtime.session() as session, runtime.session() as other:
        await session.execute("(define x 1)")
        damage(session)
        monkeypatch.setattr(Sandbox, "max_live", 1)
        assert (await other.execute("(+ 1 2)")).value == "3"
        assert (await session.execute("(+ 1 2)")).rolled_back
        assert (await session.execute("x")).value == "1"


async def test_one_that_is_damaged_while_it_waits_is_undone_when_it_goes_on() -> None:
    """A snapshot in between says that there can be none."""
    gate = GatedProvider()
    async with Runtime(gate) as runtime, runtime.session() as session:
        await session.execute("(define x 1)")
        running = asyncio.create_task(session.execute(f"(set! x 2) {ASK}"))
        await gate.arrived(1)
        damage(session)
        with pytest.raises(SnapshotCorrupt, match=WHAT_TO_DO):
            await session.snapshot()
        gate.release()
        result = await running
        assert result.rolled_back
        assert (await session.execute("x")).value == "1"


async def test_a_durable_session_stays_in_the_store_as_it_was_saved_last(tmp_path: Path) -> None:
    """That nothing more is kept is said, and whoever takes it up has all until then."""
    said: list[str] = []
    url = f"sqlite:///{tmp_path / 'state.db'}"
    async with Runtime(InlineProvider(), store=url, durable=True) as runtime:
        session = runtime.session(name="work", notify=said.append)
        await session.execute(f"(define x {ASK})")
        await session.flush()
        await heavy(session)
        damage(session)
        assert session._stay is not None
        session._stay.journal.abandon()
        session._stay.save_soon()
        assert session._stay.saving is not None
        await session._stay.saving
        assert len(said) == 1
        assert said[0].startswith(
            "session work stays in the store as it was saved last: the session's memory"
        )
        assert not session.kept
        with pytest.raises(SnapshotCorrupt, match=WHAT_TO_DO):
            await session.execute("1")
        await session.aclose()
        async with await runtime.resume("work") as again:
            assert (await again.execute("x")).ok
    with sqlite3.connect(tmp_path / "state.db") as database:
        assert database.execute("SELECT count(*) FROM rlm_sessions").fetchone() == (1,)
    database.close()


def test_a_sandbox_that_trapped_tells_that_again_and_not_that_it_was_closed() -> None:
    """Whoever meets it next has to go back."""
    from rlm_wasm.errors import InstanceLost, InternalError

    sandbox = Sandbox(Engine.shared(), Engine.shared().image_size + (1 << 20))
    memset(sandbox._awake().base, 255, sandbox._awake().size)
    for _ in range(2):
        with pytest.raises(InstanceLost):
            sandbox.capture()
    with pytest.raises(InstanceLost):
        sandbox.run(None, 1, 1 << 50)
    sandbox.close()
    with pytest.raises(InternalError, match="closed"):
        sandbox.capture()
