"""The one place that a session and the children of its #:recursive calls have for a live Python guest.

``python_memory_bytes`` is theirs together, and a guest of Python cannot be asked how much it has: so one of
them is alive at a time. Another one that is needed meanwhile waits until the call is over; then the variables
of the first are kept, its instance goes, and it has them again when it is next called.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol


class Guest(Protocol):
    """A back end whose instance can go and come back."""

    async def give_way(self) -> None:
        """Keep the variables and let the instance go. Nothing runs in it."""
        ...


def locked_at_once(lock: asyncio.Lock) -> bool:
    """Acquire a lock that nobody has or waits for; False where somebody does."""
    if lock.locked():
        return False
    acquiring = lock.acquire()
    try:
        acquiring.send(None)
    except StopIteration:
        return True
    acquiring.close()  # others were first
    return False


class FamilyPlace:
    """Who has the place. Used on one event loop."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._holder: Guest | None = None

    def take_at_once(self, guest: Guest) -> bool:
        """As ``taken_by``, until ``release``, where nobody has to be waited for. Whether that is so."""
        if self._holder not in (None, guest) or not locked_at_once(self._lock):
            return False
        self._holder = guest
        return True

    def release(self) -> None:
        """The end of what ``take_at_once`` began."""
        self._lock.release()

    @asynccontextmanager
    async def taken_by(self, guest: Guest) -> AsyncIterator[None]:
        """The place is this guest's, and in the body nobody else's."""
        async with self._lock:
            holder = self._holder
            if holder is not None and holder is not guest:
                self._holder = None
                await holder.give_way()
            self._holder = guest
            yield

    @asynccontextmanager
    async def left_by(self, guest: Guest) -> AsyncIterator[None]:
        """In the body nobody asks this guest to give way; after it, it has no instance."""
        async with self._lock:
            try:
                yield
            finally:
                if self._holder is guest:
                    self._holder = None
