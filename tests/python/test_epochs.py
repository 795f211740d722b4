"""The epoch ticker moves while something runs, parks when nothing does, and is renewed after a fork."""

from __future__ import annotations

import threading
import time

from rlm_wasm.python.epochs import EpochTicker


class Clockwork:
    """A ticker whose sleep is let go by the test, tick by tick."""

    def __init__(self) -> None:
        self.ticks = 0
        self._go = threading.Semaphore(0)
        self._asleep = threading.Semaphore(0)
        self.ticker = EpochTicker(self._count, sleep=self._sleep)

    def _count(self) -> None:
        self.ticks += 1

    def _sleep(self, _seconds: float) -> None:
        self._asleep.release()
        self._go.acquire()

    def until_asleep(self) -> None:
        """Until the thread is between two ticks."""
        assert self._asleep.acquire(timeout=30)

    def tick(self) -> None:
        """One tick goes by."""
        self._go.release()


def _until_parked(ticker: EpochTicker) -> None:
    for _ in range(100_000):
        if ticker.parked:
            return
        time.sleep(0)
    raise AssertionError("the ticker does not park")


def test_the_epoch_moves_only_while_something_runs() -> None:
    """By as many ticks as go by, and not one when nothing runs."""
    clock = Clockwork()
    with clock.ticker.running(), clock.ticker.running():
        for _ in range(3):
            clock.until_asleep()
            clock.tick()
        clock.until_asleep()
    clock.tick()
    _until_parked(clock.ticker)
    assert clock.ticks == 4


def test_a_renewed_ticker_makes_a_thread_of_its_own() -> None:
    """As in a forked child, which has no other."""
    clock = Clockwork()
    with clock.ticker.running():
        clock.until_asleep()
        clock.ticker.renew()
        assert clock.ticker.parked
        with clock.ticker.running():
            clock.until_asleep()  # the second thread
        clock.tick()
        clock.tick()
    _until_parked(clock.ticker)
    with clock.ticker.running():  # ending what ran before the renewal has not confused the count
        clock.until_asleep()
        assert not clock.ticker.parked
    clock.tick()
