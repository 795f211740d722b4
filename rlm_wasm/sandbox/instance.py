"""One Store with one instance of the guest, and the addresses that calls into it need."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Generator, Sequence
from ctypes import addressof, c_int32, c_int64, c_uint32, c_uint64, c_void_p
from typing import Any

from rlm_wasm.errors import InternalError
from rlm_wasm.sandbox import c_api as wasm
from rlm_wasm.sandbox.engine import FAR, Engine
from rlm_wasm.sandbox.layers import Piece, clear, laid_over, lay, mappings, uncovered


class Report(ctypes.LittleEndianStructure):
    """struct rlm_report of wasm/rlm.h, in the guest's memory: what is read there is the guest's word."""

    _fields_ = (
        ("outbox", c_uint32),
        ("outbox_length", c_uint32),
        ("heap_used", c_uint64),
        ("inbox", c_uint32),
        ("inbox_bytes", c_uint32),
        ("touched_end", c_uint32),
        ("image_end", c_uint32),
    )

    outbox: int
    outbox_length: int
    heap_used: int
    inbox: int
    inbox_bytes: int
    touched_end: int
    image_end: int


class CallBuffers:
    """Room for the arguments and results of calls through the C API, made once an instance."""

    __slots__ = (
        "fuel",
        "fuel_at",
        "long0",
        "long1",
        "trap",
        "trap_at",
        "unsigned0",
        "values",
        "values_at",
        "word0",
    )

    def __init__(self) -> None:
        self.values = (wasm.Value * 2)()
        self.trap = c_void_p()
        self.fuel = c_uint64()
        self.word0 = c_int32.from_buffer(self.values)
        self.unsigned0 = c_uint32.from_buffer(self.values)
        self.long0 = c_uint64.from_buffer(self.values)
        self.long1 = c_int64.from_buffer(self.values, ctypes.sizeof(wasm.Value))
        self.values_at = addressof(self.values)
        self.trap_at = addressof(self.trap)
        self.fuel_at = addressof(self.fuel)


class Instance:
    """One Store with one instance of the guest, and the addresses that calls need."""

    __slots__ = (
        "_below",
        "_externs",
        "base",
        "bounded",
        "calls",
        "context",
        "functions",
        "inbox_at",
        "inbox_bytes",
        "instance",
        "memory_at",
        "pieces",
        "report",
        "reports",
        "size",
        "store",
        "window",
        "window_bytes",
    )

    def __init__(self, engine: Engine, memory_limit: int) -> None:
        self.store: int | None = None
        self._below: list[tuple[Piece, ...]] = []
        self.pieces: tuple[Piece, ...] = ()
        """What of its memory is mapped from layers, in order; the rest is the boot image's or its own."""
        self.bounded = False
        """Whether the fuel of the last run stands still."""
        self.reports = False
        self.report: Report | None = None
        """What stands there after every run; None where it leaves nothing."""
        self.inbox_at = self.inbox_bytes = 0
        store, self.context, self.instance = engine.instantiate(memory_limit)
        self.store = store
        self.calls = CallBuffers()
        self._externs: list[Any] = []
        self.functions: dict[str, int] = {}
        self.memory_at = self.export("memory", wasm.MEMORY)
        self.base: int = wasm.memory_data(self.context, self.memory_at)
        self.size: int = wasm.memory_data_size(self.context, self.memory_at)
        self.window_bytes = self.size
        self.window = (ctypes.c_char * self.size).from_address(self.base)
        """The memory as it was at first: a slice of that takes a quarter of what ``string_at`` takes."""
        if engine.report_at is not None:
            self.read_reports(engine.report_at)

    def export(self, name: str, kind: int) -> int:
        """The address of an export's handle."""
        found = wasm.export(self.context, addressof(self.instance), name, kind)
        if found is None:
            raise InternalError(f"the guest has no export {name!r}")
        self._externs.append(found[0])  # keeps the address alive
        return found[1]

    def function(self, name: str) -> int:
        """The address of an exported function's handle, which ``functions`` has from then on."""
        address = self.functions[name] = self.export(name, wasm.FUNCTION)
        return address

    def has(self, name: str) -> bool:
        """Whether there is an export of this name."""
        return wasm.export(self.context, addressof(self.instance), name, wasm.FUNCTION) is not None

    def read_reports(self, at: int) -> None:
        """It leaves at this address what is wanted after every run; 0: it leaves nothing."""
        self.reports = True
        if not 0 < at <= self.size - ctypes.sizeof(Report):
            return
        self.report = report = Report.from_address(self.base + at)
        inbox, room = report.inbox, report.inbox_bytes
        if 0 < inbox <= self.size - room:
            self.inbox_at, self.inbox_bytes = self.base + inbox, room

    def bind(self, fuel: int) -> None:
        """So much fuel has the next call: a program's."""
        wasm.set_fuel(self.context, fuel)
        self.bounded = True

    def unbind(self) -> None:
        """The next call is the host's own: it must not trap on what is left of a program's fuel."""
        wasm.set_fuel(self.context, FAR)
        self.bounded = False

    def measure(self) -> int:
        """Bytes of its memory now."""
        self.size = int(wasm.memory_data_size(self.context, self.memory_at))
        return self.size

    def lay(
        self,
        pieces: Sequence[Piece],
        may_go_on: Callable[[], bool] = lambda: True,
        *,
        alone: bool = False,
    ) -> Generator[None, None, None]:
        """Map them over its memory; it yields between parts of that, and ends where it may not go on.

        What they hold has to be what stands there, so that it does not matter how far it came. ``alone``:
        what else was mapped from layers becomes zeros. Raises OSError where the system refuses: then there
        may be a hole in the memory, and nothing may run in it.
        """
        before = self.pieces
        after = tuple(pieces) if alone else laid_over(before, pieces)
        self._below.append(before)  # until all of it is laid, something may be mapped from there
        self._hold(after)
        for _ in lay(self.base, pieces):
            yield
            if self.pieces is not after or not may_go_on():
                return
        if alone:
            clear(self.base, uncovered(before, pieces))
        self._below.remove(before)

    def _hold(self, pieces: tuple[Piece, ...]) -> None:
        mappings.add(len(pieces) - len(self.pieces))
        self.pieces = pieces

    def delete(self) -> None:
        """Idempotent."""
        if self.store is not None:
            store, self.store = self.store, None
            wasm.store_delete(store)
            self._below.clear()
            self._hold(())  # after that nobody maps them here

    def __del__(self) -> None:
        self.delete()
