"""How far an execution is: reported to the embedder a few times a second, and as a line for people."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rlm_wasm.results import OnProgress, Progress, money, seconds

REPORT_S = 0.05
"""Seconds between two reports at the least."""

MAX_STDERR = 64 << 10
"""Characters of standard error in one report: a flood is cut, and says so."""


class ProgressReporter:
    """Reports when something changed, and once at the end. ``measure`` says how things stand."""

    def __init__(self, callback: OnProgress, measure: Callable[[str], Progress]) -> None:
        self._callback = callback
        self._measure = measure
        self._reported = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._stderr: list[str] = []
        self._stderr_room = MAX_STDERR

    def stderr(self, text: str) -> None:
        """The program printed something on standard error."""
        if self._stderr_room > 0:
            self._stderr.append(text[: self._stderr_room])
            self._stderr_room -= len(text)
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
        if self._stderr_room < 0:
            stderr += f"\n… [cut: {-self._stderr_room:,} more characters]\n"
        self._stderr_room = MAX_STDERR
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


_SHOWN_FROM_S = 1.0
"""An elapsed time below this says nothing."""


def progress_line(progress: Progress) -> str:
    """A line such as ``3/7 done — 2 active: gpt-4.1-nano×2 (longest: 45 s) — 5,000 tokens, $0.0012, 61.0 s``.

    Before the first call it is ``running — 5 s``. What is not known yet, or zero, is left out.
    """
    if not progress.total:
        return f"running — {progress.elapsed_s:.0f} s"
    parts = [f"{progress.done:,}/{progress.total:,} done"]
    if progress.running:
        models = ", ".join(
            f"{name or 'default'}×{count:,}" for name, count in sorted(progress.models.items())
        )
        parts.append(f"{progress.running:,} active: {models} (longest: {progress.longest_s:.0f} s)")
    used = [
        f"{progress.tokens:,} tokens" if progress.tokens else "",
        money(progress.cost_usd) if progress.tokens else "",
        seconds(progress.elapsed_s) if progress.elapsed_s >= _SHOWN_FROM_S else "",
    ]
    if any(used):
        parts.append(", ".join(part for part in used if part))
    return " — ".join(parts)


def later(progress: Progress, waited_s: float) -> Progress:
    """The report as it reads ``waited_s`` seconds after it was made: its clocks go on."""
    return replace(
        progress,
        elapsed_s=progress.elapsed_s + waited_s,
        longest_s=progress.longest_s + waited_s if progress.running else progress.longest_s,
    )
