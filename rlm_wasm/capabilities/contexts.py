"""The texts that a session was given. The guest sees slices of them without copying the whole in."""

from __future__ import annotations

from typing import Any, Literal

from rlm_wasm.capabilities.table import Handler
from rlm_wasm.errors import CapabilityDenied, UsageError


class Contexts:
    """The session's texts. The guest sees slices of them without copying the whole in."""

    _MAX_HITS = 10_000

    def __init__(self) -> None:
        self.texts: dict[str | None, str] = {}
        self._line_indexes: dict[str | None, _LineIndex] = {}

    def load(self, text: str | bytes | bytearray, name: str | None) -> None:
        """Add or replace one. Raises UsageError for what is no text."""
        if name is not None and (not isinstance(name, str) or not name):
            raise UsageError("a context's name must be a non-empty string")
        self.texts[name] = as_text(text, "the context")
        self._line_indexes.pop(name, None)

    def table(self) -> dict[str, Handler]:
        """The operations."""
        return {
            "context": lambda a: self.texts.get(a[0] or None, False),
            "context-size": self._size,
            "context-length": lambda a: len(self._find(a[0])),
            "context-slice": self._slice,
            "context-lines": self._lines,
            "context-search": self._search,
            "context-names": lambda _a: [name for name in self.texts if name is not None],
        }

    def _find(self, name: str | Literal[False] | None) -> str:
        name = name or None  # the guest says #f for the default one
        text = self.texts.get(name)
        if text is not None:
            return text
        if name is None:
            raise CapabilityDenied("no context is loaded: give one with load_context, or --context FILE")
        known = ", ".join(sorted(n for n in self.texts if n is not None)) or "none"
        raise CapabilityDenied(f"there is no context named {name!r} (loaded: {known})")

    def _size(self, arguments: list[Any]) -> int | Literal[False]:
        text = self.texts.get(arguments[0] or None)
        return False if text is None else len(text)

    def _slice(self, arguments: list[Any]) -> str:
        start, end, name = arguments
        text = self._find(name)
        if not 0 <= start <= end <= len(text):
            raise IndexError(f"context-slice: {start}..{end} is outside of a context of length {len(text)}")
        return text[start:end]

    def _lines(self, arguments: list[Any]) -> list[str]:
        start, end, name = arguments
        text = self._find(name)
        if not 0 <= start <= end:
            raise IndexError(f"context-lines: {start}..{end} is no range of line numbers (from 0)")
        index = self._line_indexes.get(name or None)
        if index is None:
            index = self._line_indexes[name or None] = _LineIndex(text)
        first, last = index.offset(start), index.offset(end)
        lines = text[first:last].split("\n")
        if not lines[-1]:
            lines.pop()
        return [line.removesuffix("\r") for line in lines]

    def _search(self, arguments: list[Any]) -> list[list[Any]]:
        pattern, max_hits, name = arguments
        text = self._find(name)
        if not isinstance(pattern, str) or not pattern:
            raise UsageError("context-search: the pattern must be a non-empty string or a regexp")
        hits: list[list[Any]] = []
        at = text.find(pattern)
        limit = min(max_hits, self._MAX_HITS) if isinstance(max_hits, int) else self._MAX_HITS
        while at >= 0 and len(hits) < limit:
            start = text.rfind("\n", 0, at) + 1
            end = text.find("\n", at)
            end = len(text) if end < 0 else end
            hits.append([at, text[start : min(end, start + 2000)]])
            at = text.find(pattern, max(end, at + 1))
        return hits


class _LineIndex:
    """Where lines begin, as far as somebody asked: each call looks at what it skips over only once."""

    EVERY = 256

    def __init__(self, text: str) -> None:
        self._text = text
        self._marks = [0]
        """Where each EVERYth line begins."""
        self._count: int | None = None
        """How many lines there are, once the end was seen."""

    def offset(self, line: int) -> int:
        """Where a line begins; the text's length for one beyond its end."""
        text = self._text
        if self._count is not None and line >= self._count:
            return len(text)
        number = min(line // self.EVERY, len(self._marks) - 1)
        at = self._marks[number]
        for reached in range(number * self.EVERY + 1, line + 1):
            at = text.find("\n", at) + 1
            if at == 0:
                self._count = reached
                return len(text)
            if reached == len(self._marks) * self.EVERY:
                self._marks.append(at)
        return at


def as_text(data: str | bytes | bytearray, what: str) -> str:
    """Text of text or UTF-8. Raises UsageError that names the first bad byte."""
    if isinstance(data, str):
        return data
    if not isinstance(data, bytes | bytearray):
        raise UsageError(f"{what} must be text, got {type(data).__name__}")
    try:
        text = bytes(data).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{what} is not UTF-8 text: byte 0x{data[error.start]:02x} at offset {error.start:,}"
        ) from error
    if "\0" in text:
        raise UsageError(f"{what} looks binary: it has a NUL byte at offset {text.index(chr(0)):,}")
    return text
