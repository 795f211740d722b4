"""This is the only file that enters WebAssembly.

A Sandbox is one Store with one instance of the guest. ``run`` gives it a message and a step
budget and returns its status; what the guest wants stands in the outbox. An instance that waits
can sleep: its changed pages are kept and the instance is dropped; the next ``run`` wakes it.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections import OrderedDict
from ctypes import addressof, c_int32, c_int64, c_uint32, c_uint64, c_void_p, memmove, string_at
from typing import Any, ClassVar

import wasmtime
from wasmtime import _bindings

from rlm_wasm.errors import InstanceLost, InternalError, MessageTooLarge, SandboxCrashed
from rlm_wasm.sandbox import engine as wasm
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.epochs import TICK_S
from rlm_wasm.sandbox.pages import changed_pages, pristine_memory, written_pages
from rlm_wasm.sandbox.snapshot import PAGE, MemoryImage, PackedImage

DONE, SUSPENDED, PREEMPTED, FAILED = range(4)

_FAR = 1 << 40
"""Where deadline and fuel stand while no program runs."""
SLICE_WALL_S = 10.0
"""One entry into wasm is trapped after this: the backstop under steps and fuel."""

_WASM_PAGE = 65536
_OUTBOX_LIMIT = 65 << 20


class _Calls:
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


class _Instance:
    """One Store with one instance of the guest, and the addresses that calls need."""

    __slots__ = (
        "_externs",
        "base",
        "calls",
        "context",
        "functions",
        "instance",
        "memory_at",
        "size",
        "store",
    )

    def __init__(self, engine: Engine, memory_limit: int) -> None:
        self.store: int | None = None
        store = wasm.store_new(engine.engine_pointer, None, None)
        context = wasm.store_context(store)
        instance = (ctypes.c_uint8 * ctypes.sizeof(_bindings.wasmtime_instance_t))()
        wasm.store_limiter(store, memory_limit, -1, 1, -1, 1)
        wasm.set_epoch_deadline(context, _FAR)
        wasm.set_fuel(context, _FAR)
        trap = c_void_p()
        failed = wasm.instantiate(engine.pre_pointer, context, addressof(instance), addressof(trap))
        if failed or trap.value:
            message = _failure(failed, trap.value)[1]
            wasm.store_delete(store)
            raise InternalError(f"the guest cannot be instantiated: {message}")
        self.store, self.context, self.instance = store, context, instance
        self.calls = _Calls()
        self._externs: list[Any] = []
        self.functions: dict[str, int] = {}
        self.memory_at = self.export("memory", "memory")
        self.base: int = wasm.memory_data(context, self.memory_at)
        self.size: int = wasm.memory_data_size(context, self.memory_at)

    def export(self, name: str, kind: str) -> int:
        """The address of an export's handle."""
        extern = _bindings.wasmtime_extern_t()
        encoded = name.encode()
        at = addressof(self.instance)
        if not wasm.export_get(self.context, at, encoded, len(encoded), addressof(extern)):
            raise InternalError(f"the guest has no export {name!r}")
        self._externs.append(extern)  # keeps the address alive
        return addressof(getattr(extern.of, kind))

    def delete(self) -> None:
        """Idempotent."""
        if self.store is not None:
            store, self.store = self.store, None
            wasm.store_delete(store)

    def __del__(self) -> None:
        self.delete()


