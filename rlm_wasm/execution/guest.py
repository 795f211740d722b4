"""The guest that a scheduler drives: its sandbox, where it stands, and the image that it can go back to.

Between two runs of the guest its memory is whole: whoever wants to copy it, or ask it something, takes it
for himself by ``held``, and whoever wants to run it waits by ``free``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from rlm_wasm.errors import InstanceLost, InternalError, MessageTooLarge, SnapshotCorrupt, Unencodable
from rlm_wasm.execution.meter import Meter
from rlm_wasm.execution.replay_log import ReplayLog
from rlm_wasm.limits import Limits
from rlm_wasm.sandbox import protocol
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.pages import at_once
from rlm_wasm.sandbox.protocol import Done, GuestStatus
from rlm_wasm.sandbox.sandbox import Sandbox
from rlm_wasm.turns import TURN_S, in_turns

if TYPE_CHECKING:
    from rlm_wasm.execution.journal import Journal
    from rlm_wasm.sandbox.snapshot import Image, PackedImage

SLICE_STEPS: Final = 100_000
"""VM steps between two turns of the event loop: a few milliseconds. A constant, so that the same
program with the same replies takes the same course, and the same fuel, under every limit and on every
machine."""

AT_ONCE: Final = 1 << 18
"""Bytes of messages and memory that are copied, read and written without a turn in between."""

SLICE_FUEL: Final = 4_000_000_000
"""Where the hard trap stands in every slice: forty times what the longest takes that ends by itself. An
execution's own limit is looked at between slices."""

HEAVY_FUEL: Final = 20_000_000
"""An execution of so much fuel may have left memory behind that nobody needs."""

MAX_PATIENCE: Final = 16
"""So many heavy executions in a row keep their memory at the most."""

_TIDY_FROM: Final = 256 << 10
"""Bytes of a heap that is worth a collection before it is copied."""

_ASKED_AT_ONCE: Final = 2
"""Slices in which a guest says its definitions while everybody waits: some thousand of them."""
_ASKED_SLICES: Final = 1_000

_INTERRUPT_SLICES: Final = 50
"""So many slices has a guest that was told to end before its instance is given up, beside those of a
collection that it is in the middle of."""

_COLLECTED_BYTES: Final = 500_000
"""Bytes of memory that one slice of a collection goes through at the least."""

ToGuest = bytes | Sequence[protocol.Part]
"""A message, whole or in parts."""

T = TypeVar("T")

_STATUSES: Final = {int(status): status for status in GuestStatus}


