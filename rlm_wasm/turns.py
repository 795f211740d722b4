"""How long one session may keep the event loop: the one owner of that rule.

Work that takes time in proportion to what a guest sent or asked for is written as a generator that
yields between short parts; here it is run with a turn of the event loop every few milliseconds.
"""

from __future__ import annotations

import asyncio
import collections
import time
from collections.abc import Coroutine, Generator
from typing import Any

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


async def in_turns(work: Generator[Any, None, Any]) -> Any:
    """The generator's result; the others have a turn every TURN_S."""
    until = time.monotonic() + TURN_S
    while True:
        try:
            next(work)  # at least one, however late it is
            while time.monotonic() < until:
                next(work)
        except StopIteration as stop:
            return stop.value
        await asyncio.sleep(0)
        until = time.monotonic() + TURN_S


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
