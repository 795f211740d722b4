"""Between Scheme's values and Python's: what py-set! sends in, and what py-eval brings back.

Into Python: symbols and characters are strings, void is None, vectors are lists, hash tables are
dicts, sets are sets, a struct is a dict of its fields, a box is its content. Out of it: tuples and sets
are lists, dates are ISO strings. An object without a data form is ``#(python-object id "repr")`` in
Scheme, which py-call, py-set! and later arguments take back.

What comes out is hostile. It is never made into a set or a dict with keys of its choice, whose hashes it
could have chosen to collide: a set crosses as a list, a dict as its pairs, and the table is built by the
Scheme guest, at its own cost. Its parts are counted before any is made.
"""

from __future__ import annotations

import base64
import json
import keyword
import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from json import scanner
from typing import Any, Final

import cbor2

from rlm_wasm.data import VOID, Box, ImproperList, Struct, Symbol
from rlm_wasm.errors import UsageError
from rlm_wasm.python import codec
from rlm_wasm.python.codec import MAX_DEPTH, MAX_NODES, TooLarge
from rlm_wasm.sandbox.pages import COPIED_AT_ONCE, address_of, at_once, gathered

OBJECT = Symbol("python-object")
MAX_RATIO_BITS = 1 << 15
"""Numerator and denominator of a fraction that comes out, for it takes a gcd, which is quadratic."""


class Reference:
    """An object that lives in Python; ``key`` finds it there."""

    __slots__ = ("key", "text")

    def __init__(self, key: int, text: str) -> None:
        self.key = key
        self.text = text


class PairTable(Mapping[Any, Any]):
    """A table as its pairs. Encoded as any other mapping; nothing in it is ever hashed or looked up."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: list[tuple[Any, Any]]) -> None:
        self.pairs = pairs

    def items(self) -> Any:
        """The pairs, in order: as much of a view as an encoder needs."""
        return self.pairs

    def __iter__(self) -> Iterator[Any]:
        return (key for key, _ in self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, key: Any) -> Any:
        for candidate, value in self.pairs:
            if candidate == key:
                return value
        raise KeyError(key)

    def __repr__(self) -> str:
        return f"PairTable({self.pairs!r})"

    __hash__ = None  # type: ignore[assignment]


def joined(pieces: list[bytes]) -> bytes:
    """One bytes object of them, copied a mebibyte at a time: so other threads run meanwhile."""
    if sum(map(len, pieces)) <= COPIED_AT_ONCE:
        return b"".join(pieces)
    return at_once(gathered([(address_of(piece), len(piece)) for piece in pieces]))


# ---- in


ONE_KEY: Final = (
    'a table with keys that are one in Python, such as #\\a and "a", has no form there:'
    " hand over a list of pairs"
)
ONE_MEMBER: Final = "a set with members that are one in Python has no form there: hand over a list"
NO_KEY: Final = (
    "a key of a table or a member of a set that has a table, a set or a struct in it has no form in Python:"
    " hand over a list"
)
TOO_DEEP: Final = (
    f"what is handed to Python: the value is nested deeper than {MAX_DEPTH} levels, or contains itself"
)


def too_many_parts() -> str:
    """Why a value is refused."""
    return f"a value for Python has {MAX_NODES:,} parts at the most: send less at once"


def arguments_of(operation: str, arguments: Sequence[Any]) -> list[Any]:
    """A call's arguments as Python values, checked. Raises UsageError."""
    counter = _FromScheme()
    given = [counter.value(argument) for argument in arguments]
    check_first(operation, given[0])
    return given


def check_first(operation: str, first: Any) -> None:
    """Whether the first argument is what the operation wants. Raises UsageError."""
    if operation in ("exec", "eval") and not isinstance(first, str):
        raise UsageError(f"py-{operation}: the code must be a string, got {type(first).__name__}")
    if operation == "call" and not isinstance(first, Reference):
        raise UsageError("py-call: the first argument must be a Python object that py-eval returned")
    if operation == "set" and (
        not isinstance(first, str) or not first.isidentifier() or keyword.iskeyword(first)
    ):
        text = first[:60] if isinstance(first, str) else type(first).__name__
        raise UsageError(f"py-set!: {text!r} is no name of a Python variable (letters, digits and _)")


