"""Which pages of a guest's memory differ from the boot image.

Every page is compared with a pristine instance's, 64 KiB at a time. On Linux the kernel says
first which pages were ever written (wasmtime maps the image copy-on-write), so that of a small
session's megabytes only the few written pages are looked at. That is an optimisation only: what
it leaves out is equal by construction.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from rlm_wasm.sandbox import c_api as wasm

if TYPE_CHECKING:
    from rlm_wasm.sandbox.engine import Engine

PAGE = 4096
"""Bytes of the pages that a memory is looked at, kept and restored by."""

_BLOCK = 16  # pages compared at once
_ZERO = ctypes.create_string_buffer(PAGE)
_ZERO_AT = ctypes.addressof(_ZERO)
_COMPARED_AT_ONCE = 1024  # pages
_ASKED_AT_ONCE = 1 << 14  # pages that the kernel is asked about at once: 64 MiB
_memcmp = ctypes.CDLL("msvcrt" if sys.platform == "win32" else None).memcmp
_memcmp.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_memcmp.restype = ctypes.c_int

# /proc/self/pagemap has 64 bits a page; of the highest byte: 0x80 present, 0x40 swapped, 0x20 a
# page of the file, so not yet copied on write.
_WRITTEN = bytes(0x40 <= high < 0xA0 or 0xC0 <= high < 0xE0 for high in range(256))
"""Whether a page is written, by that byte: a table for ``bytes.translate``."""


T = TypeVar("T")


def at_once(work: Generator[None, None, T]) -> T:
    """The result of work that is written to be done in turns, without any."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            result: T = stop.value
            return result


# ---- copies that are made in turns

COPIED_AT_ONCE = 1 << 20
"""Bytes that are copied without a turn in between: half a millisecond, most of it for new pages."""

# By subscript: functions of our own, whose prototypes nobody else in the process sees or changes.
_new_bytes = ctypes.pythonapi["PyBytes_FromStringAndSize"]
_new_bytes.argtypes = (ctypes.c_void_p, ctypes.c_ssize_t)
_new_bytes.restype = ctypes.py_object
_bytes_at = ctypes.pythonapi["PyBytes_AsString"]
_bytes_at.argtypes = (ctypes.py_object,)
_bytes_at.restype = ctypes.c_void_p


def address_of(content: bytes) -> int:
    """Where its first byte is, as long as somebody holds it."""
    return int(_bytes_at(content))


def room_for(length: int) -> tuple[bytes, memoryview]:
    """A bytes object of at least two bytes and, until somebody else sees it, a way to write into it."""
    content: bytes = _new_bytes(None, length)
    return content, memoryview((ctypes.c_char * length).from_address(address_of(content))).cast("B")


def _nothing() -> None:
    """What is copied cannot go away."""


def gathered(
    parts: Iterable[tuple[int, int]], check: Callable[[], None] = _nothing
) -> Generator[None, None, bytes]:
    """One bytes object of what stands at these addresses, each with its length; it yields between pieces.

    ``check`` raises where the memory is not there any longer: it is asked after every turn.
    """
    parts = list(parts)
    content: bytes = _new_bytes(None, sum(length for _, length in parts))
    if len(content) < 2:  # Python keeps one object for all of those
        return b"".join(ctypes.string_at(start, length) for start, length in parts)
    into, budget = address_of(content), COPIED_AT_ONCE
    for start, length in parts:
        at = 0
        while at < length:
            size = min(length - at, budget)
            ctypes.memmove(into, start + at, size)
            at, into, budget = at + size, into + size, budget - size
            if budget == 0:
                budget = COPIED_AT_ONCE
                yield
                check()
    return content


def spread(
    content: bytes, parts: Iterable[tuple[int, int]], check: Callable[[], None] = _nothing
) -> Generator[None, None, None]:
    """The other way: one bytes object to these addresses, piece after piece."""
    start, budget = address_of(content), COPIED_AT_ONCE
    for into, length in parts:
        at = 0
        while at < length:
            size = min(length - at, budget)
            ctypes.memmove(into + at, start, size)
            at, start, budget = at + size, start + size, budget - size
            if budget == 0:
                budget = COPIED_AT_ONCE
                yield
                check()


