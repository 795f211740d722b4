"""How far an execution is: reported to the embedder a few times a second, and as a line for people."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from rlm_wasm.results import OnProgress, Progress

REPORT_S = 0.05
"""Seconds between two reports at the least."""


class ProgressReporter:
    """Reports when something changed, and once at the end. ``measure`` says how things stand."""

    def __init__(self, callback: OnProgress, measure: Callable[[str], Progress]) -> None:
        self._callback = callback
        self._measure = measure
        self._reported = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._stderr: list[str] = []

    def stderr(self, text: str) -> None:
        """The program printed something on standard error."""
        self._stderr.append(text)
        self.changed()

    def changed(self) -> None:
        """Report soon."""
        if self._timer is not None:
            return
        wait = self._reported + REPORT_S - time.monotonic()
        if wait <= 0:
            self._report()
        else:
            self._timer = asyncio.get_running_loop().call_later(wait, self._report)

    def _report(self) -> None:
        self._timer = None
        self._reported = time.monotonic()
        stderr, self._stderr = "".join(self._stderr), []
        tell(self._callback, self._measure(stderr))

    def close(self) -> None:
        """The last report."""
        if self._timer is not None:
            self._timer.cancel()
        self._report()
        if self._timer is not None:  # by something that the callback did
            self._timer.cancel()


def tell(callback: Callable[..., Any], *news: Any) -> None:
    """Call the embedder back. What that raises is its own affair, and never the program's."""
    try:
        callback(*news)
    except Exception as error:
        context = {"message": "a callback of rlm_wasm failed", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)
