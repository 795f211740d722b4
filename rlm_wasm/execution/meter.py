"""The one account of what a guest makes the host do: fuel, bytes held, memory.

Every request passes it on its way in, every reply on its way out. A session and the children of its
``#:recursive`` calls share one account, so that a limit means the same however the work is divided.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from sys import getsizeof
from typing import Any

from rlm_wasm.data import ImproperList, Struct
from rlm_wasm.errors import LimitExceeded
from rlm_wasm.limits import Limits
from rlm_wasm.sandbox.pages import at_once
from rlm_wasm.sandbox.uncollected import PARTS_OF
from rlm_wasm.turns import Share

FUEL_A_BYTE = 1
"""Fuel for each byte that the host decodes, searches, copies or encodes for a guest. A guest's fuel and
the host's bytes take about the same time, some 10⁹ a second."""

FUEL_A_REQUEST = 1_000
"""Fuel for what serving any request takes, its bytes aside."""

BYTES_A_PART = 72
"""What one value among many takes in the host at the least: an empty list, and its place in another."""


def flat_footprint(arguments: list[Any], encoded: int) -> int:
    """As ``footprint``, of a request's arguments that are flat, and took so many bytes encoded.

    A little more than ``footprint`` gives: four bytes a character, and what an object takes each.
    """
    return _FLAT_PART * (len(arguments) + 2) + 4 * encoded


def are_flat(arguments: list[Any]) -> bool:
    """Whether nothing stands within one of them."""
    for item in arguments:  # noqa: SIM110 - a generator takes twice as long, and every request is asked
        if item and type(item) not in _FLAT:
            return False
    return True


_FLAT = frozenset({str, int, float, bool, type(None), bytes})
_FLAT_PART = 80
"""What each takes at the most, its characters or bytes aside."""


def footprint(value: Any) -> int:
    """Bytes that decoded data takes in the host.

    A text with one wide character takes four for each of them, and a list of empty lists seventy times
    what it took encoded.
    """
    return at_once(footprint_in_turns(value))


_COUNTED_AT_ONCE = 2_000


def footprint_in_turns(value: Any) -> Generator[None, None, int]:
    """As ``footprint``; it yields between so many parts."""
    size = counted = 0
    # Iterators, and no list of what is to come: the host's collector would look at all of that.
    rest: list[Iterator[Any]] = [iter((value,))]
    while rest:
        for item in rest[-1]:
            size += getsizeof(item)
            counted += 1
            if counted % _COUNTED_AT_ONCE == 0:
                yield
            parts = PARTS_OF.get(type(item))
            if parts is not None:
                if type(item) is Struct:
                    size += getsizeof(item.fields)
                elif type(item) is ImproperList:
                    size += getsizeof(item.items)
                rest.append(parts(item))
                break
        else:
            rest.pop()
    return size


class FuelAccount:
    """The fuel of one execution and of all that it began: guests, Python, the host's own work."""

    __slots__ = ("limit", "set_aside", "used")

    def __init__(self, limit: int, used: int = 0) -> None:
        self.limit = limit
        self.used = used
        self.set_aside = 0
        """For sessions elsewhere that work for the execution: it is charged when they come back."""

    @property
    def left(self) -> int:
        """Until the limit; never negative."""
        return max(self.limit - self.used - self.set_aside, 0)

    def give_away(self, fuel: int) -> None:
        """So much is set aside; where it is negative, it comes back."""
        self.set_aside += fuel

    def stands_at(self, used: int) -> None:
        """A journal says how much was used."""
        self.used = used

    def charge(self, fuel: int) -> None:
        """So much was used. Whether that was too much is looked at between two slices."""
        self.used += fuel


class MemoryPool:
    """The Scheme memory of a session and its children: together under ``memory_bytes``.

    A memory never becomes smaller, and a fork's is as large as its parent's, whose pages it shares until it
    writes to them. So where the sizes together are too much, it is asked how much of them there really is.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._members: dict[int, tuple[int, Callable[[], int] | None]] = {}

    @property
    def shared(self) -> bool:
        """Whether there is anybody to share it with."""
        return bool(self._members)

    def left(self, member: int) -> int:
        """What a member may grow to, as the others stand."""
        return max(self.limit - self._held(but=member), 0)

    @property
    def free(self) -> int:
        """What no member has."""
        return max(self.limit - self._held(), 0)

    def update(self, member: int, size: int, held: Callable[[], int] | None = None) -> None:
        """A member's memory has so many bytes now. Raises LimitExceeded.

        ``held``: how many of them take memory; without it, all of them.
        """
        self._members[member] = size, held
        if sum(size for size, _ in self._members.values()) > self.limit:
            total = self._held()
            if total > self.limit:
                raise LimitExceeded("memory_bytes", total, self.limit)

    def _held(self, but: int | None = None) -> int:
        return sum(
            size if held is None or not size else min(held(), size)
            for member, (size, held) in self._members.items()
            if member != but
        )

    def leave(self, member: int) -> None:
        """A member has ended."""
        self._members.pop(member, None)


class Meter:
    """Bytes that the host holds for a session at this moment: arguments, replies, queued requests.

    ``hold`` and ``release`` come in pairs, whatever happens in between.
    """

    def __init__(self, limits: Limits, *, parent: Meter | None = None) -> None:
        self._limit = limits.host_bytes
        self._above: Meter | None = parent and parent._root
        """The family's; None for that one itself, which would hold on to itself."""
        self.memory: MemoryPool = MemoryPool(limits.memory_bytes) if parent is None else parent.memory
        self.turns: Share = Share() if parent is None else parent.turns
        """What the guests of a family may take of the event loop's turns: together as much as one."""
        self._held = 0
        self.peak = 0

    @property
    def _root(self) -> Meter:
        return self._above or self

    @property
    def held(self) -> int:
        """Bytes now, those of the whole family."""
        return self._root._held

    @property
    def free(self) -> int:
        """Bytes that nobody of the family has taken."""
        return max(self._root._limit - self._root._held, 0)

    def hold(self, size: int, *, always: bool = False) -> None:
        """Take so many bytes, or raise LimitExceeded and take nothing. ``always`` never raises."""
        root = self._above or self
        held = root._held + size
        if held > root._limit and not always:
            raise LimitExceeded("host_bytes", held, root._limit)
        root._held = held
        if held > root.peak:
            root.peak = held

    def release(self, size: int) -> None:
        """Give them back."""
        root = self._above or self
        root._held -= size
