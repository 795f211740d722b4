"""A call's arguments on their way from the Scheme guest to Python: nothing is made of them, as in to_cbor.py.

Keys of tables and members of sets are compared by a text that is one for what is one in Python, such as 1 and
1.0: the hashes of texts cannot be chosen, so that a guest cannot make them collide.
"""

from __future__ import annotations

import binascii
import math
import re
import struct
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

from rlm_wasm.errors import Unencodable, UsageError
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.python import codec
from rlm_wasm.python.codec import MAX_DEPTH
from rlm_wasm.python.values import (
    BLOCK,
    NO_KEY,
    OBJECT,
    ONE_KEY,
    ONE_MEMBER,
    TOO_DEEP,
    Reference,
    check_first,
    joined,
    too_many_parts,
)
from rlm_wasm.sandbox import protocol

_VECTOR: Final = b"\xd9" + protocol.TAG_VECTOR.to_bytes(2, "big")
_QUOTED: Final = re.compile(rb'["\\\x00-\x1f]')
_WHOLE_BASE64: Final = 3 << 16
"""Bytes whose base64 has no padding, but at the end."""
_FLOATS: Final = {25: struct.Struct(">e"), 26: struct.Struct(">f"), 27: struct.Struct(">d")}
_SIMPLE: Final = {20: False, 21: True, 22: None, 23: None}
_REFERENCE: Final = _VECTOR + b"\x83\xd8" + bytes([protocol.TAG_SYMBOL, 0x60 | len(OBJECT)]) + OBJECT.encode()
"""How an object of Python's begins that Scheme hands back: a vector of three."""
_NAMES: Final = frozenset({protocol.TAG_SYMBOL, protocol.TAG_KEYWORD, protocol.TAG_CHARACTER})


def request_of(operation: str, packed: bytes, limit: int, check: Callable[[], None]) -> tuple[bytes, str]:
    """A request for the driver inside: operation and arguments; and the first of them where it is text.

    Raises UsageError for what Python has no form for, and beyond ``limit`` bytes and MAX_NODES parts;
    Unencodable for what is no array of values. ``check`` is as for ``value_to_cbor``.
    """
    first = first_of(packed)
    check_first(operation, first)
    text = first if isinstance(first, str) else ""
    begin = f"{operation}\n".encode()
    if operation in ("exec", "eval"):
        return begin + text.encode(), text
    request = _IntoPython(packed, limit, check, pairs=False).request(begin)
    if request is None:
        request = _IntoPython(packed, limit, check, pairs=True).request(begin)
    assert request is not None
    return request, text


def first_of(packed: bytes) -> Any:
    """The first argument: text, a reference, or None for anything else. Raises Unencodable."""
    reader = _IntoPython(packed, 0, _nothing, pairs=False)
    major, count = reader.head()
    if major != 4 or count == 0:
        raise Unencodable("a call's arguments are no array")
    if packed.startswith(_REFERENCE, reader.at):
        return reader.reference()
    try:
        return bytes(reader.string()).decode() if packed[reader.at] >> 5 == 3 else None
    except (UnicodeDecodeError, IndexError) as error:
        raise Unencodable(f"a message from the guest cannot be read: {error}") from None


def _nothing() -> None:
    """Nothing is looked at."""


@dataclass(slots=True)
class _Frame:
    """A container that is gone through. ``left``: items to come; below zero until a break."""

    left: int
    between: bytes
    close: bytes
    depth: int
    keys: set[bytes] | None = None
    """What stands in the keys of a table or in a set, in the form that is one for what is one in Python."""
    is_set: bool = False
    pairs: bool = False
    fields: list[str] | None = None
    """Of a struct, the last one first."""
    empty: bool = True


