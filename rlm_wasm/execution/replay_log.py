"""What brings a fresh instance to where this one was before the running execution.

The guest is deterministic, so a memory image and the messages since then are enough. That costs
nothing for a small evaluation; after a large one the next execution begins with a new image.
"""

from __future__ import annotations

from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.sandbox import Sandbox
from rlm_wasm.sandbox.snapshot import MemoryImage

_MAX_BYTES = 1 << 20
_MAX_FUEL = 200_000_000


class ReplayLog:
    """An image, and the runs of the guest since it was taken."""

    def __init__(self, base: MemoryImage | None = None, *, in_execution: bool = False) -> None:
        self.base = base
        self.in_execution = in_execution
        """The image was taken in the middle of an execution: there is no state before that one."""
        self._entries: list[tuple[bytes | None, int]] = []
        self._bytes = 0
        self._fuel = 0
        self._mark = 0

    def begin(self, sandbox: Sandbox) -> None:
        """An execution starts: what came so far is what a rollback goes back to."""
        if self.in_execution or self._bytes > _MAX_BYTES or self._fuel > _MAX_FUEL:
            self.base = sandbox.capture()
            self.in_execution = False
            self._entries.clear()
            self._bytes = self._fuel = 0
        self._mark = len(self._entries)

    def add(self, message: bytes | None, steps: int, fuel: int) -> None:
        """One run of the guest. Too many to keep are dropped: then a new image is due anyway."""
        self._fuel += fuel
        if message is not None:
            self._bytes += len(message)
        if self._bytes <= _MAX_BYTES and self._fuel <= _MAX_FUEL:
            self._entries.append((message, steps))

    def rebuild(self, engine: Engine, memory_limit: int) -> Sandbox:
        """A sandbox as it was when the running execution began. Raises InstanceLost where that fails.

        Where the execution began before the image was taken, it is as the image is: in the middle of
        that execution, which the caller ends.
        """
        del self._entries[self._mark :]
        sandbox = Sandbox(engine, memory_limit, self.base)
        self._bytes = self._fuel = 0
        for message, steps in self._entries:
            sandbox.run(message, steps, 1 << 50)
            self._fuel += sandbox.fuel_used
            self._bytes += len(message or b"")
        return sandbox
