"""Python's cyclic collector is stopped work for everybody: no guest gives it hundreds of thousands of things to look at."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from rlm_wasm import Runtime
from rlm_wasm.cli import cli
from rlm_wasm.data import Box, Char, ImproperList, Keyword, Struct, Symbol
from rlm_wasm.sandbox import protocol
from rlm_wasm.sandbox.pages import at_once
from rlm_wasm.sandbox.uncollected import Uncollected
from rlm_wasm.testing import InlineProvider

MANY = 30_000

ARGUMENTS = {
    "lists": f"(make-list {MANY} '())",
    "lists of lists": f"(build-list {MANY} (lambda (i) (list (list i))))",
    "rows": f"(build-list {MANY // 10} (lambda (i) (list i (list (number->string i)) (hash 'a (list i) 'b (vector)))))",
    "vectors": f"(build-list {MANY} (lambda (i) (vector i)))",
    "symbols": f"(make-list {MANY} 'a)",
    "characters": f"(make-vector {MANY} #\\a)",
    "fractions": f"(make-list {MANY} 2/3)",
    "boxes": f"(build-list {MANY} box)",
    "pairs": f"(build-list {MANY} (lambda (i) (cons i i)))",
    "structs": f"(begin (struct p (x y) #:transparent) (build-list {MANY} (lambda (i) (p i (list i)))))",
    "a set": f"(list->set (build-list {MANY} (lambda (i) (vector i))))",
    "a table": f"(for/hash ([i {MANY}]) (values (number->string i) (list i)))",
}


def looked_at(value: Any) -> int:
    """How many objects within a value the collector knows of, types and the like aside."""
    seen, rest = set(), [value]
    while rest:
        item = rest.pop()
        if id(item) not in seen and not isinstance(item, type):
            seen.add(id(item))
            rest.extend(gc.get_referents(item))
    known = {id(item) for item in gc.get_objects()}
    return len(seen & known)


@pytest.mark.parametrize("name", ARGUMENTS)
async def test_a_host_function_is_handed_nothing_that_the_collector_looks_at(name: str) -> None:
    """A full collection while it is there takes no longer than without it."""
    found: list[int] = []
    async with Runtime(
        provider=InlineProvider(), host_functions={"f": lambda v: found.append(looked_at(v))}
    ) as runtime:
        result = await runtime.run(f"(f {ARGUMENTS[name]})")
    assert result.ok, result.error
    assert len(found) == 1
    assert found[0] < 100


async def test_nor_is_it_found_in_a_result_of_many_parts() -> None:
    """As long as somebody holds it."""
    async with Runtime(provider=InlineProvider()) as runtime:
        data = (await runtime.run(f"(build-list {MANY} list)")).data
    assert data == [[i] for i in range(MANY)]
    assert looked_at(data) < 100


class Mark:
    """Something that can be seen to be gone."""


async def test_a_cycle_that_a_host_function_makes_of_its_argument_is_collected() -> None:
    """What it kept is the collector's again when it has returned, however deep it stands."""
    marks: list[weakref.ref[Mark]] = []

    def keep(value: list[Any]) -> None:
        mark = Mark()
        marks.append(weakref.ref(mark))
        value[1].append(mark)  # from the inside of a list to the whole
        value[1].append(value)

    async with Runtime(provider=InlineProvider(), host_functions={"f": keep}) as runtime:
        assert (await runtime.run(f"(f (build-list {MANY} list))")).ok
        for _ in range(MANY):  # turns; each gives back a part
            await asyncio.sleep(0)
        gc.collect()
        assert [mark() for mark in marks] == [None]


