"""How the memory of an instance is captured, and made again: by copying, or by mapping where the system can.

``memories()`` is the way of this process, chosen at the first call. Copying compares the pages that were
written with the boot image's and takes those that differ. Mapping writes long runs of written pages to a
layer and maps that over the memory; so the next capture finds only what was written after it, and whoever
starts from the image maps the same layer, copy-on-write. Short runs are copied all the same: a mapping takes
as long as a few dozen pages.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Callable, Generator, Iterable
from ctypes import addressof, c_uint64
from typing import TYPE_CHECKING, NamedTuple, Protocol

from rlm_wasm.errors import SandboxCrashed
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.sandbox import c_api as wasm
from rlm_wasm.sandbox.engine import Engine, failure_of
from rlm_wasm.sandbox.instance import Instance
from rlm_wasm.sandbox.layers import Extent, LayerFile, Piece, laid_over, lay, mappings
from rlm_wasm.sandbox.pages import (
    PAGE,
    at_once,
    changed_pages,
    gathered,
    spread,
    written_in_turns,
    written_runs,
)
from rlm_wasm.sandbox.snapshot import Image, LayeredImage, MemoryImage
from rlm_wasm.sandbox.texts import BEGINS, LongText

if TYPE_CHECKING:
    import mmap

_WASM_PAGE = 65536

MAPPED_FROM = 64
"""Pages of a run that is mapped: below that, copying them is as quick, and takes no mapping."""
_GAPS = (16, 256)
"""Runs that are no further apart than so many pages are taken together; the second, where they are many."""
_MOST_PIECES = 64
"""That an instance has mapped; where they become more, all of them are written to one layer again."""
_MOST_APART = 1024
"""Pages outside of long runs that are copied at every capture."""
_DEAD_FROM = 4096
"""Pages of layers that an instance holds and does not see any longer, beside as many as it sees."""
_WRITTEN_AT_ONCE = 128
"""Pages that are written to a layer without a turn in between: a system gives new pages slowly."""

Runs = list[tuple[int, int]]
"""Pages that follow one another, as (the first, how many); ascending."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is captured."""

    engine: Engine
    instance: Instance
    used: bytes
    """A byte a page; 0 says that its content means nothing. Pages behind the last one are used."""
    check: Callable[[], None]
    """Raises where the instance is gone."""
    unchanged: Callable[[], bool]
    """Whether nothing has run in it since the capture began."""


class Captured(NamedTuple):
    """What a capture gives."""

    image: Image
    intact: bool = True
    """False: the memory has a hole now, and the instance cannot be used any longer."""


class Memories(Protocol):
    """A way to capture memories and to make them again. All of it yields between parts of a large one."""

    def capture(self, subject: Subject) -> Generator[None, None, Captured]:
        """The memory as it is."""
        ...

    def made(self, acquire: Callable[[], Instance], image: Image) -> Generator[None, None, Instance]:
        """An instance whose memory is like that. Raises SandboxCrashed where it has no room for it."""
        ...

    def put(
        self, instance: Instance, text: LongText, at: int, check: Callable[[], None]
    ) -> Generator[None, None, None]:
        """Characters to an address of the guest's, where there is room for them.

        ``check`` raises where the instance is gone. Raises OSError where there may be a hole in it now.
        """
        ...


