"""How long one session may keep the event loop: the one owner of that rule.

Work that takes time in proportion to what a guest sent or asked for is written as a generator that
yields between short parts; here it is run with a turn of the event loop every few milliseconds.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")

TURN_S = 0.005
"""Seconds that one session may keep the event loop before the others have a turn."""

PART_S = 0.001
"""The same for what nobody waits for."""


class InTurns:
    """Work that did not fit into one turn. Awaitable; HostRequests does one at a time, in its order."""

    __slots__ = ("work",)

    def __init__(self, work: Generator[Any, None, Any]) -> None:
        self.work = work

    def __await__(self) -> Generator[Any, None, Any]:
        return in_turns(self.work).__await__()


class Alone:
    """Work that waits, and that no other request of the session is served beside: its reply may be large."""

    __slots__ = ("work",)

    def __init__(self, work: Coroutine[Any, Any, Any]) -> None:
        self.work = work

    def __await__(self) -> Generator[Any, None, Any]:
        return self.work.__await__()


class Share:
    """What several that work beside each other may take of one turn of an event loop: together TURN_S.

    A session may have hundreds of answers that are decoded, counted or encoded beside each other, and dozens
    of children: were each of them given TURN_S, a turn of the loop would take as many times that.

    Whoever works waits for ``begin``, works for about as long as is ``left``, and says what it took by
    ``spend``, whatever became of it.
    """

    def __init__(self) -> None:
        self._spent = 0.0
        self._renewing_in: asyncio.AbstractEventLoop | None = None
        self._waiting: collections.deque[asyncio.Future[None]] = collections.deque()

    @property
    def left(self) -> float:
        """Seconds of this turn."""
        return TURN_S - self._spent

    @property
    def is_free(self) -> bool:
        """Whether there is something of this turn, and nobody waits whose place one would take."""
        return not self._waiting and self.left > 0

    async def begin(self) -> None:
        """Wait for a share, where there is none now."""
        if not self.is_free:
            await self.one_more()

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """The body, which does not wait, is done within a share."""
        await self.begin()
        began = time.monotonic()
        try:
            yield
        finally:
            self.spend(time.monotonic() - began)

    def spend(self, seconds: float) -> None:
        """So much was taken."""
        self._spent += seconds
        if self._spent >= TURN_S:
            self._renew_soon()
        else:
            self._next()

    async def one_more(self) -> None:
        """Wait for a share of a later turn, behind those who wait already."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self._renew_soon()
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                self._next()
            raise

    def _renew_soon(self) -> None:
        loop = asyncio.get_running_loop()
        if self._renewing_in is not loop:  # one that was closed meanwhile does not come to it any more
            self._renewing_in = loop
            loop.call_soon(self._renew)

    def _renew(self) -> None:
        self._renewing_in = None
        self._spent = 0.0
        self._next()
        if self._waiting:  # whoever has a share now may be cancelled before it says what it took
            self._renew_soon()

    def _next(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


_shares: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Share] = weakref.WeakKeyDictionary()


def _share_of(loop: asyncio.AbstractEventLoop) -> Share:
    share = _shares.get(loop)
    if share is None:
        share = _shares[loop] = Share()
    return share


async def in_turns(work: Generator[Any, None, Any]) -> Any:
    """The generator's result; the others have a turn every TURN_S, however many do such work."""
    share = _share_of(asyncio.get_running_loop())
    await share.begin()
    while True:
        begun = time.monotonic()
        until = begun + share.left
        try:
            next(work)  # at least one, however late it is
            while time.monotonic() < until:
                next(work)
        except StopIteration as stop:
            return stop.value
        finally:
            share.spend(time.monotonic() - begun)
        try:
            await share.one_more()
        except BaseException:
            work.close()  # now, and not when somebody lets go of it: it may hold something
            raise


async def to_the_end(work: Awaitable[T]) -> T:
    """What ``work`` gives; where this is cancelled meanwhile, that is raised when the work has ended."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def beside_the_rest(work: Generator[Any, None, Any]) -> None:
    """Do work that nobody waits for, a part in each turn of the event loop; without a loop, at once."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        collections.deque(work, maxlen=0)
        return

    def go_on() -> None:
        until = time.monotonic() + PART_S
        for _ in work:
            if time.monotonic() >= until:
                loop.call_soon(go_on)
                return

    loop.call_soon(go_on)


def at_once_or_in_turns(work: Generator[Any, None, Any]) -> Any:
    """The result of work that fits into one turn, else the rest of it as InTurns."""
    until = time.monotonic() + TURN_S
    try:
        next(work)
        while time.monotonic() < until:
            next(work)
    except StopIteration as stop:
        return stop.value
    return InTurns(work)
