"""A file without a name, in memory, that parts of linear memories are mapped from, copy-on-write.

What is captured of a large memory is written to a place in it where nothing stood before, and mapped over the
very memory that it was taken of: then the kernel tells apart what is written from then on. A place is
written once and never again, so whoever maps it sees what was written. It is given back to the system when
nobody has it any longer, neither an image nor an instance.

There is one such file for all sessions, and another one after a fork() of the process: parent and child both
map what stands in the first, so neither of them gives anything of it back.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Generator, Iterable, Sequence
from operator import attrgetter
from typing import Any, ClassVar

from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.sandbox.pages import PAGE

_READ_AND_WRITE = 3
_PRIVATE, _FIXED, _ANONYMOUS, _NOT_RESERVED = 0x02, 0x10, 0x20, 0x4000
_PUNCH = 3  # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
_FAILED = ctypes.c_void_p(-1).value


def _from_library(name: str, result: Any, *arguments: Any) -> Any:
    if sys.platform != "linux":
        return None
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    function.restype, function.argtypes = result, arguments
    return function


_mmap = _from_library(
    "mmap", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_int64
)
_fallocate = _from_library("fallocate", ctypes.c_int, *[ctypes.c_int] * 2, *[ctypes.c_int64] * 2)


class LayerFile:
    """The file; ``LayerFile.current()`` is what is written to."""

    _current: ClassVar[LayerFile | None] = None
    _lock: ClassVar[threading.Lock] = threading.Lock()
    _close = staticmethod(os.close)

    def __init__(self) -> None:
        self.descriptor = -1
        if sys.platform != "linux":
            raise OSError("this system has no files without a name")
        self.descriptor = os.memfd_create("rlm-wasm-memory", os.MFD_CLOEXEC)
        self._end = 0
        self.shared = False
        """Whether another process may map what stands in it."""

    @classmethod
    def current(cls) -> LayerFile:
        """The one of this process, made at the first call. Raises OSError where that is not possible."""
        with cls._lock:
            if cls._current is None:
                cls._current = cls()
            return cls._current

    @classmethod
    def leave(cls) -> None:
        """The process is about to fork: what stands in the file stays there, and more comes into another."""
        with cls._lock:
            if cls._current is not None:
                cls._current.shared = True
                cls._current = None

    def reserve(self, pages: int, *, shared: bool = False) -> Extent:
        """A place for so many pages that nobody has written to. ``shared``: see ``Extent.shared``."""
        with self._lock:
            start, self._end = self._end, self._end + pages * PAGE
        return Extent(self, start, pages, shared=shared)

    def give_back(self, start: int, size: int) -> None:
        """Nobody maps this place any longer. The file keeps its size: no other place moves."""
        if not self.shared:
            _fallocate(self.descriptor, _PUNCH, start, size)

    def __del__(self) -> None:
        if self.descriptor >= 0:
            self._close(self.descriptor)


class Extent:
    """A place in a file: it goes back to the system when nobody has it any longer."""

    __slots__ = ("file", "pages", "shared", "start")

    def __init__(self, file: LayerFile, start: int, pages: int, *, shared: bool = False) -> None:
        self.file = file
        self.start = start
        self.pages = pages
        self.shared = shared
        """Whether it is no session's own: who sleeps does not make a copy of it."""

    def write(self, at: int, address: int, pages: int) -> None:
        """What stands at this address becomes the pages from the ``at``-th on. Raises OSError."""
        size, done = pages * PAGE, 0
        content = memoryview((ctypes.c_char * size).from_address(address))
        while done < size:  # a signal may come in between
            done += os.pwrite(self.file.descriptor, content[done:], self.start + at * PAGE + done)

    def read(self, at: int, pages: int) -> bytes:
        """So many pages from the ``at``-th on. Raises OSError."""
        return os.pread(self.file.descriptor, pages * PAGE, self.start + at * PAGE)

    def __del__(self) -> None:
        self.file.give_back(self.start, self.pages * PAGE)


@dataclass(frozen=True, slots=True)
class Piece:
    """So many pages of a memory, from ``page`` on, stand in an extent, from its ``at``-th page on."""

    page: int
    count: int
    extent: Extent
    at: int

    @property
    def end(self) -> int:
        """The page behind it."""
        return self.page + self.count

    def part(self, page: int, end: int) -> Piece:
        """What of it stands between these pages."""
        return Piece(page, end - page, self.extent, self.at + page - self.page)


def uncovered(below: Sequence[Piece], above: Sequence[Piece]) -> list[Piece]:
    """What of the first nothing of the second stands over; both ascend, and so does the result."""
    out: list[Piece] = []
    rest = list(reversed(below))
    for piece in above:
        while rest and rest[-1].page < piece.end:
            under = rest.pop()
            if under.page < piece.page:
                out.append(under.part(under.page, min(under.end, piece.page)))
            if under.end > piece.end:
                rest.append(under.part(piece.end, under.end))
    return [*out, *reversed(rest)]


def laid_over(below: Sequence[Piece], above: Sequence[Piece]) -> tuple[Piece, ...]:
    """What is mapped where the second are mapped over the first; both ascend, and so does the result."""
    return tuple(sorted([*uncovered(below, above), *above], key=attrgetter("page")))


class _Mappings:
    """How many pieces are mapped: a process may have 65,530 mappings, and needs them for other things."""

    def __init__(self) -> None:
        self.most = 8192
        self.count = 0
        self._lock = threading.Lock()

    def renew_lock(self) -> None:
        """In a forked child: a thread that held it is gone."""
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """Those that are mapped now."""
        with self._lock:
            self.count += count

    def failed(self) -> None:
        """The system gives no more of them."""
        with self._lock:
            self.most = min(self.most, self.count)


mappings = _Mappings()


def _renew_locks() -> None:
    LayerFile._lock = threading.Lock()
    mappings.renew_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=LayerFile.leave, after_in_child=_renew_locks)

_LAID_AT_ONCE = 1024
"""Pages that are mapped without a turn in between: what stood there goes back to the system."""


def lay(base: int, pieces: Iterable[Piece]) -> Generator[None, None, None]:
    """Map them over a memory; it yields between parts of them.

    Raises OSError where the system refuses: then there may be a hole in the memory.
    """
    for piece in pieces:
        for page in range(piece.page, piece.end, _LAID_AT_ONCE):
            part = piece.part(page, min(page + _LAID_AT_ONCE, piece.end))
            _map(base, part, _PRIVATE | _FIXED, part.extent.file.descriptor)
            if part.count == _LAID_AT_ONCE:
                yield


def clear(base: int, pieces: Iterable[Piece]) -> None:
    """Zeros where these were mapped. Raises OSError, as ``lay`` does."""
    for piece in pieces:
        _map(base, piece, _PRIVATE | _FIXED | _ANONYMOUS | _NOT_RESERVED, -1)


def _map(base: int, piece: Piece, how: int, descriptor: int) -> None:
    offset = piece.extent.start + piece.at * PAGE if descriptor >= 0 else 0
    at, size = base + piece.page * PAGE, piece.count * PAGE
    if _mmap(at, size, _READ_AND_WRITE, how, descriptor, offset) == _FAILED:
        mappings.failed()
        raise OSError(ctypes.get_errno(), "memory cannot be mapped")
