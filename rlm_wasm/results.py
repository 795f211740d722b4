"""The records that an execution comes back with, and the lines that show them to people."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Self

from rlm_wasm.data import json_form
from rlm_wasm.errors import (
    CapabilityDenied,
    ExecutionCancelled,
    GuestError,
    GuestSyntaxError,
    LimitExceeded,
    ProviderError,
    RlmError,
    SandboxCrashed,
)
from rlm_wasm.lazy_dataclass import dataclass, field, replace

_MAX_HTML = 10_000
"""Characters of a text that a notebook shows."""

_MAX_MODELS = 5
"""That a line names."""
_MAX_OTHERS = 2
"""Other names of a model that a line says."""
_MAX_NAME = 60
"""Characters of a model's name in a line."""

OWN_NAME: Final = "program"
"""What errors call a program that was given no name."""

Status = Literal["finished", "ok", "error", "limit", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorInfo:
    """What went wrong. For limits: kind, used and limit, and the message says all three."""

    type: str
    """The condition's type, such as "exn:fail:contract"; "limit" where a limit fired."""
    message: str
    """What is wrong, in words for the program's author."""
    irritants: tuple[str, ...] = ()
    """The values that it is about, as text."""
    source: str | None = None
    """The program in which it arose, by the name that ``execute`` was given; None: nobody knows."""
    line: int | None = None
    """From 1; None where the place is not known."""
    column: int | None = None
    """From 1."""
    hint: str | None = None
    """What would be right, where that can be told."""
    backtrace: tuple[str, ...] = ()
    """Frames as text, the innermost first."""
    kind: str | None = None
    """Of a limit: the field of Limits."""
    used: float | None = None
    """Of a limit: how much was used, in its unit."""
    limit: float | None = None
    """Of a limit: how much was allowed."""

    def __str__(self) -> str:
        place = ""
        several = "\n" in self.message  # a place is no part of a message's last line
        if self.line and "(line " not in self.message:
            named = "" if self.source in (None, "", OWN_NAME) else f"{self.source}, "
            place = f"{chr(10) if several else ' '}({named}line {self.line}, column {self.column})"
        hint = self.hint if self.hint and self.hint not in self.message else ""
        if several:
            return f"{self.message}{place}{chr(10) if hint else ''}{hint}"
        dot = "." if hint and not self.message.endswith(".") else ""
        return f"{self.message}{place}{dot}{' ' if hint else ''}{hint}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong with a program that has not run.

    An "error" is certain to fail when it is reached; a "warning" may be right. ``line`` and ``column``
    count from 1 and are None where the place is unknown.
    """

    severity: Literal["error", "warning"]
    """"error" or "warning"."""
    message: str
    """What is wrong."""
    line: int | None = None
    column: int | None = None
    hint: str | None = None
    """What would be right, where that can be told."""

    def __str__(self) -> str:
        place = f" (line {self.line}, column {self.column})" if self.line else ""
        hint = f" {self.hint}" if self.hint else ""
        return f"{self.severity}: {self.message}{place}{'.' if hint else ''}{hint}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUse:
    """What the calls used that one model answered. Failed calls are not among them."""

    calls: int = 0
    """That it answered."""
    cached: int = 0
    """Of these, answered from a cache."""
    tokens: int = 0
    """Of prompts and answers together."""
    prompt_tokens: int = 0
    """Of prompts."""
    completion_tokens: int = 0
    """Of answers."""
    cached_tokens: int = 0
    """Of ``prompt_tokens`` those that the vendor had in a cache of its own."""
    cost_usd: float | None = 0.0
    """US dollars; None where the model's price is unknown."""
    asked_for: tuple[str, ...] = ()
    """Names by which it was asked for, other than its own: the first ten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What an execution used."""

    calls: int = 0
    """LLM calls that were asked for, those of recursive children included."""
    elapsed: float = 0.0
    """Seconds."""
    tokens: int = 0
    """Of prompts and answers together."""
    prompt_tokens: int = 0
    """Of prompts."""
    completion_tokens: int = 0
    """Of answers."""
    cost_usd: float | None = 0.0
    """US dollars; None where the price of a model is unknown."""
    cached: int = 0
    """Calls that a cache answered: they cost nothing."""
    cached_tokens: int = 0
    """Of ``prompt_tokens`` those that the vendor had in a cache of its own."""
    fuel: int = 0
    """Wasm instructions, of Scheme and Python together."""
    memory_bytes: int = 0
    """Of the session's Scheme guest, at the end."""
    provider: str | None = None
    """Who answered; None where nobody was asked."""
    models: Mapping[str, ModelUse] = field(default_factory=dict)
    """What was used of each model that answered, by its name."""


class _OpenExecution(Execution):
    """While it is made: what a frozen record is given goes one call a field, ten times as long."""

    __slots__ = ()
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__


def execution_without_calls(elapsed: float, fuel: int, memory_bytes: int) -> Execution:
    """What an execution used that asked for no LLM call."""
    made: Any = _new(_OpenExecution)
    made.elapsed, made.fuel, made.memory_bytes = elapsed, fuel, memory_bytes
    made.calls = made.tokens = made.prompt_tokens = made.completion_tokens = 0
    made.cached = made.cached_tokens = 0
    made.cost_usd = 0.0
    made.provider = None
    made.models = {}
    made.__class__ = Execution
    execution: Execution = made
    return execution


_new = object.__new__

_EXCEPTIONS: Mapping[str, type[RlmError]] = {
    "exn:fail:llm": ProviderError,
    "exn:fail:capability": CapabilityDenied,
    "sandbox-crashed": SandboxCrashed,
}
"""Types of errors that are not the program's own, and what they are raised as."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The outcome of one execution.

    ``truncated`` names the parts that were cut at ``output_bytes``. ``rolled_back`` is set where
    the instance was lost: then everything that this execution did is undone.
    ``derived_from`` lists the ids of the LLM calls whose text the final value derives from.
    ``warnings`` are sentences about what looks like a slip of the program, though it failed nothing:
    a search for a literal text that reads like a pattern, say. At most 100, each of 1,000 characters.
    ``value_printed`` is set where ``stdout`` ends with the value already: a program that begins with
    ``#lang racket`` prints the values of its top-level expressions.
    ``written`` is the value in ``write`` form (texts in quotes), where ``value`` and ``data`` together do not
    tell it; ``in_write_form`` gives that form of any value.
    """

    status: Status
    """"finished" (the program called finish), "ok" (it ran to its end), "error", "limit" or "cancelled"."""
    value: str = ""
    data: Any = None
    stdout: str = ""
    stderr: str = ""
    """What the program wrote to its standard error."""
    error: ErrorInfo | None = None
    """What went wrong, for "error" and "limit"; else None."""
    execution: Execution = field(default_factory=Execution)
    """What it used."""
    truncated: tuple[str, ...] = ()
    rolled_back: bool = False
    derived_from: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()
    value_printed: bool = False
    written: str = ""

    @property
    def ok(self) -> bool:
        """Whether the program came to its end or finished."""
        return self.status in ("finished", "ok")

    def raise_for_status(self) -> Self:
        """This Result where it is ``ok``; otherwise what it reports, as an exception.

        Raises:
            GuestSyntaxError: reading or expanding failed.
            ProviderError: an LLM call failed, and the program did not handle it.
            CapabilityDenied: the program asked for what it was not granted.
            SandboxCrashed: the instance was lost; what the execution did is undone.
            GuestError: any other error of the program.
            LimitExceeded: a limit fired.
            ExecutionCancelled: the execution was cancelled.
        """
        if self.ok:
            return self
        raise self._exception()

    def _exception(self) -> RlmError:
        error = self.error
        if self.status == "cancelled":
            return ExecutionCancelled("the execution was cancelled")
        if error is None:
            return GuestError(f"the execution ended with status {self.status} and no word about it")
        message = str(error)
        if self.status == "limit":
            return LimitExceeded(error.kind or "?", error.used or 0, error.limit or 0, message)
        if error.type in _EXCEPTIONS:
            return _EXCEPTIONS[error.type](message)
        syntax = error.type.startswith(("exn:fail:read", "exn:fail:syntax"))
        return (GuestSyntaxError if syntax else GuestError)(
            message,
            type=error.type,
            line=error.line,
            column=error.column,
            hint=error.hint,
            backtrace=error.backtrace,
        )

    def in_write_form(self) -> str:
        """The value: a text as it is, everything else as ``write`` shows it. What was cut stays so."""
        if "value" in self.truncated:
            return self.value
        if self.written:
            return self.written
        from rlm_wasm.write_form import write_form  # for whoever asks

        return write_form(self.data, self.value)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain data that ``json.dumps`` takes."""
        plain: dict[str, Any] = json_form(self)
        return plain

    def _repr_html_(self) -> str:
        """For notebooks. What a model or a program wrote is text in it, never markup."""
        import html  # for notebooks alone

        texts = [("stdout", self.stdout), ("stderr", self.stderr), ("value", self.value)]
        if self.error is not None:
            texts.append(("error", str(self.error)))
        texts += [("warning", text) for text in self.warnings]
        parts = [f"<p><b>{html.escape(self.status)}</b> · {html.escape(summary(self.execution))}</p>"]
        for name, text in texts:
            if text:
                cut = (
                    text
                    if len(text) <= _MAX_HTML
                    else f"{text[:_MAX_HTML]}\n… [{len(text):,} characters in all]"
                )
                parts.append(f"<div>{name}</div><pre>{html.escape(cut)}</pre>")
        return "".join(parts)


class _OpenResult(Result):
    """As _OpenExecution."""

    __slots__ = ()
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__


def whole_result(
    status: str,
    value: str,
    data: Any,
    stdout: str,
    stderr: str,
    execution: Execution,
    derived_from: tuple[int, ...],
    warnings: tuple[str, ...],
    written: str,
    *,
    rolled_back: bool,
    value_printed: bool,
) -> Result:
    """A Result without an error, of which nothing is cut. ``status`` is one of Status."""
    made: Any = _new(_OpenResult)
    made.status, made.value, made.data, made.stdout, made.stderr = status, value, data, stdout, stderr
    made.execution, made.derived_from, made.warnings, made.written = (
        execution,
        derived_from,
        warnings,
        written,
    )
    made.rolled_back, made.value_printed = rolled_back, value_printed
    made.error = None
    made.truncated = ()
    made.__class__ = Result
    result: Result = made
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a running execution is. ``stderr`` is what came since the last report.

    ``total`` is the calls asked for so far, and those to come for items that ``map-async`` and its kin,
    and loops that make calls, have announced (``ahead``), one an item. ``last_line`` is the
    last line that the program printed.
    """

    done: int = 0
    """Calls that ended."""
    running: int = 0
    """Calls in flight."""
    total: int = 0
    ahead: int = 0
    models: Mapping[str, int] = field(default_factory=dict)
    """Calls in flight by model."""
    tokens: int = 0
    """Of the calls that ended."""
    cost_usd: float | None = 0.0
    """US dollars so far; None where the price of a model is unknown."""
    elapsed_s: float = 0.0
    """Seconds since the execution began."""
    longest_s: float = 0.0
    """Seconds since the oldest call in flight was sent."""
    stderr: str = ""
    last_line: str = ""

    @property
    def share(self) -> float | None:
        """From 0 to 1; None before the first call."""
        return min(self.done / self.total, 1.0) if self.total else None

    @property
    def left_s(self) -> float | None:
        """Seconds until the known calls are done, at the pace so far; None where nobody can say."""
        if not self.done or self.done >= self.total:
            return None
        return self.elapsed_s / self.done * (self.total - self.done)


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What ``Session.stream`` gives when the program prints: ``stream`` is "out" or "err"."""

    stream: str
    text: str
    """What it printed since the last one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStarted:
    """What ``Session.stream`` gives when a program asks for an LLM call, which may wait for its place."""

    call_id: int
    """The call's number, as everywhere."""
    op: str
    """The procedure that asked for it: "llm-query", "llm-query-async"."""
    model: str | None
    """The one asked for; None: the server's own."""
    instruction: str
    """Its beginning, at most 2,000 characters."""
    data: str
    """Its beginning, at most 2,000 characters."""
    line: int | None = None
    """Where in the program; None where nobody knows."""
    fiber: int | None = None
    """The fiber that asked; None: the program itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded:
    """What ``Session.stream`` gives when a call is over: ``status`` is "done", "failed" or "cancelled"."""

    call_id: int
    """That of its CallStarted."""
    status: str
    model: str = ""
    """The one that answered."""
    text: str = ""
    """The answer's beginning, at most 2,000 characters."""
    prompt_tokens: int = 0
    """What it used."""
    completion_tokens: int = 0
    """What it used."""
    cost_usd: float | None = 0.0
    """US dollars; None where the price is unknown."""
    cached: bool = False
    """Whether a cache answered."""
    error: str | None = None
    """Why it failed."""


OnProgress = Callable[[Progress], None]


def summary(used: Execution) -> str:
    """What an execution used, in one line: ``7 calls (3 cached), 5,000 tokens, $0.0012, 12.3 s``."""
    calls = "1 call" if used.calls == 1 else f"{used.calls:,} calls"
    cached = f" ({used.cached:,} cached)" if used.cached else ""
    parts = [calls + cached, f"{used.tokens:,} tokens", money(used.cost_usd), seconds(used.elapsed)]
    return ", ".join(part for part in parts if part)


def answered_by(used: Execution) -> str:
    """Who answered the calls: ``by openai: gpt-4o-mini ×5, gpt-4o ×2``; "" where nobody did."""
    if used.provider is None:
        return ""
    models = []
    for name, model in [*used.models.items()][:_MAX_MODELS]:
        others = ", ".join(other[:_MAX_NAME] for other in model.asked_for[:_MAX_OTHERS])
        asked_for = f" (asked for as {others})" if others else ""
        models.append(f"{name[:_MAX_NAME] or 'a model without a name'} ×{model.calls}{asked_for}")
    if len(used.models) > _MAX_MODELS:
        models.append(f"{len(used.models) - _MAX_MODELS} more")
    return f"by {used.provider}: {', '.join(models)}"


def used_line(used: Execution) -> str:
    """What an execution used, and who answered: ``7 calls, 5,000 tokens, $0.0012, 12.3 s, by openai: …``."""
    return ", ".join(part for part in (summary(used), answered_by(used)) if part)


def money(usd: float | None) -> str:
    """US dollars with as many digits as say something; nothing where it was free."""
    if usd is None:
        return "price unknown"
    if usd == 0:
        return ""
    if usd >= 1:
        return f"${usd:.2f}"
    digits = 4 if usd >= 0.01 else min(1 - math.floor(math.log10(usd)), 15)  # two that are no 0
    return f"${usd:.{digits}f}"


def seconds(value: float) -> str:
    """A duration, given in seconds, for people."""
    if value < 60:
        return f"{value:.1f} s"
    return f"{int(value) // 60} min {int(value) % 60:02} s"


def own_places(result: Result, name: str) -> Result:
    """The result of the program called ``name``, in which places in that very program need no name."""
    error = result.error
    if error is None or error.source != name:
        return result
    return replace(result, error=replace(error, source=OWN_NAME))