class _FromScheme:
    """Python values for a call's arguments.

    Their parts are counted together: a list that stands in a million places is a million. Raises UsageError
    for what Python has no form for, and beyond MAX_NODES parts.
    """

    def __init__(self) -> None:
        self._left = MAX_NODES

    def value(self, value: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise UsageError(too_many_parts())
        if value is None or value is VOID or value is cbor2.undefined:
            return None
        if isinstance(value, str):
            return str(value)
        if isinstance(value, bool | int | float | complex | bytes | Fraction):
            return value
        if isinstance(value, tuple | list):
            if isinstance(value, tuple) and len(value) == 3 and value[0] == OBJECT:
                return Reference(int(value[1]), str(value[2]))
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            table = {_key(self.value(key)): self.value(item) for key, item in value.items()}
            if len(table) < len(value):
                raise UsageError(ONE_KEY)
            return table
        if isinstance(value, ImproperList):
            return [*map(self.value, value.items), self.value(value.tail)]
        if isinstance(value, frozenset):
            members = {self._member(item) for item in value}
            if len(members) < len(value):
                raise UsageError(ONE_MEMBER)
            return members
        if isinstance(value, Struct):
            return {key: self.value(item) for key, item in value.fields.items()}
        if isinstance(value, Box):
            return self.value(value.value)
        raise UsageError(f"Python has no form for a value of kind {type(value).__name__}")

    def _member(self, item: Any) -> Any:
        if isinstance(item, frozenset):
            raise UsageError("a set of sets has no form in Python: hand over a list of sets")
        return _key(self.value(item))


def _key(key: Any) -> Any:
    return tuple(map(_key, key)) if isinstance(key, list) else key


# ---- out


def to_scheme(text: str) -> Any:
    """What the codec's text says, as it crosses to the guest. The text is hostile.

    Raises TooLarge beyond MAX_MARKS, and ValueError, KeyError, IndexError, TypeError, ArithmeticError
    or RecursionError for what the codec would not have written.
    """
    check_marks(text.encode())
    return plain_to_scheme(_decoded(text), 0)


BLOCK: Final = 256 << 10
"""Bytes of a text that are looked at in one call: while it runs, no other thread does."""
STRING_PART: Final = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)


def check_marks(text: bytes, limit: int | None = None) -> int:
    """Count the marks of JSON text that may begin a part (strings passed over), and its strings.

    Raises TooLarge where there are more than ``limit`` (MAX_MARKS) of either, before any part is made. In
    steps that are short: while one C call runs, no other thread does. Returns 0 for text too short for that.
    """
    if limit is None:
        limit = codec.MAX_MARKS
    if len(text) <= limit:
        return 0
    marks = strings = at = 0
    while True:
        quote = text.find(b'"', at, at + BLOCK)
        end = quote if quote >= 0 else min(at + BLOCK, len(text))
        if end > at:
            marks += sum(text.count(mark, at, end) for mark in b",[{:")
        strings += quote >= 0
        if max(marks, strings) > limit:
            raise TooLarge
        if quote < 0:
            if end == len(text):
                return marks
            at = end
            continue
        at = string_end(text, quote) + 1


def string_end(text: bytes, quote: int) -> int:
    """Where the string that begins at ``quote`` has its other one; the text's end where it has none."""
    at = quote + 1
    while at < len(text) and text[at] != 0x22:
        match = STRING_PART.match(text, at, at + BLOCK)
        moved = match.end() if match is not None else at
        at = moved if moved > at else at + 2  # an escape that a step has cut in two
    return at


_AT_ONCE: Final = 100_000
"""Commas of a text that is read in one call; the call keeps all other threads waiting, 20 ms for so many."""


def _decoded(text: str) -> Any:
    """As ``json.loads``; a text of many parts by json's reader in Python, which lets other threads run."""
    if text.count(",") <= _AT_ONCE:
        return json.loads(text)
    decoder: Any = json.JSONDecoder()
    decoder.scan_once = scanner.py_make_scanner(decoder)  # type: ignore[attr-defined]
    return decoder.decode(text)


def plain_to_scheme(plain: Any, depth: int) -> Any:
    """What JSON's reader made of the codec's text, as it crosses. Raises as ``to_scheme``."""
    if isinstance(plain, list):
        return _items(plain, depth)
    if not isinstance(plain, dict):
        return plain
    if len(plain) != 1 or "$" not in plain:
        return {key: plain_to_scheme(item, depth + 1) for key, item in plain.items()}
    kind, *content = plain["$"]
    if kind in ("tuple", "set"):
        return _items(content, depth)
    if kind == "dict":
        return PairTable(
            [(scheme_key(plain_to_scheme(k, depth + 1)), plain_to_scheme(v, depth + 1)) for k, v in content]
        )
    if kind == "ref":
        return (OBJECT, int(content[0]), str(content[1])[:200])
    if kind == "int":
        return int(str(content[0]), 16)
    if kind == "bytes":
        return base64.b64decode(content[0])
    if kind == "date":
        return str(content[1])[:64]
    if kind == "complex":
        real, imaginary = content
        return complex(float(real), float(imaginary))
    if kind == "ratio":
        numerator, denominator = (plain_to_scheme(part, depth + 1) for part in content)
        if max(numerator.bit_length(), denominator.bit_length()) > MAX_RATIO_BITS:
            raise OverflowError(f"a fraction of more than {MAX_RATIO_BITS:,} bits")
        return Fraction(numerator, denominator)
    raise ValueError(f"no such kind of value: {kind!r}")


def _items(items: list[Any], depth: int) -> list[Any]:
    if depth > MAX_DEPTH + 1:
        raise ValueError("nested too deep")
    return [plain_to_scheme(item, depth + 1) for item in items]


def scheme_key(key: Any) -> Any:
    """A list in a table's key is a vector: what Python had there was a tuple."""
    return tuple(map(scheme_key, key)) if isinstance(key, list) else key
