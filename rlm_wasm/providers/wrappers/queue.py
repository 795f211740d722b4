"""Calls that wait for what others hold, in the order in which they came, on event loops in any thread."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import TYPE_CHECKING

from rlm_wasm.errors import RlmError

if TYPE_CHECKING:
    from collections.abc import Callable


class Queue:
    """Who is in took what it needs, and gives that back with ``leave``.

    ``take`` and ``give_back`` are called by one thread at a time.
    """

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._lock = threading.Lock()

    async def enter(self, take: Callable[[], bool], give_back: Callable[[], None]) -> None:
        """Wait until ``take`` says that it took what it needs.

        ``give_back`` undoes that, where the call is cancelled at that moment. What ``take`` raises is raised.
        """
        with self._lock:
            if not self._waiting and take():
                return
            waiting = _Waiting(take, give_back)
            self._waiting.append(waiting)
        try:
            await waiting.told
        except asyncio.CancelledError:
            with self._lock:
                if waiting in self._waiting:
                    self._waiting.remove(waiting)
                elif waiting.took:
                    give_back()
                self._next()
            raise

    def leave(self, give_back: Callable[[], None]) -> None:
        """A call is over."""
        with self._lock:
            give_back()
            self._next()

    def _next(self) -> None:
        while self._waiting:
            first = self._waiting[0]
            try:
                first.took = first.take()
            except RlmError as error:
                first.refused = error
            if not first.took and first.refused is None:
                return
            self._waiting.popleft()
            try:
                first.told.get_loop().call_soon_threadsafe(first.tell)
            except RuntimeError:  # its event loop was closed: nobody waits there
                if first.took:
                    first.give_back()


class _Waiting:
    """A call that waits. One of ``took`` and ``refused`` comes to be, then it is told."""

    def __init__(self, take: Callable[[], bool], give_back: Callable[[], None]) -> None:
        self.take = take
        self.give_back = give_back
        self.took = False
        self.refused: RlmError | None = None
        self.told: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def tell(self) -> None:
        """On its event loop."""
        if self.told.done():  # cancelled
            return
        if self.refused is not None:
            self.told.set_exception(self.refused)
        else:
            self.told.set_result(None)
