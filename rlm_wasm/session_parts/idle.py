"""Sessions that rest or wait give their memory back: by how long they have, and by what all of them hold.

A session that once was large keeps its memory while it is used. Where nobody uses it for a while, or where
those that rest and wait hold too much together, the longest unused go to sleep: their memory is kept
compressed, and what wakes them is the next execution, or what they wait for. That is done in turns, so that
nobody waits for it.

Those that rest go first. One that waits in the middle of an execution (for a model, a timer, a child) will be
wanted again, nobody knows when; so it sleeps only once it has waited many times longer than it takes to fall
asleep and to wake. So whatever comes, no session spends more than a small part of its time on that.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from rlm_wasm.lazy_dataclass import dataclass

SMALL = 4 << 20
"""Bytes that a session may hold without ever being looked at: waking it would cost more than they do."""


WAITED_S = 1.0
"""Seconds that a session has waited at the least before it is put to sleep for its bytes."""

WAITED_BYTES_A_S = 20 << 20
"""It has waited a second more for so many bytes: to sleep and wake takes a tenth of that."""


@dataclass(slots=True)
class _Resting:
    since: float
    size: int
    sleep: Callable[[], Awaitable[None]]
    may_sleep: float
    """From when on it may sleep because of what all of them hold."""


class IdleSessions:
    """Those of one Runtime. ``clock`` gives seconds that never go back."""

    def __init__(self, max_bytes: int, max_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes = max_bytes
        self._max_s = max_s
        self._clock = clock
        self._resting: OrderedDict[object, _Resting] = OrderedDict()
        """The longest unused first."""
        self._waiting: OrderedDict[object, _Resting] = OrderedDict()
        """In the middle of an execution; the longest waiting first."""
        self.held = 0
        """Bytes that those that rest or wait, and do not sleep yet, hold together."""
        self._timer: asyncio.TimerHandle | None = None
        self._sweeping: asyncio.Task[None] | None = None

    def rested(self, who: object, size: int, sleep: Callable[[], Awaitable[None]]) -> None:
        """Nothing runs in this session any longer; it holds so many bytes, and ``sleep`` gives them back."""
        if self._resting or self._waiting:
            self.used(who)
        if size >= SMALL:
            now = self._clock()
            self._resting[who] = _Resting(now, size, sleep, now)
            self._added(size)

    def waits(self, who: object, size: int, sleep: Callable[[], Awaitable[None]]) -> None:
        """This session waits in the middle of an execution; ``used`` when it goes on."""
        if size >= SMALL:
            now = self._clock()
            self._waiting[who] = _Resting(now, size, sleep, now + WAITED_S + size / WAITED_BYTES_A_S)
            self._added(size)

    def used(self, who: object) -> None:
        """It is used again, goes on, or is closed."""
        if not self._resting and not self._waiting:
            return
        resting = self._resting.pop(who, None) or self._waiting.pop(who, None)
        if resting is not None:
            self.held -= resting.size

    def close(self) -> None:
        """Look at nobody any longer. Idempotent."""
        self._resting.clear()
        self._waiting.clear()
        self.held = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sweeping is not None:
            self._sweeping.cancel()

    def _added(self, size: int) -> None:
        self.held += size
        # A timer that is set may come too late only where the bytes have just become too many.
        if self._timer is None or self.held > self._max_bytes or self._is_due():
            self._look()

    def _is_due(self) -> bool:
        found = self._next()
        return found is not None and found[2] <= self._clock()

    def _moment(self, one: _Resting) -> float:
        """When this one has to sleep, as things are."""
        aged = one.since + self._max_s
        return min(one.may_sleep, aged) if self.held > self._max_bytes else aged

    def _next(self) -> tuple[OrderedDict[object, _Resting], object, float] | None:
        """Who sleeps next, and when: of those that rest the longest unused, then of those that wait."""
        found = None
        for group in (self._resting, self._waiting):
            for who, one in group.items():
                moment = self._moment(one)
                if found is None or moment < found[2]:
                    found = group, who, moment
                if group is self._resting:  # the first is the one: all of them may sleep at once
                    break
            if found is not None and found[2] <= self._clock():
                break
        return found

    def _due(self) -> _Resting | None:
        """Whoever has to sleep now, where anybody has."""
        found = self._next()
        if found is None or found[2] > self._clock():
            return None
        group, who, _ = found
        resting = group.pop(who)
        self.held -= resting.size
        return resting

    def _look(self) -> None:
        """Put to sleep who has to, and come back when the next one's time has come."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sweeping is not None and not self._sweeping.done():
            return
        found = self._next()
        if found is None:
            return
        loop = asyncio.get_running_loop()
        left = found[2] - self._clock()
        if left <= 0:
            self._sweeping = loop.create_task(self._sweep())
        else:
            self._timer = loop.call_later(left, self._look)

    async def _sweep(self) -> None:
        while (resting := self._due()) is not None:
            await resting.sleep()
        self._sweeping = None
        self._look()
