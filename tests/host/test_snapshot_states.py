"""What a snapshot says of a session's state, and what of it stays packed until somebody needs it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlm_wasm import (
    Limits,
    Runtime,
    Snapshot,
    SnapshotCorrupt,
    SnapshotError,
    SnapshotVersionError,
    UsageError,
    records,
)
from rlm_wasm.records import structure, structure_beside, unstructure
from rlm_wasm.sandbox.blank_state import BLANK, changes, merged
from rlm_wasm.sandbox.pages import at_once
from rlm_wasm.sandbox.snapshot import MemoryImage, PackedImage
from rlm_wasm.session_parts import recent
from rlm_wasm.session_parts.recent import RecentSnapshots
from rlm_wasm.session_parts.state import SessionState, blank, state_of

# ---- what is told by what differs

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.0, 1.0, 300.0]) | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=6,
)


@st.composite
def _states(draw: st.DrawFn) -> Any:
    """The blank state with some other values in it, at any depth; a part may be missing or new."""

    def changed(blank: Any) -> Any:
        if not isinstance(blank, Mapping) or draw(st.integers(0, 9)) == 0:
            return draw(_VALUES)
        state = {name: changed(each) if isinstance(each, Mapping) else each for name, each in blank.items()}
        for name in draw(st.lists(st.sampled_from([*blank, "new", ""]), max_size=2)):
            if draw(st.integers(0, 3)):
                state[name] = changed(blank.get(name))
            else:
                state.pop(name, None)
        return state

    return changed(BLANK)


def _typed(value: Any) -> Any:
    """The value with its types: 0, 0.0 and False are equal, and not the same."""
    if isinstance(value, Mapping):
        return {name: _typed(each) for name, each in value.items()}
    return [_typed(each) for each in value] if isinstance(value, list) else (type(value), value)


@settings(max_examples=200)
@given(_states())
def test_what_differs_from_a_blank_state_says_all_of_a_state(state: Any) -> None:
    """Whatever is in it, also where it is none."""
    told = cbor2.loads(cbor2.dumps(changes(state, BLANK)))
    assert _typed(merged(told, BLANK)) == _typed(state)


def test_a_blank_state_is_a_state_and_takes_no_bytes() -> None:
    """It is what a session begins with, all but its account's id."""
    assert _typed(unstructure(blank())) == _typed(BLANK)
    assert changes(unstructure(blank()), BLANK) == {}


@pytest.mark.parametrize("changed", [[], 1, {"budget": 1}, {"budget": {"session": []}}])
def test_changes_of_a_table_that_are_none_are_refused(changed: Any) -> None:
    """Before anything is made of them."""
    with pytest.raises(SnapshotCorrupt, match="table of changes"):
        merged(changed, BLANK)


@settings(max_examples=200)
@given(_states())
def test_a_state_beside_a_blank_one_is_read_as_any_other(state: Any) -> None:
    """The same record, or the same words of what is wrong."""

    def read(how: Callable[[], Any]) -> tuple[str, Any]:
        try:
            return "record", unstructure(how())
        except (SnapshotError, UsageError) as error:
            return "refused", str(error)

    told = merged(changes(state, BLANK), BLANK)
    beside = read(lambda: structure_beside(blank(), BLANK, told, "it", SnapshotCorrupt))
    assert beside == read(lambda: structure(SessionState, state, "it", SnapshotCorrupt))