def moved(
    start: int, into: int, length: int, check: Callable[[], None] = _nothing
) -> Generator[None, None, None]:
    """So many bytes from one address to another, piece after piece, as ``spread``."""
    for at in range(0, length, COPIED_AT_ONCE):
        if at:
            yield
            check()
        ctypes.memmove(into + at, start + at, min(COPIED_AT_ONCE, length - at))


# ---- which pages changed


def differs(page: int, other: int) -> bool:
    """Whether the page at this address has other content than the one at the second; 0: than zeros."""
    return bool(_memcmp(page, other or _ZERO_AT, PAGE))


def written_in_turns(
    base: int, size: int, check: Callable[[], None] = _nothing
) -> Generator[None, None, list[tuple[int, int]] | None]:
    """As ``written_runs``, of a memory of so many bytes; it yields between parts of a large one."""
    count = size // PAGE
    out: list[tuple[int, int]] = []
    for first in range(0, count, _ASKED_AT_ONCE):
        if first:
            yield
            check()
        runs = written_runs(base + first * PAGE, min(_ASKED_AT_ONCE, count - first))
        if runs is None:
            return None
        out.extend((first + page, many) for page, many in runs)
    return out


def changed_pages(
    engine: Engine,
    base: int,
    size: int,
    used: bytes,
    written: Iterable[tuple[int, int]] | None,
    check: Callable[[], None] = _nothing,
) -> Generator[None, None, list[int]]:
    """Numbers, ascending, of those pages of the ``written`` runs that are not as in the guest's image.

    ``written`` is None where nobody knows: then all are compared. ``used`` holds a byte a page; 0 says that
    its content means nothing. It yields between parts of a large memory; ``check`` raises where the memory is
    gone after that.
    """
    pristine, pristine_size = pristine_memory(engine)
    pristine_count, known = pristine_size // PAGE, len(used)
    if written is None:
        written = _differing_blocks(base, size // PAGE, pristine, pristine_count)
    out: list[int] = []
    looked_at = 0
    for first, count in written:
        for start in range(first, first + count, _COMPARED_AT_ONCE):
            end = min(start + _COMPARED_AT_ONCE, first + count)
            for page in range(start, end):
                if page < known and not used[page]:
                    continue
                if differs(base + page * PAGE, pristine + page * PAGE if page < pristine_count else 0):
                    out.append(page)
            looked_at += end - start
            if looked_at >= _COMPARED_AT_ONCE:
                looked_at = 0
                yield
                check()
    return out


def _differing_blocks(base: int, count: int, pristine: int, pristine_count: int) -> Iterator[tuple[int, int]]:
    for n in range(0, count, _BLOCK):
        pages = min(_BLOCK, count - n)
        if n + pages > pristine_count or _memcmp(base + n * PAGE, pristine + n * PAGE, pages * PAGE):
            yield n, pages


def written_runs(base: int, count: int) -> list[tuple[int, int]] | None:
    """The pages that were written since they were mapped, as (first page, how many), ascending.

    None where the kernel does not tell.
    """
    handle = _pagemap()
    if handle is None:
        return None
    runs = _scanned(handle, base, count)
    return runs if runs is not None else _looked_up(handle, base, count)


def _looked_up(handle: int, base: int, count: int) -> list[tuple[int, int]] | None:
    """By a table of every page. Any kernel has that."""
    try:
        raw = os.pread(handle, count * 8, base // PAGE * 8)
    except OSError:
        return None
    if len(raw) != count * 8:
        return None
    return [
        (run.start(), run.end() - run.start()) for run in re.finditer(_ONES, raw[7::8].translate(_WRITTEN))
    ]


_ONES = rb"\x01+"  # compiled where a kernel has no other way


# Linux 6.7 has a system call that looks for such pages itself: PAGEMAP_SCAN, of linux/fs.h.
class _Scan(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "size",
            "flags",
            "start",
            "end",
            "walk_end",
            "regions",
            "regions_length",
            "max_pages",
            "inverted",
            "all_of",
            "any_of",
            "told",
        )
    ]
    start: int
    end: int
    walk_end: int


_SCAN = 0xC0606610  # _IOWR('f', 16, struct pm_scan_arg)
_FILE, _PRESENT, _SWAPPED = 1 << 2, 1 << 3, 1 << 4
_MAX_REGIONS = 256
"""More of them are looked up by the table."""
_REGION = 3
"""Words of a region: its start, its end, and what its pages are."""


class _Scanner(threading.local):
    """A question of PAGEMAP_SCAN, and room for its answer: made once a thread."""

    def __init__(self) -> None:
        self.regions = (ctypes.c_uint64 * (_MAX_REGIONS * _REGION))()
        self.question = _Scan(
            size=ctypes.sizeof(_Scan),
            regions=ctypes.addressof(self.regions),
            regions_length=_MAX_REGIONS,
            inverted=_FILE,
            all_of=_FILE,
            any_of=_PRESENT | _SWAPPED,
        )
        self.question_at = ctypes.addressof(self.question)


def _io_control() -> Any:
    if sys.platform != "linux":
        return None
    ioctl = ctypes.CDLL(None, use_errno=True).ioctl
    ioctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p)
    ioctl.restype = ctypes.c_int
    return ioctl


