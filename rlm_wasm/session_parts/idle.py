"""Sessions that rest give their memory back: by how long they have rested, and by what all of them hold.

A session that once was large keeps its memory while it is used. Where nobody uses it for a while, or where
those that rest hold too much together, the longest unused go to sleep: their memory is kept compressed, and
the next execution wakes them. That is done in turns, so that nobody waits for it.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

SMALL = 4 << 20
"""Bytes that a session may hold without ever being looked at: waking it would cost more than they do."""


@dataclass(slots=True)
class _Resting:
    since: float
    size: int
    sleep: Callable[[], Awaitable[None]]


class IdleSessions:
    """Those of one Runtime. ``clock`` gives seconds that never go back."""

    def __init__(self, max_bytes: int, max_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes = max_bytes
        self._max_s = max_s
        self._clock = clock
        self._resting: OrderedDict[object, _Resting] = OrderedDict()
        """The longest unused first."""
        self.held = 0
        """Bytes that those that rest, and do not sleep yet, hold together."""
        self._timer: asyncio.TimerHandle | None = None
        self._sweeping: asyncio.Task[None] | None = None

    def rested(self, who: object, size: int, sleep: Callable[[], Awaitable[None]]) -> None:
        """Nothing runs in this session any longer; it holds so many bytes, and ``sleep`` gives them back."""
        if self._resting:
            self.used(who)
        if size >= SMALL:
            self._resting[who] = _Resting(self._clock(), size, sleep)
            self.held += size
            # A timer that is set comes for an older one, which is never later than what this one needs.
            if self._timer is None or self._is_due(next(iter(self._resting.values()))):
                self._look()

    def used(self, who: object) -> None:
        """It is used again, or closed."""
        resting = self._resting.pop(who, None)
        if resting is not None:
            self.held -= resting.size

    def close(self) -> None:
        """Look at nobody any longer. Idempotent."""
        self._resting.clear()
        self.held = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sweeping is not None:
            self._sweeping.cancel()

    def _is_due(self, oldest: _Resting) -> bool:
        return self.held > self._max_bytes or self._clock() - oldest.since >= self._max_s

    def _due(self) -> _Resting | None:
        """Whoever has to sleep now: the longest unused, where there is a reason."""
        oldest = next(iter(self._resting.values()), None)
        if oldest is None or not self._is_due(oldest):
            return None
        self._resting.popitem(last=False)
        self.held -= oldest.size
        return oldest

    def _look(self) -> None:
        """Put to sleep who has to, and come back when the next one's time has come."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sweeping is not None and not self._sweeping.done():
            return
        oldest = next(iter(self._resting.values()), None)
        if oldest is None:
            return
        loop = asyncio.get_running_loop()
        if self._is_due(oldest):
            self._sweeping = loop.create_task(self._sweep())
        else:
            self._timer = loop.call_later(oldest.since + self._max_s - self._clock(), self._look)

    async def _sweep(self) -> None:
        while (resting := self._due()) is not None:
            await resting.sleep()
        self._sweeping = None
        self._look()
