"""Snapshots of every format that there ever was: each loads, or is refused with the words of what to do.

``golden/format-N-idle.snapshot`` is a session with the variable x, the procedure twice and a context;
``format-N-middle.snapshot`` one that has the answer "paid" to its first call and waits for its second.
Where the format changes, the present one's stay, and new ones are written beside them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rlm_wasm import Runtime, Snapshot, SnapshotVersionError
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.snapshot import FORMAT, WHOLE_PAGES
from rlm_wasm.session_parts.state import state_of
from rlm_wasm.testing import InlineProvider

GOLDEN = Path(__file__).parent / "golden"


def test_every_format_has_its_golden_snapshots() -> None:
    """From the first to the present one."""
    names = {path.name for path in GOLDEN.glob("*.snapshot")}
    assert names == {
        f"format-{number}-{what}.snapshot" for number in range(1, FORMAT + 1) for what in ("idle", "middle")
    }


@pytest.mark.parametrize("what", ["idle", "middle"])
@pytest.mark.parametrize("number", range(1, WHOLE_PAGES))
async def test_an_older_format_is_refused_with_what_to_do(number: int, what: str) -> None:
    """By its number, before anything else of it is looked at."""
    data = (GOLDEN / f"format-{number}-{what}.snapshot").read_bytes()
    says = (
        rf"has format {number}, and this release reads formats {WHOLE_PAGES} to {FORMAT}: go on with the release"
        " that made it"
    )
    with pytest.raises(SnapshotVersionError, match=says):
        Snapshot.load(data)
    async with Runtime(InlineProvider()) as runtime:
        with pytest.raises(SnapshotVersionError, match=says):
            await runtime.restore(data)
        assert runtime.sessions == []


def test_a_newer_format_is_refused_with_what_to_do() -> None:
    """It needs a newer release."""
    data = bytearray((GOLDEN / f"format-{FORMAT}-idle.snapshot").read_bytes())
    data[8] = FORMAT + 1
    with pytest.raises(SnapshotVersionError, match="made by a later release of rlm-wasm: use that one"):
        Snapshot.load(bytes(data))


@pytest.mark.parametrize("what", ["idle", "middle"])
@pytest.mark.parametrize("number", range(WHOLE_PAGES, FORMAT + 1))
async def test_a_format_that_is_read_loads_whichever_release_wrote_it(number: int, what: str) -> None:
    """All of the host's side; the guest's goes on where the guest is the same, and else says what to do."""
    loaded = Snapshot.load((GOLDEN / f"format-{number}-{what}.snapshot").read_bytes())
    state = state_of(loaded)
    assert loaded.suspended == (what == "middle")
    assert state.limits.calls == 1_000
    assert state.budget.session.calls == (2 if what == "middle" else 0)
    assert dict(state.contexts) == ({} if what == "middle" else {None: "a text"})
    assert [request.operation for request in state.scheduler.requests.requests] == (
        ["llm"] if what == "middle" else []
    )
    async with Runtime(InlineProvider()) as runtime:
        if loaded.image_hash != Engine.shared().image_hash:
            with pytest.raises(
                SnapshotVersionError, match=rf"guest {loaded.image_hash[:12]}….*go on with that release"
            ):
                await runtime.restore(loaded)
            return
        session = await runtime.restore(loaded)
        if what == "middle":
            assert (await session.resume()).value == "paid"
        else:
            assert (await session.execute("(list (twice (+ x 1)) context)")).value == "(84 a text)"
