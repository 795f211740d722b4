"""The texts that a session was given. The guest sees slices of them without copying the whole in.

Whatever takes time in proportion to a text is done in turns of the event loop and charged as fuel.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Generator
from typing import Any, Literal

from rlm_wasm.capabilities.table import Handler
from rlm_wasm.data import whole_characters
from rlm_wasm.errors import CapabilityDenied, UsageError
from rlm_wasm.sandbox.protocol import Encoded, array_head, items_of
from rlm_wasm.sandbox.texts import LONG_TEXT, LongText, SharedText
from rlm_wasm.turns import at_once_or_in_turns

MAX_HITS = 10_000
"""Lines that one search gives."""
MAX_LINE = 2_000
"""Characters of a line that a search shows."""

_MAX_SHOWN_NAMES = 20
_MAX_SHOWN_NAME = 200

_BLOCK = 1 << 16
"""Characters that the line index counts at once."""
_A_TURN = 1 << 21
"""Characters that are looked through between two looks at the clock."""
_LINES_A_TURN = 1 << 18
"""Characters that become lines at once: one of two characters takes fifty bytes before it is encoded."""
_AROUND_A_TEXT = 64
"""Bytes of a reply beside its text, at the most."""
MAX_PATTERN = 1 << 16
"""Characters that are searched for: to look for more is work before the first of them is compared."""


class Context:
    """One text, and where its lines are."""

    __slots__ = ("_newlines", "_shared", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._shared = SharedText.of(text) if len(text) >= LONG_TEXT else None
        self._newlines: list[int] | None = None
        """How many newlines stand before each block, and at last in the whole text."""

    def index(self) -> Generator[None, None, list[int]]:
        """The newlines before each block, counted once; it yields between parts of a large text."""
        if self._newlines is None:
            text, count, before, looked = self.text, 0, [0], 0
            for start in range(0, len(text), _BLOCK):
                count += text.count("\n", start, start + _BLOCK)
                before.append(count)
                looked += _BLOCK
                if looked >= _A_TURN:
                    looked = 0
                    yield
            self._newlines = before
        return self._newlines

    def part(self, start: int, end: int) -> Generator[None, None, str | LongText]:
        """Some of its characters; many are not copied. It yields while it looks at them."""
        if self._shared is None:
            return self.text[start:end]
        return (yield from self._shared.part(start, end))

    def start_of_line(self, number: int, before: list[int]) -> int:
        """The offset at which a line (from 0) starts; the text's length where it has fewer lines."""
        if number <= 0:
            return 0
        if number > before[-1]:
            return len(self.text)
        block = bisect_right(before, number - 1) - 1
        at = block * _BLOCK
        for _ in range(number - before[block]):
            at = self.text.index("\n", at) + 1
        return at


