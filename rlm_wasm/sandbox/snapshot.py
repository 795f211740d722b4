"""A guest's memory as pages that differ from the boot image, and snapshots as bytes.

A dumped snapshot is

    magic "RLMSNAP\\n" · format version u16 · header length u32 · header · zstd body · SHA-256 of all before

The header (CBOR, not compressed) says which guest image the pages belong to and what was used so
far. The body holds the pages and the host's side of the session: contexts, calls in flight,
output so far. No capability is in it: provider, store, workspace and host functions are given
again by the runtime that restores.
"""

from __future__ import annotations

import hashlib
import itertools
import struct
import threading
from dataclasses import dataclass
from typing import Any

import cbor2

from rlm_wasm.errors import SnapshotCorrupt, SnapshotVersionError

PAGE = 4096
MAGIC = b"RLMSNAP\n"
FORMAT = 1
_FIXED = struct.Struct("<HI")
_DIGEST = 32
_MOST_BODY = 8 << 30


_local = threading.local()


def _zstd() -> tuple[Any, Any]:
    """This thread's compressor and decompressor: making them costs more than a small image does."""
    pair: tuple[Any, Any] | None = getattr(_local, "zstd", None)
    if pair is None:
        import zstandard

        pair = _local.zstd = (zstandard.ZstdCompressor(level=1), zstandard.ZstdDecompressor())
    return pair


@dataclass(frozen=True, slots=True)
class MemoryImage:
    """Linear memory: its size, and the pages of 4 KiB that differ from the boot image."""

    size: int
    numbers: tuple[int, ...]
    content: bytes

    def runs(self) -> list[tuple[int, int, int]]:
        """Neighbouring pages as (page, count, offset in content)."""
        out: list[tuple[int, int, int]] = []
        offset = 0
        for number in self.numbers:
            if out and out[-1][0] + out[-1][1] == number:
                page, count, start = out[-1]
                out[-1] = (page, count + 1, start)
            else:
                out.append((number, 1, offset))
            offset += PAGE
        return out

    def packed(self) -> PackedImage:
        """The same, compressed: for instances that sleep."""
        compressed = _zstd()[0].compress(self.content)
        # Its buffer is as large as the input; a copy is as large as its length says.
        return PackedImage(self.size, self.numbers, bytes(memoryview(compressed)))

    def plain(self) -> list[Any]:
        """For CBOR."""
        return [self.size, b"".join(n.to_bytes(4, "little") for n in self.numbers), self.content]

    @classmethod
    def from_plain(cls, plain: Any) -> MemoryImage:
        """The inverse of ``plain``, checked: what does not fit together is refused."""
        try:
            size, packed, content = plain
            if not (isinstance(size, int) and isinstance(packed, bytes) and isinstance(content, bytes)):
                raise TypeError("memory")
            numbers = struct.unpack(f"<{len(packed) // 4}I", packed)
        except (TypeError, ValueError, struct.error) as error:
            raise SnapshotCorrupt("the snapshot's memory is malformed") from error
        in_order = all(a < b for a, b in itertools.pairwise(numbers))
        fits = not numbers or (numbers[-1] + 1) * PAGE <= size
        if len(content) != len(numbers) * PAGE or not in_order or not fits or size > 1 << 32 or size < 0:
            raise SnapshotCorrupt("the snapshot's memory is malformed")
        return cls(size, numbers, content)


@dataclass(frozen=True, slots=True)
class PackedImage:
    """A MemoryImage, compressed."""

    size: int
    numbers: tuple[int, ...]
    content: bytes

    def unpacked(self) -> MemoryImage:
        """As it was."""
        length = len(self.numbers) * PAGE
        content = _zstd()[1].decompress(self.content, max_output_size=length) if length else b""
        return MemoryImage(self.size, self.numbers, content)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A session as a value. ``header`` is small and plain; ``body`` is the session's own.

    Restoring carries over definitions, contexts, a suspended execution with its calls in flight
    (they are sent again), and what was used of every limit. It does not carry provider, store,
    workspace, Python state outside of the default back end, or host functions.
    """

    header: dict[str, Any]
    memory: MemoryImage
    body: dict[str, Any]

    @property
    def image_hash(self) -> str:
        """Which guest image this belongs to."""
        return str(self.header["image"])

    @property
    def suspended(self) -> bool:
        """Whether an execution was under way: then the restored session's ``resume()`` goes on."""
        return bool(self.header.get("suspended"))

    def dump(self) -> bytes:
        """The snapshot as bytes, compressed."""
        import zstandard

        header = cbor2.dumps(self.header)
        packed = cbor2.dumps([self.memory.plain(), self.body])
        body = zstandard.ZstdCompressor(level=3).compress(packed)
        out = MAGIC + _FIXED.pack(FORMAT, len(header)) + header + body
        return out + hashlib.sha256(out).digest()

    @classmethod
    def load(cls, data: bytes) -> Snapshot:
        """Read what ``dump`` wrote. Raises SnapshotCorrupt or SnapshotVersionError.

        Load only what you or somebody you trust dumped: the checksum finds damage, it is no
        signature. A forged snapshot can confuse its own session, and reach nothing else.
        """
        import zstandard

        data = bytes(data)
        start = len(MAGIC) + _FIXED.size
        if len(data) < start + _DIGEST or not data.startswith(MAGIC):
            raise SnapshotCorrupt("this is no rlm-wasm snapshot, or only the beginning of one")
        version, length = _FIXED.unpack_from(data, len(MAGIC))
        if version != FORMAT:
            raise SnapshotVersionError(
                f"the snapshot has format {version}; this release reads format {FORMAT}"
            )
        if hashlib.sha256(data[:-_DIGEST]).digest() != data[-_DIGEST:]:
            raise SnapshotCorrupt("the snapshot is cut or damaged: its checksum does not match")
        try:
            header = cbor2.loads(data[start : start + length])
            unpacker = zstandard.ZstdDecompressor().decompressobj()
            packed = unpacker.decompress(data[start + length : -_DIGEST])
            memory, body = cbor2.loads(packed)
            if len(packed) > _MOST_BODY or not isinstance(header, dict) or not isinstance(body, dict):
                raise TypeError("body")
            header["image"]
        except (cbor2.CBORDecodeError, zstandard.ZstdError, KeyError, TypeError, ValueError) as error:
            raise SnapshotCorrupt(f"the snapshot is malformed: {error}") from error
        return cls(header, MemoryImage.from_plain(memory), body)
