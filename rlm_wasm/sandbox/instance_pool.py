"""Instances that were used and equal new ones again: taken from here rather than made."""

from __future__ import annotations

from ctypes import memmove
from typing import ClassVar

from rlm_wasm.sandbox import c_api as wasm
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.instance import Instance
from rlm_wasm.sandbox.pages import PAGE, pristine_memory, written_runs


class InstancePool:
    """Instances that were used and have their first memory again, byte for byte.

    A new instance costs a mapping and a page fault for every page that it touches; one that is
    reset costs a copy of the pages that were written. Only where the kernel says which those are,
    and only where the memory did not grow: what is kept equals a new instance.
    """

    max_kept: ClassVar[int] = 32
    max_pages: ClassVar[int] = 512

    def __init__(self) -> None:
        self._kept: dict[int, list[Instance]] = {}

    def acquire(self, engine: Engine, memory_limit: int) -> Instance:
        """A spare one, or a new one."""
        kept = self._kept.get(id(engine))
        if kept:
            instance = kept.pop()
            wasm.store_limiter(instance.store, memory_limit, -1, 1, -1, 1)
            return instance
        return Instance(engine, memory_limit)

    def release(self, engine: Engine, instance: Instance) -> None:
        """Keep it for the next session, or delete it."""
        kept = self._kept.setdefault(id(engine), [])
        size = wasm.memory_data_size(instance.context, instance.memory_at)
        # Pages that are mapped from a layer do not count as written: that memory is another one.
        if len(kept) < self.max_kept and size == engine.image_size and not instance.pieces:
            runs = written_runs(instance.base, size // PAGE)
            if runs is not None and sum(count for _, count in runs) <= self.max_pages:
                pristine, _ = pristine_memory(engine)
                base = instance.base
                for start, count in runs:
                    at = start * PAGE
                    memmove(base + at, pristine + at, count * PAGE)
                kept.append(instance)
                return
        instance.delete()
