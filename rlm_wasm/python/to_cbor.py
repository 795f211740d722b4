"""A value on its way from Python to the Scheme guest, from one encoding to the other: nothing is made of it.

A value of Python's is text (rlm_wasm.python.codec) and one of Scheme's is CBOR (rlm_wasm.sandbox.protocol).
Whoever decodes a value of a million parts has a million objects, and the collector of his own Python looks at
every one of them at once while all threads wait. So what is larger than WINDOW is gone through in place, and
never more than a window's worth of it is decoded at a time. It is hostile, and for a worker's thread: it may
take seconds, in steps that are short.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from rlm_wasm.data import whole_characters
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.python.codec import MAX_DEPTH
from rlm_wasm.python.values import (
    BLOCK,
    STRING_PART,
    PairTable,
    check_marks,
    plain_to_scheme,
    scheme_key,
    string_end,
)
from rlm_wasm.sandbox import protocol

WINDOW: Final = 32 << 10
"""Bytes of a text whose value is decoded at once. What cannot be cut, such as a long fraction, is shorter."""

_STRING: Final = rb'"(?:[^"\\]++|\\.)*+"'
_NEST: Final = rb"[\[{](?:[^\][{}\"]++|" + _STRING + rb"%s)*+[\]}]"
_ELEMENT: Final = (
    rb'(?:[^\][{}",\s][^\][{}",]*+|'
    + _STRING
    + rb"|"
    + _NEST % (rb"|" + _NEST % (rb"|" + _NEST % (rb"|" + _NEST % rb"")))
    + rb")\s*+"
)
_ELEMENTS: Final = re.compile(rb"(?:" + _ELEMENT + rb",\s*+)++", re.DOTALL)
"""Parts of a list that are small, with the commas behind them. What only looks so JSON's reader refuses."""
_MEMBERS: Final = re.compile(rb"(?:" + _STRING + rb"\s*+:\s*+" + _ELEMENT + rb",\s*+)++", re.DOTALL)
_TAG: Final = re.compile(rb'\{\s*+"\$"\s*+:\s*+\[\s*+"([a-z]{1,10}+)"\s*+,?\s*+')
_NUMBER: Final = re.compile(rb"[-+.0-9A-Za-z]{1,20000}+")
_SPACE: Final = re.compile(rb"\s*+")
_SPECIAL: Final = re.compile(rb"[\\\x00-\x1f]")
_CUT_ESCAPE: Final = re.compile(rb"\\u(?:[0-9a-fA-F]{0,3}|[dD][89abAB][0-9a-fA-F]{2})\Z")
"""At the end of a block: an escape that goes on behind it, or the first half of a pair of them."""

_NO_PARTS: Final = frozenset({int, str, float, bool, type(None)})
_LIST: Final = b"\x9f"
_TABLE: Final = b"\xbf"
_BREAK: Final = b"\xff"
_VECTOR: Final = b"\xd9" + protocol.TAG_VECTOR.to_bytes(2, "big")


def value_to_cbor(text: bytes, check: Callable[[], None]) -> list[bytes]:
    """What the codec's text says as the Scheme guest reads it, in pieces. The text is UTF-8, and hostile.

    ``check`` is called now and then, and raises where nobody wants it any longer. Raises TooLarge beyond
    MAX_MARKS, and ValueError, LookupError, TypeError, ArithmeticError, RecursionError or Unencodable for what
    the codec would not have written.
    """
    if len(text) <= WINDOW:
        return [protocol.encode(plain_to_scheme(json.loads(text.decode()), 0))]
    check_marks(text)
    return _OutOfPython(text, check).pieces()


@dataclass(slots=True)
class _Open:
    """A container that is gone through. ``close``: the marks that end it in the text.

    ``in_key``: it stands in a table's key, where a list is a vector.
    """

    kind: str
    close: bytes
    depth: int
    in_key: bool
    key_next: bool = False


