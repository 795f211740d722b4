"""The texts that a session was given. The guest sees slices of them without copying the whole in."""

from __future__ import annotations

from typing import Any, Literal

from rlm_wasm.capabilities.table import Handler
from rlm_wasm.errors import CapabilityDenied, UsageError


class Contexts:
    """The session's texts. The guest sees slices of them without copying the whole in."""

    _MOST_HITS = 10_000

    def __init__(self) -> None:
        self.texts: dict[str | None, str] = {}

    def load(self, text: str | bytes | bytearray, name: str | None) -> None:
        """Add or replace one. Raises UsageError for what is no text."""
        if name is not None and (not isinstance(name, str) or not name):
            raise UsageError("a context's name must be a non-empty string")
        self.texts[name] = as_text(text, "the context")

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
        lines = text.split("\n")
        if lines and not lines[-1]:
            lines.pop()
        if not 0 <= start <= end:
            raise IndexError(f"context-lines: {start}..{end} is no range of line numbers (from 0)")
        return [line.removesuffix("\r") for line in lines[start:end]]

    def _search(self, arguments: list[Any]) -> list[list[Any]]:
        pattern, most, name = arguments
        text = self._find(name)
        if not isinstance(pattern, str) or not pattern:
            raise UsageError("context-search: the pattern must be a non-empty string or a regexp")
        found: list[list[Any]] = []
        at = text.find(pattern)
        limit = min(most, self._MOST_HITS) if isinstance(most, int) else self._MOST_HITS
        while at >= 0 and len(found) < limit:
            start = text.rfind("\n", 0, at) + 1
            end = text.find("\n", at)
            end = len(text) if end < 0 else end
            found.append([at, text[start : min(end, start + 2000)]])
            at = text.find(pattern, max(end, at + 1))
        return found


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