class Contexts:
    """The session's texts by name, the main one under None. ``charge`` is told how much was looked at."""

    def __init__(
        self, max_bytes: int = 64 << 20, charge: Callable[[int], None] = lambda _bytes: None
    ) -> None:
        self._max_bytes = max_bytes
        self._charge = charge
        self._contexts: dict[str | None, Context] = {}

    def let_go(self) -> None:
        """The session is closed: nothing is looked at any more."""
        self._charge = lambda _bytes: None

    def load(self, text: str | bytes | bytearray, name: str | None) -> str | None:
        """Add or replace one, and give the name that it has. Raises UsageError for what is no text.

        A byte order mark at the beginning is dropped, and half of a surrogate pair becomes U+FFFD.
        """
        if name is not None and (not isinstance(name, str) or not name):
            raise UsageError("a context's name must be a non-empty string")
        name = name if name is None else whole_characters(name)
        self._contexts[name] = Context(as_text(text, "the context"))
        return name

    def text(self, name: str | None) -> str:
        """One of them. Raises KeyError."""
        return self._contexts[name].text

    def clear(self) -> None:
        """Forget all of them."""
        self._contexts.clear()

    @property
    def texts(self) -> dict[str | None, str]:
        """By name, the main one under None. A copy of the table."""
        return {name: context.text for name, context in self._contexts.items()}

    def table(self) -> dict[str, Handler]:
        """The operations."""
        return {
            "context": self._whole,
            "context-size": self._size,
            "context-fits": self._fits,
            "context-length": lambda a: len(self._find(a[0]).text),
            "context-slice": self._slice,
            "context-lines": self._lines,
            "context-search": self._search,
            "context-names": lambda _a: [name for name in self._contexts if name is not None],
        }

    def _find(self, name: str | Literal[False] | None) -> Context:
        name = name or None  # the guest says #f for the default one
        context = self._contexts.get(name)
        if context is not None:
            return context
        if name is None:
            raise CapabilityDenied("no context is loaded: give one with load_context, or --context FILE")
        names = sorted(n for n in self._contexts if n is not None)
        wanted = str(name)[:_MAX_SHOWN_NAME]
        import difflib  # for a name that is none

        near = difflib.get_close_matches(wanted, names, n=1, cutoff=0.7)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        known = ", ".join(names[:_MAX_SHOWN_NAMES]) or "none"
        more = f" and {len(names) - _MAX_SHOWN_NAMES} more" if len(names) > _MAX_SHOWN_NAMES else ""
        main = "; the main one is `context`" if None in self._contexts else ""
        raise CapabilityDenied(f"there is no context named {wanted!r} (loaded: {known}{more}{main}){meant}")

    def _whole(self, arguments: list[Any]) -> Any:
        context = self._contexts.get(arguments[0] or None)
        return False if context is None else at_once_or_in_turns(context.part(0, len(context.text)))

    def _size(self, arguments: list[Any]) -> int | Literal[False]:
        context = self._contexts.get(arguments[0] or None)
        return False if context is None else len(context.text)

    def _fits(self, arguments: list[Any]) -> Any:
        """Whether the guest gets the whole at once; where not, it comes in parts."""
        context = self._contexts.get(arguments[0] or None)
        return False if context is None else at_once_or_in_turns(self._comes_whole(context))

    def _comes_whole(self, context: Context) -> Generator[None, None, bool]:
        whole = yield from context.part(0, len(context.text))
        return isinstance(whole, LongText) and len(whole) <= self._max_bytes - _AROUND_A_TEXT

    def _slice(self, arguments: list[Any]) -> Any:
        start, end, name = arguments
        context = self._find(name)
        text = context.text
        if not 0 <= start <= end:
            raise IndexError(f"context-slice: {start}..{end} is no range of characters (from 0)")
        end = min(end, len(text))
        start = min(start, end)
        self._check_size("context-slice", end - start)
        return at_once_or_in_turns(context.part(start, end))

    def _check_size(self, operation: str, length: int) -> None:
        if length > self._max_bytes:
            raise UsageError(
                f"{operation}: {length:,} characters or bytes are more than a message may have "
                f"({self._max_bytes:,} bytes): take a smaller part"
            )

    def _lines(self, arguments: list[Any]) -> Any:
        start, end, name = arguments
        if not 0 <= start <= end:
            raise IndexError(f"context-lines: {start}..{end} is no range of line numbers (from 0)")
        return at_once_or_in_turns(self._found_lines(self._find(name), start, end))

    def _found_lines(
        self, context: Context, start: int, end: int
    ) -> Generator[None, None, list[str] | Encoded]:
        text = context.text
        before = yield from context.index()
        first, last = context.start_of_line(start, before), context.start_of_line(end, before)
        self._check_size("context-lines", last - first)
        self._charge(last - first)
        if last - first <= _LINES_A_TURN:
            return _lines_of(text[first:last])
        count = size = 0
        encoded: list[bytes] = []
        while first < last:
            part = min(last, first + _LINES_A_TURN)
            if part < last:  # a whole number of lines
                newline = text.find("\n", part, last)
                part = last if newline < 0 else newline + 1
            lines = _lines_of(text[first:part])
            count += len(lines)
            items = items_of(lines)
            size += len(items)
            self._check_size("context-lines", size)
            encoded.append(items)
            first = part
            yield
        return Encoded(array_head(count), *encoded)

    def _search(self, arguments: list[Any]) -> Any:
        pattern, max_hits, name = arguments
        context = self._find(name)
        if not isinstance(pattern, str) or not pattern:
            raise UsageError("context-search: the pattern must be a non-empty string or a regexp")
        if len(pattern) > MAX_PATTERN:
            raise UsageError(f"context-search: {MAX_PATTERN:,} characters are the most of a pattern")
        limit = min(max_hits, MAX_HITS) if type(max_hits) is int else MAX_HITS
        return at_once_or_in_turns(self._hits(context.text, pattern, limit))

    def _hits(self, text: str, pattern: str, limit: int) -> Generator[None, None, list[list[Any]]]:
        hits: list[list[Any]] = []
        at = 0
        while len(hits) < limit and at < len(text):
            hit = text.find(pattern, at, at + _A_TURN + len(pattern) - 1)
            if hit < 0:
                self._charge(min(_A_TURN, len(text) - at))
                at += _A_TURN
                yield
                continue
            start = text.rfind("\n", 0, hit) + 1
            end = text.find("\n", hit)
            end = len(text) if end < 0 else end
            self._charge(end - at)
            hits.append([hit, _around(text, start, end, hit)])
            at = max(end, hit + 1)
            if len(hits) % 500 == 0:
                yield
        return hits


def _lines_of(text: str) -> list[str]:
    lines = text.split("\n")
    if not lines[-1]:  # what stands behind the last newline is no line
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def _around(text: str, start: int, end: int, hit: int) -> str:
    """The line from ``start`` to ``end`` without its carriage return; of a long one what is around it."""
    if end > start and text[end - 1] == "\r":
        end -= 1
    if end - start > MAX_LINE:
        start = max(start, min(hit - MAX_LINE // 4, end - MAX_LINE))
    return text[start : min(end, start + MAX_LINE)]


def as_text(data: str | bytes | bytearray, what: str) -> str:
    """Text of text or UTF-8, without a byte order mark. Raises UsageError that names the first bad byte."""
    if isinstance(data, str):
        return whole_characters(data.removeprefix("\ufeff"))
    if not isinstance(data, bytes | bytearray):
        raise UsageError(f"{what} must be text, got {type(data).__name__}")
    try:
        text = bytes(data).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{what} is not UTF-8 text: byte 0x{data[error.start]:02x} at offset {error.start:,}{_hint(data)}"
        ) from error
    if "\0" in text:
        raise UsageError(f"{what} looks binary: it has a NUL byte at offset {text.index(chr(0)):,}")
    return text.removeprefix("\ufeff")


def _hint(data: bytes | bytearray) -> str:
    """What the bytes may be instead."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return " (it begins like UTF-16: decode it first)"
    return ""
