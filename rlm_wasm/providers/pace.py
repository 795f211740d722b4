"""How fast calls go out to one server: all of them slow down when it refuses one for now.

Until a refusal there is no bound. Then no call is sent before the pause that the server asked for is over,
and half as many as were are in flight at once; every round of answers allows one more (additive increase,
multiplicative decrease). Calls wait in the order in which they came. Times are the event loop's.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque


class Pace:
    """The calls in flight and those that wait, on one event loop."""

    def __init__(self) -> None:
        self._in_flight = 0
        self._window = math.inf
        self._round = 0
        self._resume_at = -math.inf
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def at_once(self) -> int | None:
        """Calls that may be in flight at once; None: no bound."""
        return None if self._window == math.inf else int(self._window)

    def pause_s(self) -> float:
        """Seconds until the next call may be sent."""
        return max(0.0, self._resume_at - asyncio.get_running_loop().time())

    async def enter(self) -> int:
        """Wait for a place; the round that the call belongs to. Each is to be followed by one ``leave``."""
        loop = asyncio.get_running_loop()
        if self._waiting or not self._is_free(loop):
            placed = loop.create_future()
            self._waiting.append(placed)
            self._wake_later(loop)
            try:
                await placed
            except asyncio.CancelledError:
                if not placed.cancelled():  # it was let in just before
                    self.leave()
                raise
        else:
            self._in_flight += 1
        return self._round

    def leave(self, *, answered: bool = False) -> None:
        """A call is over. ``answered``: the server had room for it."""
        self._in_flight -= 1
        if answered:
            self._window += 1.0 / self._window
        self._start_waiting()

    def slow_down(self, of_round: int, pause_s: float) -> None:
        """The server refused a call for now; it is still in flight. ``pause_s``: until the next may be sent.

        A call of an earlier round says nothing new: the bound was lowered since it was sent.
        """
        loop = asyncio.get_running_loop()
        self._resume_at = max(self._resume_at, loop.time() + pause_s)
        if of_round == self._round:
            self._round += 1
            self._window = max(1.0, min(self._window, self._in_flight) / 2)

    def _is_free(self, loop: asyncio.AbstractEventLoop) -> bool:
        return loop.time() >= self._resume_at and self._in_flight < int(min(self._window, 1 << 30))

    def _start_waiting(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting and self._is_free(loop):
            placed = self._waiting.popleft()
            if not placed.cancelled():
                self._in_flight += 1
                placed.set_result(None)
        if self._waiting:
            self._wake_later(loop)

    def _wake_later(self, loop: asyncio.AbstractEventLoop) -> None:
        """When the pause is over somebody has to start those that wait."""
        if loop.time() < self._resume_at and (self._timer is None or self._timer.when() < self._resume_at):
            if self._timer is not None:
                self._timer.cancel()
            self._timer = loop.call_at(self._resume_at, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._start_waiting()