@pytest.mark.parametrize("ended", ["returned", "cancelled"])
async def test_what_a_host_function_kept_is_whole_and_the_collectors(ended: str) -> None:
    """Also where nobody waits for it any longer."""
    kept: list[Any] = []

    async def keep(value: list[Any]) -> None:
        kept.extend(value[:3])
        if ended == "cancelled":
            await asyncio.sleep(1e6)

    program = f"(with-timeout 0.01 (lambda () (f (build-list {MANY} list))))"
    async with (
        Runtime(provider=InlineProvider(), host_functions={"f": keep}) as runtime,
        runtime.session() as session,
    ):
        await session.execute(f"(guard (e (#t 0)) {program})")
        for _ in range(MANY):  # turns; each frees a part
            await asyncio.sleep(0)
            if all(map(gc.is_tracked, kept)) and kept:
                break
    assert kept == [[0], [1], [2]]
    assert all(map(gc.is_tracked, kept))


@pytest.mark.parametrize(
    "value", [[[]] * MANY, (0.5,) * MANY, {str(i): [] for i in range(MANY)}, frozenset(range(MANY))]
)
def test_a_large_value_is_freed_in_parts(value: Any) -> None:
    """To free a million lists takes 40 ms; nobody waits for all of it at once."""
    lent = Uncollected()
    made = at_once(protocol.decode_in_turns(protocol.encode(value), uncollected=lent))
    assert made == value
    del made
    assert sum(1 for _ in lent.given_back()) >= MANY // 2_000 - 1
    assert len(lent) == 0


def test_a_set_is_made_in_turns() -> None:
    """300,000 members were looked through in one go of 150 ms."""
    encoded = protocol.encode(frozenset(range(MANY)))
    without_members = MANY // protocol._NODES_A_TURN
    assert sum(1 for _ in protocol.decode_in_turns(encoded)) >= without_members + MANY // 2_000


LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.binary(max_size=3), st.fractions(),
    st.builds(Symbol, st.text(max_size=3)), st.builds(Keyword, st.text(max_size=3)), st.builds(Char, st.characters(codec="utf-8")),
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(max_size=3), inner, max_size=4),
        st.builds(Box, inner),
        st.builds(ImproperList, st.lists(inner, min_size=1, max_size=3).map(tuple), st.integers()),
        st.frozensets(st.one_of(st.text(max_size=3), st.integers(min_value=2)), max_size=4),
    ),
    max_leaves=20,
)


@given(value=VALUES)
@settings(max_examples=200, deadline=None)
def test_a_value_out_of_the_collectors_sight_is_the_same_value(value: Any) -> None:
    """And what is kept of it stays as it was when the rest is freed."""
    lent = Uncollected()
    encoded = protocol.encode([value])
    made = at_once(protocol.decode_in_turns(encoded, uncollected=lent))
    assert made == protocol.decode(encoded)
    kept = made[0]
    del made
    at_once(lent.given_back())
    assert kept == protocol.decode(encoded)[0]
    gc.collect()
    assert kept == protocol.decode(encoded)[0]


def test_a_struct_out_of_the_collectors_sight_is_the_same_struct() -> None:
    """Which Python cannot encode."""
    encoded = b"\xd9\x9c\x49\x84\xd8\x27\x61p\xd9\x9c\x43\x82\xd8\x27\x61x\xd8\x27\x61y\x80\x01"
    lent = Uncollected()
    made = at_once(protocol.decode_in_turns(encoded, uncollected=lent))
    assert made == protocol.decode(encoded) == Struct("p", {"x": [], "y": 1})
    at_once(lent.given_back())
    assert gc.is_tracked(made.fields["x"])


def test_an_mcp_server_passes_over_what_it_has_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full collection of its 100,000 objects takes 10 ms, in which no client is served."""
    frozen: list[int] = []

    async def serve(*_given: Any, **_options: Any) -> None:
        frozen.append(gc.get_freeze_count())
        gc.unfreeze()

    monkeypatch.setattr("rlm_wasm.mcp.transports.serve_stdio", serve)
    done = CliRunner().invoke(cli, ["mcp", "--provider", "echo"])
    assert done.exit_code == 0, done.output
    assert frozen[0] > 10_000