class Guest:
    """One guest. ``journal`` is told of its runs."""

    def __init__(
        self,
        engine: Engine,
        limits: Limits,
        meter: Meter,
        memory: Image | PackedImage | None,
        journal: Journal | None,
    ) -> None:
        self._engine = engine
        self._meter = meter
        self._journal = journal
        own = min(limits.memory_bytes, meter.memory.left(id(self)))
        if memory is not None:  # what of that it has beside others is looked at while it runs
            own = max(own, min(memory.size - engine.image_size, limits.memory_bytes))
        self._memory_limit = engine.image_size + own
        self.sandbox = Sandbox(engine, self._memory_limit, memory)
        self.status = GuestStatus.DONE
        self.unread = False
        """It was given a message in the middle of a slice and has not taken it yet: another one would
        overwrite it."""
        self.log = ReplayLog(memory)
        """The way back to where the execution began."""
        self._on_their_way = 0
        """Messages on their way in or out: then memory is not all that there is."""
        self._holders = 0
        self._patience = 1
        self._kept = 0
        """Heavy executions since memory was given back."""
        self._may_give = False
        """Whether there may be memory to give back once it rests."""
        self._wanted = False
        """Whether somebody waits for it."""
        self._large: tuple[protocol.Part, ...] = ()
        """The message that it was given in turns, and has not run with yet."""
        self._live = 0
        """Bytes of the heap after the last collection that was asked for."""

    # ---- who has it

    @property
    def is_held(self) -> bool:
        """Whether somebody copies its memory at this moment, or asks it something: no program runs in it."""
        return self._holders > 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """In the body nobody else runs or copies it."""
        with self.copied(), self.in_transit():
            yield

    @contextmanager
    def in_transit(self) -> Iterator[None]:
        """In the body a message is on its way: nobody begins to copy the memory."""
        self._on_their_way += 1
        try:
            yield
        finally:
            self._on_their_way -= 1

    async def free(self) -> None:
        """Wait until nobody has it for himself."""
        while self._holders:
            self._wanted = True
            await asyncio.sleep(0)

    async def begin(self) -> None:
        """An execution is about to begin: wait for whoever has it, and take the image that is due.

        Raises SnapshotCorrupt where its memory cannot be copied.
        """
        await self.free()
        if self.log.overdue:
            with self.held():
                try:
                    await self.log.renew(self.sandbox)
                except InstanceLost as error:
                    raise damaged(error) from error

    @property
    def is_ready(self) -> bool:
        """Whether a program may be run in it here and now: nobody has it, it is awake, no image is due."""
        return not self._holders and self.sandbox.is_awake and not self.log.overdue

    @property
    def needs_preparing(self) -> bool:
        """Whether ``prepare`` has something to do before the next run."""
        return self._holders > 0 or self.sandbox.frozen_bytes > AT_ONCE

    async def prepare(self) -> None:
        """Wait until nobody copies its memory; then wake a large one in turns."""
        await self.free()
        await in_turns(self.sandbox.wake_in_turns())

    # ---- runs

    async def delivered(self, message: ToGuest) -> bytes | int:
        """What of a message it is run with: the whole, or the length of a large one, which it has then."""
        self._large = ()
        if isinstance(message, bytes) and len(message) <= AT_ONCE:
            return message
        parts: Sequence[protocol.Part] = [message] if isinstance(message, bytes) else message
        if sum(map(len, parts)) <= AT_ONCE:
            return protocol.joined(parts)
        with self.in_transit():
            delivered: int = await in_turns(self.sandbox.deliver(parts, SLICE_FUEL))
        self._large = tuple(parts)
        return delivered

    def run(self, given: bytes | int | None) -> int:
        """A slice with this message: its status. Raises InstanceLost, MessageTooLarge."""
        return self.sandbox.run(given, SLICE_STEPS, SLICE_FUEL)

    def ran(self, given: bytes | int | None, status: int) -> None:
        """It was run with this message, and gave this status. Raises InstanceLost for one that is none."""
        if isinstance(given, int):
            self.log.add(self._large, SLICE_STEPS, self.sandbox.fuel_used)
            self._large = ()
        else:
            self.log.add(given, SLICE_STEPS, self.sandbox.fuel_used)
        # One that waited, or began, takes its message at once; one in the middle of a slice when it can,
        # and says so.
        if status == GuestStatus.PREEMPTED:
            in_slice = given is not None and self.status is GuestStatus.PREEMPTED
            self.unread = self.unread or in_slice
        else:
            self.unread = False
        try:
            self.status = _STATUSES[status]
        except KeyError:
            raise InstanceLost("trap", f"the guest has no status {status}") from None

    def acknowledged(self) -> None:
        """It has taken its message."""
        self.unread = False

    def by_rule(self) -> bytes | None:
        """What it is given where there is nothing to say."""
        return protocol.TICK if self.status is GuestStatus.PREEMPTED and not self.unread else None

    def run_aside(self, message: bytes | None) -> int:
        """A run that belongs to no execution: its status."""
        if self._journal is not None:
            self._journal.run(message, None)
        status = self.sandbox.run(message, SLICE_STEPS, SLICE_FUEL)
        self.log.add(message, SLICE_STEPS, self.sandbox.fuel_used)
        return status

    def _done_aside(self, message: bytes, slices: int) -> Generator[None, None, bool]:
        """Runs with this message, until it is done with it: whether it was, in so many slices."""
        given: bytes | None = message
        for _ in range(slices):
            status = self.run_aside(given)
            given = None
            if status == GuestStatus.DONE:
                return True
            yield
        return False

    async def definitions(self) -> list[str] | None:
        """The names that programs have defined, asked of the guest in turns; None where it cannot say."""
        await self.free()
        with self.held():
            return cast("list[str] | None", await in_turns(self._asked(_ASKED_SLICES)))

    async def tidy(self) -> None:
        """Collect what nobody needs any more, in turns, where that pays: its memory is about to be copied.

        Only where nothing runs. It pays where half of the heap may be garbage.
        """
        used = self.sandbox.heap_used()
        if self.status is not GuestStatus.DONE or used < _TIDY_FROM or used < 2 * self._live:
            return
        await self.free()
        with self.held():
            await in_turns(self._collected())
        self._live = self.sandbox.heap_used()

    def _collected(self) -> Generator[None, None, None]:
        try:
            if not (yield from self._done_at_rest(protocol.COLLECT, self.interrupt_slices())):
                self.end_at_once()
        except MessageTooLarge:
            pass

    def _done_at_rest(self, message: bytes, slices: int) -> Generator[None, None, bool]:
        """As ``_done_aside``, of a guest in which nothing runs: where it crashes, it is as it was before.

        A guest of ours does not. One whose memory somebody else wrote may. Raises MessageTooLarge, and
        SnapshotCorrupt where that memory cannot even be copied.
        """
        if self.log.overdue:  # there would be no way back
            try:
                yield from self.log.renewed(self.sandbox)
            except InstanceLost as error:
                raise damaged(error) from error
        self.log.begin()
        try:
            return (yield from self._done_aside(message, slices))
        except InstanceLost:
            if self._journal is not None:
                self._journal.abandon()
            yield from self.go_back()
            return True

    def definitions_at_once(self) -> list[str] | None:
        """The same within a turn; None where the guest cannot say so soon, or is not free."""
        if self._holders or (self.log.overdue and self.sandbox.is_large):
            return None
        return at_once(self._asked(_ASKED_AT_ONCE))

    def _asked(self, slices: int) -> Generator[None, None, list[str] | None]:
        try:
            if (yield from self._done_at_rest(protocol.DEFINITIONS, slices)):
                return self._definitions_in(self.sandbox.outbox())
            self.end_at_once()
        except (InstanceLost, MessageTooLarge, Unencodable, SnapshotCorrupt):
            pass
        return None

    @staticmethod
    def _definitions_in(outbox: bytes) -> list[str] | None:
        for item in protocol.messages(outbox):
            if isinstance(item, Done):
                names = protocol.data_of(item.data)
                return [name for name in names if isinstance(name, str)] if type(names) is list else []
        return None

    # ---- endings

    def interrupt_slices(self) -> int:
        """So many slices it has to end, once it was told to."""
        return _INTERRUPT_SLICES + self.sandbox.memory_bytes() // _COLLECTED_BYTES

    def end_at_once(self) -> bool:
        """Tell the guest to end its execution, here and now: whether it did."""
        done = at_once(self._done_aside(protocol.INTERRUPT, self.interrupt_slices()))
        if done:
            self.status = GuestStatus.DONE
            self.unread = False
        return done

    def go_back(self) -> Generator[None, None, bool]:
        """To where the execution began. False: there is nothing before it, it is over instead.

        Raises SnapshotCorrupt where that is not possible as it began in a snapshot; InternalError where it
        is not possible at all.
        """
        yield from self.sandbox.close_in_turns()
        log = self.log
        try:
            self.sandbox = yield from log.rebuild(self._engine, self._memory_limit)
            if log.in_execution and not self.end_at_once():
                raise InstanceLost("trap", "the guest does not react to an interrupt")
        except (InstanceLost, MessageTooLarge) as error:
            if log.in_execution:
                self.sandbox = Sandbox(self._engine, self._memory_limit, log.base)
                self.status = GuestStatus.DONE
                raise SnapshotCorrupt(
                    "the session can neither go on where its snapshot was taken nor end there: the snapshot's"
                    f" memory is damaged ({error}). reset() makes it an empty one"
                ) from error
            raise InternalError(f"the session cannot be brought back: {error}. {_WHAT_TO_DO}") from error
        self.status = GuestStatus.DONE
        self.unread = False
        return not log.in_execution

    def rests(self) -> None:
        """An execution that was not heavy is over: note whether there is memory to give back later."""
        if self.sandbox.may_give_back(worked=self._kept > 0):
            self._patience, self._kept, self._may_give = 1, 0, True

    async def give_back(self, *, worked: bool) -> None:
        """Give memory back that nobody needs, where an execution has left some. ``worked``: a heavy one.

        One heavy execution after another wants the same memory again, and pays for its way back: so that is
        given after the first of them, then after two, four and so on more. What is left after one that is not
        heavy waits until the session rests: see ``settle``.
        """
        if not worked:
            self.rests()
            return
        if not self.sandbox.may_give_back(worked=True):
            return
        self._kept += 1
        if self._kept >= self._patience:
            self._patience, self._kept = min(2 * self._patience, MAX_PATIENCE), 0
            with self.held():
                await in_turns(self.sandbox.give_back())

    @property
    def is_unsettled(self) -> bool:
        """Whether ``settle`` has something to do."""
        return self._may_give or self.log.due

    async def settle(self, rests: Callable[[], bool]) -> None:
        """Do what executions have left to do, in turns, while nothing runs; given up as soon as it is wanted.

        Memory that nobody needs is given back, and the image is taken that a rollback would go back to: so
        a small execution after a heavy one need not wait for either.
        """
        if self.is_whole and not self._holders:
            self._wanted = False
            await self._done_while(lambda: rests() and not self._wanted, self._settled())

    def _settled(self) -> Generator[None, None, None]:
        if self._may_give:
            yield from self.sandbox.give_back()
            self._may_give = False
        if self.log.due:
            yield from self.log.renewed(self.sandbox)

    def reset(self) -> None:
        """A fresh one in its place."""
        self.close()
        self.status = GuestStatus.DONE
        self.unread = False
        self.log = ReplayLog()
        self.sandbox = Sandbox(self._engine, self._memory_limit)

    def close(self) -> None:
        """Drop the instance."""
        self.sandbox.close()
        self._meter.memory.leave(id(self))

    async def close_in_turns(self) -> None:
        """Give a large memory back to the system in turns; ``close`` does the rest."""
        if self._holders:
            await self.free()
        if self.sandbox.is_large:
            await in_turns(self.sandbox.close_in_turns())

    # ---- memory

    def note_memory(self) -> None:
        """Tell the pool how much memory it has. Raises LimitExceeded."""
        size = self.sandbox.memory_bytes() - self._engine.image_size
        self._meter.memory.update(id(self), size, self._held_bytes)

    def _held_bytes(self) -> int:
        return self.sandbox.held_bytes()

    def adopt(self, status: int, *, unread: bool, in_execution: bool) -> None:
        """It stands where a snapshot says."""
        self.status = GuestStatus(status)
        self.unread = unread
        if in_execution:
            self.log = ReplayLog(self.log.base, in_execution=True)

    @property
    def is_whole(self) -> bool:
        """Whether its memory is all that there is of it at this moment."""
        return not self._on_their_way and not (self._journal is not None and self._journal.delivering)

    @contextmanager
    def copied(self) -> Iterator[None]:
        """In the body it is copied, and does not run."""
        self._holders += 1
        try:
            yield
        finally:
            self._holders -= 1

    async def sleep(self) -> None:
        """Keep the memory compressed, in turns, until the guest is run again. Only where nothing runs."""
        await self.free()
        if self.status is GuestStatus.DONE:
            with self.held():
                image = await in_turns(self.sandbox.sleep_in_turns())
                if image is not None:
                    self.log.rest(image)

    async def sleep_while(self, waits: Callable[[], bool]) -> None:
        """Fall asleep in the middle of an execution, in turns; as soon as it waits no more, give that up."""
        if not self._holders and not self._on_their_way:
            await self._done_while(waits, self.sandbox.sleep_in_turns())

    async def _done_while(self, goes_on: Callable[[], bool], work: Generator[Any, None, Any]) -> None:
        with self.held():
            until = 0.0
            try:
                while goes_on():
                    next(work)
                    if time.monotonic() >= until:
                        await asyncio.sleep(0)
                        until = time.monotonic() + TURN_S
            except StopIteration:
                pass
            finally:
                work.close()


