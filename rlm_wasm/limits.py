"""What an execution and a session may use. Every limit is on by default, except tokens and money.

The Runtime's Limits are a ceiling; a session's own can only tighten them.

All that is said about a limit anywhere (its default, unit, scope and meaning, the option of the
command line, the table in docs/limits.md) is said once, here, in the metadata of its field, and
made from it there: ``specs()``.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final, Literal

from rlm_wasm.errors import UsageError
from rlm_wasm.lazy_dataclass import dataclass, field, said_of_fields

MIB: Final = 1 << 20
GIB: Final = 1 << 30

Unit = Literal["instructions", "bytes", "seconds", "count", "dollars"]
Scope = Literal["execution", "session", "namespace", "message", "call", "recursion"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSpec:
    """What is to be known about one limit.

    ``name`` is the field of Limits and, when the limit fires, ``error.kind``. ``meaning`` is one
    sentence. ``option`` is the option of the command line, None where there is none;
    ``option_minimum`` the least that it takes, where less could only be a mistake.
    ``enforced_by`` is the module, below rlm_wasm/, that holds the limit; a limit that none holds
    has "" and stays out of the help and the docs.
    """

    name: str
    default: float | None
    unit: Unit
    scope: Scope
    meaning: str
    option: str | None = None
    minimum: int = 0
    maximum: int | None = None
    option_minimum: int = 0
    enforced_by: str = ""

    @property
    def shown_default(self) -> str:
        """The default for people: "256 MiB", "1,000", "300 s", "none"."""
        return quantity(self.default, self.unit)


def quantity(value: float | None, unit: Unit) -> str:
    """A figure of a limit for people, in the largest unit that it is a whole number of."""
    if value is None:
        return "none"
    if unit == "bytes":
        for size, name in ((GIB, "GiB"), (MIB, "MiB"), (1 << 10, "KiB")):
            if value >= size and value % size == 0:
                return f"{int(value) // size:,} {name}"
        return f"{value:,} bytes"
    if unit == "seconds":
        return f"{value:g} s"
    if unit == "dollars":
        return f"${value:,.2f}"
    return f"{value:,}"


def _limit(default: float | None, **said: Any) -> Any:
    """A field of Limits with what is said about it."""
    return field(default=default, metadata=said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Resource limits. When one fires, the Result's status is "limit" and names the field.

    Bytes and instructions are whole numbers, ``timeout_s`` is in seconds, ``cost_usd`` in dollars;
    None (only for ``tokens`` and ``cost_usd``) is no limit. ``specs()`` says what each one means.

    What is *not* limited: the host's own memory for contexts that the embedder loads, and what
    the embedder's host functions do.

    Raises:
        UsageError: a value is no number, negative, or outside of what the limit can be.
    """

    fuel: int = _limit(
        100_000_000_000,
        unit="instructions",
        scope="execution",
        meaning="Wasm instructions, of Scheme and Python together; reading, expanding and compiling count.",
        option="--fuel",
        option_minimum=1,
        enforced_by="execution/outcome.py",
    )
    memory_bytes: int = _limit(
        256 * MIB,
        unit="bytes",
        scope="session",
        meaning="Memory of the session's Scheme guest.",
        option="--memory",
        option_minimum=MIB,
        enforced_by="execution/guest.py",
    )
    python_memory_bytes: int = _limit(
        256 * MIB,
        unit="bytes",
        scope="session",
        meaning="Memory of Python, children's included; exhausting it is a MemoryError in Python.",
        option="--python-memory",
        option_minimum=MIB,
        enforced_by="python/wasi.py",
    )
    timeout_s: float = _limit(
        300.0,
        unit="seconds",
        scope="execution",
        meaning="Wall clock, waiting included.",
        option="--timeout",
        enforced_by="execution/outcome.py",
    )
    output_bytes: int = _limit(
        1 * MIB,
        unit="bytes",
        scope="execution",
        meaning="Stdout, stderr, value and error text are each cut there and marked; cutting ends nothing.",
        option="--output-bytes",
        enforced_by="execution/outcome.py",
    )
    calls: int = _limit(
        1_000,
        unit="count",
        scope="execution",
        meaning="LLM calls, those of recursive children included.",
        option="--max-calls",
        enforced_by="llm/budget.py",
    )
    handles: int = _limit(
        10_000,
        unit="count",
        scope="session",
        meaning="Handles of asynchronous calls and threads that are alive at once.",
        option="--handles",
        enforced_by="execution/requests.py",
    )
    concurrency: int = _limit(
        20,
        unit="count",
        scope="session",
        meaning="LLM calls in flight at once, those of children included; the others wait.",
        option="--concurrency",
        minimum=1,
        enforced_by="llm/budget.py",
    )
    depth: int = _limit(
        3,
        unit="count",
        scope="recursion",
        meaning="How deep recursive calls may nest, the program itself being 0; a deeper one is a condition.",
        option="--depth",
        enforced_by="llm/calls.py",
    )
    message_bytes: int = _limit(
        64 * MIB,
        unit="bytes",
        scope="message",
        meaning="One message between guest and host, either way; a larger one is a condition.",
        option="--message-bytes",
        maximum=64 * MIB,
        enforced_by="execution/requests.py",
    )
    tokens: int | None = _limit(
        None,
        unit="count",
        scope="session",
        meaning="Tokens of all LLM calls together; a call that may not fit is refused before it is sent.",
        option="--max-tokens",
        enforced_by="llm/budget.py",
    )
    cost_usd: float | None = _limit(
        None,
        unit="dollars",
        scope="session",
        meaning="Dollars for all LLM calls together; a call that may not fit is refused before it is sent.",
        option="--max-cost",
        enforced_by="llm/budget.py",
    )
    host_bytes: int = _limit(
        256 * MIB,
        unit="bytes",
        scope="session",
        meaning="What the host holds for the session at once: arguments, replies, queued requests, images.",
        option="--host-bytes",
        enforced_by="execution/meter.py",
    )
    checkpoint_bytes: int = _limit(
        256 * MIB,
        unit="bytes",
        scope="namespace",
        meaning="Checkpoints kept, all sessions of the namespace together.",
        option="--checkpoint-bytes",
        enforced_by="session_parts/parts.py",
    )
    log_bytes: int = _limit(
        16 * MIB,
        unit="bytes",
        scope="session",
        meaning="The scope log; beyond it the oldest entries go first.",
        option="--log-bytes",
        enforced_by="session_parts/parts.py",
    )
    images: int = _limit(
        20,
        unit="count",
        scope="call",
        meaning="Images that one LLM call may carry.",
        option="--images",
        enforced_by="llm/calls.py",
    )
    workspace_bytes: int = _limit(
        1 * GIB,
        unit="bytes",
        scope="session",
        meaning="What the session may write into the workspace folder.",
        option="--workspace-bytes",
        enforced_by="session_parts/parts.py",
    )
    iterations: int = _limit(
        20,
        unit="count",
        scope="recursion",
        meaning="Programs that one question, or one recursive call, may try until it has its answer.",
        option="--max-iterations",
        minimum=1,
        enforced_by="asking/loop.py",
    )

    def __post_init__(self) -> None:
        for spec in specs():
            value = getattr(self, spec.name)
            if value is None and spec.default is None:
                continue
            kinds = (int, float) if spec.unit in ("seconds", "dollars") else (int,)
            if isinstance(value, bool) or not isinstance(value, kinds):
                raise UsageError(f"Limits({spec.name}=…) must be a number, got {value!r}")
            if not value >= 0:
                raise UsageError(f"Limits({spec.name}=…) must not be negative, got {value!r}")
            if value < spec.minimum:
                raise UsageError(f"Limits({spec.name}=…) must be at least {spec.minimum}")
            if spec.maximum is not None and value > spec.maximum:
                maximum = quantity(spec.maximum, spec.unit)
                raise UsageError(f"Limits({spec.name}=…) can be {maximum} at the most")

    def tightened_by(self, other: Limits | None) -> Limits:
        """Field by field the smaller of the two. Raises UsageError for what is no Limits."""
        if other is None or other is self:
            return self
        if checked_limits(other) == self:
            return self
        merged = {}
        for spec in specs():
            name = spec.name
            mine, theirs = getattr(self, name), getattr(other, name)
            merged[name] = theirs if mine is None else mine if theirs is None else min(mine, theirs)
        return Limits(**merged)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedBudget:
    """What durable sessions may use together, in however many processes: ``Runtime(budget=…)``.

    It lives in their store, under ``name``; what was used of it stays used. None is no limit.

    name         1 to 255 characters; runtimes that name the same one share it, and its limits are those
                 of the one that opened it last
    concurrency  LLM calls in flight at once
    calls        LLM calls that are sent, those of recursive children included
    tokens       of all calls together
    cost_usd     dollars for all calls together

    Raises:
        UsageError: the name is none, or a limit is no number, or negative.
    """

    name: str
    concurrency: int | None = None
    calls: int | None = None
    tokens: int | None = None
    cost_usd: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not 0 < len(self.name) <= 255 or "\0" in self.name:
            raise UsageError("a shared budget has a name of 1 to 255 characters")
        for name in ("concurrency", "calls", "tokens", "cost_usd"):
            value = getattr(self, name)
            if value is None:
                continue
            kinds = (int, float) if name == "cost_usd" else (int,)
            if isinstance(value, bool) or not isinstance(value, kinds):
                raise UsageError(f"SharedBudget({name}=…) must be a number, got {value!r}")
            maximum = _MAX_USD if name == "cost_usd" else _MAX
            if not 0 <= value <= maximum:
                raise UsageError(f"SharedBudget({name}=…) must be from 0 to {maximum:,}, got {value!r}")
            if name == "concurrency" and value < 1:
                raise UsageError("SharedBudget(concurrency=…) must be at least 1")


_MAX: Final = 1_000_000_000_000_000
_MAX_USD: Final = 1_000_000_000
"""What a shared budget may have fits a database's integers, dollars in billionths, too."""


def checked_limits(given: Limits | None) -> Limits:
    """What was given as limits; the default ones for None.

    Raises:
        UsageError: it is something else, such as a dict.
    """
    if given is None:
        return Limits()
    if not isinstance(given, Limits):
        raise UsageError(f"limits must be Limits, such as Limits(calls=100), not {type(given).__name__}")
    return given


@cache
def specs() -> tuple[LimitSpec, ...]:
    """What is to be known about every limit, in the order of the fields."""
    said = said_of_fields(Limits).items()
    return tuple(LimitSpec(name=name, default=default, **metadata) for name, (default, metadata) in said)
