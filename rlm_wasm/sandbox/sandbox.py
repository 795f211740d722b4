"""A guest: entered by ``Sandbox.run`` and nowhere else.

A Sandbox has one Store with one instance of the guest. ``run`` gives it a message and a step
budget and returns its status; what the guest wants stands in the outbox. An instance that waits
can sleep: its changed pages are kept and the instance is dropped; the next ``run`` wakes it.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from ctypes import addressof, c_uint64, memmove, string_at
from typing import ClassVar

from rlm_wasm.errors import InstanceLost, InternalError, MessageTooLarge, SandboxCrashed
from rlm_wasm.sandbox import engine as wasm
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.epochs import TICK_S
from rlm_wasm.sandbox.instance import Instance, failure_of
from rlm_wasm.sandbox.instance_pool import InstancePool
from rlm_wasm.sandbox.pages import changed_pages, give_back
from rlm_wasm.sandbox.snapshot import PAGE, MemoryImage, PackedImage

DONE, SUSPENDED, PREEMPTED, FAILED = range(4)

SLICE_WALL_S = 10.0
"""One entry into wasm is trapped after this: the backstop under steps and fuel."""

GIVE_BACK_FROM = 4 << 20
"""Bytes by which a guest has grown before a look at what of that is free is worth it."""

_WASM_PAGE = 65536
_OUTBOX_LIMIT = 65 << 20


_pool = InstancePool()
_local = threading.local()


def live_sandboxes() -> OrderedDict[int, Sandbox]:
    """This thread's sandboxes that hold an instance, the longest unused first."""
    live: OrderedDict[int, Sandbox] | None = getattr(_local, "live", None)
    if live is None:
        live = _local.live = OrderedDict()
    return live


