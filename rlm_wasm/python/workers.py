"""The threads that Python runs in, and whose turn it is: sessions that compute for long wait for no one else.

Every call has a thread of its own, up to MAX_THREADS, but only as many run at once as there are slots.
At each epoch tick a running call asks whether others wait, and lets one of them go on in its place.
One that has just come and one that goes on take turns, so a short call among any number of spinning
ones begins at the next tick, and a flood of short ones does not starve the others.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

MAX_THREADS = 256
"""Calls that are served at once in a process; more of them wait in order."""
POLL_S = 0.05
"""How soon a call that waits for its turn sees that it was stopped."""

SLOTS = max(2, os.cpu_count() or 1)
"""Calls that run at once."""


class Turns:
    """Who runs: at most ``slots`` calls at once. Thread-safe."""

    def __init__(self, slots: int) -> None:
        self._lock = threading.Lock()
        self._free = slots
        self._new: deque[threading.Event] = deque()
        self._again: deque[threading.Event] = deque()
        self._new_next = True

    @property
    def waiting(self) -> int:
        """Calls that wait for a turn."""
        return len(self._new) + len(self._again)

    def take(self, stopped: Callable[[], bool], *, again: bool = False) -> bool:
        """Wait for a turn; False where ``stopped()`` became true first: then there is none to end."""
        with self._lock:
            if self._free and not self.waiting:
                self._free -= 1
                return True
            queue = self._again if again else self._new
            mine = threading.Event()
            queue.append(mine)
        while not mine.wait(POLL_S):
            if not stopped():
                continue
            with self._lock:
                if mine.is_set():  # it came at the last moment
                    return True
                queue.remove(mine)
            return False
        return True

    def end(self) -> None:
        """The turn is over: the next begins."""
        with self._lock:
            first, second = (self._new, self._again) if self._new_next else (self._again, self._new)
            queue = first or second
            if not queue:
                self._free += 1
                return
            self._new_next = queue is self._again
            queue.popleft().set()


class Turn:
    """One call's place among the others: ``begin``, any number of ``pass_on``, ``end``."""

    def __init__(self, turns: Turns, stopped: Callable[[], bool]) -> None:
        self._turns = turns
        self._stopped = stopped
        self._mine = False

    def begin(self) -> bool:
        """Wait for the first turn; False where the call was stopped meanwhile."""
        self._mine = self._turns.take(self._stopped)
        return self._mine

    def pass_on(self) -> bool:
        """Let one that waits go first; False where the call was stopped meanwhile."""
        if self._turns.waiting:
            self.end()
            self._mine = self._turns.take(self._stopped, again=True)
        return self._mine

    def pause(self, wait: Callable[[], object]) -> None:
        """Do something that only waits, without the turn."""
        self.end()
        wait()
        self._mine = self._turns.take(self._stopped, again=True)

    def end(self) -> None:
        """Give the turn back. Idempotent."""
        if self._mine:
            self._mine = False
            self._turns.end()


class Workers:
    """The threads, made as they are needed, and the turns that their calls take. One a process."""

    def __init__(self, slots: int = SLOTS, threads: int = MAX_THREADS) -> None:
        self._slots, self._max_threads = slots, threads
        self.renew()

    def renew(self) -> None:
        """In a forked child: the threads did not come along, nor what ran in them."""
        self.threads = ThreadPoolExecutor(self._max_threads, thread_name_prefix="rlm-wasm-python")
        self.turns = Turns(self._slots)


shared = Workers()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=shared.renew)
