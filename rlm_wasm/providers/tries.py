"""The tries that one call takes, told to whoever asked for the call.

Retries are a provider's own affair, and a run log shows them all the same. A provider that retries says
when it asks a server and when the answer begins; without a listener that costs a look at a context variable.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

Listener = Callable[[int, int | None], None]
"""Told the number of a try, from 1, and the HTTP status of its answer; None: there was none."""


class Tries:
    """Those of one call."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._count = 0
        self._open = False

    @property
    def count(self) -> int:
        """Those that have begun."""
        return self._count

    def begins(self) -> None:
        """A server is asked. A try before that had no answer by now has failed without one."""
        self.close()
        self._count += 1
        self._open = True

    def answered(self, status: int) -> None:
        """The answer begins."""
        self._count = max(self._count, 1)
        self._open = False
        self._listener(self._count, status)

    def close(self) -> None:
        """The call is over."""
        if self._open:
            self._open = False
            self._listener(self._count, None)


_current: ContextVar[Tries | None] = ContextVar("rlm_wasm_tries", default=None)


@contextlib.contextmanager
def told_to(listener: Listener) -> Iterator[None]:
    """Within it, tries are told to ``listener``."""
    tries = Tries(listener)
    token = _current.set(tries)
    try:
        yield
    finally:
        tries.close()
        _current.reset(token)


def count() -> int:
    """Of the call under way, those that have begun; 0 where nobody listens."""
    tries = _current.get()
    return 0 if tries is None else tries.count


def begins() -> None:
    """For providers: a server is asked."""
    tries = _current.get()
    if tries is not None:
        tries.begins()


def answered(status: int) -> None:
    """For providers: its answer begins, with this HTTP status."""
    tries = _current.get()
    if tries is not None:
        tries.answered(status)
