"""Text that a program makes, up to a bound; what is beyond is dropped, counted and marked."""

from __future__ import annotations

from typing import Any


class BoundedText:
    """Text up to so many bytes of UTF-8."""

    def __init__(self, limit: int, parts: list[str] | None = None, dropped: int = 0) -> None:
        self._limit = limit
        self._parts = parts or []
        self._bytes = len("".join(parts).encode("utf-8", "replace")) if parts else 0
        self.dropped = dropped

    def add(self, text: str) -> None:
        """Append what fits."""
        room = self._limit - self._bytes
        if room <= 0:
            self.dropped += len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
            return
        encoded = text.encode("utf-8", "replace")
        if len(encoded) > room:
            self.dropped += len(encoded) - room
            text = encoded[:room].decode("utf-8", "ignore")
            encoded = encoded[:room]
        if text:
            self._parts.append(text)
            self._bytes += len(encoded)

    def text(self) -> str:
        """All of it, with a mark where it was cut."""
        if not self._parts and not self.dropped:
            return ""
        whole = "".join(self._parts)
        if self.dropped:
            whole += f"\n… [cut: {self.dropped:,} more bytes]"
        return whole

    def to_state(self) -> list[Any]:
        """For a snapshot: text, and bytes dropped."""
        return ["".join(self._parts), self.dropped]

    @classmethod
    def from_state(cls, state: list[Any], limit: int) -> BoundedText:
        """The inverse of to_state, under a limit that may be another."""
        text, dropped = state
        bounded = cls(limit, dropped=dropped)
        bounded.add(text)
        return bounded
