"""Values as JSON text, the same on both sides of the boundary (the build puts this file inside, too).

JSON's own types stand for themselves. Everything else is an object with the one key "$":
{"$": [kind, content...]}. An object that has no data form goes as a reference: ["ref", id, repr].
A dict is a JSON object where its keys are strings other than "$", else ["dict", [key, value]...].
"""

import base64
import datetime
import json
from collections.abc import Callable
from typing import Any

MOST_DEPTH = 200
LONG_BITS = 12_000
"""Longer integers go as hexadecimal: CPython refuses long decimals, whose conversion is quadratic."""


def dumps(value: Any, reference: Callable[[Any], list[Any]]) -> str:
    """Text of a value. ``reference(object)`` keeps one that has no data form and gives [id, repr]."""
    return json.dumps(_plain(value, reference, 0))


def loads(text: str, dereference: Callable[[list[Any]], Any]) -> Any:
    """The inverse; ``dereference([id, repr])`` gives what stands for a kept object."""
    return _value(json.loads(text), dereference)


def _plain(value: Any, reference: Callable[[Any], list[Any]], depth: int) -> Any:
    if depth > MOST_DEPTH:
        raise ValueError(f"the value is nested deeper than {MOST_DEPTH} levels, or contains itself")
    kind = type(value)
    if kind is int and value.bit_length() > LONG_BITS:
        return {"$": ["int", hex(value)]}
    if value is None or kind in (bool, int, float, str):
        return value

    def inner(item: Any) -> Any:
        return _plain(item, reference, depth + 1)

    if kind is list:
        return [inner(item) for item in value]
    if kind is tuple:
        return {"$": ["tuple", *map(inner, value)]}
    if kind is dict:
        if all(type(key) is str and key != "$" for key in value):
            return {key: inner(item) for key, item in value.items()}
        return {"$": ["dict", *([inner(key), inner(item)] for key, item in value.items())]}
    if kind in (set, frozenset):
        return {"$": ["set", *map(inner, sorted(value, key=_order))]}
    if kind in (bytes, bytearray):
        return {"$": ["bytes", base64.b64encode(value).decode("ascii")]}
    if kind is complex:
        return {"$": ["complex", value.real, value.imag]}
    if kind in (datetime.datetime, datetime.date, datetime.time):
        return {"$": ["date", kind.__name__, value.isoformat()]}
    if kind.__module__ == "fractions" and kind.__name__ == "Fraction":
        return {"$": ["ratio", value.numerator, value.denominator]}
    for base in (bool, int, float, str):  # a subclass, such as an enum's member
        if isinstance(value, base):
            return base(value)
    return {"$": ["ref", *reference(value)]}


def _order(item: Any) -> tuple[str, Any]:
    """Sets have no order; a run has to be reproducible."""
    return (type(item).__name__, item if isinstance(item, int | float | str) else repr(item))


def _value(plain: Any, dereference: Callable[[list[Any]], Any]) -> Any:
    if isinstance(plain, list):
        return [_value(item, dereference) for item in plain]
    if not isinstance(plain, dict):
        return plain
    if set(plain) != {"$"}:
        return {key: _value(item, dereference) for key, item in plain.items()}
    kind, *content = plain["$"]
    if kind == "ref":
        return dereference(content)
    if kind == "int":
        return int(content[0], 16)
    if kind == "bytes":
        return base64.b64decode(content[0])
    if kind == "date":
        types: dict[str, Any] = {"datetime": datetime.datetime, "date": datetime.date, "time": datetime.time}
        return types[content[0]].fromisoformat(content[1])
    if kind == "complex":
        return complex(*content)
    if kind == "ratio":
        from fractions import Fraction

        return Fraction(content[0], content[1])
    items = [_value(item, dereference) for item in content]
    if kind == "tuple":
        return tuple(items)
    if kind == "set":
        return set(items)
    if kind == "dict":
        return {_hashable(key): item for key, item in items}
    raise ValueError(f"no such kind of value: {kind!r}")


def _hashable(key: Any) -> Any:
    return tuple(map(_hashable, key)) if isinstance(key, list) else key
