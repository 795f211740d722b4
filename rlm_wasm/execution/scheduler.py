"""Drives one guest: slices of its steps, messages in between, limits, and what happens when it ends.

General layout: ``_drive`` is the loop; what the guest asked for lies in HostRequests. ``_turn`` and
``_wait`` are the only places where an execution gives control back to the event loop; between two runs
of the guest its memory is whole, so that anybody may take a snapshot there.

Why an execution stops, and what is left of it:

    it came to its end           calls in flight go on, the next execution can await them
    finish, error, a limit       calls in flight are cancelled; definitions stay
    cancelled                    the same
    the instance trapped         everything that this execution did is undone
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar, cast

from rlm_wasm.capabilities.table import Handler
from rlm_wasm.errors import (
    InstanceLost,
    InternalError,
    LimitExceeded,
    MessageTooLarge,
    SnapshotCorrupt,
    Unencodable,
)
from rlm_wasm.execution.journal import Journal, diverged
from rlm_wasm.execution.meter import FUEL_A_BYTE, FuelAccount, Meter
from rlm_wasm.execution.outcome import CANCELLED, ActiveExecution, Outcome, limit_report
from rlm_wasm.execution.output import BoundedText
from rlm_wasm.execution.replay_log import ReplayLog
from rlm_wasm.execution.requests import HostRequest, HostRequests
from rlm_wasm.execution.state import SchedulerState
from rlm_wasm.limits import Limits
from rlm_wasm.runlog.stream import Recorder
from rlm_wasm.sandbox import protocol
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.pages import at_once
from rlm_wasm.sandbox.protocol import Call, Counted, Done, GuestStatus, Logged, Output, Traced
from rlm_wasm.sandbox.sandbox import SLICE_WALL_S, Sandbox
from rlm_wasm.sandbox.snapshot import MemoryImage
from rlm_wasm.turns import TURN_S, in_turns

SLICE_STEPS = 100_000
"""VM steps between two turns of the event loop: a few milliseconds. A constant, so that the same
program with the same replies takes the same course, and the same fuel, under every limit and on every
machine."""

ToGuest = bytes | Sequence[bytes]
"""A message, whole or in parts."""

T = TypeVar("T")

_AT_ONCE = 1 << 18
"""Bytes of messages and memory that are copied, read and written without a turn in between."""

HEAVY_FUEL = 20_000_000
"""An execution of so much fuel may have left memory behind that nobody needs."""

_FUEL_RESERVE = 4_000_000_000
"""Above an execution's limit stands this much before the hard trap: a slice always fits."""

_ASKED_AT_ONCE = 2
"""Slices in which a guest says its definitions while everybody waits: some thousand of them."""
_ASKED_SLICES = 1_000

_INTERRUPT_SLICES = 50
"""So many slices has a guest that was told to end before its instance is given up, beside those of a
collection that it is in the middle of."""

_COLLECTED_BYTES = 500_000
"""Bytes of memory that one slice of a collection goes through at the least."""


