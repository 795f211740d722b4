"""What an execution leaves to do is done while the session rests, and nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import pytest

from host.resting import rested
from rlm_wasm import Runtime, Session
from rlm_wasm.errors import InstanceLost
from rlm_wasm.execution import replay_log, scheduler
from rlm_wasm.sandbox.sandbox import Sandbox
from rlm_wasm.sandbox.snapshot import Image

FILLED = "(define v (make-vector 1000000 1)) (for ([i 100000]) (vector-set! v i i))"


@pytest.fixture(autouse=True)
def _settled_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_log, "_MAX_FUEL", 10_000_000)
    monkeypatch.setattr(scheduler, "SETTLED_AFTER_S", 0)


@pytest.fixture
def captures(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One for each image that was begun, and one for each that was taken."""
    told: list[str] = []
    original = Sandbox.capture_in_turns

    def watched(self: Sandbox) -> Generator[None, None, Image]:
        told.append("begun")
        image = yield from original(self)
        told.append("taken")
        return image

    monkeypatch.setattr(Sandbox, "capture_in_turns", watched)
    return told


def _log(session: Session) -> Any:
    return session._scheduler.guest.log


async def test_the_image_after_a_heavy_execution_is_taken_while_the_session_rests(
    runtime: Runtime, captures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The small execution right behind it takes none; a rollback later goes back to that image."""
    async with runtime.session() as session:
        await session.execute(FILLED)
        assert (await session.execute("(+ 1 2)")).value == "3"
        assert captures == []
        await rested(session)
        assert captures == ["begun", "taken"]
        assert not _log(session).due
        run = Sandbox.run

        def crashing(self: Sandbox, *arguments: Any) -> int:
            run(self, *arguments)
            monkeypatch.setattr(Sandbox, "run", run)
            raise InstanceLost("trap", "by the test")

        monkeypatch.setattr(Sandbox, "run", crashing)
        assert (await session.execute("(vector-set! v 7 'lost)")).status == "error"
        assert (await session.execute("(list (vector-ref v 7) (vector-ref v 500000))")).value == "(7 1)"


async def test_an_execution_that_begins_meanwhile_does_not_wait_for_the_image(
    runtime: Runtime, captures: list[str]
) -> None:
    """The image is given up, and begun again once the session rests; what a rollback goes back to is kept."""
    async with runtime.session() as session:
        await session.execute(FILLED)
        while not captures:
            await asyncio.sleep(0)
        assert (await session.execute("(vector-ref v 99999)")).value == "99999"
        assert captures == ["begun"]
        assert _log(session).base is None
        assert _log(session).due
        await rested(session)
        assert captures == ["begun", "begun", "taken"]
        assert (await session.execute("(vector-ref v 99999)")).value == "99999"


async def test_a_session_that_never_rests_has_its_image_before_an_execution(
    runtime: Runtime, captures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a rollback would take longer and longer."""
    monkeypatch.setattr(scheduler, "SETTLED_AFTER_S", 3600)
    async with runtime.session() as session:
        first = await session.execute(FILLED)
        monkeypatch.setattr(replay_log, "_MOST_FUEL", 2 * first.execution.fuel)
        for _ in range(3):
            await session.execute(FILLED)
        assert captures == ["begun", "taken"]


@pytest.mark.parametrize("ends", ["aclose", "snapshot", "fork", "reset"])
async def test_whatever_comes_while_the_image_is_taken_finds_the_session_as_it_is(
    runtime: Runtime, captures: list[str], ends: str
) -> None:
    """Closed, copied or emptied in the middle of it."""
    async with runtime.session() as session:
        await session.execute(FILLED)
        while not captures:
            await asyncio.sleep(0)
        come = getattr(session, ends)()
        copy = (await come) if asyncio.iscoroutine(come) else come
        for _ in range(50):
            await asyncio.sleep(0)
        if ends == "snapshot":
            copy = await runtime.restore(copy)
        if ends in ("snapshot", "fork"):
            assert (await copy.execute("(vector-ref v 99999)")).value == "99999"
            await copy.aclose()
            assert (await session.execute("(vector-ref v 99999)")).value == "99999"
        elif ends == "reset":
            assert not (await session.execute("v")).ok
        else:
            assert session.closed
