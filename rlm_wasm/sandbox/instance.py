"""One Store with one instance of the guest, and the addresses that calls into it need."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Generator, Sequence
from ctypes import addressof, c_int32, c_int64, c_uint32, c_uint64, c_void_p
from typing import Any

import wasmtime
from wasmtime import _bindings

from rlm_wasm.errors import InternalError
from rlm_wasm.sandbox import engine as wasm
from rlm_wasm.sandbox.engine import Engine
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
    )

    outbox: int
    outbox_length: int
    heap_used: int
    inbox: int
    inbox_bytes: int
    touched_end: int


FAR = 1 << 40
"""Where deadline and fuel stand while no program runs."""


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
        self.values = (_bindings.wasmtime_val_raw_t * 2)()
        self.trap = c_void_p()
        self.fuel = c_uint64()
        self.word0 = c_int32.from_buffer(self.values)
        self.unsigned0 = c_uint32.from_buffer(self.values)
        self.long0 = c_uint64.from_buffer(self.values)
        self.long1 = c_int64.from_buffer(self.values, ctypes.sizeof(_bindings.wasmtime_val_raw_t))
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
        store = wasm.store_new(engine.engine_pointer, None, None)
        context = wasm.store_context(store)
        instance = (ctypes.c_uint8 * ctypes.sizeof(_bindings.wasmtime_instance_t))()
        wasm.store_limiter(store, memory_limit, -1, 1, -1, 1)
        wasm.set_fuel(context, FAR)
        trap = c_void_p()
        failed = wasm.instantiate(engine.pre_pointer, context, addressof(instance), addressof(trap))
        if failed or trap.value:
            message = failure_of(failed, trap.value)[1]
            wasm.store_delete(store)
            raise InternalError(f"the guest cannot be instantiated: {message}")
        self.store, self.context, self.instance = store, context, instance
        self.calls = CallBuffers()
        self._externs: list[Any] = []
        self.functions: dict[str, int] = {}
        self.memory_at = self.export("memory", "memory")
        self.base: int = wasm.memory_data(context, self.memory_at)
        self.size: int = wasm.memory_data_size(context, self.memory_at)
        if engine.report_at is not None:
            self.read_reports(engine.report_at)

    def export(self, name: str, kind: str) -> int:
        """The address of an export's handle."""
        extern = _bindings.wasmtime_extern_t()
        encoded = name.encode()
        at = addressof(self.instance)
        if not wasm.export_get(self.context, at, encoded, len(encoded), addressof(extern)):
            raise InternalError(f"the guest has no export {name!r}")
        self._externs.append(extern)  # keeps the address alive
        return addressof(getattr(extern.of, kind))

    def has(self, name: str) -> bool:
        """Whether there is an export of this name."""
        extern = _bindings.wasmtime_extern_t()
        encoded = name.encode()
        at = addressof(self.instance)
        return bool(wasm.export_get(self.context, at, encoded, len(encoded), addressof(extern)))

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


_REASONS = {
    wasmtime.TrapCode.OUT_OF_FUEL: "fuel",
    wasmtime.TrapCode.STACK_OVERFLOW: "stack",
}


def failure_of(error: int | None, trap: int | None) -> tuple[str, str]:
    """Reason and message of what a C call returned; frees it."""
    if trap:
        pointer = ctypes.cast(trap, ctypes.POINTER(_bindings.wasm_trap_t))
        owned = wasmtime.Trap._from_ptr(pointer)
        code = owned.trap_code
        reason = _REASONS.get(code, "trap") if code else "trap"
        return reason, code.name.lower().replace("_", " ") if code else owned.message.splitlines()[0]
    error_type = ctypes.POINTER(_bindings.wasmtime_error_t)
    failure = wasmtime.WasmtimeError._from_ptr(ctypes.cast(error or 0, error_type))
    return "trap", str(failure)
