"""Values that cross the boundary, and the records that an execution comes back with.

Scheme data that Python has a form for arrives as that form: integers of any size, Fraction,
float, complex, bool, str, bytes, list (Scheme lists), tuple (vectors), dict (hash tables), None
(JSON null and void). What Python has no form for arrives as one of the small classes below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import cbor2


class Symbol(str):
    """A Scheme symbol. Equal to the str of its name, so that ``data["key"]`` finds it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Symbol({str.__repr__(self)})"


class Keyword(str):
    """A keyword object; its name without the ``#:``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Keyword({str.__repr__(self)})"


class Char(str):
    """One character."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Char({str.__repr__(self)})"


@dataclass(frozen=True, slots=True)
class ImproperList:
    """``(a b . c)``."""

    items: tuple[Any, ...]
    tail: Any


class VoidType:
    """Scheme's void: what ``(void)`` returns. There is one, ``VOID``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "VOID"

    def __bool__(self) -> bool:
        return False


VOID = VoidType()

Status = Literal["finished", "ok", "error", "limit", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorInfo:
    """What went wrong. For limits: kind, used and limit, and the message says all three."""

    type: str
    message: str
    irritants: tuple[str, ...] = ()
    source: str | None = None
    line: int | None = None
    column: int | None = None
    hint: str | None = None
    backtrace: tuple[str, ...] = ()
    kind: str | None = None
    used: float | None = None
    limit: float | None = None

    def __str__(self) -> str:
        place = ""
        if self.line and "(line " not in self.message:
            place = f" (line {self.line}, column {self.column})"
        hint = f" {self.hint}" if self.hint and self.hint not in self.message else ""
        return f"{self.message}{place}{'.' if hint and not self.message.endswith('.') else ''}{hint}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What an execution used."""

    calls: int = 0
    elapsed: float = 0.0
    tokens: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = 0.0
    cached: int = 0
    fuel: int = 0
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The outcome of one execution.

    ``truncated`` names the parts that were cut at ``output_bytes``. ``rolled_back`` is set where
    the instance was lost: then everything that this execution did is undone.
    ``derived_from`` lists the ids of the LLM calls whose text the final value derives from.
    """

    status: Status
    value: str = ""
    data: Any = None
    stdout: str = ""
    stderr: str = ""
    error: ErrorInfo | None = None
    execution: Execution = field(default_factory=Execution)
    truncated: tuple[str, ...] = ()
    rolled_back: bool = False
    derived_from: tuple[int, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the program came to its end or finished."""
        return self.status in ("finished", "ok")

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain data that ``json.dumps`` takes."""
        plain: dict[str, Any] = json_form(self)
        return plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a running execution is. ``stderr`` is what came since the last report."""

    done: int = 0
    running: int = 0
    total: int = 0
    models: Mapping[str, int] = field(default_factory=dict)
    tokens: int = 0
    cost_usd: float | None = 0.0
    elapsed_s: float = 0.0
    longest_s: float = 0.0
    stderr: str = ""


OnProgress = Callable[[Progress], None]


def json_form(value: Any) -> Any:
    """The nearest thing to ``value`` that JSON can say."""
    if value is None or isinstance(value, bool | int | float):
        if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
            return str(value)
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, VoidType) or value is cbor2.undefined:
        return None
    if isinstance(value, Mapping):
        return {str(k) if isinstance(k, str) else repr(json_form(k)): json_form(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [json_form(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, ImproperList):
        return [*map(json_form, value.items), json_form(value.tail)]
    if hasattr(value, "__dataclass_fields__"):
        return {f.name: json_form(getattr(value, f.name)) for f in fields(value)}
    return str(value)
