"""What belongs to one event loop, in a provider that serves several, each in its thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerLoop(Generic[T]):
    """A value for each event loop, made when it is first asked for there."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._of: dict[asyncio.AbstractEventLoop, T] = {}

    def here(self) -> T:
        """That of the running event loop."""
        loop = asyncio.get_running_loop()
        found = self._of.get(loop)
        if found is None:
            for known in list(self._of):
                if known.is_closed():
                    self._of.pop(known, None)
            found = self._of[loop] = self._make()
        return found
