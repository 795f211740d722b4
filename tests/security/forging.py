"""Snapshots as an enemy writes them: any header and body, sealed as well as somebody without a key can."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import cbor2
import zstandard

from rlm_wasm import Snapshot
from rlm_wasm.records import unstructure
from rlm_wasm.sandbox.snapshot import FORMAT, MAGIC, Image

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


def with_body(packed: bytes, version: int = 2) -> bytes:
    """A snapshot whose body is these bytes, compressed; in the present format its state is."""
    frame = compressed(packed)
    return _with_rest(frame if version < 4 else len(frame).to_bytes(4, "little") + frame, version)


def in_halves(state: Any, pages: bytes, image: str = "0" * 64) -> bytes:
    """A snapshot of the present format: anything as its state, and its pages as they are compressed."""
    frame = compressed(cbor2.dumps(state))
    return _with_rest(len(frame).to_bytes(4, "little") + frame + pages, FORMAT, image)


def compressed(plain: bytes) -> bytes:
    """As snapshots are."""
    return zstandard.ZstdCompressor(level=3).compress(plain)


def _with_rest(rest: bytes, version: int, image: str = "0" * 64) -> bytes:
    header = cbor2.dumps({"image": image})
    head = MAGIC + version.to_bytes(2, "little") + b"\0" + len(header).to_bytes(4, "little") + header
    return sealed(head + rest)