class Scheduler:
    """Drives one guest. ``table`` and ``services`` say what it may ask for (see HostRequests)."""

    def __init__(
        self,
        engine: Engine,
        limits: Limits,
        meter: Meter,
        *,
        table: Callable[[], Mapping[str, Handler]],
        services: Mapping[str, Callable[[HostRequest], Any]],
        observe: Callable[[Output | Logged | Traced | Counted], None],
        recorder: Recorder,
        account: FuelAccount | None = None,
        memory: MemoryImage | None = None,
        journal: Journal | None = None,
        effects: Collection[str] = (),
    ) -> None:
        self._engine = engine
        self.limits = limits
        self._meter = meter
        self._observe = observe
        self._journal = journal
        self._given: list[int] = []
        """Of which requests the replies stand in the last ``eval`` message."""
        self._account = account
        """The parent's, where there is one; else every execution has its own."""
        self._memory_limit = engine.image_size + min(limits.memory_bytes, meter.memory.left(id(self)))
        self.sandbox = Sandbox(engine, self._memory_limit, memory)
        self._replay_log = ReplayLog(memory)
        self._waiter: asyncio.Future[None] | None = None
        self._turn_ends = 0.0
        self.execution: ActiveExecution | None = None
        """The one under way, or the one that a snapshot was taken of and that waits to be resumed."""
        self._status = GuestStatus.DONE
        self._between_runs = True
        """False while a large message is on its way in or out: then memory is not all that there is."""
        self._holders = 0
        """How many copy the guest's memory at this moment, or ask it something: no program runs in it."""
        self._unread = False
        """The guest was given a message in the middle of a slice and has not taken it yet: another one
        would overwrite it."""
        self.requests = HostRequests(
            limits,
            meter,
            table=table,
            services=services,
            charge=self.charge,
            changed=self._wake,
            limit=self._limit_fired,
            time_left=self.time_left,
            journal=journal,
            effects=effects,
            recorder=recorder,
        )

    # ---- executions

    async def execute(self, message: Callable[[], ToGuest], limits: Limits) -> Outcome:
        """Run one program. ``message`` makes the eval message, replies that are due included."""
        self.execution = execution = ActiveExecution(
            limits,
            BoundedText(limits.output_bytes),
            BoundedText(limits.output_bytes),
            self.requests.last_id + 1,
            self._account if self._account is not None else FuelAccount(limits.fuel),
        )
        if self._replay_log.due or self._holders:
            await self._begun()
        self._replay_log.begin()
        encoded = message()
        if self._journal is not None:
            if not isinstance(encoded, bytes):
                encoded = b"".join(encoded)
            self._journal.evaluate(encoded, self._given, limits.timeout_s)
        return await self._guarded(execution, encoded)

    async def _begun(self) -> None:
        """Wait for whoever has the guest for himself, and take the image that is due."""
        try:
            await self._free()
            if self._replay_log.due:
                with self._held():
                    await self._replay_log.renew(self.sandbox)
        except BaseException:
            self.execution = None
            raise

    async def resume(self, limits: Limits) -> Outcome:
        """Go on with the execution that a snapshot was taken of."""
        execution = self.execution
        assert execution is not None
        execution.run_under(limits)
        if execution.ending and execution.done is None:  # a limit fired while it was replayed
            return await self._guarded(execution, self._interrupt(execution))
        return await self._guarded(execution, self._by_rule())

    async def _guarded(self, execution: ActiveExecution, message: ToGuest | None) -> Outcome:
        completed = False
        try:
            outcome = await self._drive(execution, message)
            completed = True
            if self.sandbox.may_give_back(worked=execution.fuel >= HEAVY_FUEL):
                with self._held():
                    await in_turns(self.sandbox.give_back())
            return outcome
        finally:
            execution.stop_clock()
            if not completed:
                self._abandon(execution)
            if execution.redeliver:
                self.requests.drop(execution.redeliver)
            self.execution = None
            self._waiter = None
            if self._journal is not None:
                self._journal.arrived()

    def _by_rule(self) -> bytes | None:
        """What the guest is given where there is nothing to say."""
        return protocol.TICK if self._status is GuestStatus.PREEMPTED and not self._unread else None

    async def definitions(self) -> list[str] | None:
        """The names that programs have defined, asked of the guest in turns; None where it cannot say."""
        await self._free()
        with self._held():
            return cast("list[str] | None", await in_turns(self._asked(_ASKED_SLICES)))

    def definitions_at_once(self) -> list[str] | None:
        """The same within a turn; None where the guest cannot say so soon, or is not free."""
        if self._holders:
            return None
        return at_once(self._asked(_ASKED_AT_ONCE))

    def _asked(self, slices: int) -> Generator[None, None, list[str] | None]:
        message: bytes | None = protocol.DEFINITIONS
        try:
            for _ in range(slices):
                status = self._run_aside(message)
                message = None
                if status == GuestStatus.DONE:
                    return self._definitions_in(self.sandbox.outbox())
                yield
            self._end_at_once()
        except (MessageTooLarge, Unencodable):
            pass
        return None

    @staticmethod
    def _definitions_in(outbox: bytes) -> list[str] | None:
        for item in protocol.messages(outbox):
            if isinstance(item, Done):
                names = protocol.data_of(item.data)
                return [name for name in names if isinstance(name, str)] if type(names) is list else []
        return None

    @contextmanager
    def _held(self) -> Iterator[None]:
        """In the body nobody else runs or copies the guest."""
        self._holders += 1
        self._between_runs = False
        try:
            yield
        finally:
            self._holders -= 1
            self._between_runs = True

    async def _free(self) -> None:
        """Wait until nobody has the guest for himself."""
        while self._holders:
            await asyncio.sleep(0)

    def _run_aside(self, message: bytes | None) -> int:
        """A run of the guest that belongs to no execution."""
        if self._journal is not None:
            self._journal.run(message, None)
        status = self.sandbox.run(message, SLICE_STEPS, _FUEL_RESERVE)
        self._replay_log.add(message, SLICE_STEPS, self.sandbox.fuel_used)
        return status

    def due_replies(self) -> list[bytes]:
        """Replies to calls that an earlier execution left, for the eval message."""
        taken = self.requests.take() if self.requests.replies_due else []
        self._given = [id_ for id_, _ in taken]
        if taken and self.execution is not None:
            self._keep(self.execution, taken)
        return [encoded for _, encoded in taken]

    async def _delivered(self, execution: ActiveExecution, message: ToGuest) -> bytes | int:
        """What of a message the guest is run with: the whole, or the length of a large one, which it has."""
        if isinstance(message, bytes) and len(message) <= _AT_ONCE:
            return message
        parts = [message] if isinstance(message, bytes) else message
        if sum(map(len, parts)) <= _AT_ONCE:
            return b"".join(parts)
        self._between_runs = False
        try:
            delivered: int = await in_turns(self.sandbox.deliver(parts, self._hard_fuel(execution)))
            return delivered
        finally:
            self._between_runs = True

    async def _drive(self, execution: ActiveExecution, message: ToGuest | None) -> Outcome:
        sandbox, requests = self.sandbox, self.requests
        self._turn_ends = time.monotonic() + TURN_S
        journal, most = self._journal, None
        ready = message is not None or self._status is not GuestStatus.SUSPENDED
        if message is None and execution.done is not None:  # it came to its end before it was taken up again
            return self._ended(execution)
        while True:
            if ready:
                given: bytes | int | None = None
                ran = False
                try:
                    if self._holders or sandbox.frozen_bytes > _AT_ONCE:
                        await self._made_ready()
                    if message is not None:
                        given = await self._delivered(execution, message)
                    if journal is not None:
                        journal.run(_joined(message), self._by_rule())
                        ran = True
                    status = sandbox.run(
                        given, SLICE_STEPS, self._hard_fuel(execution), self._wall(execution)
                    )
                except MessageTooLarge as error:
                    if journal is not None and ran:
                        journal.not_run()
                    if execution.interrupted or message is None:
                        return await self._lost(
                            execution, InstanceLost("trap", "the guest has no room for a message")
                        )
                    self._too_large(execution, error)
                    message = self._interrupt(execution)
                    continue
                except InstanceLost as crash:
                    execution.charge(sandbox.fuel_used)
                    return await self._lost(execution, crash)
                execution.charge(sandbox.fuel_used)
                self._replay_log.add(given, SLICE_STEPS, sandbox.fuel_used)
                # A guest that waited, or began, takes its message at once; one in the middle of a slice
                # when it can, and says so.
                in_slice = message is not None and self._status is GuestStatus.PREEMPTED
                self._unread = status == GuestStatus.PREEMPTED and (self._unread or in_slice)
                message = None
                try:
                    self._status = _STATUSES[status]
                    outbox = sandbox.outbox_up_to(_AT_ONCE)
                    if outbox is None:
                        await self._read_large_outbox(execution)
                    else:
                        self._read_outbox(execution, outbox)
                    if self._meter.memory.shared:
                        self.note_memory()
                except KeyError:
                    return await self._lost(
                        execution, InstanceLost("trap", f"the guest has no status {status}")
                    )
                except InstanceLost as crash:
                    return await self._lost(execution, crash)
                except LimitExceeded as limit:
                    execution.end_by(limit)
                if self._status is GuestStatus.DONE:
                    if requests.backlog:
                        await self._serve_the_rest(execution)
                    return self._ended(execution)
                if self._status is GuestStatus.FAILED:
                    return await self._lost(execution, InstanceLost("trap", _why(execution)))
                if execution.interrupted:
                    execution.interrupt()
                    if execution.interrupted > self._interrupt_slices():
                        return await self._lost(
                            execution, InstanceLost("trap", "the guest does not react to an interrupt")
                        )
                    if time.monotonic() >= self._turn_ends:
                        await self._turn()
                    continue
            now = time.monotonic()
            execution.check(now)
            if requests.backlog and not execution.ending:
                requests.serve(self._turn_ends)
                now = time.monotonic()
                execution.check(now)
            if now >= self._turn_ends:
                await self._turn()
                if requests.backlog and not execution.ending:
                    # All that can be served is, before the guest goes on: which replies come together
                    # is not the clock's to say.
                    ready = False
                    continue
            ready = True
            if journal is not None and requests.replies_due and not self._unread and not execution.ending:
                most = await self._journalled(journal, execution)
            if execution.ending:
                message = self._interrupt(execution)
            elif requests.replies_due and not self._unread:
                message = self._take_replies(execution, most)
            elif self._status is GuestStatus.PREEMPTED:
                await self._turn()
                message = None if self._unread else protocol.TICK
            else:
                ready = False
                if not requests.backlog:
                    if not requests.live and not requests.replies_due:
                        return await self._lost(
                            execution, InstanceLost("trap", "the guest waits for nothing")
                        )
                    await self._wait(execution)

    async def _made_ready(self) -> None:
        """Wait until nobody copies the guest's memory; then wake a large guest in turns."""
        await self._free()
        await in_turns(self.sandbox.wake_in_turns())

    async def _serve_the_rest(self, execution: ActiveExecution) -> None:
        """Begin what the program asked for at last: it goes on, for the next execution to await."""
        requests = self.requests
        if execution.done is None or execution.done.status != "ok":
            return
        while requests.backlog and not execution.ending:
            requests.serve(self._turn_ends)
            if time.monotonic() >= self._turn_ends:
                await self._turn()

    def _hard_fuel(self, execution: ActiveExecution) -> int:
        """Where the hard trap stands: beyond the limit, which is looked at after every slice."""
        account = execution.account
        left = account.limit - account.used
        return (left if left > 0 else 0) + _FUEL_RESERVE

    def _wall(self, execution: ActiveExecution) -> float:
        if execution.interrupted:
            return SLICE_WALL_S
        left = execution.time_left() + 1.0
        return left if left < SLICE_WALL_S else SLICE_WALL_S

    async def _turn(self) -> None:
        """Let everybody else have a turn."""
        await asyncio.sleep(0)
        self._turn_ends = time.monotonic() + TURN_S

    async def _wait(self, execution: ActiveExecution) -> None:
        """Until a reply, a limit, or a cancellation has come."""
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        execution.start_clock(self._too_late)
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._turn_ends = time.monotonic() + TURN_S

    def _too_late(self, execution: ActiveExecution) -> None:
        if execution is self.execution:
            execution.end_by(execution.too_late())
            self._wake()

    def _limit_fired(self, limit: LimitExceeded) -> None:
        if self.execution is not None:
            self.execution.end_by(limit)
            self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def cancel(self) -> None:
        """End the running execution; its Result says "cancelled"."""
        if self.execution is not None:
            self.execution.cancel()
            self._wake()

    def time_left(self) -> float | None:
        """Seconds until the running execution's timeout."""
        execution = self.execution
        return None if execution is None else execution.time_left() or 0.001

    def fuel_left(self) -> int:
        """Fuel until the running execution's limit."""
        return self.limits.fuel if self.execution is None else self.execution.account.left

    def fuel_account(self) -> FuelAccount:
        """The running execution's, for what it begins."""
        return FuelAccount(self.limits.fuel) if self.execution is None else self.execution.account

    def note_memory(self) -> None:
        """Tell the pool how much memory this guest has. Raises LimitExceeded."""
        self._meter.memory.update(id(self), self.sandbox.memory_bytes() - self._engine.image_size)

    def charge(self, fuel: int) -> None:
        """Fuel that was used outside of this guest, by Python or by the host."""
        execution = self.execution
        if execution is not None:
            execution.charge(fuel)

    # ---- endings

    def _interrupt(self, execution: ActiveExecution) -> bytes:
        execution.interrupt()
        self.requests.cancel_all()
        if self._journal is not None:
            self._journal.replaced()
        return protocol.INTERRUPT

    def _ended(self, execution: ActiveExecution) -> Outcome:
        done = execution.done or Done("error", error=protocol.ErrorReport("exn:fail", "no outcome"))
        execution.check(None)  # a program that came to its end in time is in time
        if execution.limit is not None:
            done = limit_report(execution.limit)
        elif execution.cancelled and execution.interrupted:
            done = CANCELLED
        if done.status != "ok" and not execution.undone:
            self.requests.cancel_all()
        return Outcome(done, execution, rolled_back=execution.undone)

    async def _lost(self, execution: ActiveExecution, crash: InstanceLost) -> Outcome:
        """The instance is gone or broken: go back to where the execution began."""
        with self._held():
            await in_turns(self._rollback(execution))
        return Outcome(self._report(execution, crash), execution, rolled_back=True)

    @staticmethod
    def _report(execution: ActiveExecution, crash: InstanceLost) -> Done:
        """Why an execution is undone."""
        if execution.limit is not None:
            return limit_report(execution.limit)
        if execution.cancelled:
            return CANCELLED
        if crash.reason == "fuel":
            account = execution.account
            return limit_report(LimitExceeded("fuel", max(account.used, account.limit), account.limit))
        if crash.reason == "timeout":
            return limit_report(execution.too_late())
        message = f"the sandbox crashed: {crash}"
        return Done("error", error=protocol.ErrorReport("sandbox-crashed", message))

    def _rollback(self, execution: ActiveExecution) -> Generator[None, None, None]:
        requests = self.requests
        if self._journal is not None:
            self._journal.abandon()
        requests.cancel_all(from_id=execution.first_id)
        yield from self.sandbox.close_in_turns()
        log = self._replay_log
        try:
            self.sandbox = yield from log.rebuild(self._engine, self._memory_limit)
            if log.in_execution and not self._end_at_once():
                raise InstanceLost("trap", "the guest does not react to an interrupt")
        except (InstanceLost, MessageTooLarge) as error:
            raise InternalError(f"the session cannot be brought back: {error}") from error
        if log.in_execution:  # there is no state before that execution: it is over, and what it asked for
            requests.cancel_all()
        else:
            requests.give_back(execution.redeliver)
        self._status = GuestStatus.DONE
        self._unread = False

    def _interrupt_slices(self) -> int:
        return _INTERRUPT_SLICES + self.sandbox.memory_bytes() // _COLLECTED_BYTES

    def _end_at_once(self) -> bool:
        """Tell the guest to end its execution, here and now: whether it did."""
        message: bytes | None = protocol.INTERRUPT
        for _ in range(self._interrupt_slices()):
            status = self._run_aside(message)
            message = None
            if status == GuestStatus.DONE:
                self._status = GuestStatus.DONE
                self._unread = False
                return True
        return False

    def _abandon(self, execution: ActiveExecution) -> None:
        """The task that executes was cancelled, or something of ours broke: end it here and now."""
        if self._journal is not None:
            self._journal.abandon()
        self.requests.cancel_all()
        if self._status is GuestStatus.DONE and execution.done is not None:
            return
        try:
            if self._end_at_once():
                return
        except (InstanceLost, MessageTooLarge, InternalError):
            pass
        at_once(self._rollback(execution))

    def reset(self) -> None:
        """A fresh guest in this one's place."""
        self.close()
        self._status = GuestStatus.DONE
        self._unread = False
        self._replay_log = ReplayLog()
        self.sandbox = Sandbox(self._engine, self._memory_limit)
        self.requests.forget_ids()

    async def aclose(self) -> None:
        """As ``close``; a large memory goes back to the system in turns."""
        if self._holders:
            await self._free()
        if self.sandbox.is_large:
            await in_turns(self.sandbox.close_in_turns())
        self.close()

    def close(self) -> None:
        """Cancel what is in flight and drop the instance."""
        self.execution = None
        self.requests.cancel_all()
        self.sandbox.close()
        self._meter.memory.leave(id(self))

    # ---- what the guest said

    def _read_outbox(self, execution: ActiveExecution, outbox: bytes) -> None:
        if self._journal is not None:
            self._journal.said(outbox, self.sandbox.fuel_used)
        if not outbox:
            return
        execution.charge(len(outbox) * FUEL_A_BYTE)
        try:
            for message in protocol.messages(outbox):
                self._serve(execution, message)
        except Unencodable as error:
            self.sandbox.close()
            raise InstanceLost("trap", f"the guest sent a malformed message: {error}") from error

    async def _read_large_outbox(self, execution: ActiveExecution) -> None:
        """What does not fit into a turn. Until all of it is served no snapshot is taken."""
        self._between_runs = False
        try:
            outbox = await in_turns(self.sandbox.outbox_in_turns())
            if self._journal is not None:
                self._journal.said(outbox, self.sandbox.fuel_used)
            execution.charge(len(outbox) * FUEL_A_BYTE)
            for message in await in_turns(protocol.messages_in_turns(outbox)):
                self._serve(execution, message)
                if time.monotonic() >= self._turn_ends:
                    await self._turn()
        except Unencodable as error:
            self.sandbox.close()
            raise InstanceLost("trap", f"the guest sent a malformed message: {error}") from error
        finally:
            self._between_runs = True

    def _serve(self, execution: ActiveExecution, message: protocol.Message) -> None:
        if isinstance(message, Done):
            execution.finish(message)
        elif isinstance(message, Call):
            self.requests.admit(message)
        elif isinstance(message, protocol.Acknowledged):
            self._unread = False
        elif isinstance(message, Output):
            kept = (execution.out if message.stream == "out" else execution.err).add(message.text)
            if kept:  # what is beyond output_bytes is not said elsewhere either
                self._observe(message if kept is message.text else Output(message.stream, kept))
        elif isinstance(message, Logged | Traced | Counted):
            self._observe(message)
        elif isinstance(message, protocol.Warned):
            execution.warn(message.text)
        elif isinstance(message, protocol.Cancelled):
            self.requests.cancel(message.id)
        else:
            execution.finish(Done("error", error=protocol.ErrorReport(message=message.text)))

    async def _journalled(self, journal: Journal, execution: ActiveExecution) -> int:
        """Write which replies the guest takes next, before it does: how many."""
        ids = self.requests.next_ids()
        await journal.deliver(ids, execution.fuel, execution.account.used, execution.elapsed())
        self._turn_ends = time.monotonic() + TURN_S
        return len(ids)

    def _take_replies(self, execution: ActiveExecution, most: int | None = None) -> ToGuest:
        batch = self.requests.take(most)
        first = execution.first_id
        if batch[0][0] < first or len(batch) > 1:
            self._keep(execution, [item for item in batch if item[0] < first])
        return protocol.replies_in_parts([encoded for _, encoded in batch])

    def _keep(self, execution: ActiveExecution, replies: list[tuple[int, bytes]]) -> None:
        """An earlier execution's replies are due again after a rollback: until then they are held."""
        try:
            self.requests.keep(replies)
        except LimitExceeded as limit:
            execution.end_by(limit)
        else:
            execution.redeliver.extend(replies)

    def _too_large(self, execution: ActiveExecution, error: MessageTooLarge) -> None:
        most = self.limits.memory_bytes
        execution.end_by(
            LimitExceeded("memory_bytes", max(self.sandbox.heap_used() + error.length, most), most)
        )

    # ---- snapshots

    async def captured(self, state: Callable[[SchedulerState], T]) -> tuple[MemoryImage, T]:
        """The guest's memory, and what ``state`` makes of the host's side, of one moment.

        A large memory is copied in turns; the guest waits meanwhile, and nobody else does. Raises
        InternalError where the session was closed meanwhile.
        """
        while True:
            while not self._between_runs or (self._journal is not None and self._journal.delivering):
                await asyncio.sleep(0)
            sandbox, runs, made = self.sandbox, self.sandbox.runs, state(self.to_state())
            self._holders += 1
            try:
                image = await in_turns(sandbox.capture_in_turns())
            finally:
                self._holders -= 1
            if sandbox is self.sandbox and runs == sandbox.runs:  # nobody had to end it at once
                return image, made

    async def sleep(self) -> None:
        """Keep the memory compressed, in turns, until the guest is run again. Only where nothing runs."""
        await self._free()
        if self.execution is None and self._status is GuestStatus.DONE:
            with self._held():
                image = await in_turns(self.sandbox.sleep_in_turns())
                if image is not None:
                    self._replay_log.rest(image)

    def to_state(self) -> SchedulerState:
        """The host's side of the guest. An execution that has not begun yet, or is over, is no part of it."""
        execution = None if self._status is GuestStatus.DONE else self.execution
        return SchedulerState(
            int(self._status),
            self._unread,
            self.requests.to_state(),
            None if execution is None else execution.to_state(),
        )

    def from_state(self, state: SchedulerState) -> None:
        """Take over what ``to_state`` gave; ``requests.send_again`` starts what was in flight.

        Raises SnapshotCorrupt for what could not have come about, LimitExceeded for no room.
        """
        running = state.execution is not None
        if state.status not in ((GuestStatus.SUSPENDED, GuestStatus.PREEMPTED) if running else (0,)):
            raise SnapshotCorrupt(f"the snapshot's guest has status {state.status}, which cannot be")
        self._status = GuestStatus(state.status)
        self._unread = state.unread
        self.requests.from_state(state.requests)
        if state.execution is not None:
            self.execution = ActiveExecution.from_state(state.execution, self.limits, self._account)
            self._replay_log = ReplayLog(self._replay_log.base, in_execution=True)

    # ---- once more, by a journal

    def replay_rule(self) -> None:
        """See Replayed: a tick, or what belongs to no execution."""
        self._check_goes_on()
        if self.execution is None:
            self._run_aside(None)
        else:
            self._run_again(self._by_rule())

    def _check_goes_on(self) -> None:
        """A limit that fires now fired then, too: the guest was told to end next."""
        if self.execution is not None and self.execution.limit is not None and not self.execution.interrupted:
            raise diverged(None, str(self.execution.limit))

    def replay_evaluate(
        self, message: bytes, ids: Sequence[int], timeout_s: float, *, refused: bool = False
    ) -> None:
        """See Replayed."""
        if self.execution is not None:
            raise diverged(None, "an execution begins where another one has not ended")
        if self._replay_log.due:
            self._replay_log.rest(at_once(self.sandbox.capture_in_turns()))
        self._replay_log.begin()
        self.execution = execution = ActiveExecution(
            replace(self.limits, timeout_s=min(timeout_s, self.limits.timeout_s)),
            BoundedText(self.limits.output_bytes),
            BoundedText(self.limits.output_bytes),
            self.requests.last_id + 1,
            self._account if self._account is not None else FuelAccount(self.limits.fuel),
        )
        self._keep(execution, self.requests.take_again(ids))
        if refused:
            self._too_large(execution, MessageTooLarge(len(message)))
        else:
            self._run_again(message)

    def replay_take(self, ids: Sequence[int], fuel: int, account: int, elapsed_s: float) -> None:
        """See Replayed."""
        execution = self.execution
        if execution is None:
            raise diverged(None, "replies are taken where no execution is under way")
        self._check_goes_on()
        execution.stands_at(fuel, account, elapsed_s)
        batch = self.requests.take_again(ids)
        self._keep(execution, [item for item in batch if item[0] < execution.first_id])
        self._run_again(protocol.replies_of([encoded for _, encoded in batch]))

    def replay_message(self, message: bytes | None) -> None:
        """See Replayed."""
        if self.execution is None:
            self._run_aside(message)
            return
        if message == protocol.INTERRUPT:
            self.execution.interrupt()
            self.requests.cancel_all()
        self._run_again(message)

    def replay_answer(self, id_: int, encoded: bytes) -> None:
        """See Replayed."""
        self.requests.answered_before(id_, encoded)

    def replay_end(self, status: str) -> None:
        """The execution was over, with that status."""
        execution, journal = self.execution, self._journal
        if execution is None and journal is not None and journal.untouched:
            return  # the snapshot is of the moment between its end and the note of that
        if execution is None or self._status is not GuestStatus.DONE:
            raise diverged(None, "the program ended, and now it does not")
        if status != "ok":
            self.requests.cancel_all()
        self.requests.drop(execution.redeliver)
        self.execution = None

    def end_suspended(self) -> None:
        """Give up the execution that a snapshot was taken of; what it defined until then stays.

        Raises InternalError where the guest does not react.
        """
        self.requests.cancel_all()
        if self._status is not GuestStatus.DONE and not self._end_at_once():
            raise InternalError("the guest does not react to an interrupt")
        self.execution = None

    def _run_again(self, message: bytes | None) -> None:
        execution, journal = self.execution, self._journal
        assert execution is not None
        assert journal is not None
        if execution.done is not None:
            raise diverged(None, "the program has ended where it went on")
        if message is None and self._status is GuestStatus.SUSPENDED:
            raise diverged(None, "the program waits where it did not")
        in_slice = message is not None and self._status is GuestStatus.PREEMPTED
        journal.run(message, message)
        try:
            status = self.sandbox.run(message, SLICE_STEPS, self._hard_fuel(execution))
            execution.charge(self.sandbox.fuel_used)
            self._replay_log.add(message, SLICE_STEPS, self.sandbox.fuel_used)
            self._unread = status == GuestStatus.PREEMPTED and (self._unread or in_slice)
            self._status = GuestStatus(status)
            self._read_outbox(execution, self.sandbox.outbox())
        except LimitExceeded as limit:  # as it was then: an interrupt comes next, or by ``resume``
            execution.end_by(limit)
        except MessageTooLarge as error:
            journal.not_run()
            self._too_large(execution, error)
        except InstanceLost as crash:
            self._lost_again(execution, crash)
        except ValueError as error:
            raise diverged(None, str(error)) from error
        if self._status is GuestStatus.FAILED:
            self._lost_again(execution, InstanceLost("trap", _why(execution)))

    def _lost_again(self, execution: ActiveExecution, crash: InstanceLost) -> None:
        """The instance was lost then, too, and no snapshot says so: ``resume`` does."""
        execution.charge(self.sandbox.fuel_used)
        at_once(self._rollback(execution))
        execution.undo(self._report(execution, crash))


def _joined(message: ToGuest | None) -> bytes | None:
    return message if message is None or isinstance(message, bytes) else b"".join(message)


_STATUSES = {int(status): status for status in GuestStatus}


def _why(execution: ActiveExecution) -> str:
    error = None if execution.done is None else execution.done.error
    return "the guest gave up" if error is None else error.message
