"""A guest's memory as pages that differ from the boot image, and snapshots as bytes.

A dumped snapshot is

    magic "RLMSNAP\\n" · format version u16 · signed u8 · header length u32 · header · body · 64 bytes

The header (CBOR, not compressed) says which guest image the pages belong to and what was used so
far. The body is a length u32 and two frames of zstd, the first of that length. The first holds the host's
side of the session (contexts, calls in flight, output so far): of a session's state what differs from BLANK.
The second holds the pages, each as what differs from the image's. The last 64 bytes seal all before them:
an HMAC-SHA-256, by the key of the Runtime that made it or else by one that lives as long as this process,
and a SHA-256 that finds damage. No capability is in a snapshot: provider, store, workspace and host functions
are given again by the runtime that restores.

A snapshot is a way in: what is loaded is bounded before it is unpacked, and checked before it is used. What
this process or a key has signed is known to be whole: its pages stay packed until the session runs.
"""

from __future__ import annotations

import abc
import bisect
import ctypes
import itertools
import os
import struct
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any, Final

import cbor2

from rlm_wasm.errors import SnapshotCorrupt, SnapshotVersionError
from rlm_wasm.lazy_dataclass import dataclass, field, replace
from rlm_wasm.records import unstructure
from rlm_wasm.sandbox.blank_state import BLANK, changes, merged
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.layers import Piece
from rlm_wasm.sandbox.pages import (
    PAGE,
    address_of,
    at_once,
    differs,
    gathered,
    pristine_memory,
    room_for,
)

PACKED_AT_ONCE = 1 << 20
"""Bytes that are compressed without a turn in between."""
MAGIC = b"RLMSNAP\n"
FORMAT = 4
"""What is written."""
DIFFERENCES = 3
"""The format before, which is read, too: one frame, and of each page of memory what differs from the
guest's image."""
WHOLE_PAGES = 2
"""The one before that: as 3, and the pages stand as they are."""
_LENGTH = struct.Struct("<I")
_HASH_BYTES = 32
_FIXED = struct.Struct("<HBI")
_SEAL_BYTES = 64
_PAGES_AT_ONCE = PACKED_AT_ONCE // PAGE
_UNSIGNED, _SIGNED = 0, 1
_OURS = os.urandom(32)
"""Seals what is dumped without a key, so that this process knows its own snapshots again."""
_MAX_HEADER = 64 << 10

MAX_RATIO = 100
MIN_BODY = 64 << 20
"""A body may unpack to MAX_RATIO times its bytes, or to MIN_BODY where that is more. ``dump`` pads what is
smaller than that."""

MAX_PARTS = 3_000_000
"""Values that the body of a snapshot may consist of, where nobody signed it: a part of one byte takes
sixty in memory. A full log has a tenth of that."""


_MAX_WINDOW = 1 << 27
_local = threading.local()


def _zstd() -> tuple[Any, Any, Any, Any, Any]:
    """The library, this thread's compressors, a quick, a thorough and a patient one, and its decompressor.

    To make one costs more than a small image does.
    """
    known: tuple[Any, Any, Any, Any, Any] | None = getattr(_local, "zstd", None)
    if known is None:
        import zstandard

        known = _local.zstd = (
            zstandard,
            zstandard.ZstdCompressor(level=1),
            zstandard.ZstdCompressor(level=3),
            zstandard.ZstdCompressor(level=9),
            zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW),
        )
    return known


class Image(abc.ABC):
    """Linear memory, as it was captured: what differs from the boot image."""

    __slots__ = ()
    size: int
    """Bytes of the memory."""

    @property
    @abc.abstractmethod
    def pages(self) -> int:
        """How many pages may differ."""

    @property
    @abc.abstractmethod
    def own_bytes(self) -> int:
        """Bytes that it takes beside the memory that it was taken of."""

    @abc.abstractmethod
    def whole(self) -> Generator[None, None, MemoryImage]:
        """The same with all of its pages copied. It yields between parts."""

    def packed(self) -> Generator[None, None, PackedImage]:
        """The same, compressed: for instances that sleep. It yields between pieces."""
        return (yield from (yield from self.whole()).packed())

    def to_record(self) -> Any:
        """For records: see ``MemoryImage.to_state``."""
        return at_once(self.whole()).to_state()

    @classmethod
    def from_record(cls, state: Any) -> Image:
        """The inverse, checked, for records. Raises SnapshotCorrupt."""
        return at_once(MemoryImage.from_state(state, 1 << 32))


