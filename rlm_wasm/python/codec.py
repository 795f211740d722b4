"""Values as JSON text, the same on both sides of the boundary (the build puts this file inside, too).

JSON's own types stand for themselves. Everything else is an object with the one key "$":
{"$": [kind, content...]}. An object that has no data form goes as a reference: ["ref", id, repr].
A dict is a JSON object where its keys are strings other than "$", else ["dict", [key, value]...].
A value has MAX_NODES parts at the most, a shared one counted wherever it stands.
"""

import array
import base64
import collections
import dataclasses
import datetime
import json
import re
import types
from collections.abc import Callable
from typing import Any

MAX_DEPTH = 200
MAX_NODES = 1_000_000
"""Parts of one value: numbers, texts, lists and so on, each counted as often as it stands there."""
MAX_MARKS = 2 * MAX_NODES
"""Commas, colons and opening brackets in the text of a value: a tagged part has several."""
LONG_BITS = 12_000
"""Longer integers go as hexadecimal: CPython refuses long decimals, whose conversion is quadratic."""
MAX_EXPONENT = 5_000
"""A Decimal beyond 10 to the power of this has no data form: as an exact number it would be huge."""


class TooDeep(ValueError):
    """Nested deeper than MAX_DEPTH, perhaps because it contains itself."""


class TooLarge(ValueError):
    """More than MAX_NODES parts."""

    def __init__(self) -> None:
        super().__init__(f"the value has more than {MAX_NODES:,} parts: hand over less at once")


def dumps(value: Any, reference: Callable[[Any], list[Any]]) -> str:
    """Text of a value. ``reference(object)`` keeps one that has no data form and gives [id, repr].

    Half a surrogate pair, for which no bytes stand, becomes U+FFFD. Raises TooDeep and TooLarge.
    """
    if value is None:
        return "null"
    if type(value) is int and -_SHORT < value < _SHORT:
        return repr(value)
    return valid_text(as_json(_Encoder(reference).plain(value, 0)))


_SHORT = 1 << 60
as_json = json.JSONEncoder(
    ensure_ascii=False, check_circular=False
).encode  # made once: it takes as long again


def loads(text: str, dereference: Callable[[list[Any]], Any]) -> Any:
    """The inverse; ``dereference([id, repr])`` gives what stands for a kept object."""
    return _value(json.loads(text), dereference)


_SURROGATE = re.compile("[\ud800-\udfff]")


