"""The scope log: what crossed between host, sandbox and sub-calls, in order."""

from __future__ import annotations

from collections import deque
from typing import Any

MAX_ENTRIES = 100_000
PREVIEW = 80
"""Characters of an entry's preview, and of any other text in it."""

_ENTRY_BYTES = 600
"""About what an entry takes beside its texts."""


class ScopeLog:
    """Entries with op, datum_preview, scope, and what is known of call id, model, tokens, parent.

    Bounded: beyond ``max_bytes`` or MAX_ENTRIES the oldest are forgotten and counted.
    """

    def __init__(self, max_bytes: int = 16 << 20) -> None:
        self._max_bytes = max_bytes
        self._entries: deque[dict[str, Any]] = deque()
        self._bytes = 0
        self.forgotten = 0

    def add(self, op: str, preview: Any, scope: str, **more: Any) -> dict[str, Any]:
        """Append one; gives the entry, so that what is known later can be filled in."""
        text = preview if isinstance(preview, str) else str(preview)
        entry = {"op": op[:PREVIEW], "datum_preview": text[:PREVIEW], "scope": scope[:PREVIEW]}
        for key, value in more.items():
            entry[key] = value if value is None or type(value) in _SMALL else _bounded(value)
        self._keep(entry)
        return entry

    def add_from_guest(self, entry: dict[str, Any]) -> None:
        """Append what the guest says of itself. It may say anything: keys and values are bounded."""
        known = dict(entry)
        op, preview = str(known.pop("op", "?")), str(known.pop("preview", ""))
        scope = str(known.pop("scope", "sandbox"))
        more = {str(key).replace("-", "_")[:PREVIEW]: known[key] for key in list(known)[:_MAX_FIELDS]}
        for taken in ("op", "datum_preview", "scope"):
            more.pop(taken, None)
        self.add(op, preview, scope, **more)

    def _keep(self, entry: dict[str, Any]) -> None:
        self._entries.append(entry)
        self._bytes += _ENTRY_BYTES
        while self._entries and (len(self._entries) > MAX_ENTRIES or self._bytes > self._max_bytes):
            self._entries.popleft()
            self._bytes -= _ENTRY_BYTES
            self.forgotten += 1

    def entries(self) -> list[dict[str, Any]]:
        """A copy."""
        return [dict(entry) for entry in self._entries]

    def replace(self, entries: list[dict[str, Any]]) -> None:
        """Take over a snapshot's."""
        self.clear()
        for entry in entries:
            self._keep(
                {str(key)[:PREVIEW]: _bounded(value) for key, value in list(entry.items())[:_MAX_FIELDS]}
            )

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._bytes = 0
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._entries)


_MAX_FIELDS = 16
_SMALL = frozenset((bool, float))


def _bounded(value: Any) -> Any:
    """A value of an entry, cut where it is long."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(1 << 63) <= value < 1 << 63 else str(value)[:PREVIEW]
    if isinstance(value, str):
        return value[:PREVIEW]
    if isinstance(value, list | tuple):
        return [_bounded(item) for item in value[:_MAX_FIELDS]]
    return str(value)[:PREVIEW]
