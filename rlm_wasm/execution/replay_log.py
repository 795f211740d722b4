"""What brings a fresh instance to where this one was before the running execution.

The guest is deterministic, so a memory image and the messages since then are enough. That costs
nothing for a small evaluation; after a large one the next execution begins with a new image.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from functools import partial
from typing import TYPE_CHECKING

from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.pages import at_once
from rlm_wasm.sandbox.protocol import Part, own_bytes
from rlm_wasm.sandbox.sandbox import Sandbox
from rlm_wasm.turns import in_turns

if TYPE_CHECKING:
    from rlm_wasm.sandbox.snapshot import Image, PackedImage

_PACKED_FROM = 32 << 20
"""Bytes that an image takes beside the session's memory; one of more is kept compressed, so that a large
session does not take twice its memory."""
_MAX_BYTES = 8 << 20
"""Of messages: as much is in the guest's memory, and in an image of that."""
_MAX_TEXTS = 32 << 20
"""Characters of long texts that are no copies: those of contexts, which mostly are there anyway."""
_MAX_FUEL = 1_000_000_000
"""An image takes about as long as 10,000,000: a hundredth of what it saves a rollback from. It is taken when
the session rests,"""
_MOST_FUEL = 4 * _MAX_FUEL
"""and before the next execution where it never rests: to go back takes a second or two by then."""
_MAX_FUEL_TWICE = 100_000_000
"""What was replayed once is worth an image before it is replayed again, where it took so much."""


class ReplayLog:
    """An image, and the runs of the guest since it was taken."""

    def __init__(self, base: Image | PackedImage | None = None, *, in_execution: bool = False) -> None:
        self.base = base
        self.in_execution = in_execution
        """The image was taken in the middle of an execution: there is no state before that one."""
        self._entries: list[tuple[bytes | tuple[Part, ...] | None, int]] = []
        self._bytes = 0
        self._texts = 0
        self._fuel = 0
        self._mark = 0
        self._rebuilt = False

    @property
    def due(self) -> bool:
        """Whether a new image is worth its time once the session rests: replaying takes long."""
        most = _MAX_FUEL_TWICE if self._rebuilt else _MAX_FUEL
        return self.in_execution or self._is_long or self._fuel > most

    @property
    def _is_long(self) -> bool:
        return self._bytes > _MAX_BYTES or self._texts > _MAX_TEXTS

    @property
    def overdue(self) -> bool:
        """Whether the next execution needs an image: there is no way back without, or that takes too long."""
        most = _MAX_FUEL_TWICE if self._rebuilt else _MOST_FUEL
        return self.in_execution or self._is_long or self._fuel > most

    async def renew(self, sandbox: Sandbox) -> None:
        """Take a new image, in turns. Until that is done there is none, and one stays overdue."""
        self._fuel = _MOST_FUEL + 1
        self._entries.clear()
        self.base = None  # not two of them at once
        await in_turns(self.renewed(sandbox))

    def renewed(self, sandbox: Sandbox) -> Generator[None, None, None]:
        """The same, given up at any yield: then all is as before. Until it is done there are two of them."""
        image = yield from sandbox.capture_in_turns()
        self.rest(image)
        if image.own_bytes > _PACKED_FROM:
            # Beside the loop, and beside the execution that begins: until then it is there twice.
            packing = asyncio.get_running_loop().run_in_executor(None, at_once, image.packed())
            packing.add_done_callback(partial(self._packed, image))

    def _packed(self, image: Image, packing: asyncio.Future[PackedImage]) -> None:
        if self.base is image and not packing.cancelled() and packing.exception() is None:
            self.base = packing.result()

    def rest(self, image: Image | PackedImage) -> None:
        """The memory is as it is here, and nothing runs."""
        self.base = image
        self.in_execution = False
        self._entries.clear()
        self._bytes = self._texts = self._fuel = 0
        self._rebuilt = False

    def begin(self) -> None:
        """An execution starts: what came so far is what a rollback goes back to."""
        self._mark = len(self._entries)

    def add(self, message: bytes | tuple[Part, ...] | None, steps: int, fuel: int) -> None:
        """One run of the guest; a message that was delivered in turns in its parts.

        Too many to keep are dropped: then a new image is due anyway.
        """
        self._fuel += fuel
        if type(message) is bytes:
            self._bytes += len(message)
        else:
            self._count(message)
        if not self._is_long and self._fuel <= _MOST_FUEL:
            self._entries.append((message, steps))

    def _count(self, message: bytes | tuple[Part, ...] | None) -> None:
        if message is not None:
            parts = (message,) if isinstance(message, bytes) else message
            own = own_bytes(parts)
            self._bytes += own
            self._texts += sum(map(len, parts)) - own

    def rebuild(self, engine: Engine, memory_limit: int) -> Generator[None, None, Sandbox]:
        """A sandbox as it was when the running execution began. Raises InstanceLost where that fails.

        Where the execution began before the image was taken, it is as the image is: in the middle of
        that execution, which the caller ends. It yields between parts of that.
        """
        del self._entries[self._mark :]
        sandbox = Sandbox(engine, memory_limit, self.base)
        self._bytes = self._texts = self._fuel = 0
        if self._entries:
            yield from sandbox.wake_in_turns()
        for message, steps in self._entries:
            given: bytes | int | None
            if isinstance(message, tuple):
                given = yield from sandbox.deliver(message, _HARD_FUEL)
            else:
                given = message
            sandbox.run(given, steps, _HARD_FUEL)
            self._fuel += sandbox.fuel_used
            self._count(message)
            yield
        self._rebuilt = True
        return sandbox


_HARD_FUEL = 1 << 50
