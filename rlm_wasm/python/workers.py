"""The threads that Python runs in, and whose turn it is: sessions that compute for long wait for no one else.

Every call has a thread of its own, up to MAX_THREADS, but only as many run at once as there are slots.
At each epoch tick a running call asks whether others wait, and lets one of them go on in its place.
One that has just come and one that goes on take turns, so a short call among any number of spinning
ones begins at the next tick, and a flood of short ones does not starve the others.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")

MAX_THREADS = 256
"""Calls that are served at once in a process; more of them wait in order."""
LEAVE_S = 5.0
"""How long the end of the process waits for the calls that run then, which are stopped."""
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


class Job(Generic[T]):
    """Work in a thread. Whoever gave it can wait for it in two ways: here and now, or on an event loop.

    A hop to a thread and back through an executor and the event loop's selector takes 150 µs, and a short
    evaluation less than that; ``wait`` takes 20.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._done = threading.Lock()
        self._done.acquire()
        self._then: list[tuple[asyncio.AbstractEventLoop, Callable[[], None]]] = []
        self._result: T | None = None
        self._error: BaseException | None = None
        self.over = False
        self.seconds = 0.0
        """That the work took."""

    def _run(self) -> None:
        began = time.monotonic()
        try:
            self._result = self._work()
        except BaseException as error:
            self._error = error
        self.seconds = time.monotonic() - began

    def _end(self) -> None:
        with self._lock:
            self.over = True
        self._done.release()
        for loop, then in self._then:
            try:
                loop.call_soon_threadsafe(then)
            except RuntimeError:  # that loop is closed: nobody waits there
                pass

    def wait(self, seconds: float) -> bool:
        """Wait in this thread, for so long at the most. Whether the work is over."""
        if not self.over and self._done.acquire(timeout=seconds):
            self._done.release()
        return self.over

    def then(self, act: Callable[[], None]) -> None:
        """Call this on the running event loop when the work is over, soon where it is already."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if not self.over:
                self._then.append((loop, act))
                return
        loop.call_soon(act)

    async def ended(self, stop: Callable[[], None] = lambda: None) -> None:
        """Wait on the event loop, also where this is cancelled: that calls ``stop``, and is raised after it.

        For a thread cannot be left: whatever it works on is its own for as long as it works.
        """
        cancelled: asyncio.CancelledError | None = None
        while not self.over:
            waiter = asyncio.get_running_loop().create_future()
            self.then(lambda waiter=waiter: None if waiter.done() else waiter.set_result(None))  # type: ignore[misc]
            try:
                await waiter
            except asyncio.CancelledError as error:
                cancelled = error
                stop()
        if cancelled is not None:
            raise cancelled

    def result(self) -> T:
        """What the work gave, or raises what it raised. Only where it is over."""
        error, self._error = self._error, None
        if error is not None:
            raise error
        return self._result  # type: ignore[return-value]


class Running(Generic[T]):
    """Something to await. ``stop`` is called where that is closed, which may be before it was begun."""

    __slots__ = ("_coroutine", "_stop")

    def __init__(self, coroutine: Coroutine[Any, Any, T], stop: Callable[[], None] | None = None) -> None:
        self._coroutine = coroutine
        self._stop = stop

    def __await__(self) -> Generator[Any, None, T]:
        return self._coroutine.__await__()

    def close(self) -> None:
        """Nobody wants it. Idempotent, and harmless where it is over."""
        if self._stop is not None:
            self._stop()
        self._coroutine.close()


class _Thread(threading.Thread):
    """Does one job after the other; between them it waits to be given one."""

    def __init__(self, workers: Workers, job: Job[Any]) -> None:
        super().__init__(name="rlm-wasm-python", daemon=True)
        self._workers = workers
        self._job: Job[Any] | None = job
        self._given = threading.Lock()
        self._given.acquire()

    def give(self, job: Job[Any] | None) -> None:
        """The next job; None: there will be no more."""
        self._job = job
        self._given.release()

    def run(self) -> None:
        """The thread's life."""
        while (job := self._job) is not None:
            self._job = None
            job._run()
            free = self._workers._next_for(self)
            job._end()
            del job
            if free:
                self._given.acquire()


class Workers:
    """The threads, made as they are needed, and the turns that their calls take. One a process."""

    def __init__(self, slots: int = SLOTS, threads: int = MAX_THREADS) -> None:
        self._slots, self._max_threads = slots, threads
        self.renew()

    def renew(self) -> None:
        """In a forked child: the threads did not come along, nor what ran in them."""
        self.turns = Turns(self._slots)
        self.leaving = False
        """The process ends: whatever runs is to stop."""
        self._lock = threading.Lock()
        self._threads: list[_Thread] = []
        self._free: list[_Thread] = []
        self._waiting: deque[Job[Any]] = deque()

    def submit(self, work: Callable[[], T]) -> Job[T]:
        """Have this done in a thread."""
        job = Job(work)
        with self._lock:
            if self._free:
                self._free.pop().give(job)
            elif len(self._threads) < self._max_threads:
                thread = _Thread(self, job)
                thread.start()
                self._threads.append(thread)
            else:
                self._waiting.append(job)
        return job

    async def run(self, work: Callable[[], T]) -> T:
        """The same, and wait for it: to its end, also where the waiting is cancelled."""
        job = self.submit(work)
        await job.ended()
        return job.result()

    def _next_for(self, thread: _Thread) -> bool:
        """A thread has done its job: the next one. Whether there is none, and it has to wait."""
        with self._lock:
            if self.leaving:
                return False
            if self._waiting:
                thread._job = self._waiting.popleft()
                return False
            self._free.append(thread)
            return True

    def leave(self) -> None:
        """The process ends. What runs in WebAssembly then must not outlive the interpreter."""
        with self._lock:
            self.leaving = True
            self._waiting.clear()
            free, self._free = self._free, []
        for thread in free:
            thread.give(None)
        until = time.monotonic() + LEAVE_S
        for thread in self._threads:
            thread.join(max(until - time.monotonic(), 0.0))


shared = Workers()


def _leave() -> None:
    shared.leave()


atexit.register(_leave)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=shared.renew)
