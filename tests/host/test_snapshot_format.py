"""Snapshots as bytes: what loads and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlm_wasm import Snapshot, SnapshotCorrupt, SnapshotError, SnapshotVersionError
from rlm_wasm.sandbox.pages import PAGE, at_once
from rlm_wasm.sandbox.snapshot import MAGIC, MemoryImage


def _snapshot() -> Snapshot:
    memory = MemoryImage(16 * PAGE, (1, 2, 7), b"a" * PAGE + b"b" * PAGE + b"c" * PAGE)
    return Snapshot({"image": "0" * 64, "suspended": False}, memory, {"contexts": [["x", "text"]]})


def test_what_is_dumped_loads() -> None:
    """And is equal."""
    assert Snapshot.load(_snapshot().dump()) == _snapshot()


def test_neighbouring_pages_are_written_as_one_run() -> None:
    """So that restoring is a few copies."""
    assert _snapshot().memory().runs() == [(1, 2, 0), (7, 1, 2 * PAGE)]


@pytest.mark.parametrize("data", [b"", b"RLM", b"not a snapshot at all" * 10, MAGIC])
def test_something_else_is_no_snapshot(data: bytes) -> None:
    """The message says so in words."""
    with pytest.raises(SnapshotCorrupt, match="no rlm-wasm snapshot"):
        Snapshot.load(data)


@settings(max_examples=200)
@given(st.data())
def test_a_cut_or_altered_snapshot_is_refused(data: st.DataObject) -> None:
    """Wherever the damage is."""
    whole = _snapshot().dump()
    at = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(SnapshotError):
        Snapshot.load(whole[:at])
    with pytest.raises(SnapshotError):
        Snapshot.load(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])


def test_another_format_version_is_named() -> None:
    """Both numbers stand in the message."""
    whole = bytearray(_snapshot().dump())
    whole[len(MAGIC)] = 99
    with pytest.raises(SnapshotVersionError, match=r"format 99.*format 2"):
        Snapshot.load(bytes(whole))


@pytest.mark.parametrize(
    "plain",
    [
        None,
        [1],
        [16 * PAGE, b"\1\0\0\0", b"\0\0\0\0", b"short"],
        [16 * PAGE, b"\2\0\0\0\1\0\0\0", b"\0\0\0\0" * 2, b"x" * PAGE],
        [16 * PAGE, b"\1\0\0\0", b"\1\0\0\0", b"x" * PAGE],
        [16 * PAGE, b"\1\0\0\0\2\0\0\0", b"\0\0\0\0", b"x" * PAGE],
        [PAGE, b"\1\0\0\0", b"\0\0\0\0", b"x" * PAGE],
        [1 << 40, b"", b"", b""],
        ["size", b"", b"", b""],
    ],
)
def test_memory_that_does_not_fit_together_is_refused(plain: object) -> None:
    """Before any of it is written anywhere."""
    with pytest.raises(SnapshotCorrupt):
        at_once(MemoryImage.from_state(plain, 1 << 32))
