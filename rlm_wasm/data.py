"""Values that cross the boundary between Scheme and Python.

Scheme data that Python has a form for arrives as that form: integers of any size, Fraction,
float, complex, bool, str, bytes, list (Scheme lists), tuple (vectors), dict (hash tables), None
(JSON null and void). What Python has no form for arrives as one of the small classes below.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any

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


_MAX_BITS = 13_000
"""Of an integer that is written in decimal: Python refuses more than 4,300 digits."""


def _integer(value: int) -> int | str:
    return value if value.bit_length() <= _MAX_BITS else hex(value)


def json_form(value: Any) -> Any:
    """The nearest thing to ``value`` that JSON can say. An integer of thousands of digits is "0x…"."""
    if value is None or isinstance(value, bool | int | float):
        if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
            return str(value)
        return _integer(value) if isinstance(value, int) else value
    if isinstance(value, Fraction):
        return f"{_integer(value.numerator)}/{_integer(value.denominator)}"
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
