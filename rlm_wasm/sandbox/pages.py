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
from ctypes import string_at
from typing import TYPE_CHECKING, Any

from rlm_wasm.sandbox.snapshot import PAGE

if TYPE_CHECKING:
    from rlm_wasm.sandbox.engine import Engine

_BLOCK = 16  # pages compared at once
_ZERO = bytes(PAGE)
_memcmp = ctypes.CDLL("msvcrt" if sys.platform == "win32" else None).memcmp
_memcmp.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_memcmp.restype = ctypes.c_int

# /proc/self/pagemap has 64 bits a page; of the highest byte: 0x80 present, 0x40 swapped, 0x20 a
# page of the file, so not yet copied on write.
_WRITTEN = bytes(0x40 <= high < 0xA0 or 0xC0 <= high < 0xE0 for high in range(256))
"""Whether a page is written, by that byte: a table for ``bytes.translate``."""


def changed_pages(engine: Engine, base: int, size: int, used: bytes) -> list[int]:
    """Page numbers, ascending. ``used`` holds a byte a page; 0 says that its content means nothing."""
    pristine, pristine_size = pristine_memory(engine)
    count = size // PAGE
    candidates = written_pages(base, count)
    if candidates is None:
        candidates = _differing_blocks(base, count, pristine, pristine_size // PAGE)
    known = len(used)
    out = []
    for n in candidates:
        if n < known and not used[n]:
            continue
        if (n + 1) * PAGE <= pristine_size:
            if _memcmp(base + n * PAGE, pristine + n * PAGE, PAGE):
                out.append(n)
        elif string_at(base + n * PAGE, PAGE) != _ZERO:
            out.append(n)
    return out


def _differing_blocks(base: int, count: int, pristine: int, pristine_count: int) -> list[int]:
    out: list[int] = []
    for n in range(0, count, _BLOCK):
        most = min(_BLOCK, count - n)
        if n + most > pristine_count or _memcmp(base + n * PAGE, pristine + n * PAGE, most * PAGE):
            out.extend(range(n, n + most))
    return out


def written_pages(base: int, count: int) -> list[int] | None:
    """The pages that were written since they were mapped, as far as the kernel tells."""
    handle = _pagemap()
    if handle is None:
        return None
    try:
        raw = os.pread(handle, count * 8, base // PAGE * 8)
    except OSError:
        return None
    if len(raw) != count * 8:
        return None
    flags = raw[7::8].translate(_WRITTEN)
    out = []
    at = flags.find(1)
    while at >= 0:
        out.append(at)
        at = flags.find(1, at + 1)
    return out


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


_FREE = re.compile(rb"\x00{16,}")
"""Runs of free pages that are worth a system call."""
_MADV_DONTNEED = 4


def give_back(base: int, used: bytes) -> int:
    """Give the memory of free pages back to the system: how many pages.

    ``used`` holds a byte a page; 0 says that its content means nothing. Such a page reads as zeros, or as
    the image has it, when it is used again. Only where the system has such a call (Linux).
    """
    if _madvise is None:
        return 0
    given = 0
    for run in _FREE.finditer(used):
        start, end = run.span()
        if _madvise(base + start * PAGE, (end - start) * PAGE, _MADV_DONTNEED) == 0:
            given += end - start
    return given


def _system_call() -> Any:
    if sys.platform != "linux" or os.sysconf("SC_PAGESIZE") != PAGE:
        return None
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    madvise.restype = ctypes.c_int
    return madvise


_madvise = _system_call()

_pristine: dict[int, tuple[Any, int, int]] = {}


def pristine_memory(engine: Engine) -> tuple[int, int]:
    """Address and size of an untouched instance's memory. Nothing ever runs in it."""
    known = _pristine.get(id(engine))
    if known is None:
        import wasmtime

        store = wasmtime.Store(engine.wasmtime_engine)
        store.set_fuel(1 << 40)
        store.set_epoch_deadline(1 << 40)
        instance = wasmtime.Instance(store, engine.module, [])
        memory = instance.exports(store)["memory"]
        assert isinstance(memory, wasmtime.Memory)
        start = ctypes.cast(memory.data_ptr(store), ctypes.c_void_p).value or 0
        known = _pristine[id(engine)] = ((store, instance, engine), start, memory.data_len(store))
    return known[1], known[2]
