"""Runs one session's guest: slices, requests, replies, limits, and what happens when any of it ends.

General layout: ``_drive`` is the loop. What the guest asked for is served by ``_serve``, at once
or by a task (``_await``). ``_turn`` and ``_wait`` are the only places where an
execution gives control back to the event loop; between two runs of the guest its memory is
whole, so that anybody may take a snapshot there.

Why an execution stops, and what is left of it:

    it came to its end           calls in flight go on, the next execution can await them
    finish, error, a limit       calls in flight are cancelled; definitions stay
    cancelled                    the same
    the instance trapped         everything that this execution did is undone
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import cbor2

from rlm_wasm.capabilities.table import Handler, condition_of, is_awaitable
from rlm_wasm.errors import (
    CapabilityDenied,
    InstanceLost,
    InternalError,
    LimitExceeded,
    MessageTooLarge,
    Unencodable,
)
from rlm_wasm.limits import Limits
from rlm_wasm.sandbox import protocol
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.protocol import Status
from rlm_wasm.sandbox.sandbox import SLICE_WALL_S, Sandbox
from rlm_wasm.sandbox.snapshot import MemoryImage

SLICE_STEPS = 100_000
"""VM steps between two turns of the event loop: a few milliseconds. A constant, so that the same
program with the same replies takes the same course on every machine."""

TURN_S = 0.005
"""Requests that are served at once may keep the loop this long."""

_FUEL_A_STEP = 300
_FUEL_RESERVE = 4_000_000_000
"""Above an execution's limit stands this much before the hard trap: a slice always fits."""

_INTERRUPT_SLICES = 50
_JOURNAL_BYTES = 1 << 20
_JOURNAL_FUEL = 50_000_000


@dataclass(slots=True, eq=False, repr=False)
class Call:
    """One request of the guest that has no reply yet."""

    id: int
    operation: str
    arguments: list[Any]
    number: int = 0
    """Of an LLM call, as people see it; kept where the call is sent again."""
    task: asyncio.Task[Any] | None = None
    timer: asyncio.TimerHandle | None = None
    on_cancel: Callable[[], None] | None = None


class BoundedText:
    """Text up to so many bytes of UTF-8; the rest is dropped and marked."""

    def __init__(self, limit: int, parts: list[str] | None = None, dropped: int = 0) -> None:
        self._limit = limit
        self._parts = parts or []
        self._bytes = len("".join(parts).encode("utf-8", "replace")) if parts else 0
        self.dropped = dropped

    def add(self, text: str) -> None:
        """Append what fits."""
        encoded = text.encode("utf-8", "replace")
        room = self._limit - self._bytes
        if len(encoded) > room:
            self.dropped += len(encoded) - room
            text = encoded[:room].decode("utf-8", "ignore")
            encoded = encoded[:room]
        if text:
            self._parts.append(text)
            self._bytes += len(encoded)

    def text(self) -> str:
        """All of it, with a mark where it was cut."""
        if not self._parts and not self.dropped:
            return ""
        whole = "".join(self._parts)
        if self.dropped:
            whole += f"\n… [cut: {self.dropped:,} more bytes]"
        return whole

    def plain(self) -> list[Any]:
        """For a snapshot."""
        return ["".join(self._parts), self.dropped]


@dataclass(slots=True, eq=False, repr=False)
class Run:
    """One execution, as far as it has come."""

    out: BoundedText
    err: BoundedText
    first_id: int
    started: float
    fuel: int = 0
    elapsed_before: float = 0.0
    done: dict[str, Any] | None = None
    limit: LimitExceeded | None = None
    cancelled: bool = False
    interrupted: int = 0
    redeliver: list[Any] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None

    def elapsed(self) -> float:
        """Seconds, those before a snapshot included."""
        return self.elapsed_before + time.monotonic() - self.started


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. ``done`` is the guest's own account, or one made here in its place."""

    done: dict[str, Any]
    run: Run
    rolled_back: bool = False