class Sandbox:
    """One guest. Not for several threads at once."""

    __slots__ = (
        "__weakref__",
        "_engine",
        "_frozen",
        "_i",
        "_live",
        "_looked_at",
        "_memory_limit",
        "fuel_used",
    )

    max_live: ClassVar[int] = 1024
    """Above so many that hold an instance, in one thread, the longest unused go to sleep."""

    def __init__(self, engine: Engine, memory_limit: int, image: MemoryImage | None = None) -> None:
        self._engine = engine
        self._memory_limit = memory_limit
        self._live = live_sandboxes()
        self._i: Instance | None = None
        self._frozen: MemoryImage | PackedImage | None = image
        self.fuel_used = 0
        """By the last ``run``."""
        self._looked_at = engine.image_size
        """How large the memory was when it was last looked at for what could be given back."""
        if image is None:
            self._instantiate()

    # ---- instances

    def _instantiate(self) -> Instance:
        self._i = instance = _pool.acquire(self._engine, self._memory_limit)
        self._live[id(self)] = self
        if len(self._live) > Sandbox.max_live:
            next(iter(self._live.values())).sleep()
        return instance

    def _drop(self, *, crashed: bool = False) -> None:
        instance, self._i = self._i, None
        if instance is not None:
            self._live.pop(id(self), None)
            if crashed:
                instance.delete()
            else:
                _pool.release(self._engine, instance)

    def close(self) -> None:
        """Give everything back. Idempotent."""
        self._drop()
        self._frozen = None

    def __del__(self) -> None:
        instance = self._i
        if instance is not None:
            self._live.pop(id(self), None)
            instance.delete()

    def sleep(self) -> None:
        """Keep the changed pages and give the instance up; ``run`` wakes it."""
        if self._i is not None:
            self._frozen = self.capture().packed()
            self._drop()

    def _wake(self) -> Instance:
        image = self._frozen
        if image is None:
            raise InternalError("a closed sandbox was entered")
        instance = self._instantiate()
        self._load(instance, image.unpacked() if isinstance(image, PackedImage) else image)
        self._frozen = None
        return instance

    def _load(self, instance: Instance, image: MemoryImage) -> None:
        if image.size > instance.size:
            grown = c_uint64()
            more = -(-(image.size - instance.size) // _WASM_PAGE)
            error = wasm.memory_grow(instance.context, instance.memory_at, more, addressof(grown))
            if error:
                failure_of(error, None)
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

    def _call(self, instance: Instance, name: str, count: int) -> None:
        function = instance.functions.get(name)
        if function is None:
            function = instance.functions[name] = instance.export(name, "func")
        calls = instance.calls
        failed = wasm.call_unchecked(instance.context, function, calls.values_at, count, calls.trap_at)
        if failed or calls.trap.value:
            trap, calls.trap.value = calls.trap.value, None
            reason, message = failure_of(failed, trap)
            wasm.get_fuel(
                instance.context, calls.fuel_at
            )  # while there is an instance: run() tells what was used
            self._drop(crashed=True)
            raise InstanceLost(reason, message)

    def _ask(self, instance: Instance, name: str) -> None:
        """A call of the host's own, in no execution's time or fuel: ``run`` leaves theirs behind."""
        if instance.bounded:
            instance.unbind()
        self._call(instance, name, 1)

    def _memory_size(self, instance: Instance) -> int:
        return instance.measure()

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
        ticker.run_until(time.monotonic() + wall_s)
        instance.bind(int(wall_s / TICK_S) + 2, fuel)
        length = 0
        try:
            if message is None:
                pass
            elif (length := len(message)) <= instance.inbox_bytes:
                memmove(instance.inbox_at, message, length)
            else:
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
            status = calls.word0.value
        finally:
            if self._i is not None:
                wasm.get_fuel(context, calls.fuel_at)
            self.fuel_used = fuel - calls.fuel.value
        if not instance.reports:
            self._find_report(instance)
        return status

    def _find_report(self, instance: Instance) -> None:
        """Where the guest leaves what is wanted after every run. One that leaves none is asked each time."""
        at = self._engine.report_at
        if at is None:
            at = 0
            if instance.has("rlm_report"):
                self._ask(instance, "rlm_report")
                at = instance.calls.unsigned0.value
            self._engine.remember_report(at)
        instance.read_reports(at)

    def _awake(self) -> Instance:
        return self._i if self._i is not None else self._wake()

    def outbox(self) -> bytes:
        """What the guest wants: a CBOR array. Its length is bounded before anybody parses it."""
        instance = self._awake()
        report = instance.report
        if report is not None:
            start, length = report.outbox, report.outbox_length
        else:
            calls = instance.calls
            self._ask(instance, "rlm_outbox_length")
            length = calls.unsigned0.value
            self._ask(instance, "rlm_outbox")
            start = calls.unsigned0.value
        if length == 0:
            return b""
        end = start + length
        if length > _OUTBOX_LIMIT or (end > instance.size and end > self._memory_size(instance)):
            raise InstanceLost("trap", "the guest named an outbox outside its memory")
        if length == 2:  # an array without items
            return b""
        return string_at(instance.base + end - length, length)

    def memory_bytes(self) -> int:
        """Size of the linear memory, the image included."""
        instance = self._i
        if instance is None:
            return self._frozen.size if self._frozen else 0
        return self._memory_size(instance)

    def give_back(self, *, worked: bool) -> None:
        """The guest rests: what of its memory it has no use for goes back to the system.

        ``worked``: it did much since the last time; where it did not, and did not grow either, there is
        nothing to look for.
        """
        instance = self._i
        if instance is None:
            return
        size = self._memory_size(instance)
        grew, self._looked_at = size > self._looked_at, size
        if (worked or grew) and size - self._engine.image_size >= GIVE_BACK_FROM:
            give_back(instance.base, self._page_map(instance)[: size // PAGE])

    def heap_used(self) -> int:
        """Bytes of objects beyond the image."""
        instance = self._i
        if instance is None:
            return len(self._frozen.numbers) * PAGE if self._frozen else 0
        report = instance.report
        if report is not None:
            return report.heap_used
        self._ask(instance, "rlm_heap_used")
        return instance.calls.long0.value

    def steps(self) -> int:
        """VM steps since the instance was born; carried by snapshots."""
        instance = self._awake()
        self._ask(instance, "rlm_steps")
        return instance.calls.long0.value

    def _page_map(self, instance: Instance) -> bytes:
        self._ask(instance, "rlm_page_map_length")
        length = instance.calls.unsigned0.value
        if length == 0:
            return b""
        self._ask(instance, "rlm_page_map")
        start = instance.calls.unsigned0.value
        if start + length > self._memory_size(instance):
            raise InstanceLost("trap", "the guest named a page map outside its memory")
        return string_at(instance.base + start, length)
