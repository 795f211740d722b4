"""The entries of a scope log in a snapshot, encoded until somebody looks at them.

A session with hundreds of calls has hundreds of entries, and most that are restored are never asked for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import cbor2

from rlm_wasm.errors import SnapshotCorrupt
from rlm_wasm.records import structure
from rlm_wasm.sandbox.snapshot import checked_parts, decoded

Entry = dict[str, Any]


class KeptLog:
    """Entries, or the bytes that they are encoded as."""

    def __init__(self, entries: Sequence[Entry] = (), encoded: bytes | None = None) -> None:
        if encoded is None:
            self.entries = tuple(entries)
        else:
            self.encoded = encoded

    @cached_property
    def encoded(self) -> bytes:
        """In CBOR: a list of tables."""
        return cbor2.dumps(list(self.entries))

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """Decoded. Raises SnapshotCorrupt where they are none."""
        checked_parts(self.encoded)
        return _entries(decoded(self.encoded))

    def check(self) -> None:
        """Raises SnapshotCorrupt where the entries are none."""
        _ = self.entries

    @property
    def size(self) -> int:
        """About how many bytes it has, whichever way it is held."""
        held = self.__dict__.get("encoded")
        return 200 * len(self.entries) if held is None else len(held)

    def to_record(self) -> bytes:
        """For snapshots."""
        return self.encoded

    @classmethod
    def from_record(cls, value: Any) -> KeptLog:
        """The inverse; older snapshots have the entries themselves. Raises SnapshotCorrupt."""
        return cls(encoded=value) if type(value) is bytes else cls(_entries(value))

    def __eq__(self, other: object) -> bool:
        """Whether the entries are the same."""
        return self.encoded == other.encoded if isinstance(other, KeptLog) else NotImplemented

    def __hash__(self) -> int:
        """Of their bytes."""
        return hash(self.encoded)


def _entries(value: Any) -> tuple[Entry, ...]:
    if type(value) is list and all(type(entry) is dict and all(map(_is_text, entry)) for entry in value):
        return tuple(value)
    return structure(tuple[dict[str, Any], ...], value, "the snapshot's scope log", SnapshotCorrupt)


def _is_text(key: Any) -> bool:
    return type(key) is str
