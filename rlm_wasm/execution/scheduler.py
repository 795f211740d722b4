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
from collections.abc import Callable, Mapping
from typing import Any

from rlm_wasm.capabilities.table import Handler
from rlm_wasm.errors import (
    InstanceLost,
    InternalError,
    LimitExceeded,
    MessageTooLarge,
    SnapshotCorrupt,
    Unencodable,
)
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
from rlm_wasm.sandbox.protocol import Call, Counted, Done, GuestStatus, Logged, Output, Traced
from rlm_wasm.sandbox.sandbox import SLICE_WALL_S, Sandbox
from rlm_wasm.sandbox.snapshot import MemoryImage
from rlm_wasm.turns import TURN_S

SLICE_STEPS = 100_000
"""VM steps between two turns of the event loop: a few milliseconds. A constant, so that the same
program with the same replies takes the same course, and the same fuel, under every limit and on every
machine."""

HEAVY_FUEL = 20_000_000
"""An execution of so much fuel may have left memory behind that nobody needs."""

_FUEL_RESERVE = 4_000_000_000
"""Above an execution's limit stands this much before the hard trap: a slice always fits."""

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
    ) -> None:
        self._engine = engine
        self.limits = limits
        self._meter = meter
        self._observe = observe
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
            recorder=recorder,
        )

    # ---- executions

    async def execute(self, message: Callable[[], bytes], limits: Limits) -> Outcome:
        """Run one program. ``message`` makes the eval message, replies that are due included."""
        self._replay_log.begin(self.sandbox)
        self.execution = execution = ActiveExecution(
            limits,
            BoundedText(limits.output_bytes),
            BoundedText(limits.output_bytes),
            self.requests.last_id + 1,
            self._account if self._account is not None else FuelAccount(limits.fuel),
        )
        return await self._guarded(execution, message())

    async def resume(self, limits: Limits) -> Outcome:
        """Go on with the execution that a snapshot was taken of."""
        execution = self.execution
        assert execution is not None
        execution.run_under(limits)
        return await self._guarded(execution, None)

    async def _guarded(self, execution: ActiveExecution, message: bytes | None) -> Outcome:
        completed = False
        try:
            outcome = await self._drive(execution, message)
            completed = True
            self.sandbox.give_back(worked=execution.fuel >= HEAVY_FUEL)
            return outcome
        finally:
            execution.stop_clock()
            if not completed:
                self._abandon(execution)
            if execution.redeliver:
                self.requests.drop(execution.redeliver)
            self.execution = None
            self._waiter = None

    def definitions(self) -> list[str] | None:
        """The names that programs have defined; None where the guest cannot say so at once."""
        message: bytes | None = protocol.DEFINITIONS
        for _ in range(_INTERRUPT_SLICES):
            try:
                status = self._run_aside(message)
                said = protocol.messages(self.sandbox.outbox()) if status == GuestStatus.DONE else []
            except (MessageTooLarge, Unencodable):
                return None
            message = None
            if status == GuestStatus.DONE:
                for item in said:
                    if isinstance(item, Done):
                        names = protocol.data_of(item.data)
                        return (
                            [name for name in names if isinstance(name, str)] if type(names) is list else []
                        )
                break
        return None

    def _run_aside(self, message: bytes | None) -> int:
        """A run of the guest that belongs to no execution."""
        status = self.sandbox.run(message, SLICE_STEPS, _FUEL_RESERVE)
        self._replay_log.add(message, SLICE_STEPS, self.sandbox.fuel_used)
        return status

    def due_replies(self) -> list[Any]:
        """Replies to calls that an earlier execution left, for the eval message."""
        if not self.requests.replies_due:
            return []
        taken = self.requests.take()
        if self.execution is not None:
            self._keep(self.execution, taken)
        return [protocol.decode(encoded) for _, encoded in taken]

    async def _drive(self, execution: ActiveExecution, message: bytes | None) -> Outcome:
        sandbox, requests = self.sandbox, self.requests
        self._turn_ends = time.monotonic() + TURN_S
        ready = message is not None or self._status is not GuestStatus.SUSPENDED
        while True:
            if ready:
                try:
                    status = sandbox.run(
                        message, SLICE_STEPS, self._hard_fuel(execution), self._wall(execution)
                    )
                except MessageTooLarge as error:
                    if execution.interrupted or message is None:
                        return self._lost(
                            execution, InstanceLost("trap", "the guest has no room for a message")
                        )
                    message = self._too_large(execution, error)
                    continue
                except InstanceLost as crash:
                    execution.charge(sandbox.fuel_used)
                    return self._lost(execution, crash)
                execution.charge(sandbox.fuel_used)
                self._replay_log.add(message, SLICE_STEPS, sandbox.fuel_used)
                # A guest that waited, or began, takes its message at once; one in the middle of a slice
                # when it can, and says so.
                in_slice = message is not None and self._status is GuestStatus.PREEMPTED
                self._unread = status == GuestStatus.PREEMPTED and (self._unread or in_slice)
                message = None
                try:
                    self._status = _STATUSES[status]
                    self._read_outbox(execution)
                    if self._meter.memory.shared:
                        self.note_memory()
                except KeyError:
                    return self._lost(execution, InstanceLost("trap", f"the guest has no status {status}"))
                except InstanceLost as crash:
                    return self._lost(execution, crash)
                except LimitExceeded as limit:
                    execution.end_by(limit)
                if self._status is GuestStatus.DONE:
                    if requests.backlog:
                        await self._serve_the_rest(execution)
                    return self._ended(execution)
                if self._status is GuestStatus.FAILED:
                    return self._lost(execution, InstanceLost("trap", _why(execution)))
                if execution.interrupted:
                    execution.interrupt()
                    if execution.interrupted > self._interrupt_slices():
                        return self._lost(
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
            if execution.ending:
                message = self._interrupt(execution)
            elif requests.replies_due and not self._unread:
                message = self._take_replies(execution)
            elif self._status is GuestStatus.PREEMPTED:
                await self._turn()
                message = None if self._unread else protocol.TICK
            else:
                ready = False
                if not requests.backlog:
                    if not requests.live and not requests.replies_due:
                        return self._lost(execution, InstanceLost("trap", "the guest waits for nothing"))
                    await self._wait(execution)

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
        return execution.account.left + _FUEL_RESERVE

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
        if self.execution is not None:
            self.execution.charge(fuel)

    # ---- endings

    def _interrupt(self, execution: ActiveExecution) -> bytes:
        execution.interrupt()
        self.requests.cancel_all()
        return protocol.INTERRUPT

    def _ended(self, execution: ActiveExecution) -> Outcome:
        done = execution.done or Done("error", error=protocol.ErrorReport("exn:fail", "no outcome"))
        execution.check(None)  # a program that came to its end in time is in time
        if execution.limit is not None:
            done = limit_report(execution.limit)
        elif execution.cancelled and execution.interrupted:
            done = CANCELLED
        if done.status != "ok":
            self.requests.cancel_all()
        return Outcome(done, execution)

    def _lost(self, execution: ActiveExecution, crash: InstanceLost) -> Outcome:
        """The instance is gone or broken: go back to where the execution began."""
        self._rollback(execution)
        if execution.limit is not None:
            done = limit_report(execution.limit)
        elif execution.cancelled:
            done = CANCELLED
        elif crash.reason == "fuel":
            account = execution.account
            done = limit_report(LimitExceeded("fuel", max(account.used, account.limit), account.limit))
        elif crash.reason == "timeout":
            done = limit_report(execution.too_late())
        else:
            message = f"the sandbox crashed: {crash}"
            done = Done("error", error=protocol.ErrorReport("sandbox-crashed", message))
        return Outcome(done, execution, rolled_back=True)

    def _rollback(self, execution: ActiveExecution) -> None:
        requests = self.requests
        requests.cancel_all(from_id=execution.first_id)
        self.sandbox.close()
        log = self._replay_log
        try:
            self.sandbox = log.rebuild(self._engine, self._memory_limit)
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
        self.requests.cancel_all()
        if self._status is GuestStatus.DONE and execution.done is not None:
            return
        try:
            if self._end_at_once():
                return
        except (InstanceLost, MessageTooLarge, InternalError):
            pass
        self._rollback(execution)

    def reset(self) -> None:
        """A fresh guest in this one's place."""
        self.close()
        self._status = GuestStatus.DONE
        self._unread = False
        self._replay_log = ReplayLog()
        self.sandbox = Sandbox(self._engine, self._memory_limit)
        self.requests.forget_ids()

    def close(self) -> None:
        """Cancel what is in flight and drop the instance."""
        self.execution = None
        self.requests.cancel_all()
        self.sandbox.close()
        self._meter.memory.leave(id(self))

    # ---- what the guest said

    def _read_outbox(self, execution: ActiveExecution) -> None:
        outbox = self.sandbox.outbox()
        if not outbox:
            return
        execution.charge(len(outbox) * FUEL_A_BYTE)
        try:
            for message in protocol.messages(outbox):
                self._serve(execution, message)
        except Unencodable as error:
            self.sandbox.close()
            raise InstanceLost("trap", f"the guest sent a malformed message: {error}") from error

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

    def _take_replies(self, execution: ActiveExecution) -> bytes:
        batch = self.requests.take()
        first = execution.first_id
        if batch[0][0] < first or len(batch) > 1:
            self._keep(execution, [item for item in batch if item[0] < first])
        return protocol.replies_of([encoded for _, encoded in batch])

    def _keep(self, execution: ActiveExecution, replies: list[tuple[int, bytes]]) -> None:
        """An earlier execution's replies are due again after a rollback: until then they are held."""
        try:
            self.requests.keep(replies)
        except LimitExceeded as limit:
            execution.end_by(limit)
        else:
            execution.redeliver.extend(replies)

    def _too_large(self, execution: ActiveExecution, error: MessageTooLarge) -> bytes:
        most = self.limits.memory_bytes
        execution.end_by(
            LimitExceeded("memory_bytes", max(self.sandbox.heap_used() + error.length, most), most)
        )
        return self._interrupt(execution)

    # ---- snapshots

    def to_state(self) -> SchedulerState:
        """The host's side of the guest."""
        execution = self.execution
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
            self.execution = ActiveExecution.from_state(state.execution, self.limits)
            self._replay_log = ReplayLog(self._replay_log.base, in_execution=True)


_STATUSES = {int(status): status for status in GuestStatus}


def _why(execution: ActiveExecution) -> str:
    error = None if execution.done is None else execution.done.error
    return "the guest gave up" if error is None else error.message
