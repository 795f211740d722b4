"""At most so many calls in flight, whoever asks: a bound that several sessions can share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rlm_wasm.errors import UsageError
from rlm_wasm.providers.wrappers.base import Wrapper

if TYPE_CHECKING:
    from rlm_wasm.providers.base import Completion, CompletionRequest, Provider


class ConcurrencyProvider(Wrapper):
    """Lets ``limit`` calls through at a time; the others wait in the order in which they came.

    The waiting counts towards an execution's wall-clock limit, not towards the call's own timeout.
    """

    def __init__(self, inner: Provider, limit: int) -> None:
        if limit < 1:
            raise UsageError(f"ConcurrencyProvider(limit=…) must be at least 1, got {limit}")
        super().__init__(inner)
        self._places = asyncio.Semaphore(limit)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Wait for a place, then pass the request on."""
        async with self._places:
            return await self.ask(request)
