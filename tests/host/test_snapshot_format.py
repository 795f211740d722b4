"""Snapshots as bytes: what loads and what is refused."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlm_wasm import Runtime, Snapshot, SnapshotCorrupt, SnapshotError, SnapshotVersionError
from rlm_wasm.sandbox.pages import PAGE, at_once
from rlm_wasm.sandbox.snapshot import FORMAT, MAGIC, MemoryImage

STACK_BYTES = 256 * 1024
"""As build/make_guest.py asks the linker for."""


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
    with pytest.raises(SnapshotVersionError, match=rf"format 99.*format {FORMAT}"):
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


async def test_of_a_guest_s_pages_only_what_differs_from_its_image_is_dumped(runtime: Runtime) -> None:
    """So a small session takes a few thousand bytes, and loads to the same pages."""
    async with runtime.session() as session:
        await session.execute("(define x 41) (define (f y) (+ x y)) (define v (make-vector 20000 'of-pages))")
        snapshot = await session.snapshot()
    data = snapshot.dump()
    loaded = Snapshot.load(data)
    assert loaded == snapshot
    assert loaded.dump() == data
    async with await runtime.restore(data) as back:
        assert (await back.execute("(list (f 1) (vector-ref v 19999))")).value == "(42 of-pages)"


async def test_a_small_session_takes_two_thousand_bytes_at_the_most(runtime: Runtime) -> None:
    """Its pages differ from the image in some hundred bytes each, its state from a blank one in some dozens."""
    async with runtime.session() as session:
        await session.execute("(define x 1) (define (f y) (+ x y))")
        assert len((await session.snapshot()).dump()) <= 2_000


async def test_a_session_with_200_results_takes_forty_thousand_bytes_at_the_most(runtime: Runtime) -> None:
    """With its scope log, and what was spent."""
    async with runtime.session() as session:
        await session.execute(
            "(define all (for/list ([i 200]) (syntax-e (llm-query #:instruction (number->string i)))))"
        )
        data = (await session.snapshot()).dump()
        assert len(data) <= 40_000
        log = session.scope_log()
    async with await runtime.restore(data) as back:
        assert (await back.execute("(length all)")).value == "200"
        assert back.scope_log()[: len(log)] == log


async def test_the_guest_s_own_stack_is_no_part_of_a_snapshot(runtime: Runtime) -> None:
    """It lies at the lowest addresses, and nothing of it is in use while nobody runs the guest."""
    async with runtime.session() as session:
        await session.execute("(define x 1) (sort (list 3 1 2) <)")
        snapshot = await session.snapshot()
        assert min(snapshot.memory().numbers) >= STACK_BYTES // PAGE
    async with await runtime.restore(snapshot) as back:
        assert (await back.execute("(list x (sort (list 3 1 2) <))")).value == "(1 (1 2 3))"


async def test_the_memory_of_another_guest_is_not_mixed_with_this_one_s(runtime: Runtime) -> None:
    """What differs from one image means nothing beside another."""
    async with runtime.session() as session:
        snapshot = await session.snapshot()
    header = {**snapshot.header, "image": "0" * 64}
    foreign = Snapshot.load(dataclasses.replace(snapshot, header=header).dump())
    with pytest.raises(SnapshotVersionError, match="guest 000000000000"):
        foreign.memory()
    with pytest.raises(SnapshotVersionError, match="go on with that release"):
        await runtime.restore(foreign)
