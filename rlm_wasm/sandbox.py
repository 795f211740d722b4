"""This is the only file that enters WebAssembly.

A Sandbox is one Store with one instance of the guest. ``run`` gives it a message and a step
budget and returns its status; what the guest wants stands in the outbox. An instance that waits
can sleep: its changed pages are kept and the instance is dropped; the next ``run`` wakes it.
"""

from __future__ import annotations

import ctypes
import time
from collections import OrderedDict
from ctypes import addressof, c_int32, c_int64, c_uint32, c_uint64, c_void_p, memmove, string_at
from typing import Any, ClassVar

import wasmtime
from wasmtime import _bindings

from rlm_wasm import engine as wasm
from rlm_wasm.engine import TICK_S, Engine
from rlm_wasm.errors import InternalError, SandboxCrashed
from rlm_wasm.pages import changed_pages
from rlm_wasm.snapshot import PAGE, MemoryImage

DONE, SUSPENDED, PREEMPTED, FAILED = range(4)

SLICE_WALL_S = 10.0
"""One entry into wasm is trapped after this: the backstop under steps and fuel."""

_WASM_PAGE = 65536
_OUTBOX_LIMIT = 65 << 20


class Crash(SandboxCrashed):
    """The instance trapped and is gone. ``reason``: "fuel", "timeout", "stack" or "trap"."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class _Calls:
    """What a call through the C API needs, made once a process: entries never nest."""

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


class Sandbox:
    """One guest. Not for several threads at once."""

    __slots__ = (
        "__weakref__",
        "_base",
        "_calls",
        "_context",
        "_engine",
        "_externs",
        "_frozen",
        "_functions",
        "_instance",
        "_memory_at",
        "_memory_limit",
        "_size",
        "_store",
        "fuel_used",
    )

    live: ClassVar[OrderedDict[int, Sandbox]] = OrderedDict()
    """Instances in use, the longest unused first."""
    most_live: ClassVar[int] = 2048
    """Above this, the longest unused go to sleep."""

    def __init__(self, engine: Engine, memory_limit: int, image: MemoryImage | None = None) -> None:
        self._engine = engine
        self._memory_limit = memory_limit
        self._calls = _Calls()
        self._store: int | None = None
        self._frozen = image
        self.fuel_used = 0
        """By the last ``run``."""
        if image is None:
            self._instantiate()

    # ---- instances

    def _instantiate(self) -> None:
        store = wasm.store_new(self._engine.engine_pointer, None, None)
        context = wasm.store_context(store)
        calls = self._calls
        instance = (ctypes.c_uint8 * ctypes.sizeof(_bindings.wasmtime_instance_t))()
        wasm.store_limiter(store, self._memory_limit, -1, 1, -1, 1)
        wasm.set_epoch_deadline(context, 1 << 40)
        wasm.set_fuel(context, 1 << 40)
        calls.trap.value = None
        failed = wasm.instantiate(self._engine.pre_pointer, context, addressof(instance), calls.trap_at)
        if failed or calls.trap.value:
            message = _failure(failed, calls.trap.value)[1]
            wasm.store_delete(store)
            raise InternalError(f"the guest cannot be instantiated: {message}")
        self._store, self._context, self._instance = store, context, instance
        self._functions: dict[str, int] = {}
        self._externs: list[Any] = []
        self._memory_at = self._export("memory", "memory")
        self._base = wasm.memory_data(context, self._memory_at)
        self._size = wasm.memory_data_size(context, self._memory_at)
        live = Sandbox.live
        live[id(self)] = self
        if len(live) > Sandbox.most_live:
            next(iter(live.values())).sleep()

    def _export(self, name: str, kind: str) -> int:
        extern = _bindings.wasmtime_extern_t()
        encoded = name.encode()
        found = wasm.export_get(
            self._context, addressof(self._instance), encoded, len(encoded), addressof(extern)
        )
        if not found:
            raise InternalError(f"the guest has no export {name!r}")
        self._externs.append(extern)  # keeps the address alive
        return addressof(getattr(extern.of, kind))

    def _drop(self) -> None:
        if self._store is not None:
            store, self._store = self._store, None
            Sandbox.live.pop(id(self), None)
            wasm.store_delete(store)

    def close(self) -> None:
        """Give everything back. Idempotent."""
        self._drop()
        self._frozen = None

    def __del__(self) -> None:
        self._drop()

    @property
    def asleep(self) -> bool:
        """Whether there is no instance at the moment."""
        return self._store is None

    def sleep(self) -> None:
        """Keep the changed pages and drop the instance; ``run`` wakes it."""
        if self._store is not None:
            self._frozen = self.capture()
            self._drop()

    def _wake(self) -> None:
        image = self._frozen
        if image is None:
            raise InternalError("a closed sandbox was entered")
        self._instantiate()
        self._load(image)
        self._frozen = None

    def _load(self, image: MemoryImage) -> None:
        if image.size > self._size:
            grown = c_uint64()
            more = -(-(image.size - self._size) // _WASM_PAGE)
            error = wasm.memory_grow(self._context, self._memory_at, more, addressof(grown))
            if error:
                _failure(error, None)
                self._drop()
                raise SandboxCrashed("the snapshot does not fit the session's memory limit")
            self._size = wasm.memory_data_size(self._context, self._memory_at)
        base, content = self._base, image.content
        for page, count, offset in image.runs():
            memmove(base + page * PAGE, content[offset : offset + count * PAGE], count * PAGE)

    def capture(self) -> MemoryImage:
        """The memory as it is now. Possible between any two runs."""
        if self._store is None:
            if self._frozen is None:
                raise InternalError("a closed sandbox was captured")
            return self._frozen
        size = self._memory_size()
        used = self._page_map()
        numbers = changed_pages(self._engine, self._base, size, used)
        base = self._base
        return MemoryImage(size, tuple(numbers), b"".join(string_at(base + n * PAGE, PAGE) for n in numbers))

    # ---- calls

    def _call(self, name: str, count: int) -> None:
        function = self._functions.get(name)
        if function is None:
            function = self._functions[name] = self._export(name, "func")
        calls = self._calls
        failed = wasm.call_unchecked(self._context, function, calls.values_at, count, calls.trap_at)
        if failed or calls.trap.value:
            trap, calls.trap.value = calls.trap.value, None
            reason, message = _failure(failed, trap)
            self._drop()
            raise Crash(reason, message)

    def _memory_size(self) -> int:
        self._size = size = wasm.memory_data_size(self._context, self._memory_at)
        return int(size)

    def run(self, message: bytes | None, steps: int, fuel: int, wall_s: float = SLICE_WALL_S) -> int:
        """Give a message (or none), run so many steps, return the status.

        ``fuel`` is where the hard trap stands. Raises Crash after a trap: the instance is gone.
        """
        if self._store is None:
            self._wake()
        else:
            Sandbox.live.move_to_end(id(self))
        context, calls, ticker = self._context, self._calls, self._engine.ticker
        now = time.monotonic()
        if now + wall_s > ticker.busy_until:
            ticker.busy_until = now + wall_s
        if ticker.parked:
            ticker.wake()
        wasm.set_epoch_deadline(context, int(wall_s / TICK_S) + 2)
        wasm.set_fuel(context, fuel)
        length = 0
        try:
            if message is not None:
                length = len(message)
                calls.long0.value = length
                self._call("rlm_inbox", 1)
                inbox = calls.unsigned0.value
                if inbox == 0:
                    raise MessageTooLarge(length)
                if inbox + length > self._size and inbox + length > self._memory_size():
                    raise Crash("trap", "the guest named an inbox outside its memory")
                memmove(self._base + inbox, message, length)
            calls.long0.value = length
            calls.long1.value = steps
            self._call("rlm_run", 2)
            return calls.word0.value
        finally:
            if self._store is None:
                self.fuel_used = fuel
            else:
                wasm.get_fuel(context, calls.fuel_at)
                self.fuel_used = fuel - calls.fuel.value

    def outbox(self) -> bytes:
        """What the guest wants: a CBOR array. Its length is bounded before anybody parses it."""
        calls = self._calls
        self._call("rlm_outbox_length", 1)
        length = calls.unsigned0.value
        if length == 0:
            return b""
        self._call("rlm_outbox", 1)
        start = calls.unsigned0.value
        if length > _OUTBOX_LIMIT or (start + length > self._size and start + length > self._memory_size()):
            raise Crash("trap", "the guest named an outbox outside its memory")
        return string_at(self._base + start, length)

    def heap_used(self) -> int:
        """Bytes of objects beyond the image."""
        if self._store is None:
            return len(self._frozen.content) if self._frozen else 0
        self._call("rlm_heap_used", 1)
        return self._calls.long0.value

    def steps(self) -> int:
        """VM steps since the instance was born; carried by snapshots."""
        if self._store is None:
            self._wake()
        self._call("rlm_steps", 1)
        return self._calls.long0.value

    def _page_map(self) -> bytes:
        self._call("rlm_page_map_length", 1)
        length = self._calls.unsigned0.value
        if length == 0:
            return b""
        self._call("rlm_page_map", 1)
        start = self._calls.unsigned0.value
        if start + length > self._memory_size():
            raise Crash("trap", "the guest named a page map outside its memory")
        return string_at(self._base + start, length)


class MessageTooLarge(Exception):
    """The guest has no room for a message of this length. Nothing happened to it."""

    def __init__(self, length: int) -> None:
        self.length = length
        super().__init__(f"the guest has no room for a message of {length:,} bytes")


_REASONS = {
    wasmtime.TrapCode.OUT_OF_FUEL: "fuel",
    wasmtime.TrapCode.INTERRUPT: "timeout",
    wasmtime.TrapCode.STACK_OVERFLOW: "stack",
}


def _failure(error: int | None, trap: int | None) -> tuple[str, str]:
    """Reason and message of what a C call returned; frees it."""
    if trap:
        pointer = ctypes.cast(trap, ctypes.POINTER(_bindings.wasm_trap_t))
        owned = wasmtime.Trap._from_ptr(pointer)
        code = owned.trap_code
        reason = _REASONS.get(code, "trap") if code else "trap"
        return reason, owned.message.splitlines()[0]
    error_type = ctypes.POINTER(_bindings.wasmtime_error_t)
    failure = wasmtime.WasmtimeError._from_ptr(ctypes.cast(error or 0, error_type))
    return "trap", str(failure)