_ioctl = _io_control()
_scanner = _Scanner()
_scans = True


def _scanned(handle: int, base: int, count: int) -> list[tuple[int, int]] | None:
    """By the kernel's own search; None where it has none, or finds too many."""
    global _scans
    if not _scans or _ioctl is None:
        return None
    scanner = _scanner
    question = scanner.question
    end = base + count * PAGE
    question.start, question.end = base, end
    result = _ioctl(handle, _SCAN, scanner.question_at)
    if result < 0:
        _scans = False
        return None
    if question.walk_end != end:
        return None
    words = scanner.regions[: result * _REGION]
    starts, ends = words[::_REGION], words[1::_REGION]
    return [((start - base) // PAGE, (end - start) // PAGE) for start, end in zip(starts, ends, strict=True)]


_opened: tuple[int, int | None] = (0, None)


def _pagemap() -> int | None:
    """An open /proc/self/pagemap of this very process, or None where there is none."""
    global _opened
    process = os.getpid()
    if _opened[0] != process:
        handle: int | None = None
        if sys.platform == "linux" and os.sysconf("SC_PAGESIZE") == PAGE:
            try:
                handle = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                handle = None
        _opened = (process, handle)
    return _opened[1]


_FREE = rb"\x00{16,}"
"""Runs of free pages that are worth a system call."""
_MADV_DONTNEED = 4
_GIVEN_AT_ONCE = 2048
"""Pages that the system takes back in about two milliseconds."""


def give_back(base: int, used: bytes) -> Generator[None, None, int]:
    """Give the memory of free pages back to the system: how many pages. It yields between parts of them.

    ``used`` holds a byte a page; 0 says that its content means nothing. Such a page reads as zeros, or as
    the image has it, when it is used again. Only where the system has such a call (Linux).
    """
    if _madvise is None:
        return 0
    given = 0
    for run in re.finditer(_FREE, used):
        for start in range(run.start(), run.end(), _GIVEN_AT_ONCE):
            count = min(_GIVEN_AT_ONCE, run.end() - start)
            if _madvise(base + start * PAGE, count * PAGE, _MADV_DONTNEED) == 0:
                given += count
            if count == _GIVEN_AT_ONCE:
                yield
    return given


def drop(base: int, start: int, count: int) -> bool:
    """These pages are again as they were mapped: whether the system has such a call (Linux), and did it."""
    return _madvise is not None and _madvise(base + start * PAGE, count * PAGE, _MADV_DONTNEED) == 0


def _system_call() -> Any:
    if sys.platform != "linux" or os.sysconf("SC_PAGESIZE") != PAGE:
        return None
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    madvise.restype = ctypes.c_int
    return madvise


_madvise = _system_call()

_pristine: dict[int, tuple[Engine, int, int]] = {}
"""By engine, with that: an address and a size. Their stores stay as long as the process."""


def pristine_memory(engine: Engine) -> tuple[int, int]:
    """Address and size of an untouched instance's memory. Nothing ever runs in it."""
    known = _pristine.get(id(engine))
    if known is None:
        _, context, instance = engine.instantiate(-1)
        memory = wasm.export(context, ctypes.addressof(instance), "memory", wasm.MEMORY)
        assert memory is not None
        size = wasm.memory_data_size(context, memory[1])
        known = _pristine[id(engine)] = engine, wasm.memory_data(context, memory[1]), size
    return known[1], known[2]
