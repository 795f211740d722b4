"""Values that cross the boundary between Scheme and Python.

Scheme data that Python has a form for arrives as that form: integers of any size, Fraction,
float, complex, bool, str, bytes, list (Scheme lists), tuple (vectors), dict (hash tables), frozenset
(sets), None (JSON null and void). What Python has no form for arrives as one of the small classes
below. In the keys of tables and in sets a list is a tuple, since Python wants them hashable.
"""

from __future__ import annotations

import re
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


@dataclass(frozen=True, slots=True)
class Box:
    """``(box v)``."""

    value: Any


@dataclass(frozen=True, slots=True)
class Struct:
    """An instance of a struct that is transparent or prefab; ``fields`` in their order, inherited ones first.

    Where two fields have one name, the later ones are called ``name#2`` and so on.
    """

    name: str
    fields: dict[str, Any]


class VoidType:
    """Scheme's void: what ``(void)`` returns. There is one, ``VOID``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "VOID"

    def __bool__(self) -> bool:
        return False


VOID = VoidType()

_SURROGATES = re.compile("[\ud800-\udfff]")


def whole_characters(text: str) -> str:
    """Text for which bytes stand: half of a surrogate pair becomes U+FFFD.

    Whatever comes in from outside passes here: answers, contexts, names, tool arguments, what host
    functions return.
    """
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def with_whole_characters(value: Any) -> Any:
    """Plain data whose texts are whole; other objects stay what they are."""
    if type(value) is str:
        return whole_characters(value)
    if isinstance(value, str) and type(value) in (Symbol, Keyword):
        return type(value)(whole_characters(value))
    if isinstance(value, dict):
        return {with_whole_characters(key): with_whole_characters(item) for key, item in value.items()}
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(with_whole_characters(item) for item in value)
    return value


MAX_DECIMAL_BITS = 14_000
"""Integers of more bits are hexadecimal text in JSON: Python refuses to write 4,300 digits and more."""


def _digits(value: int) -> str:
    return hex(value) if value.bit_length() > MAX_DECIMAL_BITS else str(value)


def json_form(value: Any) -> Any:
    """The nearest thing to ``value`` that JSON can say. Sets are lists, their members in a fixed order."""
    if isinstance(value, int) and value.bit_length() > MAX_DECIMAL_BITS:
        return hex(value)
    if isinstance(value, Fraction):
        return f"{_digits(value.numerator)}/{_digits(value.denominator)}"
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
    if isinstance(value, list | tuple):
        return [json_form(item) for item in value]
    if isinstance(value, set | frozenset):
        return [json_form(item) for item in sorted(value, key=member_order)]
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, ImproperList):
        return [*map(json_form, value.items), json_form(value.tail)]
    if hasattr(value, "__dataclass_fields__"):
        return {f.name: json_form(getattr(value, f.name)) for f in fields(value)}
    return str(value)


def member_order(item: Any) -> tuple[str, Any]:
    """Sets have no order; a run has to be reproducible. For ``sorted``."""
    if isinstance(item, int | float | Fraction):
        return ("", item if item == item else 0)
    return (type(item).__name__, str(item) if isinstance(item, str) else repr(item))
