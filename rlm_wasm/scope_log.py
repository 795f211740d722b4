"""The scope log: what crossed between host, sandbox and sub-calls, in order."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

MAX_ENTRIES = 100_000
PREVIEW = 80
"""Characters of an entry's preview, and of any other text in it."""

Listener = Callable[[dict[str, Any], int | None], None]
"""Called with a new entry and None, or with fields of an earlier one and the number of its call."""

_ENTRY_BYTES = 600
"""About what an entry takes beside its texts."""
_LATER_BYTES = 4 * (PREVIEW + 200)
"""What may be filled in later: the model that answered, how the call failed."""


class Entries(Protocol):
    """Entries that somebody keeps."""

    @property
    def entries(self) -> Sequence[dict[str, Any]]:
        """They."""
        ...


class ScopeLog:
    """Entries with op, datum_preview, scope, and what is known of call id, model, tokens, parent.

    Bounded: beyond ``max_bytes`` or MAX_ENTRIES the oldest are forgotten and counted.
    """

    def __init__(self, max_bytes: int = 16 << 20) -> None:
        self._max_bytes = max_bytes
        self._entries: deque[tuple[dict[str, Any], int]] = deque()
        self._bytes = 0
        self.forgotten = 0
        self._listener: Listener | None = None
        self._from_guest = False
        self._shared: Entries | None = None
        """Those of a snapshot, or of the session that this one's is a fork of, until somebody looks at them
        here."""

    def listen(self, listener: Listener) -> None:
        """Tell of each entry that the host adds, and of what is known of one later."""
        self._listener = listener

    def add(self, op: str, preview: Any, scope: str, **more: Any) -> dict[str, Any]:
        """Append one; gives the entry, so that what is known later can be filled in."""
        text = preview[:PREVIEW] if isinstance(preview, str) else str(_bounded(preview))[:PREVIEW]
        op, scope = op[:PREVIEW], scope[:PREVIEW]
        size = len(op) + len(text) + len(scope)
        entry = {"op": op, "datum_preview": text, "scope": scope, **more}
        for key, value in more.items():
            kind = type(value)
            if kind is int:
                if not -_HUGE <= value < _HUGE:
                    entry[key] = _bounded(value)
            elif kind is str:
                if len(value) > PREVIEW:
                    entry[key] = value = value[:PREVIEW]
                size += len(value)
            elif kind not in _SMALL:
                entry[key] = value = _bounded(value)
                size += _size(value) // 4
        self._hold(entry, 4 * size)
        if self._listener is not None and not self._from_guest:
            self._listener(dict(entry), None)
        return entry

    def add_call(
        self, op: str, preview: str, scope: str, call_id: int, model: str | None, depth: int, parent: int
    ) -> dict[str, Any]:
        """``add`` for an LLM call, whose fields need no look: the host made them."""
        text = preview[:PREVIEW]
        model = None if model is None else model[:PREVIEW]
        entry = {
            "op": op,
            "datum_preview": text,
            "scope": scope,
            "call_id": call_id,
            "model": model,
            "depth": depth,
            "parent": parent,
        }
        self._hold(entry, 4 * (len(op) + len(text) + len(scope) + len(model or "")))
        if self._listener is not None:
            self._listener(dict(entry), None)
        return entry

    def change(self, entry: dict[str, Any], **more: Any) -> None:
        """What is known of an entry later."""
        entry.update(more)
        if self._listener is not None and "call_id" in entry:
            self._listener(more, entry["call_id"])

    def again(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Append what a journal says was appended; gives the entry, as ``add`` does."""
        kept: dict[str, Any] = {}
        size = 0
        for key, value in itertools.islice(entry.items(), _MAX_FIELDS):
            kind = type(value)
            if kind is str:
                if len(value) > PREVIEW:
                    value = value[:PREVIEW]
                size += 4 * len(value)
            elif kind not in _SMALL and not (kind is int and -_HUGE <= value < _HUGE):
                value = _bounded(value)
                size += _size(value)
            kept[key if type(key) is str and len(key) <= PREVIEW else str(key)[:PREVIEW]] = value
        self._hold(kept, size)
        return kept

    def share(self, log: Entries) -> None:
        """Begin with these, which nobody changes: copied when need be."""
        self.clear()
        self._shared = log

    @property
    def shared(self) -> Entries | None:
        """What ``share`` was given, where nobody has looked at it since."""
        return self._shared

    def _own(self) -> None:
        """What is shared is copied."""
        shared = self._shared
        if shared is not None:
            entries = shared.entries
            self._shared = None
            for entry in entries:
                self.again(entry)

    def by_call(self) -> dict[int, dict[str, Any]]:
        """The entries of LLM calls, by the calls' numbers."""
        self._own()
        return {entry["call_id"]: entry for entry, _ in self._entries if type(entry.get("call_id")) is int}

    def add_from_guest(self, entry: dict[str, Any]) -> None:
        """Append what the guest says of itself. It may say anything: keys and values are bounded."""
        known = dict(entry)
        op, preview = str(_bounded(known.pop("op", "?"))), known.pop("preview", "")
        scope = str(_bounded(known.pop("scope", "sandbox")))
        more = {str(key).replace("-", "_")[:PREVIEW]: known[key] for key in list(known)[:_MAX_FIELDS]}
        for taken in ("op", "datum_preview", "scope"):
            more.pop(taken, None)
        self._from_guest = True  # it says so again when it is replayed
        try:
            self.add(op, preview, scope, **more)
        finally:
            self._from_guest = False

    def _hold(self, entry: dict[str, Any], size: int) -> None:
        """Keep an entry whose values have so many bytes."""
        if self._shared is not None:
            self._own()
        size += _ENTRY_BYTES + _LATER_BYTES
        entries = self._entries
        entries.append((entry, size))
        self._bytes += size
        while (self._bytes > self._max_bytes or len(entries) > MAX_ENTRIES) and entries:
            self._bytes -= self._entries.popleft()[1]
            self.forgotten += 1

    def entries(self) -> list[dict[str, Any]]:
        """A copy."""
        self._own()
        return [dict(entry) for entry, _ in self._entries]

    def replace(self, entries: list[dict[str, Any]]) -> None:
        """Take over a snapshot's."""
        self.clear()
        for entry in entries:
            self.again(entry)

    def clear(self) -> None:
        """Forget everything."""
        self._shared = None
        self._entries.clear()
        self._bytes = 0
        self.forgotten = 0

    def __len__(self) -> int:
        self._own()
        return len(self._entries)


_MAX_FIELDS = 16
_SMALL = frozenset((bool, float, type(None)))
_PLAIN = (bool, float)
_HUGE = 1 << 63


def _size(value: Any) -> int:
    """Bytes of a bounded value: of a text at four a character."""
    if isinstance(value, str):
        return 4 * len(value)
    return sum(map(_size, value)) + 60 * len(value) if isinstance(value, list) else 0


def _bounded(value: Any, *, whole: bool = True) -> Any:
    """A value of an entry, cut where it is long. What stands in a list of a list is named by its type."""
    if value is None or isinstance(value, _PLAIN):
        return value
    if isinstance(value, int):
        return value if -(1 << 63) <= value < 1 << 63 else "a huge number"
    if isinstance(value, str):
        return value[:PREVIEW]
    if isinstance(value, bytes):
        return repr(value[:PREVIEW])[:PREVIEW]
    if isinstance(value, list | tuple) and whole:
        return [_bounded(item, whole=False) for item in value[:_MAX_FIELDS]]
    return f"#<{type(value).__name__}>"