class _IntoPython:
    """An array of arguments, read once from its beginning to its end."""

    def __init__(self, packed: bytes, limit: int, check: Callable[[], None], *, pairs: bool) -> None:
        self._data = packed
        self.at = 0
        self._limit = limit
        self._check = check
        self._pairs = pairs
        self._left = codec.MAX_NODES
        self._size = 0
        self._out: list[bytes] = []
        self._small: list[bytes] = []
        self._open: list[_Frame] = []
        self._short = 0
        self._mixed = False
        """A table that began with text for keys has others: no table is an object of JSON's then."""

    def request(self, begin: bytes) -> bytes | None:
        """All of it, behind ``begin``; None where the tables have to be written as ``pairs``, and are not."""
        self._add(begin)
        try:
            self._value()
            while self._open and not self._mixed:
                self._next()
            if self._mixed:
                return None
        except (IndexError, UnicodeDecodeError) as error:
            raise Unencodable(f"a message from the guest cannot be read: {error}") from None
        if self.at != len(self._data):
            raise Unencodable("there is something behind the message")
        self._join()
        return joined(self._out)

    def _add(self, piece: bytes) -> None:
        self._small.append(piece)
        if len(self._small) >= 1_000:
            self._join()

    def _join(self) -> None:
        self._check()
        piece = b"".join(self._small)
        self._small.clear()
        self._out.append(piece)
        self._size += len(piece)
        if self._size > self._limit:
            raise UsageError(
                f"what is handed to Python has more than {self._limit:,} bytes, which a message may have "
                "(message_bytes)"
            )

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise UsageError(too_many_parts())

    def head(self) -> tuple[int, int]:
        """A value's major type and its number; -1 for a length that is not known. Raises IndexError."""
        first = self._data[self.at]
        self.at += 1
        major, short = first >> 5, first & 31
        self._short = short
        if short < 24:
            return major, short
        if short < 28:
            width = 1 << (short - 24)
            if self.at + width > len(self._data):
                raise Unencodable("the message ends in its middle")
            number = int.from_bytes(self._data[self.at : self.at + width], "big")
            self.at += width
            return major, number
        if short == 31 and major in (4, 5):
            return major, -1
        raise Unencodable("no CBOR")

    def string(self) -> memoryview:
        """The content of text or bytes that stand here."""
        major, size = self.head()
        if major not in (2, 3):
            raise Unencodable("no text")
        return self._bytes(size)

    def _bytes(self, size: int) -> memoryview:
        begin = self.at
        self.at += size
        if self.at > len(self._data):
            raise Unencodable("the message ends in its middle")
        return memoryview(self._data)[begin : self.at]

    # ---- one step

    def _next(self) -> None:
        frame = self._open[-1]
        if frame.left == 0 or (frame.left < 0 and self._data[self.at] == 0xFF):
            self.at += frame.left < 0
            self._add(b"]" + frame.close if frame.pairs and not frame.empty else frame.close)
            self._open.pop()
            return
        if frame.left > 0:
            frame.left -= 1
        if not frame.empty:
            self._add(frame.between)
        if frame.fields is not None:
            self._add(_as_json(frame.fields.pop()) + b": ")
        elif frame.keys is not None:
            self._key_of(frame)
        frame.empty = False
        if not frame.is_set:
            self._value()

    def _key_of(self, frame: _Frame) -> None:
        text, canonical, plain = self._key(frame.depth + 1)
        assert frame.keys is not None
        if canonical in frame.keys:
            raise UsageError(ONE_MEMBER if frame.is_set else ONE_KEY)
        frame.keys.add(canonical)
        if frame.is_set:
            self._add(text)
        elif frame.pairs:
            self._add((b", [" if frame.empty else b"") + text + b", ")
        elif plain:
            self._add(text + b": ")
        else:
            self._mixed = True

    def _value(self) -> None:
        self._count()
        data = self._data
        if data[self.at] < 24:
            self._add(b"%d" % data[self.at])
            self.at += 1
            return
        major, number = self.head()
        if major < 2:
            self._add(_integer(number if major == 0 else -1 - number))
        elif major == 3:
            self._text(number)
        elif major == 2:
            self._add(b'{"$": ["bytes", "')
            begin = self.at
            self._bytes(number)
            for at in range(begin, self.at, _WHOLE_BASE64):
                self._add(binascii.b2a_base64(data[at : min(at + _WHOLE_BASE64, self.at)], newline=False))
                if number > _WHOLE_BASE64:
                    self._join()
            self._add(b'"]}')
        elif major == 4:
            self._enter(_Frame(number, b", ", b"]", self._depth()), b"[")
        elif major == 5:
            self._table(number)
        elif major == 6:
            self._tagged(number)
        else:
            self._add(_as_json(self._simple(number)))

    def _depth(self) -> int:
        depth = self._open[-1].depth + 1 if self._open else 0
        if depth > MAX_DEPTH:
            raise UsageError(TOO_DEEP)
        return depth

    def _enter(self, frame: _Frame, begin: bytes) -> None:
        self._add(begin)
        self._open.append(frame)

    def _table(self, count: int) -> None:
        """Its keys say how it is written: as an object where the first is text, and then all have to be."""
        depth = self._depth()
        at, pairs = self.at, self._pairs
        if not pairs and count != 0 and self._data[at] != 0xFF:
            pairs = not self._key(depth + 1)[2]
            self.at = at
        if pairs:
            self._enter(_Frame(count, b"], [", b"]}", depth, set(), pairs=True), b'{"$": ["dict"')
        else:
            self._enter(_Frame(count, b", ", b"}", depth, set()), b"{")

    def _tagged(self, tag: int) -> None:
        if tag in (2, 3):
            self._add(_integer(self._bignum(tag)))
        elif tag in _NAMES:
            self._add(_as_json(self._name(tag)))
        elif tag == 30:
            above, below = self._two()
            if type(above) is not int or type(below) is not int or below == 0:
                raise Unencodable("no fraction")
            self._add(b'{"$": ["ratio", ' + _integer(above) + b", " + _integer(below) + b"]}")
        elif tag == protocol.TAG_COMPLEX:
            real, imaginary = self._two()
            value = [float(real), float(imaginary)]
            self._add(b'{"$": ["complex", ' + _as_json(value)[1:-1] + b"]}")
        elif tag == protocol.TAG_VECTOR:
            if self._data.startswith(_REFERENCE, self.at - 3):
                self.at -= 3
                found = self.reference()
                self._add(b'{"$": ["ref", ' + _integer(found.key) + b", " + _as_json(found.text) + b"]}")
            else:
                self._enter(_Frame(self._array(0), b", ", b"]", self._depth()), b"[")
        elif tag == protocol.TAG_IMPROPER:
            self._enter(_Frame(self._array(2), b", ", b"]", self._depth()), b"[")
        elif tag == protocol.TAG_UNIFORM:
            count = self._array(1)
            self._skip()
            self._enter(_Frame(count - 1 if count > 0 else count, b", ", b"]", self._depth()), b"[")
        elif tag == protocol.TAG_SET:
            count = self._array(1)
            self._skip()
            frame = _Frame(count - 1 if count > 0 else count, b", ", b"]}", self._depth(), set(), is_set=True)
            self._enter(frame, b'{"$": ["set"')
            frame.empty = False
        elif tag == protocol.TAG_TABLE:
            if self._array(2) != 2:
                raise Unencodable("a tag that holds two parts has others")
            self._skip()
            major, count = self.head()
            if major != 5:
                raise Unencodable("not a table")
            self._table(count)
        elif tag == protocol.TAG_BOX:
            if self._array(1) != 1:
                raise Unencodable("no box")
            self._enter(_Frame(1, b"", b"", self._depth()), b"")
        elif tag == protocol.TAG_STRUCT:
            self._struct()
        else:
            raise Unencodable(f"the tag {tag}, which a guest does not use")

    def _array(self, least: int) -> int:
        major, count = self.head()
        if major != 4 or 0 <= count < least:
            raise Unencodable("a tag without what it holds")
        return count

    def _struct(self) -> None:
        count = self._array(2)
        self._skip()  # its name
        tag = self.head()
        names = self._array(0) if tag == (6, protocol.TAG_VECTOR) else -1
        if count < 0 or names != count - 2:
            raise Unencodable("no struct")
        fields: dict[str, None] = {}
        counts: dict[str, int] = {}
        for _ in range(names):
            self._count()
            field = self._name(self.head()[1])
            key = field
            while key in fields:
                counts[field] = counts.get(field, 1) + 1
                key = f"{field}#{counts[field]}"
            fields[key] = None
        if "$" in fields:
            raise UsageError("a struct with a field of the name $ has no form in Python")
        self._enter(_Frame(names, b", ", b"}", self._depth(), fields=list(fields)[::-1]), b"{")

    def _skip(self) -> None:
        """Pass over a part that Python does not need: a name, a number, false."""
        major, number = self.head()
        if major == 6:
            self._name(number)
        elif major in (2, 3):
            self._bytes(number)
        elif major in (4, 5):
            raise Unencodable("a tag whose first part is no name")

    def _name(self, tag: int) -> str:
        if tag == protocol.TAG_CHARACTER:
            major, code = self.head()
            if major != 0 or code >= 0x110000 or 0xD800 <= code < 0xE000:
                raise Unencodable("no character")
            return chr(code)
        if tag not in _NAMES:
            raise Unencodable("no name")
        return str(self.string(), "utf-8")

    def _bignum(self, tag: int) -> int:
        magnitude = int.from_bytes(self.string(), "big")
        return magnitude if tag == 2 else -1 - magnitude

    def _two(self) -> tuple[Any, Any]:
        if self._array(2) != 2:
            raise Unencodable("a tag that holds two parts has others")
        return self._real(), self._real()

    def _real(self) -> int | float:
        major, number = self.head()
        if major < 2:
            return number if major == 0 else -1 - number
        if major == 6 and number in (2, 3):
            return self._bignum(number)
        if major == 7 and type(value := self._simple(number)) is float:
            return value
        raise Unencodable("no number")

    def _simple(self, number: int) -> Any:
        """False, true, nothing, or a float."""
        form = _FLOATS.get(self._short)
        if form is not None:
            return form.unpack(number.to_bytes(form.size, "big"))[0]
        if number not in _SIMPLE or self._short >= 24:
            raise Unencodable("no CBOR")
        return _SIMPLE[number]

    def _text(self, size: int) -> None:
        begin = self.at
        self._bytes(size)
        if size <= BLOCK:
            self._add(b'"' + _quoted(self._data[begin : self.at]) + b'"')
            return
        self._add(b'"')
        while begin < self.at:
            stop = min(begin + BLOCK, self.at)
            while stop < self.at and self._data[stop] & 0xC0 == 0x80 and stop > begin + 1:
                stop -= 1
            self._add(_quoted(self._data[begin:stop]))
            self._join()
            begin = stop
        self._add(b'"')

    def reference(self) -> Reference:
        """An object of Python's that Scheme hands back. Raises Unencodable."""
        self.at += len(_REFERENCE)
        major, key = self.head()
        if major == 6 and key in (2, 3):
            key = self._bignum(key)
        elif major > 1:
            raise Unencodable("no object of Python's")
        return Reference(key, str(self.string(), "utf-8"))

    # ---- keys

    def _key(self, depth: int) -> tuple[bytes, bytes, bool]:
        """A table's key, or a set's member: its text, what is one for equal ones, and whether it is text.

        Of the latter "$" is none: an object of JSON's with that key is something else.
        """
        self._count()
        if depth > MAX_DEPTH:
            raise UsageError(TOO_DEEP)
        begin = self.at
        major, number = self.head()
        if major == 3 or (major == 6 and number in _NAMES):
            name = str(self._bytes(number), "utf-8") if major == 3 else self._name(number)
            text = _as_json(name)
            return text, text, name != "$"
        if major == 2:
            text = b'{"$": ["bytes", "' + binascii.b2a_base64(self._bytes(number), newline=False) + b'"]}'
            return text, text, False
        if major < 2:
            return _number_key(number if major == 0 else -1 - number)
        if major == 7:
            value = self._simple(number)
            return (b"null", b"null", False) if value is None else _number_key(value)
        if major == 4:
            return self._tuple(number, depth)
        if major == 6:
            return self._tagged_key(begin, number, depth)
        raise UsageError(NO_KEY)

    def _tagged_key(self, begin: int, tag: int, depth: int) -> tuple[bytes, bytes, bool]:
        if tag in (2, 3):
            return _number_key(self._bignum(tag))
        if tag == 30:
            above, below = self._two()
            if type(above) is not int or type(below) is not int or below == 0:
                raise Unencodable("no fraction")
            return _number_key(Fraction(above, below))
        if tag == protocol.TAG_COMPLEX:
            real, imaginary = self._two()
            return _number_key(complex(real, imaginary))
        if tag == protocol.TAG_VECTOR:
            if self._data.startswith(_REFERENCE, begin):
                self.at = begin
                found = self.reference()
                text = b'{"$": ["ref", ' + _integer(found.key) + b", " + _as_json(found.text) + b"]}"
                return text, text, False
            return self._tuple(self._array(0), depth)
        if tag == protocol.TAG_IMPROPER:
            return self._tuple(self._array(2), depth)
        if tag == protocol.TAG_BOX:
            if self._array(1) != 1:
                raise Unencodable("no box")
            return self._key(depth + 1)
        raise UsageError(NO_KEY)

    def _tuple(self, count: int, depth: int) -> tuple[bytes, bytes, bool]:
        texts: list[bytes] = []
        canonical: list[bytes] = []
        while len(texts) != count and not (count < 0 and self._data[self.at] == 0xFF):
            text, same, _ = self._key(depth + 1)
            texts.append(b", " + text)
            canonical.append(same)
        self.at += count < 0
        return b'{"$": ["tuple"' + b"".join(texts) + b"]}", b"(" + b",".join(canonical) + b")", False


