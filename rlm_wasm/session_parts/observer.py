"""What people are told while an execution runs: output as it comes, how far it is, notes for a run log."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from rlm_wasm.execution import progress
from rlm_wasm.results import OnProgress, Progress
from rlm_wasm.runlog import events
from rlm_wasm.runlog.stream import Recorder, noted_fields
from rlm_wasm.sandbox.protocol import Counted, Logged, Output, Traced
from rlm_wasm.scope_log import ScopeLog

if TYPE_CHECKING:
    from rlm_wasm.execution.scheduler import Scheduler
    from rlm_wasm.llm.calls import LlmCalls

OnOutput = Callable[[str, str], None]
"""Called with "out" or "err" and each piece of text that the program prints, as it comes."""

_NO_ITEMS = (0, 0, 0)
_MAX_LAST_LINE = 200
"""Characters of the last line that a program printed, in a report of the progress."""


class Observer:
    """Takes what the guest says on its way, and hands it to whoever wants it."""

    __slots__ = ("_items", "_last_line", "_log", "_on_output", "_recorder", "_reporter")

    def __init__(self, recorder: Recorder, log: ScopeLog) -> None:
        self._recorder = recorder
        self._log = log
        self._reporter: progress.ProgressReporter | None = None
        self._on_output: OnOutput | None = None
        self._items = _NO_ITEMS
        """Of combinators, in the execution under way: announced, begun, done."""
        self._last_line = ""

    def begin(
        self,
        calls: LlmCalls,
        scheduler: Scheduler,
        on_progress: OnProgress | None,
        on_output: OnOutput | None,
    ) -> None:
        """An execution begins."""
        self._items = _NO_ITEMS
        self._last_line = ""
        self._on_output = on_output
        if on_progress is not None:
            self._reporter = progress.ProgressReporter(on_progress, partial(self._progress, calls, scheduler))

    def end(self) -> None:
        """It is over: the last report."""
        reporter, self._reporter, self._on_output = self._reporter, None, None
        if reporter is not None:  # forgotten first: where its callback ends the task, the next one has none
            reporter.close()

    def changed(self) -> None:
        """Something did that a report of the progress shows."""
        if self._reporter is not None:
            self._reporter.changed()

    def observe(self, message: Output | Logged | Traced | Counted) -> None:
        """Something that the guest said and wants no answer to."""
        recorder = self._recorder
        if not isinstance(message, Output):
            self._take_note(message)
            return
        if recorder.on:
            recorder.tell(events.OutputWritten, stream=message.stream, text=events.logged(message.text))
        if self._on_output is not None:
            progress.tell(self._on_output, message.stream, message.text)
        if self._reporter is None:
            return
        lines = message.text[-4 * _MAX_LAST_LINE :].rstrip("\n").rsplit("\n", 1)
        self._last_line = lines[-1][:_MAX_LAST_LINE] or self._last_line
        if message.stream == "err":
            self._reporter.stderr(message.text)
        else:
            self._reporter.changed()

    def _take_note(self, message: Logged | Traced | Counted) -> None:
        recorder = self._recorder
        if isinstance(message, Counted):
            self._items = message.items
            if recorder.on:
                announced, begun, done = message.items
                recorder.tell(events.ItemsCounted, announced=announced, begun=begun, done=done)
            self.changed()
        elif isinstance(message, Logged):
            self._log.add_from_guest(message.entry)
            if recorder.on:
                recorder.tell(events.Noted, **noted_fields(message.entry))
        elif recorder.on:
            recorder.take_facts(message.facts)

    def _progress(self, calls: LlmCalls, scheduler: Scheduler, stderr: str) -> Progress:
        used, execution = calls.budget.execution, scheduler.execution
        announced, begun, _ = self._items
        ahead = max(0, announced - begun) if used.calls else 0
        return Progress(
            done=used.done,
            running=len(calls.running),
            total=used.calls + ahead,
            ahead=ahead,
            models=calls.models(),
            tokens=used.tokens,
            cost_usd=used.known_cost,
            elapsed_s=0.0 if execution is None else execution.elapsed(),
            longest_s=calls.longest_s(),
            stderr=stderr,
            last_line=self._last_line,
        )