class Journal:
    """What brings a fresh instance to where this one was before the running execution.

    The guest is deterministic, so a memory image and the messages since then are enough. That
    costs nothing for a small evaluation; after a large one the next execution begins with a new
    image.
    """

    def __init__(self, base: MemoryImage | None = None) -> None:
        self.base = base
        self._entries: list[tuple[bytes | None, int]] = []
        self._bytes = 0
        self._fuel = 0
        self._mark = 0

    def begin(self, sandbox: Sandbox) -> None:
        """An execution starts: what came so far is what a rollback goes back to."""
        if self._bytes > _JOURNAL_BYTES or self._fuel > _JOURNAL_FUEL:
            self.base = sandbox.capture()
            self._entries.clear()
            self._bytes = self._fuel = 0
        self._mark = len(self._entries)

    def add(self, message: bytes | None, steps: int, fuel: int) -> None:
        """One run of the guest. Too many to keep are dropped: then a new image is due anyway."""
        self._fuel += fuel
        if message is not None:
            self._bytes += len(message)
        if self._bytes <= _JOURNAL_BYTES and self._fuel <= _JOURNAL_FUEL:
            self._entries.append((message, steps))

    def rebuild(self, engine: Engine, memory_limit: int) -> Sandbox:
        """A sandbox as it was when the running execution began."""
        del self._entries[self._mark :]
        sandbox = Sandbox(engine, memory_limit, self.base)
        self._bytes = self._fuel = 0
        for message, steps in self._entries:
            sandbox.run(message, steps, 1 << 50)
            self._fuel += sandbox.fuel_used
            self._bytes += len(message or b"")
        return sandbox