def valid_text(text: str) -> str:
    """Text that can be encoded: half a surrogate pair becomes U+FFFD."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


_SCALARS = (type(None), bool, int, float, str)
_AS_THEY_ARE = frozenset([type(None), bool, float, str])
_VIEWS = tuple(map(type, ({}.keys(), {}.values(), {}.items())))
_LISTS = (list, collections.deque, range, *_VIEWS, array.array, collections.UserList)
_MAPPINGS = (collections.ChainMap, collections.UserDict, types.MappingProxyType)


class _Encoder:
    """Makes what json.dumps takes, and counts its parts."""

    def __init__(self, reference: Callable[[Any], list[Any]]) -> None:
        self._reference = reference
        self._left = MAX_NODES - 1
        self._marks_left = MAX_MARKS

    def _count(self, nodes: int, marks: int) -> None:
        """Before anything is made of them. ``marks`` are as many as check_marks will find, or more."""
        self._left -= nodes
        self._marks_left -= marks
        if self._left < 0 or self._marks_left < 0:
            raise TooLarge

    def _tagged(self, kind: str, *content: Any) -> dict[str, Any]:
        self._count(0, 4 + len(content))
        return {"$": [kind, *content]}

    def plain(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is int:
            return value if value.bit_length() <= LONG_BITS else self._tagged("int", hex(value))
        if kind in _SCALARS:
            return value
        if depth > MAX_DEPTH:
            raise TooDeep(f"the value is nested deeper than {MAX_DEPTH} levels, or contains itself")
        if isinstance(value, _LISTS):
            return self._items(value, depth)
        if isinstance(value, tuple):
            return self._tagged("tuple", *self._items(value, depth))
        if isinstance(value, dict):
            return self._dict(value, depth)
        if isinstance(value, _MAPPINGS):
            return self._dict(dict(value), depth)
        if isinstance(value, set | frozenset):
            return self._tagged("set", *self._items(sorted(value, key=_order), depth))
        if isinstance(value, bytes | bytearray | memoryview):
            return self._tagged("bytes", base64.b64encode(value).decode("ascii"))
        if kind is complex:
            return self._tagged("complex", value.real, value.imag)
        for date in (datetime.datetime, datetime.date, datetime.time):
            if isinstance(value, date):
                return self._tagged("date", date.__name__, value.isoformat())
        if isinstance(value, collections.UserString):
            return str(value)
        for base in (bool, int, float, str):  # a subclass, such as an enum's member
            if isinstance(value, base):
                return self.plain(base(value), depth)
        if kind.__module__ in ("decimal", "fractions") and kind.__name__ in ("Decimal", "Fraction"):
            return self._exact(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
            return self._dict(fields, depth)
        return self._tagged("ref", *self._reference(value))

    def _items(self, items: Any, depth: int) -> list[Any]:
        try:
            count = len(items)
        except OverflowError:  # a range can have more items than there are numbers for it
            raise TooLarge from None
        self._count(count, count + 1)
        depth += 1
        return [item if type(item) in _AS_THEY_ARE else self.plain(item, depth) for item in items]

    def _dict(self, value: dict[Any, Any], depth: int) -> Any:
        self._count(2 * len(value), 2 * len(value) + 1)
        if all(type(key) is str and key != "$" for key in value):
            return {key: self.plain(item, depth + 1) for key, item in value.items()}
        pairs = ([self.plain(key, depth + 1), self.plain(item, depth + 1)] for key, item in value.items())
        self._count(0, len(value))  # each pair is a list
        return self._tagged("dict", *pairs)

    def _exact(self, value: Any) -> Any:
        if hasattr(value, "is_finite") and not value.is_finite():
            return float("nan") if value.is_nan() else float(value)
        if hasattr(value, "adjusted") and abs(value.adjusted()) > MAX_EXPONENT:
            return self._tagged("ref", *self._reference(value))
        numerator, denominator = value.as_integer_ratio()
        if hasattr(value, "adjusted") and denominator == 1:
            return self.plain(numerator, 0)
        return self._tagged("ratio", self.plain(numerator, 0), self.plain(denominator, 0))


def _order(item: Any) -> tuple[str, Any]:
    """Sets have no order; a run has to be reproducible."""
    return (type(item).__name__, item if isinstance(item, int | float | str) else repr(item))


def _value(plain: Any, dereference: Callable[[list[Any]], Any]) -> Any:
    if isinstance(plain, list):
        return [_value(item, dereference) for item in plain]
    if not isinstance(plain, dict):
        return plain
    if len(plain) != 1 or "$" not in plain:
        return {key: _value(item, dereference) for key, item in plain.items()}
    kind, *content = plain["$"]
    if kind == "ref":
        return dereference(content)
    if kind == "int":
        return int(content[0], 16)
    if kind == "bytes":
        return base64.b64decode(content[0])
    if kind == "date":
        dates: dict[str, Any] = {"datetime": datetime.datetime, "date": datetime.date, "time": datetime.time}
        return dates[content[0]].fromisoformat(content[1])
    if kind == "complex":
        return complex(*content)
    items = [_value(item, dereference) for item in content]
    if kind == "ratio":
        from fractions import Fraction

        return Fraction(items[0], items[1])
    if kind == "tuple":
        return tuple(items)
    if kind == "set":
        return set(items)
    if kind == "dict":
        return {_hashable(key): item for key, item in items}
    raise ValueError(f"no such kind of value: {kind!r}")


def _hashable(key: Any) -> Any:
    return tuple(map(_hashable, key)) if isinstance(key, list) else key
