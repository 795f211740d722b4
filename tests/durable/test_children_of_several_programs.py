"""A recursive call whose child runs several programs is taken up again wherever it was, and pays nothing twice."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
from durable.test_durable_sessions import crash

from host.test_snapshots_of_children import FORKS, FORKS_WITH_CHILDREN, ONE, OTHER_FORKS, Model
from rlm_wasm import Runtime
from rlm_wasm.errors import LeaseLost


@pytest.mark.parametrize(
    ("program", "calls"),
    [
        (ONE, 6),
        (ONE.replace("DATA", "slips"), 7),
        (ONE.replace("DATA", "fails"), 8),
        (ONE.replace("DATA", "deeper"), 7),
        (FORKS_WITH_CHILDREN, 8),
    ],
    ids=["two programs", "one that is refused", "one that fails", "deeper", "in forks"],
)
async def test_it_goes_on_after_a_crash_at_any_of_its_calls(tmp_path: Path, program: str, calls: int) -> None:
    """Killed at each call in turn; what was in flight then is sent again with the same key."""
    for dies_at in range(1, calls + 1):
        await _killed_at(dies_at, f"sqlite:///{tmp_path / f'{dies_at}.db'}", program, calls)


async def _killed_at(dies_at: int, url: str, program: str, calls: int) -> None:
    reached = asyncio.Event()
    waiting: list[int] = []

    async def wait() -> None:
        waiting.append(1)
        if len(waiting) >= dies_at:
            reached.set()
            await asyncio.Event().wait()

    model, again = Model(wait), Model()
    runtime = Runtime(model, store=url, durable=True, python="off")
    first = runtime.session(name="work")
    running = asyncio.create_task(first.execute(program))
    await reached.wait()
    assert first._stay is not None
    await first._stay.journal.flush()  # what was answered in this very turn of the event loop
    await crash(runtime, url)
    with contextlib.suppress(LeaseLost):
        await running
    async with (
        Runtime(again, store=url, durable=True, python="off") as other,
        await other.resume("work") as session,
    ):
        result = await session.resume()
        assert result.status == "finished", (dies_at, result.error)
        assert not set(model.answered) & set(again.answered)
        assert len({*model.answered, *again.answered}) == calls
        assert session.calls_made == calls


@pytest.mark.parametrize("goes_on", [False, True])
async def test_forks_that_a_reset_ended_are_not_those_of_a_later_request(
    tmp_path: Path, goes_on: bool
) -> None:
    """Requests are counted from one again: here, and in a process that takes the session up."""
    url = f"sqlite:///{tmp_path / 'state.db'}"
    reached = asyncio.Event()

    async def wait() -> None:
        if len(model.answered) >= 5:
            reached.set()
            await asyncio.Event().wait()

    model = Model(wait)
    runtime = Runtime(model, store=url, durable=True, python="off")
    running = asyncio.create_task(runtime.session(name="work").execute(FORKS))
    await reached.wait()
    await runtime.aclose()
    assert (await running).status == "cancelled"
    async with Runtime(Model(), store=url, durable=True, python="off") as runtime:
        session = await runtime.resume("work")
        assert session.suspended
        await session.reset()
        if not goes_on:
            await session.aclose()
            session = await runtime.resume("work")
        assert (await session.execute(OTHER_FORKS)).value == "<new 0> <new 1> <new 2> <new 3>"
