"""What a program prints, as it comes, and how far it is, on standard error."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final, Self

from rlm_wasm.cli.terminal import echo, in_line, is_terminal, visible
from rlm_wasm.execution.progress import later, progress_line
from rlm_wasm.results import Progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.live import Live


_TICK_S = 0.1
_PLAIN_S = 1.0
"""Between two lines of progress, at the least."""
_SHOW_AFTER_S = 0.3
"""A program that is over sooner shows no progress: a flash of a line helps nobody."""


_PROVIDERS: Final = logging.getLogger("rlm_wasm.providers")
"""Where providers say that a server refuses, and how long they wait."""


class _Said(logging.Handler):
    """Lines of a log as words of ours."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        """Show one."""
        self._say(f"rlm-wasm: {record.getMessage()}\n")


class Display:
    """Shows reports, and what the program prints as it comes. Its own words go above the progress line.

    ``quiet`` shows no progress and no standard error of the program; ``plain``, as where standard error is
    no terminal, shows progress as lines, at most one a second. ``output``: whether standard output is shown.
    """

    def __init__(self, *, quiet: bool, plain: bool = False, output: bool = True) -> None:
        self._quiet = quiet
        self._shows_output = output
        self._live: Live | None = None
        self._plain = plain or not is_terminal(err=True)
        self._open_line = ""
        self._half_line = ""
        self._broken = False
        self._unread: Callable[[], None] = lambda: None
        self._at_start = True
        """Whether what the program printed ends with a whole line."""
        self._latest = Progress()
        self._received = 0.0
        self._shown = ""
        self._shown_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._waits = _Said(self._say)

    def __call__(self, progress: Progress) -> None:
        """Take one report. Reports come when something changes; the clock goes on between them."""
        self._latest, self._received = progress, time.monotonic()

    def when_nobody_reads(self, act: Callable[[], None]) -> None:
        """Call this once whoever read our output has gone: ``close`` then raises BrokenPipeError."""
        self._unread = act

    def output(self, stream: str, text: str) -> None:
        """What the program printed, as it came."""
        if self._broken:
            return
        try:
            self._output(stream, text)
        except BrokenPipeError:
            self._broken = True
            self._unread()

    def _output(self, stream: str, text: str) -> None:
        if stream == "err":
            if not self._quiet:
                self._say(text)
        elif self._shows_output:
            self._print(text)

    def _print(self, text: str) -> None:
        text, self._half_line = self._half_line + text, ""
        if self._live is not None and is_terminal(err=False):
            # Both are the same screen: the progress line goes away for whole lines, and comes back.
            whole, newline, self._half_line = text.rpartition("\n")
            if not newline:
                return
            text = whole + newline
            self._hide()
        echo(text, nl=False)
        self._at_start = text.endswith("\n")

    def _tick(self) -> None:
        latest, now = self._latest, time.monotonic()
        if latest.total and self._plain:
            line = progress_line(later(latest, now - self._received))
            changed = (latest.done, latest.running, latest.total)
            if str(changed) != self._shown and now - self._shown_at >= _PLAIN_S:
                self._shown, self._shown_at = str(changed), now
                echo(in_line(line), err=True)
        elif latest.total:
            self._show(progress_line(later(latest, now - self._received)))
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

    def _hide(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def close(self) -> None:
        """Take the line away, and end the line that the program left open.

        Raises BrokenPipeError where nobody reads.
        """
        if self._timer is not None:
            self._timer.cancel()
        self._hide()
        if self._broken:
            raise BrokenPipeError
        if self._open_line:
            echo(self._open_line, err=True)
            self._open_line = ""
        half, self._half_line = self._half_line, ""
        if half:
            echo(half, nl=False)
            self._at_start = False
        if not self._at_start:
            echo("")
            self._at_start = True

    def __enter__(self) -> Self:
        if not self._quiet:
            first = _PLAIN_S if self._plain else _SHOW_AFTER_S
            self._shown_at = time.monotonic()
            self._timer = asyncio.get_running_loop().call_later(first, self._tick)
            _PROVIDERS.addHandler(self._waits)
            _PROVIDERS.setLevel(logging.INFO)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _PROVIDERS.removeHandler(self._waits)
        self.close()
