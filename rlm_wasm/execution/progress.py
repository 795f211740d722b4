"""How far an execution is: reported to the embedder a few times a second, and as a line for people."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from rlm_wasm.lazy_dataclass import replace
from rlm_wasm.results import (
    CallEnded,
    CallStarted,
    OnProgress,
    Output,
    Progress,
    Result,
    money,
    seconds,
)
from rlm_wasm.runlog import events

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


StreamEvent = Output | CallStarted | CallEnded | Progress | Result
"""What ``Session.stream`` gives."""

_SHOWN_TEXT = 2_000


class StreamedEvents:
    """What happened and was not read yet. It is bounded by what the execution may print and ask for."""

    def __init__(self) -> None:
        self._events: deque[StreamEvent] = deque()
        self._changed = asyncio.Event()
        self._over = False

    def _add(self, event: StreamEvent) -> None:
        last = self._events[-1] if self._events else None
        if isinstance(event, Progress) and isinstance(last, Progress):
            event = replace(event, stderr=last.stderr + event.stderr)
            self._events.pop()
        elif isinstance(event, Output) and isinstance(last, Output) and event.stream == last.stream:
            event = replace(event, text=last.text + event.text)
            self._events.pop()
        self._events.append(event)
        self._changed.set()

    def output(self, stream: str, text: str) -> None:
        """For ``on_output``."""
        self._add(Output(stream=stream, text=text))

    def progress(self, progress: Progress) -> None:
        """For ``on_progress``."""
        self._add(progress)

    def take(self, record: events.Record) -> None:
        """For the stream of records: of these, those of calls."""
        if isinstance(record, events.CallQueued):
            self._add(
                CallStarted(
                    call_id=record.call,
                    op=record.op,
                    model=record.model,
                    instruction=record.instruction.text[:_SHOWN_TEXT],
                    data=record.data.text[:_SHOWN_TEXT],
                    line=record.line,
                    fiber=record.fiber,
                )
            )
        elif isinstance(record, events.CallEnded):
            self._add(
                CallEnded(
                    call_id=record.call,
                    status=record.status,
                    model=record.model,
                    text="" if record.answer is None else record.answer.text[:_SHOWN_TEXT],
                    prompt_tokens=record.prompt_tokens,
                    completion_tokens=record.completion_tokens,
                    cost_usd=record.cost_usd,
                    cached=record.cached,
                    error=record.error,
                )
            )

    def end(self, _task: object) -> None:
        """Nothing more comes."""
        self._over = True
        self._changed.set()

    async def next(self) -> StreamEvent | None:
        """The next one, when it is there; None after the last."""
        while not self._events:
            if self._over:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._events.popleft()


_SHOWN_FROM_S = 1.0
"""An elapsed time below this says nothing."""


def progress_line(progress: Progress) -> str:
    """A line such as ``3/7 done — 2 active: gpt-4.1-nano×2 (longest: 45s) — 5,000 tokens, $0.0012, 61.0 s``.

    Before the first call it is ``running — 5 s``. What is not known yet, or zero, is left out.
    """
    if not progress.total:
        return f"running — {progress.elapsed_s:.0f} s"
    parts = [f"{progress.done:,}/{progress.total:,} done"]
    if progress.running:
        models = ", ".join(
            f"{name or 'default'}×{count:,}" for name, count in sorted(progress.models.items())
        )
        parts.append(f"{progress.running:,} active: {models} (longest: {progress.longest_s:.0f}s)")
    left = progress.left_s
    if progress.ahead and left is not None and left >= _SHOWN_FROM_S:
        parts.append(f"{progress.share or 0.0:.0%}, about {seconds(left)} left")
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
