"""Text that a program makes, up to a bound; what is beyond is dropped, counted and marked."""

from __future__ import annotations

from rlm_wasm.execution import state as states


class BoundedText:
    """Text up to so many bytes of UTF-8."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[str] = []
        self._bytes = 0
        self.dropped = 0
        """Bytes."""

    def add(self, text: str) -> str:
        """Append what fits, and give that."""
        room = self._limit - self._bytes
        if room <= 0:
            self.dropped += len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
            return ""
        encoded = text.encode("utf-8", "replace")
        if len(encoded) > room:
            self.dropped += len(encoded) - room
            text = encoded[:room].decode("utf-8", "ignore")
            encoded = encoded[:room]
        if text:
            self._parts.append(text)
            self._bytes += len(encoded)
        return text

    def text(self) -> str:
        """All of it, with a mark where it was cut."""
        if not self._parts and not self.dropped:
            return ""
        whole = "".join(self._parts)
        if self.dropped:
            whole += f"\n… [cut: {self.dropped:,} more bytes]"
        return whole

    def to_state(self) -> states.TextState:
        """For a snapshot."""
        return states.TextState("".join(self._parts), self.dropped)

    @classmethod
    def from_state(cls, state: states.TextState, limit: int) -> BoundedText:
        """The inverse of to_state, under a limit that may be another."""
        bounded = cls(limit)
        bounded.add(state.text)
        bounded.dropped += state.dropped
        return bounded
