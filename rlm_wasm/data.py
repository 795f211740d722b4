"""Values that cross the boundary between Scheme and Python.

Scheme data that Python has a form for arrives as that form: integers of any size, Fraction,
float, complex, bool, str, bytes, list (Scheme lists), tuple (vectors), dict (hash tables), frozenset
(sets), None (JSON null and void). What Python has no form for arrives as one of the small classes
below. In the keys of tables and in sets a list is a tuple, since Python wants them hashable.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeGuard

import cbor2

from rlm_wasm.lazy_dataclass import dataclass, fields, is_dataclass

if TYPE_CHECKING:
    from decimal import Decimal
    from fractions import Fraction


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
    """Those before the dot."""
    tail: Any
    """What stands behind the dot."""


@dataclass(frozen=True, slots=True)
class Box:
    """``(box v)``."""

    value: Any
    """What is in it."""


@dataclass(frozen=True, slots=True)
class Struct:
    """An instance of a struct that is transparent or prefab; ``fields`` in their order, inherited ones first.

    Where two fields have one name, the later ones are called ``name#2`` and so on.
    """

    name: str
    """The struct's."""
    fields: dict[str, Any]


class VoidType:
    """Scheme's void: what ``(void)`` returns. There is one, ``VOID``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "VOID"

    def __bool__(self) -> bool:
        return False


VOID = VoidType()

_SURROGATES = "[\ud800-\udfff]"  # compiled when there are any
_ENCODED_AT_ONCE = 1 << 16


def whole_characters(text: str) -> str:
    """Text for which bytes stand: half of a surrogate pair becomes U+FFFD.

    Whatever comes in from outside passes here: answers, contexts, names, tool arguments, what host
    functions return.
    """
    if text.isascii():
        return text
    try:  # thirty times as quick as to look for them; a piece stays in the processor's cache
        for at in range(0, len(text), _ENCODED_AT_ONCE):
            text[at : at + _ENCODED_AT_ONCE].encode("utf-16-le")
    except UnicodeEncodeError:
        return re.sub(_SURROGATES, "\ufffd", text)
    return text


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


def fraction_type() -> type[Fraction] | None:
    """What Fractions are of. None where nobody has imported that: then nobody has one either."""
    return getattr(sys.modules.get("fractions"), "Fraction", None)


def is_fraction(value: Any) -> TypeGuard[Fraction]:
    """Whether it is a Fraction. Their module is not imported for that, which takes two milliseconds."""
    kind = fraction_type()
    return kind is not None and isinstance(value, kind)


def json_form(value: Any) -> Any:
    """The nearest thing to ``value`` that JSON can say; nested as deep as it is.

    Keys of tables: text, symbols and characters by their name; any other key as its JSON text. Where
    that is a key already, a ``#`` stands in front: the keys 1 and "1" become "#1" and "1". Bytes are
    text in Latin-1, a pair's tail is the last item, the members of a set stand in a fixed order, what JSON
    has no number for is text. An integer of more than 4,300 digits is hexadecimal text ("0x…"): Python's
    own reader refuses it as a number, and takes it by ``int(text, 16)``. ``value`` must not contain itself.
    """
    whole: list[Any] = [value]
    work: list[tuple[Any, Any]] = [(whole, 0)]
    while work:
        into, at = work.pop()
        given = into[at]
        items: Any
        if isinstance(given, Mapping):
            items = _named(given)
        elif isinstance(given, list | tuple):
            items = list(given)
        elif isinstance(given, set | frozenset):
            items = sorted(given, key=member_order)
        elif isinstance(given, ImproperList):
            items = [*given.items, given.tail]
        elif is_dataclass(given) and not isinstance(given, type):
            items = {f.name: getattr(given, f.name) for f in fields(given)}
        else:
            into[at] = _leaf(given)
            continue
        into[at] = items
        work.extend((items, key) for key in (items if isinstance(items, dict) else range(len(items))))
    return whole[0]


MAX_DECIMAL_BITS: Final = 14_000
"""Integers of more bits are hexadecimal text in JSON: Python refuses more than 4,300 digits."""


def _integer(value: int) -> int | str:
    return value if value.bit_length() <= MAX_DECIMAL_BITS else hex(value)


def _leaf(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, VoidType) or value is cbor2.undefined:
        return None
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if is_fraction(value):
        return f"{_integer(value.numerator)}/{_integer(value.denominator)}"
    return str(value)


def _named(table: Mapping[Any, Any]) -> dict[str, Any]:
    taken = {str(key) for key in table if isinstance(key, str)}
    named: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(key, str):
            named[str(key)] = value
            continue
        name = json_text(json_form(key))
        while name in taken:
            name = f"#{name}"
        taken.add(name)
        named[name] = value
    return named


def json_text(value: Any, *, indent: int | None = None) -> str:
    """JSON text of what ``json_form`` gives, nested as deep and with integers of any size.

    Integers are JSON numbers with all their digits, which takes less than quadratic time. ``indent``
    counts where nothing is nested too deep for it.
    """
    import json

    try:
        return json.dumps(value, ensure_ascii=False, indent=indent)
    except (RecursionError, ValueError):  # nested too deep, or an integer of too many digits
        return "".join(_json_parts(value))


def _json_parts(value: Any) -> Iterator[str]:
    """A text in pieces, with a stack of what is open in place of recursion."""
    import json

    stack: list[tuple[Iterator[Any], str]] = []
    pending = value
    while True:
        if isinstance(pending, dict):
            yield "{"
            stack.append((iter(pending.items()), "}"))
        elif isinstance(pending, list):
            yield "["
            stack.append((iter(pending), "]"))
        elif isinstance(pending, int) and not isinstance(pending, bool):
            yield decimal_text(pending)
        else:
            yield json.dumps(pending, ensure_ascii=False)
        first = isinstance(pending, dict | list)
        while stack:
            items, closing = stack[-1]
            try:
                pending = next(items)
            except StopIteration:
                stack.pop()
                yield closing
                first = False
                continue
            if not first:
                yield ", "
            if closing == "}":
                key, pending = pending
                yield f"{json.dumps(key, ensure_ascii=False)}: "
            break
        else:
            return


def decimal_text(number: int) -> str:
    """All digits of an integer, also where ``str`` refuses: halves are put together by ``decimal``.

    Its products take less than quadratic time, and ``sys.set_int_max_str_digits`` is left alone.
    """
    if number.bit_length() <= _LEAF_BITS:
        return str(number)
    import decimal

    exact = decimal.Context(
        prec=decimal.MAX_PREC, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[decimal.Inexact]
    )
    with decimal.localcontext(exact):
        digits = str(_to_decimal(abs(number), number.bit_length(), {}))
    return f"-{digits}" if number < 0 else digits


_LEAF_BITS: Final = 2_048
"""617 digits at the most: fewer than the least limit that Python can be set to, 640."""


def _to_decimal(number: int, bits: int, powers: dict[int, Decimal]) -> Decimal:
    """``powers`` keeps the powers of two; the recursion is as deep as the logarithm of ``bits``."""
    from decimal import Decimal

    if bits <= _LEAF_BITS:
        return Decimal(number)
    half = bits >> 1
    high, low = number >> half, number & ((1 << half) - 1)
    if half not in powers:
        powers[half] = Decimal(2) ** half
    return _to_decimal(high, bits - half, powers) * powers[half] + _to_decimal(low, half, powers)


def member_order(item: Any) -> tuple[str, Any]:
    """Sets have no order; a run has to be reproducible. For ``sorted``."""
    if isinstance(item, int | float) or is_fraction(item):
        return ("", item if item == item else 0)
    return (type(item).__name__, str(item) if isinstance(item, str) else repr(item))
