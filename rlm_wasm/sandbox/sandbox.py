"""A guest: entered by ``Sandbox.run`` and nowhere else.

A Sandbox has one Store with one instance of the guest. ``run`` gives it a message and a step
budget and returns its status; what the guest wants stands in the outbox. An instance that waits
can sleep: its changed pages are kept and the instance is dropped; the next ``run`` wakes it.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from ctypes import memmove, string_at
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from rlm_wasm.errors import InstanceLost, InternalError, MessageTooLarge
from rlm_wasm.sandbox import c_api as wasm
from rlm_wasm.sandbox import memories, protocol, snapshot
from rlm_wasm.sandbox.engine import Engine, failure_of
from rlm_wasm.sandbox.instance import Instance
from rlm_wasm.sandbox.instance_pool import InstancePool
from rlm_wasm.sandbox.pages import PAGE, at_once, gathered, give_back, spread, written_runs
from rlm_wasm.sandbox.texts import LONG_TEXT, LongText

if TYPE_CHECKING:
    from rlm_wasm.sandbox.snapshot import Image, PackedImage

DONE, SUSPENDED, PREEMPTED, FAILED = range(4)

GIVE_BACK_FROM = 4 << 20
"""Bytes by which a guest has grown before a look at what of that is free is worth it."""

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
        "_captured",
        "_engine",
        "_frozen",
        "_i",
        "_inbox_fuel",
        "_live",
        "_looked_at",
        "_lost",
        "_memory_limit",
        "_sized",
        "fuel_used",
        "runs",
    )

    max_live: ClassVar[int] = 1024
    """Above so many that hold an instance, in one thread, the longest unused go to sleep."""

    def __init__(self, engine: Engine, memory_limit: int, image: Image | PackedImage | None = None) -> None:
        self._engine = engine
        self._memory_limit = memory_limit
        self._live = live_sandboxes()
        self._i: Instance | None = None
        self._frozen: Image | PackedImage | None = image
        self.fuel_used = 0
        """By the last ``run``."""
        self.runs = 0
        """How often it was entered: a copy of its memory that was made meanwhile is of no moment."""
        self._inbox_fuel = 0
        """What room for a message that was delivered in turns took; the next ``run`` tells it."""
        self._captured: tuple[int, weakref.ref[Image]] | None = None
        """The memory as it was after so many runs, where somebody still has that."""
        self._looked_at = engine.image_size
        """How large the memory was when it was last looked at for what could be given back."""
        self._sized = -1
        """After so many runs the instance was asked how large its memory is; it grows in a run alone."""
        self._lost: tuple[str, str] | None = None
        """Why there is no memory any longer, where it trapped."""
        if image is None:
            self._instantiate()

    # ---- instances

    def _instantiate(self) -> Instance:
        return self._use(_pool.acquire(self._engine, self._memory_limit))

    def _use(self, instance: Instance) -> Instance:
        self._i = instance
        self._sized = -1
        self._live[id(self)] = self
        while len(self._live) > Sandbox.max_live:
            with suppress(InstanceLost):  # its memory is damaged: who needs that one finds it out
                next(iter(self._live.values())).sleep()
        if not instance.reports:
            # Before anything runs: what the first execution of all takes is what every other takes.
            self._find_report(instance)
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
        self._frozen = self._lost = None

    def _gone(self, what: str) -> InstanceLost | InternalError:
        """The error for one that has no memory: it trapped before, or was closed."""
        if self._lost is not None:
            return InstanceLost(*self._lost)
        return InternalError(f"a closed sandbox was {what}")

    def __del__(self) -> None:
        instance = self._i
        if instance is not None:
            self._live.pop(id(self), None)
            instance.delete()

    def sleep(self) -> None:
        """Keep the changed pages and give the instance up; ``run`` wakes it."""
        at_once(self.sleep_in_turns())

    def sleep_in_turns(self) -> Generator[None, None, Image | PackedImage | None]:
        """As ``sleep``; it yields between parts of a large memory. Meanwhile nobody may run the guest.

        It may be given up at any yield: then the guest is as awake as before, or asleep. Where somebody had
        to run it all the same, it stays awake.
        """
        instance, runs = self._i, self.runs
        if instance is not None:
            image = yield from self.capture_in_turns()
            frozen = yield from image.packed()
            if self._i is not instance or self.runs != runs:
                return None
            self._frozen = frozen
            yield from self._left()
        return self._frozen

    def _wake(self) -> Instance:
        return at_once(self.wake_in_turns())

    def wake_in_turns(self) -> Generator[None, None, Instance]:
        """Make the instance, where it slept; it yields between parts of a large memory."""
        if self._i is not None:
            return self._i
        image = self._frozen
        if image is None:
            raise self._gone("entered")
        if isinstance(image, snapshot.PackedImage):
            image = yield from image.unpacked()
        instance = yield from memories.memories().made(
            partial(_pool.acquire, self._engine, self._memory_limit), image
        )
        if self._i is not None or self._frozen is None:  # somebody who could not wait was here meanwhile
            instance.delete()
            return self._awake()
        self._frozen = None
        return self._use(instance)

    @property
    def frozen_bytes(self) -> int:
        """Bytes that waking it copies; 0 where it is awake."""
        frozen = self._frozen
        if frozen is None:
            return 0
        return frozen.own_bytes if isinstance(frozen, snapshot.LayeredImage) else frozen.pages * PAGE

    def capture(self) -> Image:
        """The memory as it is now. Possible between any two runs."""
        return at_once(self.capture_in_turns())

    def capture_in_turns(self) -> Generator[None, None, Image]:
        """As ``capture``; it yields between parts of a large memory. Meanwhile nobody may run the guest."""
        instance = self._i
        if instance is None and self._frozen is None:
            raise self._gone("captured")
        captured = None if self._captured is None else self._captured[1]()
        if self._captured is not None and captured is not None and self._captured[0] == self.runs:
            if id(self) in self._live:  # it is in use, then: others sleep before it
                self._live.move_to_end(id(self))
            return captured
        if instance is None:
            return (yield from self._thawed())
        with self._held():
            runs = self.runs
            subject = memories.Subject(
                self._engine,
                instance,
                self._page_map(instance),
                partial(self._check_there, instance),
                lambda: self.runs == runs and self._i is instance,
            )
            image, intact = yield from memories.memories().capture(subject)
        if subject.unchanged():
            self._captured = runs, weakref.ref(image)
        if not intact and self._i is instance:
            self._drop(crashed=True)
            self._frozen = image
        return image

    def _thawed(self) -> Generator[None, None, Image]:
        """What it sleeps as: one copy for all that are made of it while one of them lives."""
        frozen, runs = self._frozen, self.runs
        assert frozen is not None
        if not isinstance(frozen, snapshot.PackedImage):
            return frozen
        image = yield from frozen.unpacked()
        if self._frozen is frozen:
            self._captured = runs, weakref.ref(image)
        return image

    @contextmanager
    def _held(self) -> Iterator[None]:
        """The instance is not put to sleep meanwhile, whoever wants its place."""
        instance = self._i
        self._live.pop(id(self), None)
        try:
            yield
        finally:
            if self._i is instance is not None:
                self._live[id(self)] = self

    def _check_there(self, instance: Instance) -> None:
        if self._i is not instance:
            raise InternalError("the sandbox was closed while its memory was copied")

    # ---- calls

    def _call(self, instance: Instance, name: str, count: int) -> None:
        function = instance.functions.get(name) or instance.function(name)
        calls = instance.calls
        failed = wasm.call_unchecked(instance.context, function, calls.values_at, count, calls.trap_at)
        if failed or calls.trap.value:
            self._trapped(instance, failed)

    def _trapped(self, instance: Instance, failed: int | None) -> None:
        """Raises InstanceLost, and gives the instance up."""
        calls = instance.calls
        trap, calls.trap.value = calls.trap.value, None
        self._lost = failure_of(failed, trap)
        wasm.get_fuel(
            instance.context, calls.fuel_at
        )  # while there is an instance: run() tells what was used
        self._drop(crashed=True)
        raise InstanceLost(*self._lost)

    def _ask(self, instance: Instance, name: str) -> None:
        """A call of the host's own, in no execution's time or fuel: ``run`` leaves theirs behind."""
        if instance.bounded:
            instance.unbind()
        self._call(instance, name, 1)

    def _memory_size(self, instance: Instance) -> int:
        return instance.measure()

    def _measured(self, instance: Instance) -> int:
        """The same between two runs: asked once after each."""
        if self._sized != self.runs:
            self._sized = self.runs
            return instance.measure()
        return instance.size

    def _enter(self, fuel: int) -> Instance:
        instance = self._i
        if instance is None:
            instance = self._wake()
        else:
            self._live.move_to_end(id(self))
        self.runs += 1
        instance.bind(fuel)
        return instance

    def _leave(self, fuel: int, instance: Instance) -> None:
        """Note what fuel was used."""
        if self._i is not None:
            wasm.get_fuel(instance.context, instance.calls.fuel_at)
        self.fuel_used = fuel - instance.calls.fuel.value + self._inbox_fuel
        self._inbox_fuel = 0

    def _text_room(self, instance: Instance, text: LongText) -> int:
        """Where in the guest there is room for its characters. Raises MessageTooLarge."""
        instance.calls.long1.value = text.width
        return self._room(instance, text.size, "rlm_inbox_text", 2) - instance.base

    def _room(self, instance: Instance, length: int, export: str = "rlm_inbox", count: int = 1) -> int:
        """The address of room for a message. Raises MessageTooLarge."""
        calls = instance.calls
        calls.long0.value = length
        self._call(instance, export, count)
        inbox = calls.unsigned0.value
        if inbox == 0:
            raise MessageTooLarge(length)
        if inbox + length > instance.size and inbox + length > self._memory_size(instance):
            raise InstanceLost("trap", "the guest named an inbox outside its memory")
        return instance.base + inbox

    def deliver(self, message: Sequence[protocol.Part], fuel: int) -> Generator[None, None, int]:
        """Put a message, given in parts, into the guest's inbox; it yields between pieces.

        Returns its length there, for ``run``, which has to be what is done next: without the characters of a
        long text, which are put where the guest will have them. Raises InstanceLost, and MessageTooLarge
        where the guest has no room for it.
        """
        instance = self._enter(fuel)
        apart = (yield from protocol.text_apart(message)) if instance.has("rlm_inbox_text") else None
        parts = yield from protocol.encoded_parts(
            message if apart is None else (protocol.text_message(apart),)
        )
        self._check_there(instance)
        length = sum(map(len, parts))
        text_at = 0
        try:
            if apart is not None:
                text_at = self._text_room(instance, apart.text)
            at = instance.inbox_at if length <= instance.inbox_bytes else self._room(instance, length)
        finally:
            self._leave(fuel, instance)
        with self._held():
            check = partial(self._check_there, instance)
            if apart is not None:
                try:
                    yield from memories.memories().put(instance, apart.text, text_at, check)
                except OSError as error:
                    self._lost = "trap", f"a text cannot be mapped: {error}"
                    self._drop(crashed=True)
                    raise InstanceLost(*self._lost) from error
            for content in parts:
                yield from spread(content, [(at, len(content))], check)
                at += len(content)
        self._inbox_fuel = self.fuel_used
        return length

    def run(self, message: bytes | int | None, steps: int, fuel: int) -> int:
        """Give a message (or none), run so many steps, return the status.

        A number instead of a message is the length of the one that was delivered. ``fuel`` is where the hard
        trap stands. Raises InstanceLost after a trap: the instance is gone; MessageTooLarge.
        """
        if isinstance(message, bytes) and len(message) > LONG_TEXT:
            message = at_once(self.deliver((message,), fuel))
        instance = self._enter(fuel)
        calls = instance.calls
        length = 0
        try:
            if type(message) is bytes:
                length = len(message)
                if length <= instance.inbox_bytes:
                    memmove(instance.inbox_at, message, length)
                else:
                    memmove(self._room(instance, length), message, length)
            elif isinstance(message, int):
                length = message
            calls.long0.value = length
            calls.long1.value = steps
            function = instance.functions.get("rlm_run") or instance.function("rlm_run")
            failed = wasm.call_unchecked(instance.context, function, calls.values_at, 2, calls.trap_at)
            if failed or calls.trap.value:
                self._trapped(instance, failed)
            return calls.word0.value
        finally:
            self._leave(fuel, instance)

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

    def _outbox_place(self) -> tuple[int, int]:
        """Where the outbox is in the host's memory, and its length; 0 where it has no messages."""
        instance = self._i
        if instance is None:
            instance = self._wake()
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
            return 0, 0
        end = start + length
        if length > _OUTBOX_LIMIT or (end > instance.size and end > self._memory_size(instance)):
            raise InstanceLost("trap", "the guest named an outbox outside its memory")
        return (0, 0) if length == 2 else (instance.base + start, length)  # 2: an array without items

    def outbox(self) -> bytes:
        """What the guest wants: a CBOR array. Its length is bounded before anybody parses it."""
        start, length = self._outbox_place()
        return string_at(start, length) if length else b""

    def outbox_in_turns(self) -> Generator[None, None, bytes]:
        """As ``outbox``; it yields between pieces. Nobody may run the guest until it is done."""
        start, length = self._outbox_place()
        instance = self._awake()
        with self._held():
            return (yield from gathered([(start, length)], partial(self._check_there, instance)))

    def outbox_up_to(self, max_bytes: int) -> bytes | None:
        """As ``outbox``; None where it has more bytes than that."""
        instance = self._i
        if instance is not None and instance.report is not None:
            report = instance.report
            at, length = report.outbox, report.outbox_length
            if 2 < length <= max_bytes and at + length <= instance.window_bytes:
                outbox: bytes = instance.window[at : at + length]
                return outbox
        start, length = self._outbox_place()
        return None if length > max_bytes else string_at(start, length) if length else b""

    def memory_bytes(self) -> int:
        """Size of the linear memory, the image included."""
        instance = self._i
        if instance is None:
            return self._frozen.size if self._frozen else 0
        return self._measured(instance)

    def touched_bytes(self) -> int:
        """Bytes of an instance's memory that were used beyond the image's own; 0 where it sleeps.

        The image has room that takes no memory until it is used, and then as much as any other. What the
        guest says of that is believed within what there is; an older guest does not say it.
        """
        instance = self._i
        if instance is None:
            return 0
        size = self._measured(instance)
        grown, report = size - self._engine.image_size, instance.report
        if report is None:
            return grown
        return max(grown, min((report.touched_end - report.image_end) * PAGE, size))

    def held_bytes(self) -> int:
        """Bytes of pages that an instance wrote; all, where the kernel does not tell; 0 where it sleeps."""
        instance = self._i
        if instance is None:
            return 0
        size = self._measured(instance)
        runs = written_runs(instance.base, size // PAGE)
        return size if runs is None else sum(count for _, count in runs) * PAGE

    def may_give_back(self, *, worked: bool) -> bool:
        """The guest rests: whether it may hold memory that it has no use for, and that ``give_back`` gives.

        ``worked``: it did much since the last time; where it did not, and did not grow either, there is
        nothing to look for.
        """
        instance = self._i
        if instance is None:
            return False
        size = self._measured(instance)
        grew, self._looked_at = size > self._looked_at, size
        return (worked or grew) and size - self._engine.image_size >= GIVE_BACK_FROM

    def give_back(self) -> Generator[None, None, None]:
        """What of its memory a guest that rests has no use for goes back to the system, in turns."""
        instance = self._i
        if instance is None:
            return
        used = self._page_map(instance)[: instance.measure() // PAGE]
        with self._held():
            for _ in give_back(instance.base, used):
                yield
                self._check_there(instance)

    @property
    def is_awake(self) -> bool:
        """Whether it has an instance."""
        return self._i is not None

    @property
    def is_large(self) -> bool:
        """Whether its memory goes back to the system in turns."""
        instance = self._i
        return instance is not None and instance.measure() - self._engine.image_size >= GIVE_BACK_FROM

    def close_in_turns(self) -> Generator[None, None, None]:
        """As ``close``; a large memory goes back to the system part after part."""
        self._frozen = None
        yield from self._left()

    def _left(self) -> Generator[None, None, None]:
        """The instance is given back, a large one part after part."""
        instance, self._i = self._i, None
        if instance is not None:
            self._live.pop(id(self), None)
            size = instance.measure()
            if size - self._engine.image_size >= GIVE_BACK_FROM:
                try:
                    yield from self._emptied(instance, size)
                finally:
                    instance.delete()
            else:
                _pool.release(self._engine, instance)

    @staticmethod
    def _emptied(instance: Instance, size: int) -> Generator[None, None, None]:
        """Take its pages away: to do that when it is deleted would be one long call."""
        for _ in give_back(instance.base, bytes(size // PAGE)):
            yield

    def heap_used(self) -> int:
        """Bytes of objects beyond the image."""
        instance = self._i
        if instance is None:
            return self._frozen.pages * PAGE if self._frozen else 0
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
