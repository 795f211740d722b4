"""What ``run`` keeps of a run beside its result: a log, a report, a trace on standard error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import click

from rlm_wasm.cli.report import note
from rlm_wasm.cli.terminal import echo, in_line
from rlm_wasm.results import money
from rlm_wasm.runlog import events
from rlm_wasm.runlog.rendering import duration, one_line

if TYPE_CHECKING:
    from types import TracebackType

    from rlm_wasm.cli.options import RuntimeOptions

MAX_BYTES: Final = 256 << 20
"""Bytes of the records that a report shows."""


class Accounts:
    """The readers that a run's options ask for. The report is written at the end, however that comes about.

    Raises click.UsageError where a report could not be written, or only over the log, before anything runs.
    """

    def __init__(self, log: str | None, report: str | None, options: RuntimeOptions, *, trace: bool) -> None:
        readers: list[Any] = []
        if log is not None:
            readers.append(options.opened_store() if log == "store" else log)
        self._report = None if report is None else Path(report)
        self._records: list[events.Record] = []
        self._left = MAX_BYTES
        self._left_out = 0
        if self._report is not None:
            if log is not None and Path(log).absolute() == self._report.absolute():
                raise click.UsageError(f"--log and --report name one file, {report}: name two")
            try:
                self._report.touch(mode=0o600)  # prompts and answers stand in it
                self._report.open("a").close()
            except OSError as error:
                raise click.UsageError(f"cannot write {report}: {error.strerror or error}") from None
            readers.append(self._keep)
        if trace:
            readers.append(Trace())
        self.readers = tuple(readers)

    def _keep(self, record: events.Record) -> None:
        if self._left >= 0 or isinstance(record, events.RunEnded):
            self._left -= events.size_of(record)
            self._records.append(record)
        else:
            self._left_out += 1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._report is None:
            return
        from rlm_wasm.viewer.page import report

        left_out = [f"{self._left_out:,} more records are left out"] if self._left_out else []
        try:
            self._report.write_text(report(self._records, left_out), encoding="utf-8")
        except OSError as caught:
            note(f"cannot write {self._report}: {caught.strerror or caught}")


class Trace:
    """Says on standard error what calls and fibers do, a line each."""

    def __init__(self) -> None:
        self._began = 0.0
        self._sent: dict[int, float] = {}

    def __call__(self, record: events.Record) -> None:
        """Take one record."""
        if isinstance(record, events.RunStarted):
            self._began = record.at
        said = self._said(record)
        if said:
            child = f"child {record.execution}: " if record.execution else ""
            line = in_line(f"{max(record.at - self._began, 0.0):9.3f} s  {child}{said}")
            echo(line, err=True, dim=True)

    def _said(self, record: events.Record) -> str:
        if isinstance(record, events.CallQueued):
            self._sent[record.call] = record.at
            asked = one_line(f"{record.instruction.text} {record.data.text}", 60)
            return f"call {record.call} → {record.model or 'default'}{_place(record)}  {asked}"
        if isinstance(record, events.CallTried):
            if record.status is not None and record.status < 400:
                return ""
            return f"call {record.call} try {record.attempt}: {record.status or 'no answer'}"
        if isinstance(record, events.CallEnded):
            took = duration(record.at - self._sent.pop(record.call, record.at))
            if record.status != "done":
                return f"call {record.call} {record.status} after {took}  {one_line(record.error or '', 80)}"
            used = f"{record.prompt_tokens:,}+{record.completion_tokens:,} tokens"
            price = money(record.cost_usd)
            answer = "" if record.answer is None else one_line(record.answer.text, 60)
            parts = (f"call {record.call} ← {took}", "cached" if record.cached else used, price, answer)
            return "  ".join(part for part in parts if part)
        if isinstance(record, events.FiberStarted):
            return f"fiber {record.fiber} begins ({record.what}){_place(record)}"
        if isinstance(record, events.ChildStarted):
            return f"begins, for call {record.call}: {one_line(record.program.text, 80)}"
        if isinstance(record, events.RequestStarted):
            return f"{record.operation}{_place(record)}  {one_line(record.arguments.text, 60)}"
        if isinstance(record, events.RequestEnded) and record.status != "done":
            return f"request {record.request} {record.status}  {one_line(record.error or '', 80)}"
        return ""


def _place(record: events.CallQueued | events.FiberStarted | events.RequestStarted) -> str:
    fiber = f"fiber {record.fiber}" if record.fiber and not isinstance(record, events.FiberStarted) else ""
    line = f"line {record.line}" if record.line else ""
    both = ", ".join(part for part in (fiber, line) if part)
    return f" ({both})" if both else ""
