"""What must not be in the middle of something when the process is forked, and what a child makes anew.

In a child there are no other threads. What one of them held, half made or half written, stays so: a module
that nobody will finish, a lock of a database's library that nobody will give back.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

FORK_WAITS_S: Final = 10.0
"""How long a fork waits at the most."""


class _Threads:
    """Which of them are in the middle of something, how often."""

    def __init__(self, busy: dict[int, int]) -> None:
        self.busy = busy
        self.changed = threading.Condition()

    def others(self) -> bool:
        """Whether there is another than this one."""
        return bool(self.busy.keys() - {threading.get_ident()})


_threads = _Threads({})


@contextmanager
def undivided() -> Iterator[None]:
    """A fork by another thread comes before the body or after it."""
    me, threads = threading.get_ident(), _threads
    with threads.changed:
        threads.busy[me] = threads.busy.get(me, 0) + 1
    try:
        yield
    finally:
        if threads is not _threads:  # this very thread has forked in it, and is in the child
            threads = _threads
        with threads.changed:
            left = threads.busy[me] - 1
            if left:
                threads.busy[me] = left
            else:
                del threads.busy[me]
                threads.changed.notify_all()


class Renewable(Protocol):
    """What holds threads or locks, which a child does not have."""

    def renew(self) -> None:
        """Make them anew."""
        ...


_renewables: weakref.WeakSet[Renewable] = weakref.WeakSet()


def renewed_in_child(what: Renewable) -> None:
    """As long as it lives it is renewed in every child."""
    _renewables.add(what)


def _before() -> None:
    _threads.changed.acquire()
    _threads.changed.wait_for(lambda: not _threads.others(), FORK_WAITS_S)


def _in_parent() -> None:
    _threads.changed.release()


def _in_child() -> None:
    global _threads
    me = threading.get_ident()
    _threads = _Threads({me: _threads.busy[me]} if me in _threads.busy else {})
    for what in list(_renewables):
        what.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