class Copying:
    """Everywhere possible."""

    def capture(self, subject: Subject) -> Generator[None, None, Captured]:
        """What differs from the boot image, copied."""
        instance = subject.instance
        written = yield from written_in_turns(instance.base, instance.measure(), subject.check)
        if written is not None and instance.pieces:  # what is mapped from a layer does not count as written
            written = _runs(_mask(instance.size // PAGE, [*written, *_laid(instance)]))
        numbers = yield from _changed(subject, written)
        return Captured((yield from _gathered(instance, numbers, subject.check)))

    def made(self, acquire: Callable[[], Instance], image: Image) -> Generator[None, None, Instance]:
        """It is written into one."""
        whole = yield from image.whole()
        instance = acquire()
        try:
            _grow(instance, whole.size)
            yield from _spread(instance, whole)
        except BaseException:
            instance.delete()
            raise
        return instance

    def put(
        self, instance: Instance, text: LongText, at: int, check: Callable[[], None]
    ) -> Generator[None, None, None]:
        """They are copied."""
        return text.copied(instance.base + at, check)


class Mapping(Copying):
    """Where the kernel says what was written, and maps files without a name (Linux)."""

    def capture(self, subject: Subject) -> Generator[None, None, Captured]:
        """Long runs of what was written since the last capture go to a layer, and are mapped from there."""
        instance, check = subject.instance, subject.check
        pages = instance.measure() // PAGE
        written = yield from written_in_turns(instance.base, instance.size, check)
        if written is None:
            return (yield from super().capture(subject))
        inside = b""
        if instance.pieces:
            # What was written over a layer's page is wanted, whatever it is now.
            laid, mask = _mask(pages, _laid(instance)), _mask(pages, written)
            inside = _both(_both(mask, laid), _known(subject.used, pages))
            written = _runs(_both(mask, laid.translate(_NOT)))
        numbers = yield from _changed(subject, written)
        if not inside and len(numbers) < MAPPED_FROM:
            return Captured((yield from _gathered(instance, numbers, check)))
        wanted = _mask(pages, ((page, 1) for page in numbers))
        plan = _planned(subject, _either(wanted, inside) if inside else wanted)
        if plan is None:
            return (yield from super().capture(subject))
        if not (instance.pieces or plan.long):
            return Captured((yield from _gathered(instance, numbers, check)))
        return (yield from self._layered(subject, plan))

    def _layered(self, subject: Subject, plan: _Plan) -> Generator[None, None, Captured]:
        instance, check = subject.instance, subject.check
        before = instance.pieces
        below = () if plan.anew else before
        try:
            pieces = yield from _to_layer(instance, plan.long, check)
        except OSError:
            return (yield from super().capture(subject))
        rest = yield from _gathered(instance, plan.short, check)
        laid = laid_over(below, pieces)
        image = LayeredImage(rest.size, subject.engine, subject.used, laid, rest) if laid else rest
        # Where something ran, or another capture was quicker, it stays as it is.
        if (pieces or plan.anew) and subject.unchanged() and instance.pieces is before:
            try:
                yield from instance.lay(pieces, subject.unchanged, alone=plan.anew)
            except OSError:
                return Captured(image, intact=False)
        return Captured(image)

    def made(self, acquire: Callable[[], Instance], image: Image) -> Generator[None, None, Instance]:
        """Its pieces are mapped, and the rest is written."""
        if isinstance(image, LayeredImage) and mappings.count + len(image.pieces) <= mappings.most:
            instance = acquire()
            try:
                _grow(instance, image.size)
                yield from instance.lay(image.pieces)
                yield from _spread(instance, image.rest)
            except OSError:
                instance.delete()
            except BaseException:
                instance.delete()
                raise
            else:
                return instance
        return (yield from super().made(acquire, image))

    def put(
        self, instance: Instance, text: LongText, at: int, check: Callable[[], None]
    ) -> Generator[None, None, None]:
        """Their pages are mapped where that saves copying; the first and the last one are copied."""
        pieces: list[Piece] = []
        if at % PAGE == BEGINS:
            try:
                pieces = yield from text.pieces(at // PAGE)
            except OSError:  # the layer cannot be written
                pieces = []
            check()
        if not pieces or mappings.count + len(pieces) > mappings.most:
            yield from super().put(instance, text, at, check)
            return
        yield from instance.lay(pieces)
        check()
        first, last = text.between()
        into = instance.base + at
        yield from text.copied(into, check, 0, first)
        yield from text.copied(into + last, check, last)


def _grow(instance: Instance, size: int) -> None:
    if size > instance.size:
        grown = c_uint64()
        more = -(-(size - instance.size) // _WASM_PAGE)
        error = wasm.memory_grow(instance.context, instance.memory_at, more, addressof(grown))
        if error:
            failure_of(error, None)
            raise SandboxCrashed("the snapshot does not fit the session's memory limit")
        instance.measure()


def _spread(instance: Instance, image: MemoryImage) -> Generator[None, None, None]:
    base = instance.base
    yield from spread(image.content, [(base + page * PAGE, count * PAGE) for page, count, _ in image.runs()])


def _changed(subject: Subject, written: Runs | None) -> Generator[None, None, list[int]]:
    instance = subject.instance
    return (
        yield from changed_pages(
            subject.engine, instance.base, instance.size, subject.used, written, subject.check
        )
    )


def _gathered(
    instance: Instance, numbers: list[int], check: Callable[[], None]
) -> Generator[None, None, MemoryImage]:
    size, base = instance.size, instance.base
    runs = MemoryImage(size, tuple(numbers), b"").runs()
    content = yield from gathered([(base + page * PAGE, count * PAGE) for page, count, _ in runs], check)
    return MemoryImage(size, tuple(numbers), content)


# ---- what is captured how


@dataclass(frozen=True, slots=True)
class _Plan:
    long: Runs
    """These go to a layer."""
    short: list[int]
    """These pages are copied."""
    anew: bool = False
    """Nothing but those is mapped afterwards."""


_ONES = re.compile(rb"\x01+")
_TO_ONE = bytes(min(byte, 1) for byte in range(256))
_NOT = bytes(byte == 0 for byte in range(256))


def _mask(pages: int, runs: Iterable[tuple[int, int]]) -> bytes:
    """A byte a page: 1 for those in a run."""
    mask = bytearray(pages)
    for first, count in runs:
        mask[first : first + count] = b"\x01" * count
    return bytes(mask)


def _both(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "little") & int.from_bytes(other, "little")).to_bytes(len(one), "little")


def _either(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "little") | int.from_bytes(other, "little")).to_bytes(len(one), "little")


def _runs(mask: bytes) -> Runs:
    return [(run.start(), run.end() - run.start()) for run in _ONES.finditer(mask)]


def _together(runs: Runs, gap: int) -> Runs:
    """Those that are no further apart than that, as one."""
    out: Runs = []
    for first, count in runs:
        if out and first - sum(out[-1]) <= gap:
            out[-1] = out[-1][0], first + count - out[-1][0]
        else:
            out.append((first, count))
    return out


def _laid(instance: Instance) -> Runs:
    return [(piece.page, piece.count) for piece in instance.pieces]


def _known(used: bytes, pages: int) -> bytes:
    """A byte a page: 1 for those whose content means something."""
    return used[:pages].translate(_TO_ONE).ljust(pages, b"\x01")


def _planned(subject: Subject, wanted: bytes) -> _Plan | None:
    """How the wanted pages are captured; None where they are too much here and there."""
    instance, pages = subject.instance, len(wanted)
    pieces = instance.pieces
    if not _many_dead(pieces, wanted.count(1)):
        runs = _runs(wanted)
        for gap in _GAPS:
            plan = _split(runs, gap, wanted, b"")
            if len(pieces) + 2 * len(plan.long) <= _MOST_PIECES and len(plan.short) <= _MOST_APART:
                return plan
    if not pieces:
        return None
    # All that is mapped is written again. What is used no longer need not be; but for what has the boot image
    # below it, which nobody but the engine can map.
    image_pages = min(subject.engine.image_size // PAGE, pages)
    kept = b"\x01" * image_pages + _known(subject.used, pages)[image_pages:]
    forced = _both(_mask(pages, _laid(instance)), kept)
    wanted = _either(wanted, forced)
    runs = _runs(wanted)
    for gap in _GAPS:
        plan = _split(runs, gap, wanted, forced)
        if len(plan.long) <= _MOST_PIECES and len(plan.short) <= _MOST_APART:
            return plan
    return None


def _many_dead(pieces: tuple[Piece, ...], more: int) -> bool:
    """Whether layers hold much that nobody sees any longer, once so many pages are written to another."""
    held = sum({id(piece.extent): piece.extent.pages for piece in pieces}.values())
    seen = sum(piece.count for piece in pieces)
    return held + more > 2 * max(seen, more) + _DEAD_FROM


def _split(runs: Runs, gap: int, wanted: bytes, forced: bytes) -> _Plan:
    """``forced``: what has to go to a layer, however short it is."""
    long: Runs = []
    short: list[int] = []
    for first, count in _together(runs, gap):
        end = first + count
        if wanted.count(1, first, end) >= MAPPED_FROM or forced.find(1, first, end) >= 0:
            long.append((first, count))
        else:
            short.extend(page for page in range(first, end) if wanted[page])
    return _Plan(long, short, anew=bool(forced))


def _to_layer(
    instance: Instance, runs: Runs, check: Callable[[], None]
) -> Generator[None, None, tuple[Piece, ...]]:
    """The pieces that these pages are, once they are written. Raises OSError."""
    if not runs:
        return ()
    extent = LayerFile.current().reserve(sum(count for _, count in runs))
    pieces, at = [], 0
    for first, count in runs:
        pieces.append(Piece(first, count, extent, at))
        for page in range(first, first + count, _WRITTEN_AT_ONCE):
            part = min(_WRITTEN_AT_ONCE, first + count - page)
            extent.write(at, instance.base + page * PAGE, part)
            at += part
            yield
            check()
    return tuple(pieces)


# ---- which way


_chosen: Memories | None = None


def memories() -> Memories:
    """The way of this process."""
    global _chosen
    if _chosen is None:
        _chosen = Mapping() if _can_map() else Copying()
    return _chosen


def _can_map() -> bool:
    """Whether pages can be mapped from a layer, and the kernel then says which of them were written."""
    if sys.platform != "linux":
        return False
    import mmap

    try:
        extent = LayerFile.current().reserve(3)
        memory = mmap.mmap(-1, 4 * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        first = ctypes.c_char.from_buffer(memory)
        try:
            return _is_told(extent, memory, addressof(first))
        finally:
            del first
            memory.close()
    except OSError:
        return False


def _is_told(extent: Extent, memory: mmap.mmap, base: int) -> bool:
    memory[:] = b"\x07" * len(memory)
    extent.write(0, base, 3)
    at_once(lay(base, [Piece(1, 3, extent, 0)]))
    read = memory[:]
    memory[2 * PAGE] = 8
    kept = extent.read(0, 3)
    return read == b"\x07" * len(read) and len(set(kept)) == 1 and written_runs(base, 4) == [(0, 1), (2, 1)]
