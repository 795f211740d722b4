"""Containers that Python's own cyclic collector does not look at, for as long as a host function has them.

A full collection goes through every container there is and through every item of it, in one piece, while
all sessions wait: a guest that hands over a list of 200,000 lists, or of as many symbols, made each of them
take 25 ms longer. What is decoded has no cycles, so there is nothing in it for a collector to find. It is
taken out of the collector's lists as it is made; when the function has returned, what it kept is put back (by
then it may stand in a cycle), and the rest is freed a few thousand at a time.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable, Generator, Iterator, Mapping
from itertools import chain
from sys import getrefcount, implementation
from typing import Any, Final

from rlm_wasm.data import Box, ImproperList, Struct


def _own_references() -> int:
    """References to a container that nobody else has: the variable's, and that of asking where it counts."""
    container = [[]].pop()  # type: ignore[var-annotated]
    return getrefcount(container)


_OURS: Final = _own_references()
_AT_ONCE: Final = 2_000
"""Containers, or items of a list, that are freed without a turn in between."""


def _collector(name: str) -> Callable[[Any], Any]:
    """A function of CPython's documented C interface, which Python itself has no name for."""
    function: Any = ctypes.pythonapi[name]  # one of our own, as in pages.py
    function.argtypes, function.restype = (ctypes.py_object,), None
    result: Callable[[Any], Any] = function
    return result


def _left_alone(_value: Any) -> None:
    """Another Python than CPython: its collector does as it likes."""


_untrack, _track = (
    (_collector("PyObject_GC_UnTrack"), _collector("PyObject_GC_Track"))
    if implementation.name == "cpython"
    else (_left_alone, _left_alone)
)


PARTS_OF: Final[Mapping[type, Callable[[Any], Iterator[Any]]]] = {
    list: iter,
    tuple: iter,
    frozenset: iter,
    dict: lambda table: chain(table, table.values()),
    Box: lambda box: iter((box.value,)),
    ImproperList: lambda pairs: chain(pairs.items, (pairs.tail,)),
    Struct: lambda struct: iter(struct.fields.values()),
}
"""What stands in a decoded value, by its type. These can come to stand in a cycle once somebody changes what
is in them, however deep."""


class Uncollected:
    """The containers of one value, each behind those that stand in it."""

    __slots__ = ("_containers",)

    def __init__(self) -> None:
        self._containers: list[Any] = []
        _untrack(self._containers)

    def __len__(self) -> int:
        return len(self._containers)

    def begun(self, items: Any) -> None:
        """A container to which items will be added: the collector need not look at it meanwhile."""
        _untrack(items)

    def add(self, value: Any) -> None:
        """A value is whole, and nobody else has it yet."""
        kind = type(value)
        if kind is Struct:
            self.add(value.fields)
        elif kind is ImproperList:
            self.add(value.items)
        if kind in PARTS_OF:
            _untrack(value)
            if value != ():
                self._containers.append(value)
        elif gc.is_tracked(value):  # a symbol or the like
            _untrack(value)

    def add_all(self, value: Any) -> Generator[None, None, None]:
        """A value that was made elsewhere, with all that is in it. Yields between parts."""
        above: list[Any] = []
        rest: list[Iterator[Any]] = [iter((value,))]
        done = 0
        while rest:
            for item in rest[-1]:
                done += 1
                if done % _AT_ONCE == 0:
                    yield
                parts = PARTS_OF.get(type(item))
                if parts is not None:
                    above.append(item)
                    rest.append(parts(item))
                    break
                if gc.is_tracked(item):
                    _untrack(item)
            else:
                rest.pop()
                if above:
                    self.add(above.pop())

    def given_back(self) -> Generator[None, None, None]:
        """Free what nobody has kept, and leave to the collector what somebody has. Yields between parts."""
        containers, done = self._containers, 0
        while containers:
            container: Any = containers.pop()
            if getrefcount(container) > _OURS:
                if not gc.is_tracked(container):
                    _track(container)
            elif type(container) is dict:
                while len(container) > _AT_ONCE:
                    for _ in range(_AT_ONCE):
                        container.popitem()
                    yield
            elif type(container) in (list, tuple, frozenset) and len(container) > _AT_ONCE:
                items = container if type(container) is list else list(container)
                self.begun(items)
                container = None
                while items:
                    del items[-_AT_ONCE:]
                    yield
            container = None
            done += 1
            if done % _AT_ONCE == 0:
                yield
