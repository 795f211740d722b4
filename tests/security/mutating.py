"""What a guest said, with something wrong in it: real messages, changed in their structure."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import cbor2

from rlm_wasm.sandbox import protocol

Path = tuple[Any, ...]
_INSIDE = object()
"""In a path: what a tag is of."""

_INNER: list[Any] = [1, "x", [1, 2], {}]

THINGS: list[Any] = [
    None, True, 0, 1, -1, 2**64, -(2**70), 10**400, 1.5, float("nan"), float("inf"), "", "x", "é" * 10, b"", b"\x80",
    b"\xff", [], {}, [[]] * 3, {1: 2}, cbor2.undefined, "error", "limit", "llm", "ok", [None] * 50,
    *(cbor2.CBORTag(tag, inside) for tag in (2, 30, 35, 39, 40001, 40003, 40005) for inside in _INNER),
]  # fmt: skip


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """The places of all parts of a value, itself included."""
    yield path
    if isinstance(value, cbor2.CBORTag):
        yield from paths(value.value, (*path, _INSIDE))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from paths(item, (*path, index))


def part(value: Any, path: Path) -> Any:
    """The part at a place."""
    for key in path:
        value = value.value if key is _INSIDE else value[key]
    return value


def changed(value: Any, path: Path, change: Callable[[Any], Any]) -> Any:
    """A copy, in which the part at a place is another one."""
    if not path:
        return change(value)
    key, *rest = path
    if key is _INSIDE:
        return cbor2.CBORTag(value.tag, changed(value.value, tuple(rest), change))
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[key] = changed(value[key], tuple(rest), change)
    return copy


def mutated(data: bytes, chance: random.Random) -> bytes:
    """One to three parts of a message are missing, twice there, of another kind, or another one's."""
    try:
        value = cbor2.loads(data)
        for _ in range(chance.choice([1, 1, 1, 2, 3])):
            value = _once(value, chance)
        return cbor2.dumps(value)
    except Exception:  # what a tag is of was changed, so that the codec refuses it: as it was
        return data


def _once(value: Any, chance: random.Random) -> Any:
    path = chance.choice(list(paths(value)))
    here = part(value, path)
    if isinstance(here, bytes) and chance.random() < 0.8:  # encoded within: arguments, data
        return changed(value, path, lambda inner: mutated(inner, chance))
    how = chance.randrange(7)
    if how == 0 and path and path[-1] is not _INSIDE:
        return changed(value, path[:-1], lambda whole: _without(whole, path[-1]))
    if how == 1 and isinstance(here, list):
        return changed(value, path, lambda items: items + items)
    if how == 2 and type(here) is int:
        return changed(value, path, lambda count: count + chance.choice([-1, 1, 2**31, 2**63, -(10**30)]))
    if how == 3 and isinstance(here, str):
        other = chance.choice(list(protocol.OPERATIONS))
        return changed(
            value, path, lambda text: chance.choice([text * 3, text[:-1], text.upper(), text + "\0", other])
        )
    if how == 4:
        return changed(
            value, path, lambda item: cbor2.CBORTag(chance.choice([2, 30, 258, 40001, 40003, 40005]), item)
        )
    if how == 5:
        return changed(value, path, lambda item: [item])
    return changed(value, path, lambda _item: chance.choice(THINGS))


def _without(whole: Any, key: Any) -> Any:
    if isinstance(whole, dict):
        return {name: item for name, item in whole.items() if name != key}
    return [item for index, item in enumerate(whole) if index != key]
