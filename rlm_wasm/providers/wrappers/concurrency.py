"""At most so many calls in flight, whoever asks: a bound that several sessions can share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlm_wasm.errors import UsageError
from rlm_wasm.providers.wrappers.base import Wrapper
from rlm_wasm.providers.wrappers.queue import Queue

if TYPE_CHECKING:
    from rlm_wasm.providers.base import Completion, CompletionRequest, Provider


class ConcurrencyProvider(Wrapper):
    """Lets ``limit`` calls through at a time; the others wait in the order in which they came.

    The bound holds for all sessions and threads that share it. The waiting counts towards an execution's
    wall-clock limit, not towards the call's own timeout.
    """

    def __init__(self, inner: Provider, limit: int) -> None:
        if limit < 1:
            raise UsageError(f"ConcurrencyProvider(limit=…) must be at least 1, got {limit}")
        super().__init__(inner)
        self._free = limit
        self._queue = Queue()

    async def complete(self, request: CompletionRequest) -> Completion:
        """Wait for a place, then pass the request on."""
        await self._queue.enter(self._take, self._give_back)
        try:
            return await self.ask(request)
        finally:
            self._queue.leave(self._give_back)

    def _take(self) -> bool:
        if not self._free:
            return False
        self._free -= 1
        return True

    def _give_back(self) -> None:
        self._free += 1