class _OutOfPython:
    """The text of one large value, read once from its beginning to its end."""

    def __init__(self, text: bytes, check: Callable[[], None]) -> None:
        self._text = text
        self._check = check
        self._at = 0
        self._out: list[bytes] = []
        self._small: list[bytes] = []
        self._open: list[_Open] = []
        reader: Any = json.JSONDecoder()
        self._scan: Callable[[str, int], tuple[Any, int]] = reader.scan_once

    def pieces(self) -> list[bytes]:
        """All of it."""
        self._pass_space()
        values = 0
        while not (self._value() and self._close()):
            values += 1
            if values % 64 == 0:
                self._check()
        if self._at != len(self._text):
            raise ValueError("there is something behind the value")
        self._join()
        return self._out

    def _add(self, piece: bytes) -> None:
        self._small.append(piece)
        if len(self._small) >= 1_000:
            self._join()

    def _join(self) -> None:
        self._out.append(b"".join(self._small))
        self._small.clear()

    def _pass_space(self) -> None:
        match = _SPACE.match(self._text, self._at, self._at + BLOCK)
        assert match is not None
        self._at = match.end()

    def _byte(self) -> int:
        """The next byte."""
        if self._at >= len(self._text):
            raise ValueError("the text ends in its middle")
        return self._text[self._at]

    def _expect(self, marks: bytes) -> None:
        for mark in marks:
            self._pass_space()
            if self._byte() != mark:
                raise ValueError(f"{chr(mark)} is missing")
            self._at += 1
        self._pass_space()

    # ---- what stands here

    def _value(self) -> bool:
        """One value, or the beginning of one, or many small ones. Whether a value has ended."""
        around = self._open[-1] if self._open else None
        if around is not None:
            if around.kind in ("list", "table", "pairs") and self._several(around):
                return False  # a comma stood behind them: there is one more
            if around.kind == "table":
                self._string()
                self._expect(b":")
            elif around.kind == "pairs":
                return self._pair(around)
        first = self._byte()
        in_key = around is not None and (around.in_key or around.key_next)
        if first == 0x22:
            self._string()
        elif first in b"[{":
            found = self._whole()
            if found is None:
                return self._begin(0 if around is None else around.depth + 1, in_key)
            self._add(protocol.encode(self._made(found[0], in_key)))
        else:
            self._number()
        return True

    def _made(self, plain: Any, in_key: bool) -> Any:
        return self._made_all([plain], self._open[-1].depth + 1 if self._open else 0, in_key)[0]

    def _made_all(self, items: Iterable[Any], depth: int, in_key: bool) -> list[Any]:
        made = [plain_to_scheme(item, depth) for item in items]
        return list(map(scheme_key, made)) if in_key else made

    def _several(self, around: _Open) -> bool:
        """As many small parts as there are here and as fit a window, but not the container's last one."""
        pattern = _MEMBERS if around.kind == "table" else _ELEMENTS
        match = pattern.match(self._text, self._at, self._at + WINDOW)
        if match is None:
            return False
        text = match.group().rstrip(b" \t\r\n")[:-1].decode()
        depth, in_key = around.depth + 1, around.in_key
        if around.kind == "list":
            items = json.loads("[" + text + "]")
            made: Any = (
                items if _NO_PARTS.issuperset(map(type, items)) else self._made_all(items, depth, in_key)
            )
            head = protocol.array_head(len(made))
        elif around.kind == "table":
            table = json.loads("{" + text + "}")
            made = dict(zip(table, self._made_all(table.values(), depth, in_key), strict=True))
            head = protocol.head_of(5, len(made))
        else:
            keys, items = zip(*((key, item) for key, item in json.loads("[" + text + "]")), strict=True)
            pairs = zip(self._made_all(keys, depth, True), self._made_all(items, depth, in_key), strict=True)
            made = PairTable(list(pairs))
            head = protocol.head_of(5, len(made))
        self._add(protocol.encode(made)[len(head) :])
        self._at = match.end()
        self._pass_space()
        return True

    def _whole(self) -> tuple[Any] | None:
        """The container that begins here, where it ends within a window."""
        for size in (512, WINDOW):  # mostly it is short
            window = self._text[self._at : self._at + size].decode(errors="ignore")
            try:
                plain, end = self._scan(window, 0)
            except (StopIteration, ValueError):  # it is cut, or broken: whoever goes through it will see
                continue
            self._at += end if window.isascii() else len(window[:end].encode())
            return (plain,)
        return None

    def _begin(self, depth: int, in_key: bool) -> bool:
        """A large container, or what is written as one. Whether it has ended, too."""
        if depth > MAX_DEPTH + 1:
            raise ValueError("nested too deep")
        if self._byte() == 0x5B:
            self._enter(_Open("list", b"]", depth, in_key), self._at + 1)
            return False
        tag = _TAG.match(self._text, self._at)
        if tag is None:
            self._enter(_Open("table", b"}", depth, in_key), self._at + 1)
            return False
        kind = tag[1].decode()
        if kind in ("tuple", "set", "dict"):
            self._enter(_Open("pairs" if kind == "dict" else "list", b"]}", depth, in_key), tag.end())
            return False
        if kind not in ("bytes", "int"):
            raise ValueError(f"no such kind of large value: {kind!r}")
        self._at = tag.end()
        if self._byte() != 0x22:
            raise ValueError(f"a value of kind {kind} without its text")
        begin, end = self._at + 1, string_end(self._text, self._at)
        self._at = end
        self._expect(b'"]}')
        if kind == "bytes":
            self._bytes(begin, end)
        else:
            self._integer(begin, end)
        return True

    def _enter(self, container: _Open, at: int) -> None:
        if container.kind == "list":
            self._add(_VECTOR + _LIST if container.in_key else _LIST)
        else:
            self._add(_TABLE)
        self._open.append(container)
        self._at = at
        self._pass_space()

    def _pair(self, around: _Open) -> bool:
        """One entry of a table whose keys are of any kind: a list of two."""
        found = self._whole()
        if found is None:
            if self._byte() != 0x5B:
                raise ValueError("an entry of a table is no pair")
            self._open.append(_Open("pair", b"]", around.depth, around.in_key, key_next=True))
            self._at += 1
            self._pass_space()
            return False
        key, item = found[0]
        self._add(protocol.encode(self._made(key, True)) + protocol.encode(self._made(item, around.in_key)))
        return True

    def _close(self) -> bool:
        """After a value: what ends with it, or the comma before the next. Whether all of it has ended."""
        while self._open:
            self._pass_space()
            container = self._open[-1]
            mark = self._byte()
            if container.kind == "pair" and container.key_next:
                self._expect(b",")
                container.key_next = False
                return False
            if mark == 0x2C and container.kind != "pair":
                self._at += 1
                self._pass_space()
                return False
            self._expect(container.close)
            if container.kind != "pair":
                self._add(_BREAK)
            self._open.pop()
        self._pass_space()
        return True

    # ---- what has no parts

    def _number(self) -> None:
        match = _NUMBER.match(self._text, self._at)
        if match is None:
            raise ValueError("no value")
        self._add(protocol.encode(json.loads(match.group())))
        self._at = match.end()

    def _string(self) -> None:
        if self._byte() != 0x22:
            raise ValueError("a table's key is no text")
        begin, end = self._at + 1, string_end(self._text, self._at)
        if end >= len(self._text):
            raise ValueError("a text that does not end")
        self._at = end + 1
        self._pass_space()
        if end - begin <= BLOCK:
            content = _content(self._text[begin:end])
            self._add(protocol.head_of(3, len(content)) + content)
        else:
            self._long(3, self._blocks(begin, end))

    def _long(self, major: int, blocks: Iterable[bytes]) -> None:
        """A string of so many pieces. Its length is known, and said, when all are there."""
        self._join()
        head, size = len(self._out), 0
        self._out.append(b"")
        for block in blocks:
            self._out.append(block)
            size += len(block)
            self._check()
        self._out[head] = protocol.head_of(major, size)

    def _blocks(self, begin: int, end: int) -> Iterator[bytes]:
        while begin < end:
            stop = min(begin + BLOCK, end)
            if stop < end:
                while self._text[stop] & 0xC0 == 0x80:  # in the middle of a character
                    stop -= 1
                stop = self._before_escape(begin, stop)
            yield _content(self._text[begin:stop])
            begin = stop

    def _before_escape(self, begin: int, stop: int) -> int:
        """A place to cut a string at, at or before ``stop``."""
        cut = _CUT_ESCAPE.search(self._text, max(begin, stop - 6), stop)
        match = STRING_PART.match(self._text, begin, stop if cut is None else cut.start())
        assert match is not None
        return match.end() if match.end() > begin else stop

    def _bytes(self, begin: int, end: int) -> None:
        blocks = (self._text[at : min(at + BLOCK, end)] for at in range(begin, end, BLOCK))
        self._long(2, map(binascii.a2b_base64, blocks))

    def _integer(self, begin: int, end: int) -> None:
        negative = self._text[begin] == 0x2D
        begin += negative
        if self._text[begin : begin + 2] != b"0x":
            raise ValueError("an integer that is not hexadecimal")
        begin += 2
        first = begin + (end - begin) % 2
        blocks = [bytes.fromhex("0" + self._text[begin:first].decode())] if first > begin else []
        blocks += [
            bytes.fromhex(self._text[at : min(at + BLOCK, end)].decode()) for at in range(first, end, BLOCK)
        ]
        magnitude = b"".join(blocks)
        if negative:  # CBOR has -1 - n: one less
            kept = magnitude.rstrip(b"\0")
            zeros = len(magnitude) - len(kept)
            magnitude = kept[:-1] + bytes([kept[-1] - 1]) + b"\xff" * zeros
        self._add(bytes([0xC2 + negative]) + protocol.head_of(2, len(magnitude)))
        self._join()
        self._out.append(magnitude)


def _content(text: bytes) -> bytes:
    """What the inside of a JSON string says."""
    if _SPECIAL.search(text) is None:
        return text
    found: str = json.loads(b'"' + text + b'"')
    try:
        return found.encode()
    except UnicodeEncodeError:
        return whole_characters(found).encode()
