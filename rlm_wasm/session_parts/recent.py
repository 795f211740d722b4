"""Snapshots that were read a moment ago: the same bytes need not be taken apart and checked once more.

Who begins each piece of work from one prepared session restores the same bytes again and again.
"""

from __future__ import annotations

from collections import OrderedDict

from rlm_wasm.sandbox import snapshot as snapshots
from rlm_wasm.sandbox.engine import Engine

MOST = 16
"""So many are kept,"""
MOST_BYTES = 64 << 10
"""and none that is larger."""
MOST_PAGES = 128
"""Of memory that is kept unpacked."""


class RecentSnapshots:
    """The last ones of a runtime, whose key they passed: by their bytes, as they are once they were read."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, snapshots.Snapshot] = OrderedDict()

    def get(self, data: bytes, engine: Engine) -> snapshots.Snapshot | None:
        """What these bytes are, where they were read lately. Whoever wants them again gets them unpacked."""
        found = self._known.get(data) if type(data) is bytes else None
        if found is None:
            return None
        memory = found.memory_at_rest
        if (
            isinstance(memory, snapshots.PackedImage)
            and memory.pages <= MOST_PAGES
            and memory.size <= engine.image_size
            and found.image_hash == engine.image_hash
        ):
            found = self._known[data] = found.with_memory(found.memory(engine=engine), found.body)
        self._known.move_to_end(data)
        return found

    def keep(self, data: bytes, snapshot: snapshots.Snapshot) -> None:
        """They are this one. Nobody changes it: a session copies what it goes on with.

        What is not packed is not kept: it may be a hundred times as large as its bytes.
        """
        if not isinstance(snapshot.memory_at_rest, snapshots.PackedImage):
            return
        if type(data) is bytes and len(data) <= MOST_BYTES:
            self._known[data] = snapshot
            while len(self._known) > MOST:
                self._known.popitem(last=False)