def _number_key(value: Any) -> tuple[bytes, bytes, bool]:
    """Of a number: 1, 1.0 and true are one in Python."""
    if isinstance(value, bool):
        text = b"true" if value else b"false"
    elif isinstance(value, int):
        text = _integer(value)
    elif isinstance(value, float):
        text = _as_json(value)
    elif isinstance(value, Fraction):
        text = b'{"$": ["ratio", ' + _integer(value.numerator) + b", " + _integer(value.denominator) + b"]}"
    else:
        text = b'{"$": ["complex", ' + _as_json([value.real, value.imag])[1:-1] + b"]}"
        value = value.real if value.imag == 0 else repr(value)
    if isinstance(value, float) and not math.isfinite(value):
        return text, text, False
    if isinstance(value, bool | int | float | Fraction):
        above, below = value.as_integer_ratio()
        return text, _integer(above) + b"/" + _integer(below), False
    return text, text, False


def _as_json(value: Any) -> bytes:
    return codec.valid_text(codec.as_json(value)).encode()


def _integer(value: int) -> bytes:
    if value.bit_length() <= codec.LONG_BITS:
        return b"%d" % value
    return b'{"$": ["int", "' + hex(value).encode() + b'"]}'


def _quoted(content: bytes) -> bytes:
    """The inside of a JSON string that says this. Raises UnicodeDecodeError."""
    if _QUOTED.search(content) is None:
        if not content.isascii():
            content.decode()
        return content
    return codec.as_json(content.decode()).encode()[1:-1]