@pytest.mark.parametrize("table", ["limits", "budget", "scheduler"])
def test_a_state_of_which_little_differs_is_not_read_from_the_beginning(
    table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its records is made with the few values that are others."""
    other = {"limits": {"calls": 7}, "budget": {"last_number": 3}, "scheduler": {"status": 1}}[table]
    told = merged({table: other}, BLANK)
    expected = unstructure(structure(SessionState, told, "it"))

    def refused(*_arguments: Any) -> Any:
        raise AssertionError("the long way was taken")

    monkeypatch.setattr(records, "structure", refused)
    assert unstructure(structure_beside(blank(), BLANK, told, "it")) == expected


# ---- what was read lately


async def test_sessions_that_are_restored_from_the_same_bytes_have_nothing_in_common(
    runtime: Runtime,
) -> None:
    """The bytes are taken apart once."""
    async with runtime.session() as session:
        await session.load_context("a text")
        await session.execute('(define v (vector 1 2)) (checkpoint "k" 1)')
        data = (await session.snapshot()).dump()
    first = await runtime.restore(data)
    result = await first.execute("(vector-set! v 0 'first) (define mine 1) (list v (string-length context))")
    assert result.value == "(#(first 2) 6)"
    await first.load_context("another text")
    second = await runtime.restore(bytes(bytearray(data)))
    assert (await second.execute("(list v (string-length context))")).value == "(#(1 2) 6)"
    error = (await second.execute("mine")).error
    assert error is not None
    assert "mine" in error.message
    assert len(first.scope_log()) >= len(second.scope_log())
    for each in (first, second):
        await each.aclose()
    tightened = await runtime.restore(data, limits=Limits(calls=1))
    assert (tightened.limits.calls, runtime.limits.calls) == (1, 1000)
    await tightened.aclose()


async def test_what_was_read_lately_is_of_one_runtime_and_its_key(runtime: Runtime) -> None:
    """Another one checks the bytes itself; a byte that is another one is found as ever."""
    async with runtime.session() as session:
        data = (await session.snapshot()).dump()
    await (await runtime.restore(data)).aclose()
    async with Runtime("echo", snapshot_key=b"k" * 32) as other:
        with pytest.raises(SnapshotCorrupt, match="not signed"):
            await other.restore(data)
    for at in (20, len(data) // 2, len(data) - 1):
        damaged = bytearray(data)
        damaged[at] ^= 1
        with pytest.raises((SnapshotCorrupt, SnapshotVersionError)):
            await runtime.restore(bytes(damaged))


async def test_a_few_small_snapshots_are_kept_and_no_others(runtime: Runtime) -> None:
    """The ones that were wanted last; what is wanted again stays unpacked."""
    async with runtime.session() as session:
        await session.execute("(define x 1)")
        data, engine = (await session.snapshot()).dump(), runtime.engine
    loaded = Snapshot.load(data)
    packed = loaded.with_memory(at_once(loaded.at_rest(1 << 32, engine)), state_of(loaded))
    known = RecentSnapshots()
    names = [bytes([n]) * 9 for n in range(recent.MOST + 1)]
    first, second, *_, last = names
    for name in names[:-1]:
        known.keep(name, packed)
    found = known.get(first, engine)
    assert found is not None
    assert isinstance(found.memory_at_rest, MemoryImage)
    assert found == packed
    assert known.get(first, engine) is found
    known.keep(last, packed)
    assert [known.get(name, engine) is None for name in (first, second, last)] == [False, True, False]
    large = bytes(recent.MOST_BYTES + 1)
    known.keep(large, packed)
    known.keep(second, found)
    assert [known.get(name, engine) for name in (large, second)] == [None, None]


# ---- what stays packed


async def test_pages_that_this_process_sealed_stay_packed_until_the_session_runs(runtime: Runtime) -> None:
    """A session that is restored and put away again costs little; it is the same all the while."""
    async with runtime.session() as session:
        await session.execute("(define x 41)")
        snapshot = await session.snapshot()
    data, engine = snapshot.dump(), runtime.engine
    loaded = Snapshot.load(data)
    assert isinstance(at_once(loaded.at_rest(1 << 32, engine)), PackedImage)
    elsewhere = dataclasses.replace(loaded, trusted=False)
    assert at_once(elsewhere.at_rest(1 << 32, engine)) == snapshot.memory()
    async with await runtime.restore(data) as back:
        assert await back.snapshot() == snapshot
        fork = await back.fork()
        assert (await fork.execute("(+ x 1)")).value == "42"
        assert (await back.execute('(error "no")')).status == "error"
        assert (await back.execute("(+ x 1)")).value == "42"


async def test_a_rollback_of_a_session_whose_pages_were_packed_goes_back_to_them(runtime: Runtime) -> None:
    """Also where its first execution is what is undone."""
    async with runtime.session() as session:
        await session.execute("(define x 41)")
        data = (await session.snapshot()).dump()
    async with await runtime.restore(data) as back:
        result = await back.execute("(set! x 0) (let loop () (loop))", timeout_s=0.05)
        assert result.status == "limit"
        assert (await back.execute("(list x)")).ok


async def test_packed_pages_of_another_guest_are_refused(runtime: Runtime) -> None:
    """They mean nothing beside this one's, whoever signed them."""
    async with runtime.session() as session:
        loaded = Snapshot.load((await session.snapshot()).dump())
    foreign = dataclasses.replace(loaded, header={**loaded.header, "image": "1" * 64})
    with pytest.raises(SnapshotVersionError, match="guest 111111111111"):
        at_once(foreign.at_rest(1 << 32, runtime.engine))


@pytest.mark.parametrize("trusted", [True, False])
async def test_more_memory_than_the_limit_is_refused_before_it_is_unpacked(
    runtime: Runtime, trusted: bool
) -> None:
    """Its size stands beside it."""
    async with runtime.session() as session:
        await session.execute("(define v (make-vector 1000000 1))")
        loaded = dataclasses.replace(Snapshot.load((await session.snapshot()).dump()), trusted=trusted)
    with pytest.raises(SnapshotCorrupt, match="memory_bytes allows"):
        await runtime.restore(loaded, limits=Limits(memory_bytes=1 << 20))
    assert runtime.sessions == []


async def test_a_log_that_nobody_looks_at_goes_on_as_it_is(runtime: Runtime) -> None:
    """And one that is looked at, or added to, is the log of then and what came since."""
    async with runtime.session() as session:
        await session.execute('(llm-query #:instruction "one")')
        log = session.scope_log()
        data = (await session.snapshot()).dump()
    async with await runtime.restore(data) as back:
        assert state_of(await back.snapshot()).log.entries == tuple(log)
        await back.execute('(llm-query #:instruction "two")')
        assert back.scope_log()[: len(log)] == log
        asked = [entry["datum_preview"] for entry in back.scope_log() if entry["op"] == "llm-query"]
        assert asked == ["one", "two"]
