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
from collections.abc import Awaitable, Callable, Collection, Coroutine, Generator, Mapping
from contextlib import nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from rlm_wasm.capabilities.table import Handler
from rlm_wasm.errors import (
    InstanceLost,
    InternalError,
    LimitExceeded,
    MessageTooLarge,
    SnapshotCorrupt,
    Unencodable,
)
from rlm_wasm.execution import state as states
from rlm_wasm.execution.guest import (
    AT_ONCE,
    HEAVY_FUEL,
    SLICE_FUEL,
    Guest,
    ToGuest,
)
from rlm_wasm.execution.meter import FUEL_A_BYTE, FuelAccount, Meter
from rlm_wasm.execution.outcome import CANCELLED, ActiveExecution, Outcome, limit_report
from rlm_wasm.execution.requests import HostRequest, HostRequests
from rlm_wasm.limits import Limits
from rlm_wasm.runlog.stream import Recorder
from rlm_wasm.sandbox import protocol
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.pages import at_once
from rlm_wasm.sandbox.protocol import Call, Counted, Done, GuestStatus, Logged, LongOutput, Output, Traced
from rlm_wasm.turns import TURN_S, Share, in_turns

if TYPE_CHECKING:
    from rlm_wasm.execution.journal import Journal
    from rlm_wasm.sandbox.snapshot import Image, PackedImage

T = TypeVar("T")

SETTLED_AFTER_S = 0.05
"""Seconds that a session has rested before it does what its executions have left to do."""


