"""One execution as far as it has come, how it ended, and the Result that is made of that."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, cast

from rlm_wasm.errors import InternalError, LimitExceeded
from rlm_wasm.execution import state as states
from rlm_wasm.execution.meter import FuelAccount
from rlm_wasm.execution.output import BoundedText
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.limits import Limits
from rlm_wasm.results import ErrorInfo, Execution, Result, Status, whole_result
from rlm_wasm.sandbox import protocol
from rlm_wasm.sandbox.protocol import Done, ErrorReport
from rlm_wasm.turns import in_turns

MAX_WARNINGS = 100
"""Of one execution; more are dropped."""
MAX_WARNING = 1_000
"""Characters of one warning."""

_SILENT = ("", "")


class ActiveExecution:
    """One execution, as far as it has come.

    Requests from ``first_id`` on are its own; those before are an earlier execution's. ``account`` is shared
    with what it began, and with what began it.
    """

    __slots__ = (
        "_err",
        "_out",
        "_timer",
        "_warnings",
        "account",
        "cancelled",
        "done",
        "elapsed_before",
        "first_id",
        "fuel",
        "interrupted",
        "limit",
        "limits",
        "redeliver",
        "started",
        "undone",
    )

    def __init__(self, limits: Limits, first_id: int, account: FuelAccount) -> None:
        # Most print nothing, warn of nothing and take no reply: what that needs is made when it comes.
        self.limits = limits
        self.first_id = first_id
        self.account = account
        self.started = time.monotonic()
        self.elapsed_before = 0.0
        self.fuel = 0
        """Its own."""
        self.done: Done | None = None
        self.limit: LimitExceeded | None = None
        self.cancelled = False
        self.interrupted = 0
        """Slices since it was told to end; 0: it was not."""
        self.redeliver: list[tuple[int, protocol.Part]] = []
        """Replies to an earlier execution's calls that this one took: due again after a rollback."""
        self.undone = False
        """Its instance was lost, and the guest went back to before it."""
        self._out: BoundedText | None = None
        self._err: BoundedText | None = None
        self._warnings: dict[str, None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def out(self) -> BoundedText:
        """What it printed."""
        if self._out is None:
            self._out = BoundedText(self.limits.output_bytes)
        return self._out

    @property
    def err(self) -> BoundedText:
        """What it wrote to its standard error."""
        if self._err is None:
            self._err = BoundedText(self.limits.output_bytes)
        return self._err

    def whole_output(self) -> tuple[str, str] | None:
        """What it printed and what it wrote to its standard error; None where something was dropped."""
        out, err = self._out, self._err
        if out is None and err is None:
            return _SILENT
        if (out is not None and out.dropped) or (err is not None and err.dropped):
            return None
        return "" if out is None else out.text(), "" if err is None else err.text()

    @property
    def warnings(self) -> tuple[str, ...]:
        """In the order in which they came, each text once."""
        return () if self._warnings is None else tuple(self._warnings)

    def elapsed(self) -> float:
        """Seconds, those before a snapshot included."""
        return self.elapsed_before + time.monotonic() - self.started

    def time_left(self) -> float:
        """Seconds until ``timeout_s``; never negative."""
        left = self.limits.timeout_s - self.elapsed_before + self.started - time.monotonic()
        return left if left > 0.0 else 0.0

    def charge(self, fuel: int) -> None:
        """Fuel that it used: in its guest, or by what the host did for it."""
        self.fuel += fuel
        self.account.charge(fuel)

    def stands_at(self, fuel: int, account: int, elapsed_s: float) -> None:
        """A journal says how much it had used: of its own, of its account's fuel, and of time."""
        self.fuel = fuel
        self.account.stands_at(account)
        self.elapsed_before, self.started = elapsed_s, time.monotonic()

    def run_under(self, limits: Limits) -> None:
        """From now on these limits hold."""
        self.limits = limits

    def warn(self, text: str) -> None:
        """The program did what looks like a slip: one line more, as far as the bounds allow."""
        warnings = self._warnings
        if warnings is None:
            warnings = self._warnings = {}
        if len(warnings) < MAX_WARNINGS:
            warnings[text if len(text) <= MAX_WARNING else text[: MAX_WARNING - 1] + "…"] = None

    def has_no_data(self, why: str) -> None:
        """Its value shows in the value's text alone."""
        self.warn(f"Result.data is None, since Python has no form for the value: {why}.")

    def finish(self, done: Done) -> None:
        """The guest's account of its end has come."""
        self.done = done

    def undo(self, done: Done) -> None:
        """The guest is as it was before it; ``done`` says why."""
        self.done = done
        self.undone = True

    def cancel(self) -> None:
        """End it: its Result says "cancelled"."""
        self.cancelled = True

    @property
    def ending(self) -> bool:
        """Whether it is to end: a limit fired, or it was cancelled."""
        return self.limit is not None or self.cancelled

    def interrupt(self) -> None:
        """The guest is told to end, or was told and has had one more slice."""
        self.interrupted += 1

    def start_clock(self, too_late: Callable[[ActiveExecution], None]) -> None:
        """Call ``too_late`` when ``timeout_s`` is over; once is enough."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.time_left(), too_late, self)

    def stop_clock(self) -> None:
        """It is over. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def end_by(self, limit: LimitExceeded) -> None:
        """A limit fired. The first one counts.

        Who notices that fuel or time is over, Python or a child, knows what was left to it and no more. One
        that says whose part is used up keeps its words.
        """
        if self.limit is not None:
            return
        if str(limit) != str(LimitExceeded(limit.kind, limit.used, limit.limit)):
            self.limit = limit
        elif limit.kind == "timeout_s":
            self.limit = self.too_late()
        elif limit.kind == "fuel":
            self.limit = LimitExceeded("fuel", self.account.used, self.account.limit)
        else:
            self.limit = limit

    def check(self, now: float | None) -> None:
        """Look at fuel, and at the time where ``now`` is given (seconds on the monotonic clock)."""
        if self.limit is not None:
            return
        account = self.account
        if account.used > account.limit:
            self.limit = LimitExceeded("fuel", account.used, account.limit)
        elif now is not None and self.elapsed_before + now - self.started > self.limits.timeout_s:
            self.limit = self.too_late()

    def too_late(self) -> LimitExceeded:
        """What ``timeout_s`` says when it fires."""
        return LimitExceeded("timeout_s", round(self.elapsed(), 3), self.limits.timeout_s)

    def to_state(self) -> states.ExecutionState:
        """For a snapshot."""
        return states.ExecutionState(
            self.out.to_state(),
            self.err.to_state(),
            self.first_id,
            self.account.used,
            self.elapsed(),
            self.warnings,
        )

    @classmethod
    def from_state(
        cls, state: states.ExecutionState, limits: Limits, account: FuelAccount | None = None
    ) -> ActiveExecution:
        """The inverse of to_state, under limits that may be others.

        ``account``: the one of what began it; None: its own.
        """
        own = FuelAccount(limits.fuel, state.fuel) if account is None else account
        execution = cls(limits, state.first_id, own)
        execution._out = BoundedText.from_state(state.out, limits.output_bytes)
        execution._err = BoundedText.from_state(state.err, limits.output_bytes)
        execution.elapsed_before = state.elapsed_s
        execution.fuel = state.fuel
        for text in state.warnings:
            execution.warn(text)
        return execution


@dataclass(slots=True, eq=False)
class Outcome:
    """How an execution ended. ``done`` is the guest's own account, or one made here in its place."""

    done: Done
    execution: ActiveExecution
    rolled_back: bool = False


def limit_report(limit: LimitExceeded) -> Done:
    """The account of an execution that a limit ended."""
    return Done(
        "limit",
        error=ErrorReport("limit", str(limit), kind=limit.kind, used=limit.used, limit=limit.limit),
    )


CANCELLED = Done("cancelled")


def is_large(outcome: Outcome) -> bool:
    """Whether its value is to be decoded in turns."""
    packed = outcome.done.data
    return type(packed) is bytes and len(packed) > protocol.IN_ONE_GO


async def data_in_turns(outcome: Outcome) -> Any:
    """The value as Python data, where it is large."""
    packed = cast(bytes, outcome.done.data)
    return await in_turns(protocol.data_in_turns(packed, outcome.execution.has_no_data))


def data_of(outcome: Outcome) -> Any:
    """The value as Python data, None where it has none."""
    packed = outcome.done.data
    return (
        None if packed is None or packed is True else protocol.data_of(packed, outcome.execution.has_no_data)
    )


def result_of(outcome: Outcome, used: Execution, data: Any) -> Result:
    """The Result. ``used`` is what the execution took, ``data`` what it is as Python data.

    Raises InternalError for an unknown status.
    """
    done, execution = outcome.done, outcome.execution
    if done.status not in protocol.STATUSES:
        raise InternalError(f"the guest ended with status {done.status!r}")
    limits = execution.limits
    room = limits.output_bytes // 4
    if done.error is None and not done.cut and len(done.value) <= room and len(done.written) <= room:
        output = execution.whole_output()
        if output is not None:
            return whole_result(
                done.status,
                done.value,
                done.value if done.data is True else data,
                output[0],
                output[1],
                used,
                done.lineage,
                execution.warnings,
                done.written,
                rolled_back=outcome.rolled_back,
                value_printed=done.shown,
            )
    bounded = _Bounds(limits.output_bytes)
    for part, text in (("stdout", execution.out), ("stderr", execution.err)):
        if text.dropped:
            bounded.cut.append(part)
    if done.cut:
        bounded.cut.append("value")
    value = bounded(done.value, "value")
    error = None
    if done.error is not None:
        report = done.error
        if report.kind == "memory_bytes" and not 0 < (report.limit or 0) < limits.memory_bytes:
            report = _memory_report(max(used.memory_bytes, limits.memory_bytes), limits.memory_bytes)
        error = ErrorInfo(
            type=_short(report.type),
            message=bounded(report.message, "error"),
            irritants=tuple(bounded(text, "error") for text in report.irritants[:_MAX_ITEMS]),
            source=_short(report.source) or None,
            line=report.line,
            column=report.column,
            hint=_short(report.hint) or None,
            backtrace=tuple(_short(frame) for frame in report.backtrace[:_MAX_ITEMS]),
            kind=_short(report.kind) or None,
            used=report.used,
            limit=report.limit,
        )
    return Result(
        status=cast(Status, done.status),
        value=value,
        data=value if done.data is True else data,
        stdout=execution.out.text(),
        stderr=execution.err.text(),
        error=error,
        execution=used,
        truncated=tuple(bounded.cut),
        rolled_back=outcome.rolled_back,
        derived_from=done.lineage,
        value_printed=done.shown,
        warnings=execution.warnings,
        written=bounded(done.written, "value"),
    )


_MAX_ITEMS = 100
"""Irritants of an error, and frames of its backtrace."""
_MAX_SHORT = 1_000
"""Characters of what in an error is no message: a type, a hint, a frame."""


def _short(text: str | None) -> str:
    """Cut: a program's own names may be of any length."""
    return "" if text is None else text if len(text) <= _MAX_SHORT else text[:_MAX_SHORT] + "…"


def _memory_report(used: int, limit: int) -> ErrorReport:
    error = limit_report(LimitExceeded("memory_bytes", used, limit)).error
    assert error is not None
    return error


class _Bounds:
    """Cuts texts at a bound, and remembers the parts in which it did."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.cut: list[str] = []

    def __call__(self, text: str, part: str) -> str:
        if len(text) * 4 <= self._limit:
            return text
        bounded = BoundedText(self._limit)
        bounded.add(text)
        if bounded.dropped and part not in self.cut:
            self.cut.append(part)
        return bounded.text()
