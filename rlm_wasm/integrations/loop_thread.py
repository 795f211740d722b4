"""An event loop in a thread of its own, for frameworks that call from synchronous code."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs coroutines for callers that have no event loop, or are on another one. Close it in the end."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What a coroutine gives; whoever calls waits."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def future(self, work: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
        """The same, to be awaited on the caller's own loop."""
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    @property
    def alive(self) -> bool:
        """Whether it was not closed."""
        return not self._loop.is_closed()

    def close(self) -> None:
        """End the loop and its thread."""
        if self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
