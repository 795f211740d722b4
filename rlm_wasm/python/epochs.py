"""The epoch ticker: while Python runs in an engine, its epoch moves, so that deadlines in wasm are seen.

The core ends its slices by itself and needs none. One thread an engine. It parks itself when nothing
runs, and a process that was forked makes its own: threads do not survive a fork, and without a ticker no
deadline would ever be met there.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from rlm_wasm.forking import renewed_in_child

TICK_S = 0.05
"""How often the epoch moves while something runs."""


class EpochTicker:
    """Calls ``increment`` every TICK_S while something runs: ``with running()``. Thread-safe."""

    def __init__(self, increment: Callable[[], None], *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._increment = increment
        self._sleep = sleep
        self._lock = threading.Lock()
        self._running = 0
        self._forget_thread()
        renewed_in_child(self)

    def _forget_thread(self) -> None:
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None
        self.parked = True

    def renew(self) -> None:
        """In a forked child: the thread, and whatever ran in other threads, are gone."""
        self._lock = threading.Lock()
        self._running = 0
        self._forget_thread()

    def _wake(self) -> None:
        with self._lock:
            self.parked = False
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._tick, name="rlm-wasm epochs", daemon=True)
                self._thread.start()
            # Set last: where the thread is about to park, it finds this and goes round again.
            self._wanted.set()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The epoch moves in the body."""
        with self._lock:
            self._running += 1
        if self.parked:
            self._wake()
        try:
            yield
        finally:
            with self._lock:
                self._running = max(self._running - 1, 0)  # a fork in the body has set it to none

    def _tick(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            while True:
                while self._running:
                    self._sleep(TICK_S)
                    self._increment()
                self.parked = True
                # Whoever began before that line saw no need to wake anybody: look once more.
                if not self._running:
                    break
                self.parked = False
