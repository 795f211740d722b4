"""A value as ``write`` shows it, so that a model tells the text "1" from the number 1."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import cbor2

from rlm_wasm.data import (
    Box,
    Char,
    ImproperList,
    Keyword,
    Struct,
    Symbol,
    VoidType,
    decimal_text,
    member_order,
)

_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_CHARACTERS: Final = {" ": "space", "\n": "newline", "\t": "tab", "\r": "return", "\0": "nul"}
_PLAIN_SYMBOL: Final = re.compile(r"[^\s()\[\]{}\"';`,|#\\\x00-\x1f\x7f][^\s()\[\]{}\"';`,|\\\x00-\x1f\x7f]*")
_NUMBER: Final = re.compile(r"[+-]?\.?\d[\d./e+\-i@]*|\.|[+-](?:inf|nan)\.0|[+-]i", re.IGNORECASE)


class _Piece(str):
    """Text that is written already."""

    __slots__ = ()


def write_form(data: Any, displayed: str) -> str:
    """``data``, a result's, in write form; ``displayed`` is the same value in display form.

    A text is shown as it is, and so is what has no text within: there both forms are the same. Of what is
    neither a list nor a vector the guest says the write form itself (``Result.written``): how a table
    within a list compares its keys, say, its data does not tell.
    """
    if data is None or type(data) is str or not _has_text(data):
        return displayed
    text = _written(data)
    if isinstance(data, Mapping):
        # Whether keys are compared by eq? is known of the whole value only.
        kind = displayed.partition("(")[0]
        text = f"{kind if kind.startswith('#hash') else '#hash'}({text.partition('(')[2]}"
    return text


def quoted(text: str) -> str:
    """A text in write form: in double quotes, its escapes written out."""
    return _quoted(text, '"')


def _has_text(data: Any) -> bool:
    work = [data]
    while work:
        item = work.pop()
        if isinstance(item, str):
            if not isinstance(item, Symbol | Keyword) or not _is_plain(item):
                return True
        elif isinstance(item, Mapping):
            work += [*item.keys(), *item.values()]
        elif isinstance(item, list | tuple):
            work += item
        elif isinstance(item, ImproperList):
            work += [*item.items, item.tail]
        elif isinstance(item, frozenset):
            work += item
        elif isinstance(item, Box):
            work.append(item.value)
        elif isinstance(item, Struct):
            work += item.fields.values()
        elif isinstance(item, bytes):
            return True
    return False


def _written(data: Any) -> str:
    out: list[str] = []
    work: list[Any] = [data]
    while work:
        item = work.pop()
        if isinstance(item, _Piece):
            out.append(item)
        elif isinstance(item, list | tuple | Mapping | ImproperList | frozenset | Box | Struct):
            work.extend(reversed([*_parts(item)]))
        else:
            out.append(_atom(item))
    return "".join(out)


def _parts(value: Any) -> Iterator[Any]:
    """A container's items, with what stands around and between them."""
    if isinstance(value, Mapping):
        yield _Piece("#hash(")
        for number, (key, item) in enumerate(value.items()):
            yield _Piece(" (" if number else "(")
            yield _as_list(key)
            yield _Piece(" . ")
            yield item
            yield _Piece(")")
        yield _Piece(")")
        return
    if isinstance(value, Box):
        yield _Piece("#&")
        yield value.value
        return
    if isinstance(value, Struct):
        yield _Piece(f"#(struct:{value.name}")
        for item in value.fields.values():
            yield _Piece(" ")
            yield item
        yield _Piece(")")
        return
    if isinstance(value, frozenset):
        yield _Piece("#<set:")
        for item in sorted(value, key=member_order):
            yield _Piece(" ")
            yield _as_list(item)
        yield _Piece(">")
        return
    items = value.items if isinstance(value, ImproperList) else value
    yield _Piece("#(" if isinstance(value, tuple) else "(")
    for number, item in enumerate(items):
        if number:
            yield _Piece(" ")
        yield item
    if isinstance(value, ImproperList):
        yield _Piece(" . ")
        yield value.tail
    yield _Piece(")")


def _as_list(value: Any) -> Any:
    """In a set and as a key a list is a tuple, and so is a vector, which is rarer there."""
    return list(map(_as_list, value)) if isinstance(value, tuple) else value


def _atom(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "#t" if value else "#f"
        case int():
            return decimal_text(value)
        case float():
            return _real(value)
        case Fraction():
            return f"{decimal_text(value.numerator)}/{decimal_text(value.denominator)}"
        case complex():
            return _complex(value)
        case Symbol():
            return value[:] if _is_plain(value) else _quoted(value, "|")
        case Keyword():
            return f"#:{value[:] if _is_plain(value) else _quoted(value, '|')}"
        case Char():
            return f"#\\{_CHARACTERS.get(value, value if value.isprintable() else f'x{ord(value):x}')}"
        case str():
            return _quoted(value, '"')
        case bytes():
            return f"#u8({' '.join(map(str, value))})"
    return "#<void>" if isinstance(value, VoidType) or value is cbor2.undefined else str(value)


def _is_plain(name: str) -> bool:
    return bool(_PLAIN_SYMBOL.fullmatch(name)) and not _NUMBER.fullmatch(name)


def _quoted(text: str, quote: str) -> str:
    escapes = {**_ESCAPES, quote: f"\\{quote}"}
    if quote == "|":
        del escapes['"']
    return (
        quote
        + "".join(escapes.get(c, c if c >= " " and c != "\x7f" else f"\\x{ord(c):x};") for c in text)
        + quote
    )


def _real(value: float) -> str:
    if value != value:
        return "+nan.0"
    if value in (float("inf"), float("-inf")):
        return "+inf.0" if value > 0 else "-inf.0"
    _, all_digits, exponent = Decimal(repr(abs(value))).as_tuple()
    digits = "".join(map(str, all_digits)).rstrip("0") or "0"
    power = len(all_digits) + int(exponent) - 1  # of the first digit
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    if value and (power < -4 or (power >= 14 and power >= len(digits) + 3)):
        return f"{sign}{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}e{power:+d}"
    return f"{sign}{Decimal(repr(abs(value))):f}" + ("" if int(exponent) < 0 else ".0")


def _complex(value: complex) -> str:
    real, imaginary = (
        str(int(part)) if part.is_integer() else _real(part) for part in (value.real, value.imag)
    )
    return f"{real}{'' if imaginary.startswith(('+', '-')) else '+'}{imaginary}i"