class Scheduler:
    """Drives one guest. ``table`` says what it may ask for."""

    pending = object()
    """A handler's answer when the reply comes by another way."""

    def __init__(
        self,
        engine: Engine,
        limits: Limits,
        table: Mapping[str, Handler],
        *,
        memory: MemoryImage | None = None,
        note: Callable[[list[Any]], None],
        changed: Callable[[], None],
    ) -> None:
        self._engine = engine
        self.limits = limits
        self.table = table
        self._note = note
        self._changed = changed
        self._memory_limit = engine.image_size + limits.memory_bytes
        self.sandbox = Sandbox(engine, self._memory_limit, memory)
        self._journal = Journal(memory)
        self.calls: dict[int, Call] = {}
        self._replies: list[tuple[int, bytes]] = []
        self._waiter: asyncio.Future[None] | None = None
        self._last_turn = 0.0
        self.last_id = 0
        self.run: Run | None = None
        self.status = Status.DONE
        self._unread = False
        """The guest was given a message in the middle of a slice and has not taken it yet."""
        self.start_llm: Callable[..., Any] | None = None
        """Set by the session: serves the operation "llm"."""

    # ---- executions

    async def execute(self, message: Callable[[], bytes]) -> Outcome:
        """Run one program. ``message`` makes the eval message, replies that are due included."""
        self._journal.begin(self.sandbox)
        self.run = Run(
            BoundedText(self.limits.output_bytes),
            BoundedText(self.limits.output_bytes),
            self.last_id + 1,
            time.monotonic(),
        )
        return await self._guarded(message())

    async def resume(self, run: Run) -> Outcome:
        """Go on with the execution that a snapshot was taken of."""
        self.run = run
        return await self._guarded(None)

    async def _guarded(self, message: bytes | None) -> Outcome:
        run = self.run
        assert run is not None
        completed = False
        try:
            outcome = await self._drive(run, message)
            completed = True
            return outcome
        finally:
            if run.timer is not None:
                run.timer.cancel()
            if not completed:
                self._abandon(run)
            self.run = None
            self._waiter = None

    def due_replies(self) -> list[Any]:
        """Replies to calls that an earlier execution left, for the eval message."""
        if not self._replies:
            return []
        items = [cbor2.loads(encoded) for _, encoded in self._replies]
        if self.run is not None:
            self.run.redeliver.extend(self._replies)
        self._replies = []
        return items

    async def _drive(self, run: Run, message: bytes | None) -> Outcome:
        sandbox = self.sandbox
        if message is None and self.status is Status.SUSPENDED and not self._replies:
            await self._wait(run)
        self._last_turn = time.monotonic()
        while True:
            steps, fuel = self._slice(run)
            try:
                status = sandbox.run(message, steps, fuel, self._wall(run))
            except MessageTooLarge as error:
                if run.interrupted or message is None:
                    return self._lost(run, InstanceLost("trap", "the guest has no room for a message"))
                message = self._too_large(run, error)
                continue
            except InstanceLost as crash:
                run.fuel += sandbox.fuel_used
                return self._lost(run, crash)
            run.fuel += sandbox.fuel_used
            self._journal.add(message, steps, sandbox.fuel_used)
            self._unread = message is not None and status == Status.PREEMPTED
            message = None
            self.status = _STATUS.get(status, Status.FAILED)
            try:
                self._read_outbox(run)
            except InstanceLost as crash:
                return self._lost(run, crash)
            if status == Status.DONE:
                return self._ended(run)
            if self.status is Status.FAILED:
                return self._lost(
                    run, InstanceLost("trap", str((run.done or {}).get("failed", "the guest gave up")))
                )
            if run.interrupted:
                run.interrupted += 1
                if run.interrupted > _INTERRUPT_SLICES:
                    return self._lost(run, InstanceLost("trap", "the guest does not react to an interrupt"))
                continue
            now = time.monotonic()
            self._check(run, now)
            if run.limit is None and not run.cancelled and not self._replies:
                if status == Status.SUSPENDED:
                    if not self.calls:
                        return self._lost(run, InstanceLost("trap", "the guest waits for nothing"))
                    await self._wait(run)
                else:
                    await self._turn()
                    message = None if self._unread else protocol.TICK
            elif now - self._last_turn > TURN_S:
                await self._turn()
            if run.limit is not None or run.cancelled:
                run.interrupted = 1
                message = self._interrupt(run)
            elif self._replies and not self._unread:
                message = self._take_replies(run)

    def _slice(self, run: Run) -> tuple[int, int]:
        left = self.limits.fuel - run.fuel
        if run.interrupted:
            return SLICE_STEPS, _FUEL_RESERVE
        return min(SLICE_STEPS, max(64, left // _FUEL_A_STEP)), max(left, 0) + _FUEL_RESERVE

    def _wall(self, run: Run) -> float:
        if run.interrupted:
            return SLICE_WALL_S
        return min(SLICE_WALL_S, max(self.limits.timeout_s - run.elapsed(), 0.0) + 1.0)

    def _check(self, run: Run, now: float) -> None:
        """Limits that are looked at between two slices."""
        if run.limit is not None:
            return
        limits = self.limits
        if run.fuel > limits.fuel:
            run.limit = LimitExceeded("fuel", run.fuel, limits.fuel)
        elif run.elapsed_before + now - run.started > limits.timeout_s:
            run.limit = LimitExceeded("timeout_s", round(run.elapsed(), 3), limits.timeout_s)

    async def _turn(self) -> None:
        """Let everybody else have a turn."""
        await asyncio.sleep(0)
        self._last_turn = time.monotonic()

    async def _wait(self, run: Run) -> None:
        """Until a reply, a limit, or a cancellation has come."""
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        if run.timer is None:
            left = max(self.limits.timeout_s - run.elapsed(), 0.0)
            run.timer = loop.call_later(left, self._too_late, run)
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._last_turn = time.monotonic()

    def _too_late(self, run: Run) -> None:
        if run.limit is None and run is self.run:
            run.limit = LimitExceeded("timeout_s", round(run.elapsed(), 3), self.limits.timeout_s)
            self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def cancel(self) -> None:
        """End the running execution; its Result says "cancelled"."""
        if self.run is not None:
            self.run.cancelled = True
            self._wake()

    def time_left(self) -> float | None:
        """Seconds until the running execution's timeout."""
        return None if self.run is None else max(self.limits.timeout_s - self.run.elapsed(), 0.001)

    def fuel_left(self) -> int:
        """Fuel until the running execution's limit."""
        return self.limits.fuel if self.run is None else max(self.limits.fuel - self.run.fuel, 0)

    def charge(self, fuel: int) -> None:
        """Fuel that was used outside of this guest, by Python or a child."""
        if self.run is not None:
            self.run.fuel += fuel

    # ---- endings

    def _interrupt(self, run: Run) -> bytes:
        self.cancel_calls()
        if run.limit is not None:
            return protocol.interrupt(run.limit.kind, str(run.limit), run.limit.used, run.limit.limit)
        return protocol.interrupt("cancelled", "the execution was cancelled")

    def _ended(self, run: Run) -> Outcome:
        done = run.done or {"status": "error", "error": {"type": "exn:fail", "message": "no outcome"}}
        self._check(run, run.started)  # fuel; a program that came to its end in time is in time
        if run.limit is not None:
            done = limit_account(run.limit)
        elif run.cancelled and run.interrupted:
            done = {"status": "cancelled"}
        if done.get("status") != "ok":
            self.cancel_calls()
        return Outcome(done, run)

    def _lost(self, run: Run, crash: InstanceLost) -> Outcome:
        """The instance is gone or broken: go back to where the execution began."""
        self._rollback(run)
        limits = self.limits
        if run.limit is not None:
            done = limit_account(run.limit)
        elif run.cancelled:
            done = {"status": "cancelled"}
        elif crash.reason == "fuel":
            done = limit_account(LimitExceeded("fuel", max(run.fuel, limits.fuel), limits.fuel))
        elif crash.reason == "timeout":
            done = limit_account(LimitExceeded("timeout_s", round(run.elapsed(), 3), limits.timeout_s))
        else:
            done = {
                "status": "error",
                "error": {"type": "sandbox-crashed", "message": f"the sandbox crashed: {crash}"},
            }
        return Outcome(done, run, rolled_back=True)

    def _rollback(self, run: Run) -> None:
        self.cancel_calls(from_id=run.first_id)
        self.sandbox.close()
        try:
            self.sandbox = self._journal.rebuild(self._engine, self._memory_limit)
        except InstanceLost as error:
            raise InternalError(f"the session cannot be brought back: {error}") from error
        self._replies = [*run.redeliver, *(item for item in self._replies if item[0] < run.first_id)]
        self.status = Status.DONE

    def _abandon(self, run: Run) -> None:
        """The task that executes was cancelled, or something of ours broke: end it here and now."""
        self.cancel_calls()
        if self.status is Status.DONE and run.done is not None:
            return
        message: bytes | None = protocol.interrupt("cancelled", "the execution was cancelled")
        try:
            for _ in range(_INTERRUPT_SLICES):
                status = self.sandbox.run(message, SLICE_STEPS, _FUEL_RESERVE)
                self._journal.add(message, SLICE_STEPS, self.sandbox.fuel_used)
                message = None
                if status == Status.DONE:
                    self.status = Status.DONE
                    return
        except (InstanceLost, MessageTooLarge, InternalError):
            pass
        self._rollback(run)

    def reset(self) -> None:
        """A fresh guest in this one's place."""
        self.close()
        self.status = Status.DONE
        self._journal = Journal()
        self.sandbox = Sandbox(self._engine, self._memory_limit)
        self.last_id = 0

    def close(self) -> None:
        """Cancel what is in flight and drop the instance."""
        self.cancel_calls()
        self._replies.clear()
        self.sandbox.close()

    # ---- what the guest wants

    def _read_outbox(self, run: Run) -> None:
        outbox = self.sandbox.outbox()
        if not outbox:
            return
        try:
            for message in protocol.messages(outbox):
                self._serve(run, message)
        except (Unencodable, TypeError, ValueError, IndexError, KeyError) as error:
            self.sandbox.close()
            raise InstanceLost("trap", f"the guest sent a malformed message: {error}") from error

    def _serve(self, run: Run, message: list[Any]) -> None:
        kind = message[0]
        if kind == "call":
            self._serve_call(run, message)
        elif kind == "ack":
            self._unread = False
        elif kind == "done":
            run.done = message[1]
        elif kind == "note":
            if message[1] == "out":
                run.out.add(message[2])
            else:
                if message[1] == "err":
                    run.err.add(message[2])
                self._note(message)
        elif kind == "cancel":
            call = self.calls.pop(message[1], None)
            if call is not None:
                self._drop(call)
        elif kind == "failed":
            run.done = {"failed": message[1]}
        else:
            raise ValueError(kind)

    def _serve_call(self, run: Run, message: list[Any]) -> None:
        _, number, operation, packed = message
        if not isinstance(number, int) or number in self.calls or not isinstance(packed, bytes):
            raise ValueError("call")
        self.last_id = max(self.last_id, number)
        call = Call(number, operation, [])
        self.calls[number] = call
        try:
            call.arguments = protocol.messages(packed)
        except Unencodable as error:
            self._fail(call, error)
            return
        if len(self.calls) > self.limits.handles:
            run.limit = run.limit or LimitExceeded("handles", len(self.calls), self.limits.handles)
            return
        self.start_now(call, partial(self._handle, call))

    def _handle(self, call: Call, *, again: bool = False) -> Any:
        if call.operation == "llm" and self.start_llm is not None:
            return self.start_llm(call, again=again)
        if call.operation == "sleep":
            return self._sleep(call)
        handler = self.table.get(call.operation)
        if handler is None:
            raise CapabilityDenied(f"{call.operation}: this session was not granted that capability")
        return handler(call.arguments)

    def _sleep(self, call: Call) -> Any:
        seconds = protocol.plain_number(call.arguments[0])
        if seconds is None or seconds > 1e6:
            return self.pending  # for ever: a timeout will end it
        call.timer = asyncio.get_running_loop().call_later(max(seconds, 0.0), self._slept, call)
        return self.pending

    def _slept(self, call: Call) -> None:
        if self.calls.pop(call.id, None) is call:
            self._reply(call, True, None)
            self._wake()

    def start_now(self, call: Call, work: Callable[[], Any]) -> None:
        """Do what answers a call; its answer, or what it raised, is the reply."""
        try:
            answer = work()
            if answer is self.pending:
                return
            if is_awaitable(answer):
                self.spawn(call, answer)
                return
        except Exception as error:
            self._fail(call, error)
        else:
            self.calls.pop(call.id, None)
            self._reply(call, True, answer)
        if self._waiter is not None:
            self._wake()

    def spawn(self, call: Call, work: Awaitable[Any]) -> Any:
        """Answer a call by a task of its own."""
        call.task = asyncio.get_running_loop().create_task(self._await(call, work))
        close = getattr(work, "close", None)
        if close is not None:  # a task that is cancelled before its first step never begins the work
            call.task.add_done_callback(lambda _task: close())
        return self.pending

    async def _await(self, call: Call, work: Awaitable[Any]) -> None:
        # The reply is queued in the same step in which the work ends, so that no snapshot can be
        # taken of a call that is counted as done and still in flight.
        try:
            value = await work
        except Exception as error:
            if self.calls.get(call.id) is call:
                self._fail(call, error)
                self._wake()
        except BaseException:
            if self.calls.get(call.id) is call:
                self._fail(call, CapabilityDenied("the call was cancelled by its host"))
                self._wake()
            raise
        else:
            if self.calls.pop(call.id, None) is call:
                self._reply(call, True, value)
                self._wake()

    def _fail(self, call: Call, error: Exception) -> None:
        self.calls.pop(call.id, None)
        if isinstance(error, LimitExceeded) and self.run is not None and self.run.limit is None:
            self.run.limit = error
        self._reply(call, False, condition_of(error))

    def _reply(self, call: Call, fine: bool, value: Any) -> None:
        try:
            encoded = protocol.encode([call.id, fine, protocol.reply_value(value)])
            if len(encoded) > self.limits.message_bytes:
                raise Unencodable(
                    f"{call.operation}: the reply has {len(encoded):,} bytes; "
                    f"a message may have {self.limits.message_bytes:,} (message_bytes)"
                )
        except Unencodable as error:
            encoded = protocol.encode([call.id, False, condition_of(error)])
        self._replies.append((call.id, encoded))

    def _take_replies(self, run: Run) -> bytes:
        """As many as fit one message; the rest waits for the next run."""
        taken, size = 0, 0
        for _, encoded in self._replies:
            if taken and size + len(encoded) > self.limits.message_bytes:
                break
            taken, size = taken + 1, size + len(encoded)
        batch, self._replies = self._replies[:taken], self._replies[taken:]
        run.redeliver.extend(item for item in batch if item[0] < run.first_id)
        return protocol.replies_of([encoded for _, encoded in batch])

    def _too_large(self, run: Run, error: MessageTooLarge) -> bytes:
        most = self.limits.memory_bytes
        run.limit = LimitExceeded("memory_bytes", max(self.sandbox.heap_used() + error.length, most), most)
        run.interrupted = 1
        return self._interrupt(run)

    # ---- cancelling

    def cancel_calls(self, from_id: int = 0) -> None:
        """Nobody wants their replies any longer."""
        for call in [call for call in self.calls.values() if call.id >= from_id]:
            del self.calls[call.id]
            self._drop(call)
        self._replies = [item for item in self._replies if item[0] < from_id]

    def cancel_call(self, number: int) -> bool:
        """The embedder cancels one call: it fails in the guest with a condition."""
        call = self.calls.get(number)
        if call is None:
            return False
        del self.calls[number]
        self._drop(call)
        self._fail(call, CapabilityDenied(f"call {number} was cancelled"))
        self._wake()
        return True

    def _drop(self, call: Call) -> None:
        if call.on_cancel is not None:
            call.on_cancel()
        if call.timer is not None:
            call.timer.cancel()
        if call.task is not None:
            call.task.cancel()

    # ---- snapshots

    def plain(self, run: Run | None) -> dict[str, Any]:
        """The host's side of the guest, as data; ``run`` is the execution that is under way."""
        return {
            "status": int(self.status),
            "last": self.last_id,
            "calls": [[call.id, call.operation, call.arguments, call.number] for call in self.calls.values()],
            "replies": [[number, encoded] for number, encoded in self._replies],
            "run": None
            if run is None
            else {
                "out": run.out.plain(),
                "err": run.err.plain(),
                "first": run.first_id,
                "fuel": run.fuel,
                "elapsed": run.elapsed(),
            },
        }

    def adopt(self, plain: dict[str, Any]) -> Run | None:
        """Take over what ``plain`` gave; calls in flight are sent again by ``send_again``."""
        self.status = Status(plain["status"])
        self.last_id = plain["last"]
        self._replies = [(number, encoded) for number, encoded in plain["replies"]]
        for id_, operation, arguments, number in plain["calls"]:
            self.calls[id_] = Call(id_, operation, arguments, number)
        saved = plain["run"]
        if saved is None:
            return None
        limit = self.limits.output_bytes
        return Run(
            BoundedText(limit, [saved["out"][0]], saved["out"][1]),
            BoundedText(limit, [saved["err"][0]], saved["err"][1]),
            saved["first"],
            time.monotonic(),
            fuel=saved["fuel"],
            elapsed_before=saved["elapsed"],
        )

    def send_again(self) -> None:
        """Start what was in flight when the snapshot was taken."""
        for call in list(self.calls.values()):
            if call.task is None and call.timer is None:
                self.start_now(call, partial(self._handle, call, again=True))


_STATUS = {int(status): status for status in Status}


def limit_account(limit: LimitExceeded) -> dict[str, Any]:
    """What a limit that fired looks like in the guest's own account."""
    return {
        "status": "limit",
        "error": {
            "type": "limit",
            "message": str(limit),
            "kind": limit.kind,
            "used": limit.used,
            "limit": limit.limit,
        },
    }