_WHAT_TO_DO: Final = (
    "reset() makes it an empty one; a durable session that is closed and resumed goes on from what its store"
    " has"
)


def damaged(error: InstanceLost) -> SnapshotCorrupt:
    """The error for a memory that the guest itself cannot read any longer: somebody else wrote it."""
    return SnapshotCorrupt(f"the session's memory is damaged, it cannot be copied ({error}). {_WHAT_TO_DO}")


async def captured_together(
    guests: Callable[[], Sequence[Guest]], state: Callable[[], T]
) -> tuple[list[Image], T]:
    """The memories of several guests, and what ``state`` says of the host's side, of one moment.

    ``guests`` says which they are at that moment. Raises InternalError where one was closed meanwhile,
    SnapshotCorrupt where the memory of one cannot be copied.
    """
    while True:
        family = guests()
        while not all(guest.is_whole for guest in family):
            await asyncio.sleep(0)
            family = guests()
        made = state()
        moments = [(guest.sandbox, guest.sandbox.runs) for guest in family]
        with ExitStack() as stack:
            for guest in family:
                stack.enter_context(guest.copied())
            try:
                images = [await in_turns(sandbox.capture_in_turns()) for sandbox, _ in moments]
            except InstanceLost as error:
                raise damaged(error) from error
        if all(  # nobody had to end one at once
            guest.sandbox is sandbox and sandbox.runs == runs
            for guest, (sandbox, runs) in zip(family, moments, strict=True)
        ):
            return images, made
