"""Snapshots as an enemy writes them: any header and body, sealed as well as somebody without a key can."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import zstandard

from rlm_wasm import Snapshot
from rlm_wasm.records import unstructure
from rlm_wasm.sandbox.snapshot import MAGIC, Image

SEAL = 64


def forged(snapshot: Snapshot, edit: Callable[[dict[str, Any], dict[str, Any]], Any]) -> bytes:
    """The snapshot's bytes after ``edit(header, body)`` changed either; a value that it gives is the body."""
    header, body = dict(snapshot.header), unstructure(snapshot.body)
    changed = edit(header, body)
    memory = snapshot._memory
    pages = memory.to_record() if isinstance(memory, Image) else memory
    return sealed(Snapshot(header, pages, body if changed is None else changed).dump()[:-SEAL])


def sealed(data: bytes) -> bytes:
    """With a checksum that fits, and a signature that nobody made."""
    signature = bytes(32)
    return data + signature + hashlib.sha256(data + signature).digest()


def with_body(packed: bytes) -> bytes:
    """A snapshot whose body is these bytes, compressed."""
    import cbor2

    header = cbor2.dumps({"image": "0" * 64})
    head = MAGIC + (2).to_bytes(2, "little") + b"\0" + len(header).to_bytes(4, "little") + header
    return sealed(head + zstandard.ZstdCompressor(level=19).compress(packed))
