"""Instances that were used and equal new ones again: taken from here rather than made."""

from __future__ import annotations

from ctypes import memmove
from typing import ClassVar

from rlm_wasm.sandbox import c_api as wasm
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.instance import Instance
from rlm_wasm.sandbox.pages import PAGE, drop, pristine_memory, written_runs

_Spare = list[tuple[Instance, int]]
"""Each with its written pages."""


class InstancePool:
    """Instances that were used and have their first memory again, byte for byte.

    A new instance costs a mapping and a page fault for every page that it touches; one that is
    reset costs a copy of the pages that were written. Only where the kernel says which those are,
    and only where the memory did not grow: what is kept equals a new instance.

    Pages that are there already are what a session with much to do wants, and what one with little would
    have to copy. So there are two kinds of spare ones, and the next session gets one like the last one's.

    For any thread: what two of them do at once is to append to a list, or to take from it.
    """

    max_kept: ClassVar[int] = 32
    """Spare instances of each kind."""
    small_pages: ClassVar[int] = 512
    """Written pages of an instance that has few."""
    max_large_pages: ClassVar[int] = 16384
    """Written pages of all spare instances with many: 64 MiB."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[_Spare, _Spare]] = {}
        """By engine: those with few written pages, those with many."""
        self._did_much = False
        """The last session that ended."""

    def acquire(self, engine: Engine, memory_limit: int) -> Instance:
        """A spare one, or a new one. Raises InternalError where there is no room for a new one."""
        small, large = self._of(engine)
        for spare in (large, small) if self._did_much else (small, large):
            try:
                instance, _ = spare.pop()
            except IndexError:  # asked first, another thread could take the last one
                continue
            wasm.store_limiter(instance.store, memory_limit, -1, 1, -1, 1)
            return instance
        return Instance(engine, memory_limit)

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
        pages = _pages(runs)
        if pages <= self.small_pages:
            self._did_much = False
        else:
            # The guest's word says what is worth a copy, no more: whatever was written becomes what it was.
            touched = size // PAGE if instance.report is None else instance.report.touched_end
            own = [(start, min(count, touched - start)) for start, count in runs if start < touched]
            own_pages = _pages(own)
            self._did_much = own_pages > self.small_pages
            if not self._did_much:  # what others wrote is not worth one
                if not all(drop(instance.base, start, count) for start, count in _rest(runs, touched)):
                    instance.delete()
                    return
                runs, pages = own, own_pages
        kept = self._room_for(engine, pages)
        if kept is None:
            instance.delete()
            return
        pristine, _ = pristine_memory(engine)
        base = instance.base
        for start, count in runs:
            at = start * PAGE
            memmove(base + at, pristine + at, count * PAGE)
        kept.append((instance, pages))  # not before: another thread may take it from there at once

    def _of(self, engine: Engine) -> tuple[_Spare, _Spare]:
        return self._kept.setdefault(id(engine), ([], []))

    def _room_for(self, engine: Engine, pages: int) -> _Spare | None:
        """Where one of so many written pages is kept; None where there is no room for it."""
        small, large = self._of(engine)
        kept = small if pages <= self.small_pages else large
        if len(kept) >= self.max_kept:
            return None
        if kept is large:
            held = sum(each for _, spare in list(self._kept.values()) for _, each in spare)
            if held + pages > self.max_large_pages:
                return None
        return kept


def _pages(runs: list[tuple[int, int]]) -> int:
    pages = 0
    for _, count in runs:
        pages += count
    return pages


def _rest(runs: list[tuple[int, int]], end: int) -> list[tuple[int, int]]:
    """What of them is not before that page."""
    return [
        (max(start, end), start + count - max(start, end)) for start, count in runs if start + count > end
    ]
