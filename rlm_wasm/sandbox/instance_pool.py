"""Instances that were used and equal new ones again: taken from here rather than made."""

from __future__ import annotations

from collections import defaultdict
from ctypes import memmove
from typing import ClassVar

from rlm_wasm.sandbox import c_api as wasm
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.instance import Instance
from rlm_wasm.sandbox.pages import PAGE, drop, pristine_memory, written_runs


class InstancePool:
    """Instances that were used and have their first memory again, byte for byte.

    A new instance costs a mapping and a page fault for every page that it touches; one that is
    reset costs a copy of the pages that were written. Only where the kernel says which those are,
    and only where the memory did not grow: what is kept equals a new instance.

    Pages that are there already are what a session with much to do wants, and what one with little would
    have to copy. So there are two kinds of spare ones, and the next session gets one like the last one's.
    """

    max_kept: ClassVar[int] = 32
    """Spare instances of each kind."""
    small_pages: ClassVar[int] = 512
    """Written pages of an instance that has few."""
    max_large_pages: ClassVar[int] = 16384
    """Written pages of all spare instances with many: 64 MiB."""

    def __init__(self) -> None:
        self._small: defaultdict[int, list[Instance]] = defaultdict(list)
        self._large: defaultdict[int, list[tuple[Instance, int]]] = defaultdict(list)
        self._large_pages = 0
        self._did_much = False
        """The last session that ended."""

    def acquire(self, engine: Engine, memory_limit: int) -> Instance:
        """A spare one, or a new one."""
        small, large = self._small[id(engine)], self._large[id(engine)]
        if large and (self._did_much or not small):
            instance, pages = large.pop()
            self._large_pages -= pages
        elif small:
            instance = small.pop()
        else:
            return Instance(engine, memory_limit)
        wasm.store_limiter(instance.store, memory_limit, -1, 1, -1, 1)
        return instance

    def release(self, engine: Engine, instance: Instance) -> None:
        """Keep it for the next session, or delete it."""
        size = wasm.memory_data_size(instance.context, instance.memory_at)
        runs: list[tuple[int, int]] | None = None
        # Pages that are mapped from a layer do not count as written: that memory is another one.
        if size == engine.image_size and not instance.pieces:
            runs = written_runs(instance.base, size // PAGE)
        if runs is None:
            self._did_much = size != engine.image_size
            instance.delete()
            return
        # The guest's word says what is worth a copy, no more: whatever was written becomes what it was.
        touched = size // PAGE if instance.report is None else instance.report.touched_end
        own = [(start, min(count, touched - start)) for start, count in runs if start < touched]
        self._did_much = _pages(own) > self.small_pages
        if not self._did_much and _pages(runs) > self.small_pages:  # what others wrote is not worth one
            if not all(drop(instance.base, start, count) for start, count in _rest(runs, touched)):
                instance.delete()
                return
            runs = own
        if not self._keep(engine, instance, _pages(runs)):
            instance.delete()
            return
        pristine, _ = pristine_memory(engine)
        for start, count in runs:
            at = start * PAGE
            memmove(instance.base + at, pristine + at, count * PAGE)

    def _keep(self, engine: Engine, instance: Instance, pages: int) -> bool:
        """Put it where it is found again, where there is room for one of so many written pages."""
        small, large = self._small[id(engine)], self._large[id(engine)]
        if pages <= self.small_pages:
            if len(small) == self.max_kept:
                return False
            small.append(instance)
            return True
        if len(large) == self.max_kept or self._large_pages + pages > self.max_large_pages:
            return False
        self._large_pages += pages
        large.append((instance, pages))
        return True


def _pages(runs: list[tuple[int, int]]) -> int:
    return sum(count for _, count in runs)


def _rest(runs: list[tuple[int, int]], end: int) -> list[tuple[int, int]]:
    """What of them is not before that page."""
    return [
        (max(start, end), start + count - max(start, end)) for start, count in runs if start + count > end
    ]
