"""Write an instance's linear memory back as the data segments of its module.

A module with no imports and one memory is the same after this rewrite as it was when the memory
was read: the memory section gets the size that it had grown to, the data section what stood in
it, and start function and ``_initialize`` go, because they have run. The only mutable global that
clang makes is the stack pointer, which has its initial value whenever no function is running;
``rewrite`` refuses a module that has others.
"""

from __future__ import annotations

from collections.abc import Iterator

PAGE = 4096
WASM_PAGE = 65536
JOIN = 64
"""Zero bytes in a row that end a segment: shorter runs cost less than a segment's head."""

CUSTOM, TYPE, IMPORT, FUNCTION, TABLE, MEMORY, GLOBAL, EXPORT, START, ELEMENT, CODE, DATA, DATA_COUNT = range(
    13
)


class BadModule(Exception):
    """The module is not of the kind that can be rewritten."""


def rewrite(module: bytes, memory: bytes) -> bytes:
    """The module whose fresh instance has this memory."""
    if len(memory) % WASM_PAGE:
        raise BadModule("the memory is no whole number of wasm pages")
    out = bytearray(module[:8])
    written = False
    for kind, body in sections(module):
        if kind in (CUSTOM, START, DATA_COUNT):
            continue
        if kind == IMPORT and body != b"\0":
            raise BadModule("the guest imports something")
        if kind == MEMORY:
            body = _memory(body, len(memory) // WASM_PAGE)
        elif kind == GLOBAL:
            _check_globals(body)
        elif kind == EXPORT:
            body = _exports(body)
        elif kind == DATA:
            body, written = _data(memory), True
        out += _section(kind, body)
    if not written:
        out += _section(DATA, _data(memory))
    return bytes(out)


def sections(module: bytes) -> Iterator[tuple[int, bytes]]:
    """(id, content) of each section."""
    if module[:8] != b"\0asm\1\0\0\0":
        raise BadModule("this is no wasm module")
    at = 8
    while at < len(module):
        kind = module[at]
        length, at = _read_u32(module, at + 1)
        yield kind, module[at : at + length]
        at += length


def _memory(body: bytes, pages: int) -> bytes:
    count, at = _read_u32(body, 0)
    flags, at = _read_u32(body, at)
    if count != 1 or flags not in (0, 1):
        raise BadModule("the guest must have exactly one 32-bit memory that is not shared")
    _, at = _read_u32(body, at)
    return _u32(1) + _u32(flags) + _u32(pages) + body[at:]


def _check_globals(body: bytes) -> None:
    count, at = _read_u32(body, 0)
    mutable = 0
    for _ in range(count):
        mutable += body[at + 1]
        at += 2
        if body[at] not in (0x41, 0x42):  # i32.const, i64.const
            raise BadModule("a global is initialised by something else than an integer")
        at += 1
        while body[at] & 0x80:
            at += 1
        at += 2  # the number's last byte, and `end`
    if mutable > 1:
        raise BadModule("the guest has mutable globals beside the stack pointer")


def _exports(body: bytes) -> bytes:
    count, at = _read_u32(body, 0)
    kept = []
    for _ in range(count):
        start = at
        length, at = _read_u32(body, at)
        name = body[at : at + length]
        _, at = _read_u32(body, at + length + 1)
        if name != b"_initialize":
            kept.append(body[start:at])
    return _u32(len(kept)) + b"".join(kept)


def _data(memory: bytes) -> bytes:
    segments = list(segments_of(memory))
    out = bytearray(_u32(len(segments)))
    for start, end in segments:
        out += b"\0\x41" + _s32(start) + b"\x0b" + _u32(end - start) + memory[start:end]
    return bytes(out)


def segments_of(memory: bytes) -> Iterator[tuple[int, int]]:
    """The stretches that are not zero, as (start, end); only whole pages are looked at first."""
    zero = bytes(PAGE)
    pages = [at for at in range(0, len(memory), PAGE) if memory[at : at + PAGE] != zero]
    start = end = -1
    for at in pages:
        page = memory[at : at + PAGE]
        first = at + len(page) - len(page.lstrip(b"\0"))
        last = at + len(page.rstrip(b"\0"))
        if end >= 0 and first - end <= JOIN + PAGE:  # few, long segments: they are mapped, not copied
            end = last
            continue
        if end >= 0:
            yield start, end
        start, end = first, last
    if end >= 0:
        yield start, end


def _section(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + _u32(len(body)) + body


def _read_u32(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
        shift += 7


def _u32(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _s32(value: int) -> bytes:
    if value >= 1 << 31:
        value -= 1 << 32
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        if (value == 0 and not byte & 0x40) or (value == -1 and byte & 0x40):
            out.append(byte)
            return bytes(out)
        out.append(byte | 0x80)