class Idle(Protocol):
    """Who is told of guests that wait in the middle of an execution."""

    def waits(self, who: object, size: int, sleep: Callable[[], Awaitable[None]]) -> None:
        """It holds so many bytes; ``sleep`` gives them back."""

    def used(self, who: object) -> None:
        """It goes on."""


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
        memory: Image | PackedImage | None = None,
        journal: Journal | None = None,
        effects: Collection[str] = (),
        idle: Idle | None = None,
    ) -> None:
        self.limits = limits
        self._idle = idle
        """Puts guests to sleep that wait, where they hold too much."""
        self._meter = meter
        self._observe = observe
        self._journal = journal
        self._given: list[int] = []
        """Of which requests the replies stand in the last ``eval`` message."""
        self._account = account
        """The parent's, where there is one; else every execution has its own."""
        self.guest = Guest(engine, limits, meter, memory, journal)
        self._waiter: asyncio.Future[None] | None = None
        self._turn_ends = 0.0
        self._settling: asyncio.TimerHandle | None = None
        """While nothing runs: when what is left to do is done."""
        self._settler: asyncio.Task[None] | None = None
        self.execution: ActiveExecution | None = None
        """The one under way, or the one that a snapshot was taken of and that waits to be resumed."""
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
            in_transit=self.guest.in_transit,
        )

    # ---- executions

    def execute(
        self, source: str, name: str, options: dict[str, Any], limits: Limits
    ) -> Outcome | Coroutine[Any, Any, Outcome]:
        """Run one program: how it ended, or what has to be awaited for that.

        Most come to their end in their first slice, and say nothing but their value: that needs no turn of
        the event loop, and none of what waits, cancels and serves.
        """
        execution = self.begun(limits)
        guest, requests = self.guest, self.requests
        if (
            self._journal is not None
            or not guest.is_ready
            or requests.replies_due
            or requests.backlog
            or self._meter.memory.shared
        ):
            return self._execute(execution, source, name, options)
        guest.log.begin()
        message = protocol.evaluate(source, name, options)
        if len(message) > AT_ONCE:
            return self._guarded(execution, self._drive(execution, message))
        return self._first_slice(execution, message)

    def _first_slice(
        self, execution: ActiveExecution, message: bytes
    ) -> Outcome | Coroutine[Any, Any, Outcome]:
        guest, sandbox = self.guest, self.guest.sandbox
        goes_on: Coroutine[Any, Any, Outcome] | None = None
        outcome: Outcome | None = None
        try:
            outbox: bytes | None = None
            try:
                status = guest.run(message)
                if status == GuestStatus.DONE and sandbox.fuel_used < HEAVY_FUEL:
                    outbox = sandbox.outbox_up_to(AT_ONCE)
            except MessageTooLarge:  # it is the second time, too, and then it ends the execution
                goes_on = self._drive(execution, message)
                return self._guarded(execution, goes_on)
            except InstanceLost as crash:
                execution.charge(sandbox.fuel_used)
                goes_on = self._lost(execution, crash)
                return self._guarded(execution, goes_on)
            done = None if outbox is None else protocol.plain_done(outbox)
            if outbox is None or done is None:
                goes_on = self._drive(execution, message, status)
                return self._guarded(execution, goes_on)
            guest.ran(message, status)
            execution.charge(sandbox.fuel_used + len(outbox) * FUEL_A_BYTE)
            execution.finish(done)
            outcome = self._ended(execution)
            guest.rests()
            return outcome
        finally:
            if goes_on is None:
                if outcome is None:
                    self._abandon(execution)
                self._over(execution)

    async def _execute(
        self, execution: ActiveExecution, source: str, name: str, options: dict[str, Any]
    ) -> Outcome:
        """The same where something has to be done before, or replies are due to the program at once."""
        guest = self.guest
        if guest.log.overdue or guest.is_held:
            try:
                await guest.begin()
            except BaseException:
                self.execution = None
                raise
        guest.log.begin()
        due = self._due_replies()
        encoded: ToGuest
        if due:
            encoded = protocol.evaluate_with(source, name, options, due)
        else:
            encoded = protocol.evaluate(source, name, options)
        if self._journal is not None:
            if not isinstance(encoded, bytes):
                encoded = protocol.joined(encoded)
            self._journal.evaluate(encoded, self._given, execution.limits.timeout_s)
        return await self._guarded(execution, self._drive(execution, encoded))

    def begun(self, limits: Limits) -> ActiveExecution:
        """An execution, which is now the one under way."""
        if self._settling is not None:
            self._unsettle()
        account = self._account
        if account is None:
            account = FuelAccount(limits.fuel)
        self.execution = execution = ActiveExecution(limits, self.requests.begin(), account)
        return execution

    async def resume(self, limits: Limits) -> Outcome:
        """Go on with the execution that a snapshot was taken of."""
        execution = self.execution
        assert execution is not None
        execution.run_under(limits)
        if execution.ending and execution.done is None:  # a limit fired while it was replayed
            return await self._guarded(execution, self._drive(execution, self._interrupt(execution)))
        return await self._guarded(execution, self._drive(execution, self.guest.by_rule()))

    async def _guarded(self, execution: ActiveExecution, work: Coroutine[Any, Any, Outcome]) -> Outcome:
        completed = False
        try:
            outcome = await work
            completed = True
            await self.guest.give_back(worked=execution.fuel >= HEAVY_FUEL)
            return outcome
        finally:
            if not completed:
                execution.stop_clock()
                self._abandon(execution)
            self._over(execution)

    def _over(self, execution: ActiveExecution) -> None:
        """Nothing of it is under way any longer."""
        execution.stop_clock()
        if execution.redeliver:
            self.requests.drop(execution.redeliver)
        self.execution = None
        self._waiter = None
        if self._journal is not None:
            self._journal.arrived()
        if self.guest.is_unsettled:
            self._settling = asyncio.get_running_loop().call_later(SETTLED_AFTER_S, self._settle)

    def _settle(self) -> None:
        self._settler = asyncio.get_running_loop().create_task(self._settled())

    async def _settled(self) -> None:
        settling = self._settling
        with suppress(InstanceLost, InternalError):  # who needs the guest next finds that out
            await self.guest.settle(lambda: self._settling is settling is not None)

    def _unsettle(self) -> None:
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None

    def _due_replies(self) -> list[protocol.Part]:
        """Replies to calls that an earlier execution left, for the eval message."""
        taken = self.requests.take() if self.requests.replies_due else []
        self._given = [id_ for id_, _ in taken]
        if taken and self.execution is not None:
            self.keep(self.execution, taken)
        return [encoded for _, encoded in taken]

    async def _drive(
        self, execution: ActiveExecution, message: ToGuest | None, ran_first: int | None = None
    ) -> Outcome:
        """``ran_first``: with this message, a small one, it was run already; that gave this status."""
        guest, sandbox, requests = self.guest, self.guest.sandbox, self.requests
        self._turn_ends = time.monotonic() + TURN_S
        journal, count = self._journal, None
        ready = message is not None or guest.status is not GuestStatus.SUSPENDED
        if message is None and execution.done is not None:  # it came to its end before it was taken up again
            return self._ended(execution)
        while True:
            if ready:
                given: bytes | int | None = None
                ran = False
                try:
                    family = self._family
                    if ran_first is None and (
                        guest.needs_preparing or not (family is None or family.is_free)
                    ):
                        # The replies in the message are nowhere else any longer: no snapshot is whole now.
                        with guest.in_transit() if message is not None else nullcontext():
                            if family is not None:
                                await family.begin()
                            await guest.prepare()
                    if type(message) is bytes and len(message) <= AT_ONCE:
                        given = message
                    elif message is not None:
                        given = await guest.delivered(message)
                    if journal is not None:
                        journal.run(_joined(message), guest.by_rule())
                        ran = True
                    if ran_first is None:
                        status = self._slice(given, family)
                    else:
                        status, ran_first = ran_first, None
                except MessageTooLarge as error:
                    if journal is not None and ran:
                        journal.not_run()
                    if execution.interrupted or message is None:
                        return await self._lost(
                            execution, InstanceLost("trap", "the guest has no room for a message")
                        )
                    self.too_large(execution, error)
                    message = self._interrupt(execution)
                    continue
                except InstanceLost as crash:
                    execution.charge(sandbox.fuel_used)
                    return await self._lost(execution, crash)
                execution.charge(sandbox.fuel_used)
                message = None
                try:
                    guest.ran(given, status)
                    outbox = sandbox.outbox_up_to(AT_ONCE)
                    if outbox is None:
                        await self._read_large_outbox(execution)
                    else:
                        self.read_outbox(execution, outbox)
                    if self._meter.memory.shared:
                        guest.note_memory()
                except InstanceLost as crash:
                    return await self._lost(execution, crash)
                except LimitExceeded as limit:
                    execution.end_by(limit)
                if guest.status is GuestStatus.DONE:
                    if requests.backlog:
                        with guest.in_transit():
                            await self._serve_the_rest(execution)
                    return self._ended(execution)
                if guest.status is GuestStatus.FAILED:
                    return await self._lost(execution, gave_up(execution))
                if execution.interrupted:
                    execution.interrupt()
                    if execution.interrupted > guest.interrupt_slices():
                        return await self._lost(
                            execution, InstanceLost("trap", "the guest does not react to an interrupt")
                        )
                    if time.monotonic() >= self._turn_ends:
                        await self._turn()
                    continue
            now = time.monotonic()
            execution.check(now)
            if requests.backlog and not execution.ending:
                self._serve_asked()
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
            if journal is not None and requests.replies_due and not guest.unread and not execution.ending:
                count = await self._journalled(journal, execution)
            if execution.ending:
                message = self._interrupt(execution)
            elif requests.replies_due and not guest.unread:
                message = self._take_replies(execution, count)
            elif guest.status is GuestStatus.PREEMPTED:
                await self._turn()
                message = None if guest.unread else protocol.TICK
            else:
                ready = False
                if not requests.backlog:
                    if not requests.live and not requests.replies_due:
                        return await self._lost(
                            execution, InstanceLost("trap", "the guest waits for nothing")
                        )
                    await self._wait(execution)

    async def _serve_the_rest(self, execution: ActiveExecution) -> None:
        """Begin what the program asked for at last: it goes on, for the next execution to await."""
        requests = self.requests
        if execution.done is None or execution.done.status != "ok":
            return
        while requests.backlog and not execution.ending:
            self._serve_asked()
            if time.monotonic() >= self._turn_ends:
                await self._turn()

    @property
    def _family(self) -> Share | None:
        """Of whose turns its own are a part, where it is not alone."""
        return self._meter.turns if self._meter.memory.shared else None

    def _slice(self, given: bytes | int | None, family: Share | None) -> int:
        if family is None:
            return self.guest.run(given)
        began = time.monotonic()
        try:
            return self.guest.run(given)
        finally:
            family.spend(time.monotonic() - began)

    def _serve_asked(self) -> None:
        """What is asked for, for as long as the turn lasts."""
        family, until = self._family, self._turn_ends
        if family is None:
            self.requests.serve(until)
            return
        began = time.monotonic()
        try:
            self.requests.serve(min(until, began + max(family.left, 0.0)))
        finally:
            family.spend(time.monotonic() - began)

    async def _turn(self) -> None:
        """Let everybody else have a turn."""
        await asyncio.sleep(0)
        self._turn_ends = time.monotonic() + TURN_S

    async def _wait(self, execution: ActiveExecution) -> None:
        """Until a reply, a limit, or a cancellation has come."""
        loop = asyncio.get_running_loop()
        self._waiter = waiter = loop.create_future()
        execution.start_clock(self._too_late)
        idle = self._idle
        if idle is not None:
            idle.waits(self, self.guest.sandbox.touched_bytes(), partial(self._sleep_while, waiter))
        try:
            await waiter
        finally:
            if idle is not None:
                idle.used(self)
            self._waiter = None
            self._turn_ends = time.monotonic() + TURN_S

    async def _sleep_while(self, waiter: asyncio.Future[None]) -> None:
        try:
            await self.guest.sleep_while(lambda: self._waiter is waiter and not waiter.done())
        except (InternalError, InstanceLost):  # it was closed meanwhile, or is damaged: that is found out
            pass

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
        with self.guest.held():
            await in_turns(self.roll_back(execution))
        return Outcome(self.report(execution, crash), execution, rolled_back=True)

    def report(self, execution: ActiveExecution, crash: InstanceLost) -> Done:
        """Why an execution is undone."""
        execution.check(None)
        if execution.limit is not None:
            return limit_report(execution.limit)
        if execution.cancelled:
            return CANCELLED
        if crash.reason == "memory":
            most = self.limits.memory_bytes
            return limit_report(LimitExceeded("memory_bytes", most, most))
        what = f"a time slice took more than {SLICE_FUEL:,} of fuel" if crash.reason == "fuel" else crash
        message = f"the sandbox crashed: {what}"
        return Done("error", error=protocol.ErrorReport("sandbox-crashed", message))

    def roll_back(self, execution: ActiveExecution) -> Generator[None, None, None]:
        """Undo all that the execution did. Raises as ``Guest.go_back`` where that is not possible."""
        requests = self.requests
        if self._journal is not None:
            self._journal.abandon()
        requests.cancel_all(from_id=execution.first_id)
        if (yield from self.guest.go_back()):
            requests.give_back(execution.redeliver)
            requests.back_to(execution.first_id)
        else:  # that execution is over, and what it asked for
            requests.cancel_all()
            requests.back_to_snapshot()

    def _abandon(self, execution: ActiveExecution) -> None:
        """The task that executes was cancelled, or something of ours broke: end it here and now."""
        if self._journal is not None:
            self._journal.abandon()
        self.requests.cancel_all()
        if self._account is not None and self._journal is None:
            return  # a child lives no longer than what is cancelled, and dozens of them may be, all at once
        if self.guest.status is GuestStatus.DONE and execution.done is not None:
            return
        try:
            if self.guest.end_at_once():
                return
        except (InstanceLost, MessageTooLarge, InternalError):
            pass
        at_once(self.roll_back(execution))

    def over(self, *, ok: bool) -> None:
        """The execution came to its end before, as a journal says."""
        assert self.execution is not None
        if not ok:
            self.requests.cancel_all()
        self.requests.drop(self.execution.redeliver)
        self.execution = None

    def end_suspended(self) -> None:
        """Give up the execution that a snapshot was taken of; what it defined until then stays.

        Raises InternalError where the guest does not react.
        """
        self.requests.cancel_all()
        if self.guest.status is not GuestStatus.DONE and not self.guest.end_at_once():
            raise InternalError("the guest does not react to an interrupt")
        self.execution = None

    def reset(self) -> None:
        """A fresh guest in this one's place."""
        self.execution = None
        self.requests.cancel_all()
        self.guest.reset()
        self.requests.forget_ids()

    async def aclose(self) -> None:
        """As ``close``; a large memory goes back to the system in turns."""
        await self.guest.close_in_turns()
        self.close()

    def close(self) -> None:
        """Cancel what is in flight and drop the instance."""
        self._unsettle()
        self.execution = None
        self.requests.cancel_all()
        self.guest.close()

    def let_go(self) -> None:
        """It is closed, and nothing is under way any more."""
        self.requests.let_go()

    # ---- what the guest said

    def read_outbox(self, execution: ActiveExecution, outbox: bytes) -> None:
        """Do what the guest asked for in its last run. Raises InstanceLost, LimitExceeded."""
        if self._journal is not None:
            self._journal.said(outbox, self.guest.sandbox.fuel_used)
        if not outbox:
            return
        execution.charge(len(outbox) * FUEL_A_BYTE)
        try:
            for message in protocol.messages(outbox):
                self._serve(execution, message)
        except Unencodable as error:
            self.guest.sandbox.close()
            raise InstanceLost("trap", f"the guest sent a malformed message: {error}") from error

    async def _read_large_outbox(self, execution: ActiveExecution) -> None:
        """What does not fit into a turn. Until all of it is served no snapshot is taken."""
        guest = self.guest
        try:
            with guest.in_transit():
                outbox = await in_turns(guest.sandbox.outbox_in_turns())
                if self._journal is not None:
                    self._journal.said(outbox, guest.sandbox.fuel_used)
                execution.charge(len(outbox) * FUEL_A_BYTE)
                reading = protocol.messages_in_turns(outbox)
                del outbox  # it goes as soon as it has been read, or its long texts have been served
                for message in await in_turns(reading):
                    for part in message.parts() if isinstance(message, LongOutput) else (message,):
                        self._serve(execution, part)
                        if time.monotonic() >= self._turn_ends:
                            await self._turn()
        except Unencodable as error:
            guest.sandbox.close()
            raise InstanceLost("trap", f"the guest sent a malformed message: {error}") from error

    def _serve(self, execution: ActiveExecution, message: protocol.Message) -> None:
        if isinstance(message, Done):
            execution.finish(message)
        elif isinstance(message, Call):
            self.requests.admit(message)
        elif isinstance(message, protocol.Acknowledged):
            self.guest.acknowledged()
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

    def _take_replies(self, execution: ActiveExecution, max_replies: int | None = None) -> ToGuest:
        batch = self.requests.take(max_replies)
        first = execution.first_id
        if batch[0][0] < first or len(batch) > 1:
            self.keep(execution, [item for item in batch if item[0] < first])
        reply = batch[0][1]
        if len(batch) == 1 and type(reply) is bytes and len(reply) <= AT_ONCE:
            return protocol.one_reply(reply)
        return protocol.replies_in_parts([encoded for _, encoded in batch])

    def keep(self, execution: ActiveExecution, replies: list[tuple[int, protocol.Part]]) -> None:
        """An earlier execution's replies are due again after a rollback: until then they are held."""
        try:
            self.requests.keep(replies)
        except LimitExceeded as limit:
            execution.end_by(limit)
        else:
            execution.redeliver.extend(replies)

    def too_large(self, execution: ActiveExecution, error: MessageTooLarge) -> None:
        """The guest had no room for a message: a limit."""
        limit = self.limits.memory_bytes
        execution.end_by(
            LimitExceeded("memory_bytes", max(self.guest.sandbox.heap_used() + error.length, limit), limit)
        )

    # ---- snapshots

    async def tidy(self) -> None:
        """Collect what nobody needs, where that pays and nothing runs: the memory is about to be copied."""
        if self.execution is None:
            await self.guest.tidy()

    async def sleep(self) -> None:
        """Keep the memory compressed, in turns, until the guest is run again. Only where nothing runs."""
        await self.guest.free()
        if self.execution is None:
            await self.guest.sleep()

    def to_state(self) -> states.SchedulerState:
        """The host's side of the guest. An execution that has not begun yet, or is over, is no part of it."""
        execution = None if self.guest.status is GuestStatus.DONE else self.execution
        return states.SchedulerState(
            int(self.guest.status),
            self.guest.unread,
            self.requests.to_state(),
            None if execution is None else execution.to_state(),
        )

    def from_state(self, state: states.SchedulerState) -> None:
        """Take over what ``to_state`` gave; ``requests.send_again`` starts what was in flight.

        Raises SnapshotCorrupt for what could not have come about, LimitExceeded for no room.
        """
        running = state.execution is not None
        if state.status not in ((GuestStatus.SUSPENDED, GuestStatus.PREEMPTED) if running else (0,)):
            raise SnapshotCorrupt(f"the snapshot's guest has status {state.status}, which cannot be")
        self.guest.adopt(state.status, unread=state.unread, in_execution=running)
        self.requests.from_state(state.requests)
        if state.execution is not None:
            self.execution = ActiveExecution.from_state(state.execution, self.limits, self._account)


def _joined(message: ToGuest | None) -> bytes | None:
    return message if message is None or isinstance(message, bytes) else protocol.joined(message)


def gave_up(execution: ActiveExecution) -> InstanceLost:
    """Why a guest gave up, as it says."""
    error = None if execution.done is None else execution.done.error
    why = "the guest gave up" if error is None else error.message
    return InstanceLost("memory" if why == protocol.NO_MEMORY else "trap", why)
