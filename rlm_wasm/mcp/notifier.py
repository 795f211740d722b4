"""Tells the client how far an execution is, while it runs: progress, log lines, a timeout's approach.

Everything is sent by one task, in order, at most as fast as the client takes it: what changed
meanwhile is sent as one. Nothing is sent after ``aclose``, so nothing can follow the answer. Of what the
program says a bounded part is sent on and logged, and less waits for a client that does not read; a line
says how many were left out.
"""

from __future__ import annotations

import asyncio
import logging
import time
import warnings
from typing import TYPE_CHECKING

from mcp.shared.exceptions import MCPDeprecationWarning

from rlm_wasm.execution.progress import later, progress_line
from rlm_wasm.mcp.bounds import ServerBounds
from rlm_wasm.results import Progress

if TYPE_CHECKING:
    from mcp.server.session import ServerSession
    from mcp_types import LoggingLevel

log = logging.getLogger("rlm_wasm.mcp")
program_log = logging.getLogger("rlm_wasm.mcp.program")

BEAT_S = 2.0
WARN_AT = 0.8
LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")


class ProgressNotifier:
    """One execution's news for the client that asked for it."""

    def __init__(
        self,
        client: ServerSession,
        request_id: str | int | None,
        timeout_s: float,
        level: str,
        bounds: ServerBounds = ServerBounds(),  # noqa: B008  # frozen
    ) -> None:
        self._client = client
        self._request_id = request_id
        self._timeout_s = timeout_s
        self._min_level = LEVELS.index(level)
        self._loop = asyncio.get_running_loop()
        self._progress = Progress()
        self._at = time.monotonic()
        self._shape: tuple[int, int, int, str] = (0, 0, 0, "")
        self._bounds = bounds
        self._lines_left = bounds.log_lines
        self._bytes_left = bounds.log_bytes
        self._dropped = 0
        self._open_end = False
        self._unsent = 0
        self._line = ""
        self._lines: list[tuple[LoggingLevel, str]] = []
        self._note = ""
        self._sent = 0.0
        self._beats = 0
        self._due = False
        self._closed = False
        self._task: asyncio.Task[None] | None = None
        self._timers: list[asyncio.TimerHandle] = []

    def start(self) -> None:
        """The execution's turn has come."""
        self._at = time.monotonic()
        self._timers = [
            self._loop.call_later(BEAT_S, self._beat),
            self._loop.call_later(WARN_AT * self._timeout_s, self._warn),
        ]

    def progress(self, progress: Progress) -> None:
        """For ``Session.execute(on_progress=…)``."""
        self._progress, self._at = progress, time.monotonic()
        self._stderr(progress.stderr)
        shape = (progress.done, progress.running, progress.total, progress.last_line)
        if shape != self._shape:
            self._shape = shape
            self._poke()

    def _stderr(self, text: str) -> None:
        """What the program prints on standard error: whole lines are sent on at once."""
        at = 0
        while self._lines_left and self._bytes_left > 0:
            end = text.find("\n", at)
            piece = text[at : len(text) if end < 0 else end][: self._bytes_left]
            self._bytes_left -= len(piece.encode("utf-8", "replace"))
            self._line += piece
            if end < 0:
                return
            self._end_line()
            at = end + 1
        # One that has begun is sent as far as it came; what is beyond is only counted.
        self._dropped += text.count("\n", at)
        self._open_end = not text.endswith("\n")

    def _end_line(self) -> None:
        line, self._line = self._line, ""
        self._lines_left -= 1
        self._log("info", line)

    def warning(self, message: str) -> None:
        """A message of the server's own, sent on at once."""
        self._log("warning", message)

    def _log(self, level: LoggingLevel, line: str) -> None:
        (program_log.warning if level == "warning" else program_log.info)("%s", line)
        if LEVELS.index(level) >= self._min_level:
            if len(self._lines) < self._bounds.unsent_lines:
                self._lines.append((level, line))
            else:
                self._unsent += 1
            self._poke()

    def _beat(self) -> None:
        self._timers[0] = self._loop.call_later(BEAT_S, self._beat)
        self._poke()

    def _warn(self) -> None:
        used = WARN_AT * self._timeout_s
        self._note = f"timeout warning: {used:.3g} of {self._timeout_s:.3g} s used"
        self.warning(self._note)

    def _poke(self) -> None:
        self._due = True
        if not self._closed and (self._task is None or self._task.done()):
            self._task = self._loop.create_task(self._send())

    async def _send(self) -> None:
        while self._due:
            self._due = False
            lines, self._lines = self._lines, []
            unsent, self._unsent = self._unsent, 0
            for level, line in lines:
                await self._send_line(level, line)
            if unsent:
                await self._send_line("warning", f"[{unsent:,} lines left out: the client read too slowly]")
            await self._send_progress()

    async def _send_line(self, level: LoggingLevel, line: str) -> None:
        with warnings.catch_warnings():
            # Clients of the handshake era have no other way to see a program's words.
            warnings.simplefilter("ignore", MCPDeprecationWarning)
            await self._client.send_log_message(level, line, "program", related_request_id=self._request_id)

    async def _send_progress(self) -> None:
        progress = self._progress
        # The protocol wants a larger value each time, also where no further call has ended.
        if progress.done > self._sent:
            self._sent, self._beats = float(progress.done), 0
        else:
            self._beats += 1
            self._sent = progress.done + self._beats / (self._beats + 1)
        total = float(progress.total) if progress.total >= self._sent else None
        message = progress_line(later(progress, time.monotonic() - self._at))
        if progress.last_line:
            message = f"{message} — last line: {progress.last_line}"
        if self._note:
            message = f"{message} — {self._note}"
        await self._client.report_progress(self._sent, total, message)

    async def aclose(self) -> None:
        """Send what is left; from now on nothing is sent."""
        self._stop_timers()
        if self._line:
            self._end_line()
        dropped = self._dropped + self._open_end
        if dropped:
            more = "1 more line was" if dropped == 1 else f"{dropped:,} more lines were"
            self.warning(f"[{more} left out: stderr of the answer has what output_bytes allows]")
        self._closed = True
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    def abandon(self) -> None:
        """The client does not want to know any more."""
        self._stop_timers()
        self._closed = True
        if self._task is not None:
            self._task.cancel()

    def _stop_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