@dataclass(frozen=True, slots=True, weakref_slot=True)
class MemoryImage(Image):
    """Its size, and the pages of 4 KiB that differ from the boot image."""

    size: int
    numbers: tuple[int, ...]
    content: bytes

    @property
    def pages(self) -> int:
        """How many differ."""
        return len(self.numbers)

    @property
    def own_bytes(self) -> int:
        """Bytes of their content."""
        return len(self.content)

    def whole(self) -> Generator[None, None, MemoryImage]:
        """Itself: nothing has to be copied, and there is no turn."""
        return self
        yield

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

    def over(self, below: MemoryImage) -> Generator[None, None, MemoryImage]:
        """Its pages, and those of another one that it has not itself. It yields between parts."""
        places = {page: address_of(below.content) + n * PAGE for n, page in enumerate(below.numbers)}
        places |= {page: address_of(self.content) + n * PAGE for n, page in enumerate(self.numbers)}
        numbers = tuple(sorted(places))
        content = yield from gathered([(places[page], PAGE) for page in numbers])
        return MemoryImage(self.size, numbers, content)

    def packed(self) -> Generator[None, None, PackedImage]:
        """The same, compressed: for instances that sleep. It yields between pieces."""
        compress, pieces = _zstd()[1].compress, []
        view = memoryview(self.content)
        for at in range(0, len(view), PACKED_AT_ONCE):
            # Its buffer is as large as the input; a copy is as large as its length says.
            pieces.append(bytes(memoryview(compress(view[at : at + PACKED_AT_ONCE]))))
            yield
        return PackedImage(self.size, self.numbers, tuple(pieces))

    def to_state(self) -> list[Any]:
        """For CBOR: size, page numbers, for each its place among the different pages, and those."""
        size, numbers, which, places = self._different()
        return [size, numbers, which, b"".join(places)]

    def against(self, engine: Engine, *, own: bool = False) -> Generator[None, None, MemoryImage]:
        """Of each page what differs from the guest's image; the same once more gives the pages back.

        ``own``: nobody has seen this image, and it becomes that one instead of being copied. It yields
        between pieces.
        """
        start, size = pristine_memory(engine)
        known = bisect.bisect_left(self.numbers, size // PAGE)
        pieces: list[bytes] = []
        for at in range(0, known, _PAGES_AT_ONCE):
            to = min(at + _PAGES_AT_ONCE, known)
            before = b"".join(ctypes.string_at(start + n * PAGE, PAGE) for n in self.numbers[at:to])
            page = self.content[at * PAGE : to * PAGE]
            both = int.from_bytes(page, "little") ^ int.from_bytes(before, "little")
            pieces.append(both.to_bytes(len(page), "little"))
            if own:
                ctypes.memmove(address_of(self.content) + at * PAGE, pieces.pop(), len(page))
            yield
        if own:
            return self
        parts = [(address_of(piece), len(piece)) for piece in pieces]
        rest = len(self.content) - known * PAGE
        if rest:
            parts.append((address_of(self.content) + known * PAGE, rest))
        return MemoryImage(self.size, self.numbers, (yield from gathered(parts)))

    def in_parts(self) -> tuple[bytes, bytes, int, Iterator[bytes]]:
        """For the present format: page numbers, places, and the different pages, as a length and in pieces.

        A number is told as how far it is from the one before. The places say of each number which of the
        different pages it has: nothing where all are different.
        """
        _, _, which, places = self._different()
        pages = list(places)
        if len(pages) == len(self.numbers):
            which = b""
        gaps = [after - before for before, after in itertools.pairwise((0, *self.numbers))]
        batches = range(0, len(pages), _PAGES_AT_ONCE)
        joined = (b"".join(pages[at : at + _PAGES_AT_ONCE]) for at in batches)
        return struct.pack(f"<{len(gaps)}I", *gaps), which, len(pages) * PAGE, joined

    def _different(self) -> tuple[int, bytes, bytes, dict[bytes, int]]:
        places: dict[bytes, int] = {}
        content = self.content
        which = [
            places.setdefault(content[at : at + PAGE], len(places)) for at in range(0, len(content), PAGE)
        ]
        count = len(self.numbers)
        numbers = struct.pack(f"<{count}I", *self.numbers)
        return self.size, numbers, struct.pack(f"<{count}I", *which), places

    @classmethod
    def from_state(cls, state: Any, max_size: int) -> Generator[None, None, MemoryImage]:
        """The inverse of ``to_state``, checked. Raises SnapshotCorrupt for what does not fit together.

        It yields between parts of a large one.
        """
        try:
            size, packed, places, pages = state
            if not (type(size) is int and all(type(part) is bytes for part in (packed, places, pages))):
                raise TypeError("memory")
        except (TypeError, ValueError) as error:
            raise SnapshotCorrupt(_MALFORMED) from error
        numbers = _numbers(packed)
        if len(places) != len(packed):
            raise SnapshotCorrupt(_MALFORMED)
        return (yield from cls._checked(size, numbers, _numbers(places), pages, max_size))

    @classmethod
    def from_parts(
        cls, size: int, gaps: bytes, which: bytes, pages: bytes
    ) -> Generator[None, None, MemoryImage]:
        """The inverse of ``in_parts``, checked. Raises SnapshotCorrupt.

        It yields between parts of a large one.
        """
        numbers = tuple(itertools.accumulate(_numbers(gaps)))
        places = _numbers(which) if which else None
        return (yield from cls._checked(size, numbers, places, pages, 1 << 32))

    @classmethod
    def _checked(
        cls, size: int, numbers: tuple[int, ...], which: tuple[int, ...] | None, pages: bytes, max_size: int
    ) -> Generator[None, None, MemoryImage]:
        """``which`` says of each number which page it has; None: one after the other."""
        in_order = all(a < b for a, b in itertools.pairwise(numbers))
        fits = not numbers or (numbers[-1] + 1) * PAGE <= size
        if which is None:
            known = len(numbers) * PAGE == len(pages)
        else:
            known = len(which) == len(numbers) and (not which or (max(which) + 1) * PAGE <= len(pages))
        if len(pages) % PAGE or not (in_order and fits and known and 0 <= size <= 1 << 32):
            raise SnapshotCorrupt(_MALFORMED)
        if size > max_size:
            raise _too_large(size, max_size)
        if which is None:
            return cls(size, numbers, pages)
        start = address_of(pages)
        content = yield from gathered([(start + n * PAGE, PAGE) for n in which])
        return cls(size, numbers, content)


_MALFORMED: Final = "the snapshot's memory is malformed"


def _too_large(size: int, max_size: int) -> SnapshotCorrupt:
    return SnapshotCorrupt(
        f"the snapshot's memory has {size:,} bytes; the limit memory_bytes allows {max_size:,}"
    )


def _numbers(packed: bytes) -> tuple[int, ...]:
    if len(packed) % 4:
        raise SnapshotCorrupt(_MALFORMED)
    return struct.unpack(f"<{len(packed) // 4}I", packed)


@dataclass(frozen=True, slots=True, weakref_slot=True)
class LayeredImage(Image):
    """One of which long runs of pages stand in layers: to map those copies nothing."""

    size: int
    engine: Engine
    """The guest's."""
    used: bytes
    """A byte a page; 0 says that its content means nothing. Pages behind the last one are used."""
    pieces: tuple[Piece, ...]
    rest: MemoryImage
    """The other pages that differ, and those that were written since their piece was."""

    @property
    def pages(self) -> int:
        """How many may differ."""
        return self.rest.pages + sum(piece.count for piece in self.pieces)

    @property
    def own_bytes(self) -> int:
        """Without its pieces: those are mapped in that memory, too."""
        return self.rest.own_bytes

    def packed(self) -> Generator[None, None, PackedImage]:
        """The same, compressed, but for what others have, too. It yields between pieces."""
        shared = tuple(piece for piece in self.pieces if piece.extent.shared)
        if not shared:
            return (yield from (yield from self.whole()).packed())
        rest = self.rest
        own = tuple(piece for piece in self.pieces if not piece.extent.shared)
        if own:
            below = replace(self, pieces=own, rest=MemoryImage(self.size, (), b""))
            rest = yield from rest.over((yield from below.whole()))
        # A page of the rest that is as the boot image's hides one that is shared.
        packed = yield from rest.packed()
        return PackedLayers(packed.size, packed.numbers, packed.content, shared, self.engine, self.used)

    def whole(self) -> Generator[None, None, MemoryImage]:
        """The same with all of its pages copied. It yields between parts."""
        start, size = pristine_memory(self.engine)
        count, known, used = size // PAGE, len(self.used), self.used
        apart = set(self.rest.numbers)
        places = {page: address_of(self.rest.content) + n * PAGE for n, page in enumerate(self.rest.numbers)}
        kept: list[bytes] = []
        for piece in self.pieces:
            for first in range(piece.page, piece.end, _PAGES_AT_ONCE):
                content = piece.extent.read(
                    piece.at + first - piece.page, min(_PAGES_AT_ONCE, piece.end - first)
                )
                kept.append(content)
                for at in range(0, len(content), PAGE):
                    page = first + at // PAGE
                    if page not in apart and (page >= known or used[page]):
                        places[page] = address_of(content) + at
                yield
        numbers = []
        for n, page in enumerate(sorted(places), 1):
            if differs(places[page], start + page * PAGE if page < count else 0):
                numbers.append(page)
            if n % _PAGES_AT_ONCE == 0:
                yield
        content = yield from gathered([(places[page], PAGE) for page in numbers])
        return MemoryImage(self.size, tuple(numbers), content)


@dataclass(frozen=True, slots=True)
class PackedImage:
    """A MemoryImage, compressed piece by piece."""

    size: int
    numbers: Sequence[int]
    content: tuple[bytes, ...]

    @property
    def pages(self) -> int:
        """How many of them there are."""
        return len(self.numbers)

    def unpacked(self) -> Generator[None, None, Image]:
        """As it was. It yields between pieces."""
        decompress, pieces = _zstd()[4].decompress, []
        for piece in self.content:
            pieces.append(decompress(piece, max_output_size=PACKED_AT_ONCE))
            yield
        content = yield from gathered([(address_of(piece), len(piece)) for piece in pieces])
        return MemoryImage(self.size, tuple(self.numbers), content)


@dataclass(frozen=True, slots=True)
class PackedLayers(PackedImage):
    """One of which some pages stand in layers that others have, too: those are not in it."""

    pieces: tuple[Piece, ...]
    engine: Engine
    used: bytes
    """As LayeredImage has it."""

    def unpacked(self) -> Generator[None, None, Image]:
        """As it was. It yields between pieces."""
        rest = yield from (yield from PackedImage.unpacked(self)).whole()
        return LayeredImage(self.size, self.engine, self.used, self.pieces, rest)


@dataclass(frozen=True, slots=True)
class StoredImage(PackedImage):
    """As the bytes of a snapshot have it: ``content`` is what ``in_parts`` gives, its pages as one frame.

    Of ``numbers`` only how many they are is known before it is unpacked.
    """

    differences: bool
    """Whether its pages are what differs from the guest's image."""
    engine: Engine | None = None
    """That guest."""

    def unpacked(self) -> Generator[None, None, MemoryImage]:
        """As it was, checked. It yields between pieces. Raises SnapshotCorrupt."""
        gaps, which, frame = self.content
        pages = yield from _unpacked(frame)
        image = yield from MemoryImage.from_parts(self.size, gaps, which, pages)
        if self.engine is None or not self.differences:
            return image
        return (yield from image.against(self.engine, own=True))


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A session as a value. ``header`` is small and plain; ``body`` is the session's own.

    Restoring carries over definitions, contexts, a suspended execution with its calls in flight
    (they are sent again), and what was used of every limit. It does not carry provider, store,
    workspace, Python state outside of the default back end, or host functions.
    """

    header: dict[str, Any]
    _memory: Image | PackedImage | list[Any]
    body: Any
    """A record, or the plain data of one that was loaded: the session checks it before it is used."""
    key: bytes | None = field(default=None, repr=False)
    """Signs what ``dump`` gives."""
    trusted: bool = True
    """Whether its words are known to be a session's: made in this process, or signed."""
    engine: Engine | None = field(default=None, repr=False)
    """The guest that it was taken of; None of one that was loaded."""
    differences: bool = False
    """Of an older format: whether its pages say only what differs from the guest's image."""

    @property
    def image_hash(self) -> str:
        """Which guest image this belongs to."""
        return str(self.header["image"])

    @property
    def namespace(self) -> str:
        """Whose checkpoints the session saw."""
        return str(self.header.get("namespace", "default"))

    @property
    def suspended(self) -> bool:
        """Whether an execution was under way: then the restored session's ``resume()`` goes on."""
        return bool(self.header.get("suspended"))

    def memory(self, max_size: int = 1 << 32, engine: Engine | None = None) -> MemoryImage:
        """The guest's memory; ``engine`` is its guest's, by default the present release's.

        Raises:
            SnapshotCorrupt: it is malformed, or larger than that.
            SnapshotVersionError: it is another guest's.
        """
        return at_once(self.memory_in_turns(max_size, engine))

    def memory_in_turns(
        self, max_size: int = 1 << 32, engine: Engine | None = None
    ) -> Generator[None, None, MemoryImage]:
        """As ``memory``; it yields between parts of a large one."""
        memory = self._memory
        if isinstance(memory, Image):
            return (yield from memory.whole())
        if isinstance(memory, PackedImage):
            if memory.size > max_size:
                raise _too_large(memory.size, max_size)
            return (yield from (yield from self._bound(memory, engine).unpacked()).whole())
        image = yield from MemoryImage.from_state(memory, max_size)
        return (yield from image.against(self._engine(engine), own=True)) if self.differences else image

    def image(self) -> Image:
        """As ``memory``; layers are not copied."""
        return self._memory if isinstance(self._memory, Image) else self.memory()

    def at_rest(self, max_size: int, engine: Engine) -> Generator[None, None, Image | PackedImage]:
        """As ``memory_in_turns``, without copying layers; what this process or a key signed stays packed."""
        memory = self._memory
        if isinstance(memory, Image):
            return memory
        if isinstance(memory, StoredImage) and self.trusted:
            if memory.size > max_size:
                raise _too_large(memory.size, max_size)
            return self._bound(memory, engine)
        return (yield from self.memory_in_turns(max_size, engine))

    def _bound(self, memory: PackedImage, engine: Engine | None) -> PackedImage:
        """The same beside the guest that it is told beside. Raises SnapshotVersionError for another one."""
        if isinstance(memory, StoredImage) and memory.differences and memory.engine is None:
            engine = self._engine(engine)
            return StoredImage(memory.size, memory.numbers, memory.content, memory.differences, engine)
        return memory

    def _engine(self, engine: Engine | None) -> Engine:
        """The guest that its pages are told beside. Raises SnapshotVersionError for another one."""
        engine = Engine.shared() if engine is None else engine
        if engine.image_hash != self.image_hash:
            raise SnapshotVersionError(
                f"the snapshot's memory is that of guest {self.image_hash[:12]}…, not of"
                f" {engine.image_hash[:12]}…"
            )
        return engine

    @property
    def memory_at_rest(self) -> Image | PackedImage | None:
        """As it is held; None where it is that of an older format, which nobody has looked at."""
        return None if isinstance(self._memory, list) else self._memory

    @property
    def pages(self) -> int:
        """How many pages of its memory may differ from the boot image; 0 where nobody knows."""
        return 0 if isinstance(self._memory, list) else self._memory.pages

    def with_memory(self, memory: Image | PackedImage, body: Any) -> Snapshot:
        """The same, read and checked already."""
        return Snapshot(self.header, memory, body, self.key, self.trusted, self.engine)

    def __eq__(self, other: object) -> bool:
        """Whether restoring either gives the same."""
        if not isinstance(other, Snapshot):
            return NotImplemented
        mine, theirs = (
            (snapshot.header, snapshot.memory(), cbor2.dumps(unstructure(snapshot.body)))
            for snapshot in (self, other)
        )
        return mine == theirs

    __hash__ = None  # type: ignore[assignment]

    def dump(self) -> bytes:
        """The snapshot as bytes, compressed, and signed where its runtime has a ``snapshot_key``."""
        stored = self._stored()
        gaps, which, pages = stored.content
        said = [stored.size, stored.differences, gaps, which, changes(unstructure(self.body), BLANK)]
        plain = cbor2.dumps(said)
        state = _frame(len(plain), [plain])
        header = cbor2.dumps(_with_short_hash(self.header))
        kind = _UNSIGNED if self.key is None else _SIGNED
        fixed = MAGIC + _FIXED.pack(FORMAT, kind, len(header))
        out = b"".join([fixed, header, _LENGTH.pack(len(state)), state, pages])
        return out + _seal(out, self.key)

    def _stored(self) -> StoredImage:
        """The memory as it is written."""
        memory, differences = self._memory, self.differences
        if isinstance(memory, StoredImage):
            return memory
        if isinstance(memory, PackedImage):
            memory = at_once(memory.unpacked())
        elif isinstance(memory, list):
            memory = at_once(MemoryImage.from_state(memory, 1 << 32))
        memory = at_once(memory.whole())
        if self.engine is not None:
            memory, differences = at_once(memory.against(self.engine)), True
        gaps, which, length, pages = memory.in_parts()
        parts = gaps, which, _frame(length, pages)
        return StoredImage(memory.size, memory.numbers, parts, differences)

    @classmethod
    def load(cls, data: bytes, *, key: bytes | None = None) -> Snapshot:
        """Read what ``dump`` wrote. Raises SnapshotCorrupt or SnapshotVersionError.

        With a ``key`` only what was signed by it is read. Without one the seal finds damage and nothing
        else: a forged snapshot can confuse its own session, spend within its limits what the restoring
        runtime grants, and reach nothing else.
        """
        header, packed, trusted, version = cls._opened(data, key)
        if version >= FORMAT:
            memory, said = _state_and_memory(packed, trusted=trusted)
            return cls(header, memory, said, key=key, trusted=trusted)
        body = at_once(_unpacked(packed))
        if not trusted:
            checked_parts(body)
        pages, rest = _memory_in(body)
        said = _table(decoded(rest), "body")
        return cls(header, pages, said, key=key, trusted=trusted, differences=version == DIFFERENCES)

    @classmethod
    def header_of(cls, data: bytes) -> dict[str, Any]:
        """What ``dump`` wrote about itself, without unpacking the rest. Raises as ``load`` does."""
        return cls._opened(data, None)[0]

    @staticmethod
    def _opened(data: bytes, key: bytes | None) -> tuple[dict[str, Any], memoryview, bool, int]:
        """The header, the body as it is packed, whether its words are a session's, and its format."""
        data = bytes(data)
        start = len(MAGIC) + _FIXED.size
        if len(data) < start + _SEAL_BYTES or not data.startswith(MAGIC):
            raise SnapshotCorrupt("this is no rlm-wasm snapshot, or only the beginning of one")
        version, kind, length = _FIXED.unpack_from(data, len(MAGIC))
        if version > FORMAT:
            raise SnapshotVersionError(
                f"the snapshot has format {version}, and this release reads format {FORMAT}: it was made by a"
                " later release of rlm-wasm: use that one"
            )
        if version < WHOLE_PAGES:
            raise SnapshotVersionError(
                f"the snapshot has format {version}, and this release reads formats {WHOLE_PAGES} to"
                f" {FORMAT}: go on with the release that made it, or run its programs again"
            )
        view = memoryview(data)
        sealed, seal = view[:-_SEAL_BYTES], data[-_SEAL_BYTES:]
        import hashlib
        import hmac

        if not hmac.compare_digest(hashlib.sha256(view[:-32]).digest(), seal[32:]):
            raise SnapshotCorrupt("the snapshot is cut or damaged: its checksum does not match")
        if key is not None and kind != _SIGNED:
            raise SnapshotCorrupt("the snapshot is not signed, and this runtime takes signed ones only")
        trusted = hmac.compare_digest(hmac.digest(key or _OURS, sealed, "sha256"), seal[:32])
        if key is not None and not trusted:
            raise SnapshotCorrupt("the snapshot is forged, or signed by another key")
        if length > _MAX_HEADER or start + length > len(sealed):
            raise SnapshotCorrupt("the snapshot's header is malformed")
        header = _table(decoded(bytes(sealed[start : start + length])), "header")
        image = header.get("image")
        if version >= FORMAT and type(image) is bytes and len(image) == _HASH_BYTES:
            image = header["image"] = image.hex()
        if not isinstance(image, str):
            raise SnapshotCorrupt("the snapshot does not say which guest it belongs to")
        return header, sealed[start + length :], trusted, version

    def check_signature(self, key: bytes) -> None:
        """Raises SnapshotCorrupt for one that was loaded without this key."""
        import hmac

        if not self.trusted or not hmac.compare_digest(self.key or b"", key):
            raise SnapshotCorrupt("the snapshot is not signed by this runtime's snapshot_key")


def _seal(data: bytes | memoryview, key: bytes | None) -> bytes:
    import hashlib
    import hmac

    mac = hmac.digest(key or _OURS, data, "sha256")
    whole = hashlib.sha256(data)
    whole.update(mac)
    return mac + whole.digest()


def _with_short_hash(header: dict[str, Any]) -> dict[str, Any]:
    """A header as it is written: the guest's hash takes half as many bytes as its digits."""
    image = header["image"]
    try:
        hash_ = bytes.fromhex(image)
    except ValueError:
        return header
    return {**header, "image": hash_} if hash_.hex() == image and len(hash_) == _HASH_BYTES else header


_PATIENTLY = 1 << 17
"""Bytes up to which a tenth of a millisecond more is worth a twentieth of the size."""


def _frame(length: int, pieces: Iterable[bytes]) -> bytes:
    """Pieces of that length, compressed."""
    # Piece by piece: whoever dumps on a thread lets the others go on after each.
    compressor = _zstd()[3 if length <= _PATIENTLY else 2].compressobj(size=length)
    packed = []
    for piece in pieces:
        view = memoryview(piece)
        starts = range(0, len(view), PACKED_AT_ONCE)
        packed += [compressor.compress(view[at : at + PACKED_AT_ONCE]) for at in starts]
    frame = b"".join([*packed, compressor.flush()])
    if length > MIN_BODY:  # a context may repeat itself: what stands behind the frame is not read
        frame = frame.ljust(length // MAX_RATIO + 1, b"\0")
    return frame


def _state_and_memory(packed: memoryview, *, trusted: bool) -> tuple[StoredImage, dict[str, Any]]:
    """The two halves of a body. Raises SnapshotCorrupt."""
    if len(packed) < _LENGTH.size:
        raise SnapshotCorrupt("the snapshot's body is malformed")
    end = _LENGTH.size + _LENGTH.unpack_from(packed)[0]
    if end > len(packed):
        raise SnapshotCorrupt("the snapshot's body is malformed")
    frame = packed[_LENGTH.size : end]
    plain = _unpacked_small(frame) or at_once(_unpacked(frame))
    if not trusted:
        checked_parts(plain)
    said = decoded(plain)
    if type(said) is not list or [type(part) for part in said] != [int, bool, bytes, bytes, dict]:
        raise SnapshotCorrupt("the snapshot's body is malformed")
    size, differences, gaps, which, changed = said
    count = len(gaps) // 4
    if not count * PAGE <= size <= 1 << 32:
        raise SnapshotCorrupt(_MALFORMED)
    memory = StoredImage(size, range(count), (gaps, which, bytes(packed[end:])), differences)
    return memory, _table(merged(changed, BLANK), "body")


def _unpacked_small(frame: bytes | memoryview) -> bytes | None:
    """Decompressed, where that is little; None where it is more, or nothing. Raises SnapshotCorrupt."""
    zstandard, _, _, _, decompressor = _zstd()
    try:
        if not 0 < zstandard.frame_content_size(frame) <= PACKED_AT_ONCE:
            return None
        content: bytes = decompressor.decompress(frame, allow_extra_data=True)
    except zstandard.ZstdError as error:
        raise _not_unpacked(error) from error
    return content


def _unpacked(frame: bytes | memoryview) -> Generator[None, None, bytes]:
    """Decompressed, as far as a frame of that size may be large. It yields between pieces.

    Raises SnapshotCorrupt.
    """
    small = _unpacked_small(frame)
    if small is not None:
        return small
    import zstandard

    limit = max(MIN_BODY, MAX_RATIO * len(frame))
    at, length = 0, zstandard.frame_content_size(frame)
    if length > limit:
        raise SnapshotCorrupt(
            f"the snapshot's {len(frame):,} bytes unpack to more than {limit:,}: no session's do"
        )
    if length < 0:
        raise SnapshotCorrupt("the snapshot's body does not say how long it is")
    if length == 0:
        return b""
    content, room = room_for(length)
    try:
        # Not the thread's: between two pieces others want that one.
        with zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).stream_reader(frame) as reader:
            while at < length and (size := reader.readinto(room[at : at + PACKED_AT_ONCE])):
                at += size
                yield
    except zstandard.ZstdError as error:
        raise _not_unpacked(error) from error
    if at < length:
        raise SnapshotCorrupt("the snapshot's body ends in its middle")
    return content


def _not_unpacked(error: Exception) -> SnapshotCorrupt:
    return SnapshotCorrupt(f"the snapshot's body cannot be unpacked: {error}")


def _memory_in(body: bytes) -> tuple[list[Any], bytes]:
    """Of an older format: a memory's state, and what follows it.

    It is taken apart here, since a decoder holds everybody up.
    """
    if body[:2] != b"\x82\x84":
        raise SnapshotCorrupt("the snapshot's body is malformed")
    at = 2
    result: list[Any] = []
    for wanted in (0, 2, 2, 2):
        major, number, at = _head(body, at)
        if major != wanted or (major == 2 and at + number > len(body)):
            raise SnapshotCorrupt(_MALFORMED)
        if major == 0:
            result.append(number)
        else:
            result.append(at_once(gathered([(address_of(body) + at, number)])))
            at += number
    return result, body[at:]


def _head(body: bytes, at: int) -> tuple[int, int, int]:
    """Major type and number of the value there, and where it goes on."""
    if at >= len(body):
        raise SnapshotCorrupt("the snapshot ends in its middle")
    major, short = body[at] >> 5, body[at] & 31
    if short < 24:
        return major, short, at + 1
    if short > 27:
        raise SnapshotCorrupt("the snapshot is malformed: a length is missing")
    end = at + 1 + (1 << (short - 24))
    return major, int.from_bytes(body[at + 1 : end], "big"), end


def checked_parts(body: bytes) -> None:
    """Count what a forger's few bytes would become before any of it is made. Raises SnapshotCorrupt.

    Walks over the heads of all values; texts and bytes are passed over by their lengths. Each part has a
    byte at the least.
    """
    at, end, parts = 0, len(body), 0
    if end <= MAX_PARTS:
        return
    while at < end:
        major, number, at = _head(body, at)
        parts += 1
        if parts > MAX_PARTS:
            raise SnapshotCorrupt(f"the snapshot has more than {MAX_PARTS:,} parts: no session's has")
        if major in (2, 3):
            at += number


def decoded(data: bytes) -> Any:
    """What these bytes of a snapshot say: plain data and nothing else. Raises SnapshotCorrupt."""
    try:
        return cbor2.loads(data, max_depth=64, tag_hook=_no_tag, semantic_decoders=_NO_TAGS)
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise SnapshotCorrupt(f"the snapshot is malformed: {error}") from error


def _no_tag(_tag: Any, _immutable: bool) -> Any:
    raise SnapshotCorrupt("the snapshot holds what no snapshot holds")


_NO_TAGS: dict[int, Any] = dict.fromkeys(
    (0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799),
    _no_tag,
)


def _is_text(key: Any) -> bool:
    return type(key) is str


def _table(value: Any, what: str) -> dict[str, Any]:
    if type(value) is not dict or not all(map(_is_text, value)):
        raise SnapshotCorrupt(f"the snapshot's {what} is no table of names")
    return value
