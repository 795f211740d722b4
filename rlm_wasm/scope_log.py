"""The scope log: what crossed between host, sandbox and sub-calls, in order."""

from __future__ import annotations

from typing import Any

MOST_ENTRIES = 100_000
PREVIEW = 80


class ScopeLog:
    """Entries with op, datum_preview, scope, and what is known of call id, model, tokens, parent.

    Bounded: beyond ``MOST_ENTRIES`` the oldest are forgotten and counted.
    """

    def __init__(self) -> None:
        self._entries: list[dict[str, Any]] = []
        self.forgotten = 0

    def add(self, op: str, preview: Any, scope: str, **more: Any) -> dict[str, Any]:
        """Append one; gives the entry, so that what is known later can be filled in."""
        text = preview if isinstance(preview, str) else str(preview)
        entry = {"op": op, "datum_preview": text[:PREVIEW], "scope": scope, **more}
        self._entries.append(entry)
        if len(self._entries) > MOST_ENTRIES + 1000:
            self.forgotten += 1000
            del self._entries[:1000]
        return entry

    def entries(self) -> list[dict[str, Any]]:
        """A copy."""
        return [dict(entry) for entry in self._entries]

    def replace(self, entries: list[dict[str, Any]]) -> None:
        """Take over a snapshot's."""
        self._entries = [dict(entry) for entry in entries]

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._entries)
