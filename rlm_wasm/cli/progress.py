"""Live progress on standard error while a program runs, where that is a terminal."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Self

from rlm_wasm.cli.terminal import echo, in_line, is_terminal, visible
from rlm_wasm.execution.progress import later, progress_line
from rlm_wasm.results import Progress

if TYPE_CHECKING:
    from types import TracebackType

    from rich.live import Live


_TICK_S = 0.1
_SHOW_AFTER_S = 0.3
"""A program that is over sooner shows no progress: a flash of a line helps nobody."""


class Display:
    """Shows reports. What the program says by eprintf goes above the progress line.

    ``quiet`` shows nothing at all; without a terminal only the program's own words are shown.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._live: Live | None = None
        self._terminal = not quiet and is_terminal(err=True)
        self._open_line = ""
        self._latest = Progress()
        self._received = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self, progress: Progress) -> None:
        """Take one report. Reports come when something changes; the clock goes on between them."""
        if progress.stderr and not self._quiet:
            self._say(progress.stderr)
        self._latest, self._received = progress, time.monotonic()

    def _tick(self) -> None:
        latest = self._latest
        if latest.total:
            self._show(progress_line(later(latest, time.monotonic() - self._received)))
        self._timer = asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def _say(self, text: str) -> None:
        if self._live is None:
            echo(text, err=True, nl=False)
            return
        # A live line may only be pushed down by whole lines.
        *lines, self._open_line = (self._open_line + text).split("\n")
        for line in lines:
            self._live.console.print(visible(line), markup=False, highlight=False)

    def _show(self, line: str) -> None:
        if self._live is None:
            from rich.console import Console
            from rich.live import Live

            console = Console(stderr=True)
            self._live = Live(console=console, transient=True, auto_refresh=False, redirect_stdout=False)
            self._live.start()
        from rich.text import Text

        self._live.update(Text(in_line(line), style="dim", no_wrap=True, overflow="ellipsis"), refresh=True)

    def close(self) -> None:
        """Take the line away."""
        if self._timer is not None:
            self._timer.cancel()
        live, self._live = self._live, None
        if live is not None:
            live.stop()
        if self._open_line:
            echo(self._open_line, err=True)
            self._open_line = ""

    def __enter__(self) -> Self:
        if self._terminal:
            self._timer = asyncio.get_running_loop().call_later(_SHOW_AFTER_S, self._tick)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
