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

    Event loops of several threads share it: an instance is put where others find it when it has its first
    memory again, and taken in one step. There is no lock, which a process that forks might copy while held.
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
        self._did_much = False
        """The last session that ended."""

    def acquire(self, engine: Engine, memory_limit: int) -> Instance:
        """A spare one, or a new one."""
        instance = self._taken(engine)
        if instance is None:
            return Instance(engine, memory_limit)
        wasm.store_limiter(instance.store, memory_limit, -1, 1, -1, 1)
        return instance

    def _taken(self, engine: Engine) -> Instance | None:
        small, large = self._small[id(engine)], self._large[id(engine)]
        try:
            if large and (self._did_much or not small):
                return large.pop()[0]
            return small.pop() if small else None
        except IndexError:  # another thread was quicker
            return None

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
        pages = _pages(runs)
        if not self._has_room(engine, pages):
            instance.delete()
            return
        pristine, _ = pristine_memory(engine)
        for start, count in runs:  # other threads run meanwhile: nobody finds it before that is done
            at = start * PAGE
            memmove(instance.base + at, pristine + at, count * PAGE)
        if pages <= self.small_pages:
            self._small[id(engine)].append(instance)
        else:
            self._large[id(engine)].append((instance, pages))

    def _has_room(self, engine: Engine, pages: int) -> bool:
        """Whether there is room for one of so many written pages."""
        if pages <= self.small_pages:
            return len(self._small[id(engine)]) < self.max_kept
        kept = sum(count for large in list(self._large.values()) for _, count in list(large))
        return len(self._large[id(engine)]) < self.max_kept and kept + pages <= self.max_large_pages


def _pages(runs: list[tuple[int, int]]) -> int:
    return sum(count for _, count in runs)


def _rest(runs: list[tuple[int, int]], end: int) -> list[tuple[int, int]]:
    """What of them is not before that page."""
    return [
        (max(start, end), start + count - max(start, end)) for start, count in runs if start + count > end
    ]