class _Spares:
    """Instances that were used and have their first memory again, byte for byte.

    A new instance costs a mapping and a page fault for every page that it touches; one that is
    reset costs a copy of the pages that were written. Only where the kernel says which those are,
    and only where the memory did not grow: what is kept equals a new instance.
    """

    most: ClassVar[int] = 32
    most_pages: ClassVar[int] = 256

    def __init__(self) -> None:
        self._kept: dict[int, list[_Instance]] = {}

    def take(self, engine: Engine, memory_limit: int) -> _Instance:
        """A spare one, or a new one."""
        kept = self._kept.get(id(engine))
        if kept:
            instance = kept.pop()
            wasm.store_limiter(instance.store, memory_limit, -1, 1, -1, 1)
            return instance
        return _Instance(engine, memory_limit)

    def give(self, engine: Engine, instance: _Instance) -> None:
        """Keep it for the next session, or delete it."""
        kept = self._kept.setdefault(id(engine), [])
        size = wasm.memory_data_size(instance.context, instance.memory_at)
        if len(kept) < self.most and size == engine.image_size:
            written = written_pages(instance.base, size // PAGE)
            if written is not None and len(written) <= self.most_pages:
                pristine, _ = pristine_memory(engine)
                for page in written:
                    memmove(instance.base + page * PAGE, pristine + page * PAGE, PAGE)
                kept.append(instance)
                return
        instance.delete()


_spares = _Spares()


_local = threading.local()


def live_sandboxes() -> OrderedDict[int, Sandbox]:
    """This thread's sandboxes that hold an instance, the longest unused first."""
    live: OrderedDict[int, Sandbox] | None = getattr(_local, "live", None)
    if live is None:
        live = _local.live = OrderedDict()
    return live


class Sandbox:
    """One guest. Not for several threads at once."""

    __slots__ = ("__weakref__", "_engine", "_frozen", "_i", "_live", "_memory_limit", "fuel_used")

    most_live: ClassVar[int] = 1024
    """Above so many that hold an instance, in one thread, the longest unused go to sleep."""

    def __init__(self, engine: Engine, memory_limit: int, image: MemoryImage | None = None) -> None:
        self._engine = engine
        self._memory_limit = memory_limit
        self._live = live_sandboxes()
        self._i: _Instance | None = None
        self._frozen: MemoryImage | PackedImage | None = image
        self.fuel_used = 0
        """By the last ``run``."""
        if image is None:
            self._instantiate()

    # ---- instances

    def _instantiate(self) -> _Instance:
        self._i = instance = _spares.take(self._engine, self._memory_limit)
        self._live[id(self)] = self
        if len(self._live) > Sandbox.most_live:
            next(iter(self._live.values())).sleep()
        return instance

    def _drop(self, *, crashed: bool = False) -> None:
        instance, self._i = self._i, None
        if instance is not None:
            self._live.pop(id(self), None)
            if crashed:
                instance.delete()
            else:
                _spares.give(self._engine, instance)

    def close(self) -> None:
        """Give everything back. Idempotent."""
        self._drop()
        self._frozen = None

    def __del__(self) -> None:
        instance = self._i
        if instance is not None:
            self._live.pop(id(self), None)
            instance.delete()

    @property
    def asleep(self) -> bool:
        """Whether there is no instance at the moment."""
        return self._i is None

    def sleep(self) -> None:
        """Keep the changed pages and give the instance up; ``run`` wakes it."""
        if self._i is not None:
            self._frozen = self.capture().packed()
            self._drop()

    def _wake(self) -> _Instance:
        image = self._frozen
        if image is None:
            raise InternalError("a closed sandbox was entered")
        instance = self._instantiate()
        self._load(instance, image.unpacked() if isinstance(image, PackedImage) else image)
        self._frozen = None
        return instance

    def _load(self, instance: _Instance, image: MemoryImage) -> None:
        if image.size > instance.size:
            grown = c_uint64()
            more = -(-(image.size - instance.size) // _WASM_PAGE)
            error = wasm.memory_grow(instance.context, instance.memory_at, more, addressof(grown))
            if error:
                _failure(error, None)
                self._drop(crashed=True)
                raise SandboxCrashed("the snapshot does not fit the session's memory limit")
            self._memory_size(instance)
        base, content = instance.base, image.content
        for page, count, offset in image.runs():
            memmove(base + page * PAGE, content[offset : offset + count * PAGE], count * PAGE)

    def capture(self) -> MemoryImage:
        """The memory as it is now. Possible between any two runs."""
        instance = self._i
        if instance is None:
            if self._frozen is None:
                raise InternalError("a closed sandbox was captured")
            frozen = self._frozen
            return frozen.unpacked() if isinstance(frozen, PackedImage) else frozen
        used = self._page_map(instance)
        size, base = self._memory_size(instance), instance.base
        numbers = changed_pages(self._engine, base, size, used)
        return MemoryImage(size, tuple(numbers), b"".join(string_at(base + n * PAGE, PAGE) for n in numbers))

    # ---- calls

    def _call(self, instance: _Instance, name: str, count: int) -> None:
        function = instance.functions.get(name)
        if function is None:
            function = instance.functions[name] = instance.export(name, "func")
        calls = instance.calls
        failed = wasm.call_unchecked(instance.context, function, calls.values_at, count, calls.trap_at)
        if failed or calls.trap.value:
            trap, calls.trap.value = calls.trap.value, None
            reason, message = _failure(failed, trap)
            wasm.get_fuel(
                instance.context, calls.fuel_at
            )  # while there is an instance: run() tells what was used
            self._drop(crashed=True)
            raise InstanceLost(reason, message)

    def _memory_size(self, instance: _Instance) -> int:
        instance.size = size = wasm.memory_data_size(instance.context, instance.memory_at)
        return int(size)

    def run(self, message: bytes | None, steps: int, fuel: int, wall_s: float = SLICE_WALL_S) -> int:
        """Give a message (or none), run so many steps, return the status.

        ``fuel`` is where the hard trap stands. Raises InstanceLost after a trap: the instance is gone.
        """
        instance = self._i
        if instance is None:
            instance = self._wake()
        else:
            self._live.move_to_end(id(self))
        context, calls, ticker = instance.context, instance.calls, self._engine.ticker
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
                self._call(instance, "rlm_inbox", 1)
                inbox = calls.unsigned0.value
                if inbox == 0:
                    raise MessageTooLarge(length)
                if inbox + length > instance.size and inbox + length > self._memory_size(instance):
                    raise InstanceLost("trap", "the guest named an inbox outside its memory")
                memmove(instance.base + inbox, message, length)
            calls.long0.value = length
            calls.long1.value = steps
            self._call(instance, "rlm_run", 2)
            return calls.word0.value
        finally:
            if self._i is not None:
                wasm.get_fuel(context, calls.fuel_at)
            self.fuel_used = fuel - calls.fuel.value
            if self._i is not None:
                # The deadline and the fuel were the program's. What the host asks later (the outbox, the
                # page map of a snapshot) must not trap because other guests moved the epoch meanwhile.
                wasm.set_epoch_deadline(context, _FAR)
                wasm.set_fuel(context, _FAR)

    def _awake(self) -> _Instance:
        return self._i if self._i is not None else self._wake()

    def outbox(self) -> bytes:
        """What the guest wants: a CBOR array. Its length is bounded before anybody parses it."""
        instance = self._awake()
        calls = instance.calls
        self._call(instance, "rlm_outbox_length", 1)
        length = calls.unsigned0.value
        if length == 0:
            return b""
        self._call(instance, "rlm_outbox", 1)
        end = calls.unsigned0.value + length
        if length > _OUTBOX_LIMIT or (end > instance.size and end > self._memory_size(instance)):
            raise InstanceLost("trap", "the guest named an outbox outside its memory")
        return string_at(instance.base + end - length, length)

    def memory_bytes(self) -> int:
        """Size of the linear memory, the image included."""
        instance = self._i
        if instance is None:
            return self._frozen.size if self._frozen else 0
        return self._memory_size(instance)

    def heap_used(self) -> int:
        """Bytes of objects beyond the image."""
        instance = self._i
        if instance is None:
            return len(self._frozen.numbers) * PAGE if self._frozen else 0
        self._call(instance, "rlm_heap_used", 1)
        return instance.calls.long0.value

    def steps(self) -> int:
        """VM steps since the instance was born; carried by snapshots."""
        instance = self._awake()
        self._call(instance, "rlm_steps", 1)
        return instance.calls.long0.value

    def _page_map(self, instance: _Instance) -> bytes:
        self._call(instance, "rlm_page_map_length", 1)
        length = instance.calls.unsigned0.value
        if length == 0:
            return b""
        self._call(instance, "rlm_page_map", 1)
        start = instance.calls.unsigned0.value
        if start + length > self._memory_size(instance):
            raise InstanceLost("trap", "the guest named a page map outside its memory")
        return string_at(instance.base + start, length)


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
        return reason, code.name.lower().replace("_", " ") if code else owned.message.splitlines()[0]
    error_type = ctypes.POINTER(_bindings.wasmtime_error_t)
    failure = wasmtime.WasmtimeError._from_ptr(ctypes.cast(error or 0, error_type))
    return "trap", str(failure)
