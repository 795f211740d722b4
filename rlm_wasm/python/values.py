"""Between Scheme's values and Python's: what py-set! sends in, and what py-eval brings back.

Into Python: symbols and characters are strings, void is None, vectors are lists, hash tables are
dicts. Out of it: tuples and sets are lists, dates are ISO strings. An object without a data form is
``#(python-object id "repr")`` in Scheme, which py-call, py-set! and later arguments take back.
"""

from __future__ import annotations

import datetime
from typing import Any

import cbor2

from rlm_wasm.data import VOID, ImproperList, Symbol
from rlm_wasm.errors import UsageError

OBJECT = Symbol("python-object")


class Reference:
    """An object that lives in Python; ``key`` finds it there."""

    __slots__ = ("key", "shown")

    def __init__(self, key: int, shown: str) -> None:
        self.key = key
        self.shown = shown


def from_scheme(value: Any) -> Any:
    """A Python value. Raises UsageError for what Python has no form for."""
    if value is None or value is VOID or value is cbor2.undefined:
        return None
    if isinstance(value, tuple | list):
        if len(value) == 3 and isinstance(value, tuple) and value[0] == OBJECT and isinstance(value[1], int):
            return Reference(value[1], str(value[2]))
        return [from_scheme(item) for item in value]
    if isinstance(value, dict):
        return {_key(from_scheme(key)): from_scheme(item) for key, item in value.items()}
    if isinstance(value, ImproperList):
        return [*map(from_scheme, value.items), from_scheme(value.tail)]
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool | int | float | complex | bytes) or type(value).__name__ == "Fraction":
        return value
    raise UsageError(f"Python has no form for a value of kind {type(value).__name__}")


def _key(key: Any) -> Any:
    return tuple(map(_key, key)) if isinstance(key, list) else key


def to_scheme(value: Any) -> Any:
    """What crosses to the guest."""
    if isinstance(value, Reference):
        return (OBJECT, value.key, value.shown)
    if isinstance(value, list | tuple):
        return [to_scheme(item) for item in value]
    if isinstance(value, set | frozenset):
        return [to_scheme(item) for item in sorted(value, key=lambda item: (type(item).__name__, str(item)))]
    if isinstance(value, dict):
        return {_scheme_key(key): to_scheme(item) for key, item in value.items()}
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    return value


def _scheme_key(key: Any) -> Any:
    return tuple(map(_scheme_key, key)) if isinstance(key, tuple | list) else to_scheme(key)
