"""Children of #:recursive calls that are sessions of their own, in a store, and run wherever there is room.

Such a child is a call of its parent, as an LLM call is: it has the call's number and key, and its session is
named by them. What it may use comes from its parent: of calls, tokens, money and places it borrows pieces of
what the parent has left (store/budgets.py); fuel and memory are set aside for it when it is sent. Its reply
says what it used. That is added to the parent's account by the transaction which says that it was, so it is
added once, whoever dies meanwhile; and the reply stays in the store until the parent's journal has the
answer, so a parent that is taken up again is given it again.

``serving.py`` is the other side: the session that works for such a call.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

import cbor2

from rlm_wasm.errors import (
    CapabilityDenied,
    LimitExceeded,
    ProviderError,
    RlmError,
    SnapshotCorrupt,
    UsageError,
)
from rlm_wasm.execution.journal import Kind
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.limits import Limits, SharedBudget
from rlm_wasm.llm.budget import Usage, UsedElsewhere
from rlm_wasm.llm.calls import LlmCalls, PlacedCall
from rlm_wasm.providers.base import Completion, CompletionRequest
from rlm_wasm.records import Natural, NonNegative, structure, unstructure
from rlm_wasm.runlog import events
from rlm_wasm.store.records import name_below

if TYPE_CHECKING:
    from rlm_wasm.grants import Grants
    from rlm_wasm.session_parts.parts import Parts
    from rlm_wasm.session_parts.stay import Stay

log = logging.getLogger("rlm_wasm.placed")

ENDING_S: Final = 10.0
"""So long the end of an execution waits for children elsewhere that are told to end. What they used is
counted when they say it: by the session while it is open, or when it is opened again."""
_SHARED_KINDS: Final = ("calls", "tokens", "cost_usd")
_MAX: Final = 1_000_000_000
"""What a piece of a limit is bounded by, so that it fits a database's integers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a session is to do for a recursive call."""

    name: str
    """Of the session."""
    key: str
    """The call's idempotency key."""
    epoch: int
    """Of the parent's lease: what one ends, it and those before it want no longer."""
    number: int
    request: CompletionRequest
    """The call, without its data."""
    data: str = ""
    """SHA-256 of its data, which are in the store; "": there are none."""
    depth: int = 0
    """Of the parent."""
    deepest: int = 0
    limits: Limits = field(default_factory=Limits)
    namespace: str = "default"
    family: SharedBudget | None = None
    """What it spends from together with its parent."""
    resend: tuple[str, ...] = ()
    """What of its requests in flight is made again where it goes on: see ``resending.py``."""
    logged: bool = False
    """Whether the parent's run log wants to know what happens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came of it, and what it took. It is kept with the session."""

    status: str
    """answered, failed or cancelled"""
    text: str = ""
    model: str = ""
    prompt_tokens: Natural = 0
    completion_tokens: Natural = 0
    cached_tokens: Natural = 0
    error: str = ""
    """The class of the error by which it failed."""
    message: str = ""
    http_status: int | None = None
    kind: str = ""
    """Of a limit."""
    used: float = 0.0
    limit: float = 0.0
    usage: Usage = field(default_factory=Usage)
    lost_tokens: Natural = 0
    lost_usd: NonNegative = 0.0
    provider: str | None = None
    asked_for: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    fuel: Natural = 0
    last_number: Natural = 0
    """Of its calls; they are numbered from the parent's call on."""
    entries: tuple[Mapping[str, Any], ...] = ()
    """For the scope log."""
    warnings: tuple[str, ...] = ()

    def dump(self) -> bytes:
        """For the store."""
        return cbor2.dumps(unstructure(self))

    @classmethod
    def load(cls, data: bytes, name: str) -> Reply:
        """The inverse. Raises SnapshotCorrupt."""
        what = f"what came of session {name}"
        try:
            return structure(cls, cbor2.loads(data), what, SnapshotCorrupt)
        except (cbor2.CBORError, ValueError, TypeError) as error:
            raise SnapshotCorrupt(f"{what} is damaged: {error}") from error

    def spent(self) -> UsedElsewhere:
        """What it used of calls, tokens and money."""
        usage = self.usage.copy()
        usage.answers_of(self.provider, self.asked_for)
        return UsedElsewhere(usage=usage, lost_tokens=self.lost_tokens, lost_usd=self.lost_usd)


Told: TypeAlias = "tuple[Reply, Sequence[events.Record]]"
"""A reply, and what a run log is told of how it came about, as far as that is known."""


class Elsewhere(Protocol):
    """Where such sessions run."""

    @property
    def places(self) -> bool:
        """Whether new ones are to be placed; else only those are run that were placed before."""
        ...

    async def run(self, parent: str, grants: Grants, work: Work) -> Told:
        """Do the work, or go on with it; what is over is told again. Cancelling this leaves it running.

        ``parent``: the session that it is done for, which has these grants. Raises RlmError where nobody
        can do it.
        """
        ...

    async def end(self, parent: str, grants: Grants, work: Work) -> Told | None:
        """Leave it in its middle, in the store, and say what it took until now; None where it has not begun.

        Raises RlmError where nobody can tell.
        """
        ...


def error_of(reply: Reply) -> Exception:
    """What it failed by, as a call of the parent fails by it."""
    if reply.error == "LimitExceeded":
        used, limit = (int(value) if value.is_integer() else value for value in (reply.used, reply.limit))
        return LimitExceeded(reply.kind, used, limit, reply.message)
    for kind in (CapabilityDenied, UsageError):
        if reply.error == kind.__name__:
            return kind(reply.message)
    named = "" if reply.error == "ProviderError" else f"{reply.error}: "
    return ProviderError(f"{named}{reply.message}", status=reply.http_status)


class _Part(NamedTuple):
    """What is set aside for one of them."""

    fuel: int
    memory_bytes: int
    host_bytes: int


class PlacedChildren:
    """Those of one session. ``Children`` asks whether a call's child ``is_placed`` and has it served here."""

    def __init__(
        self, parts: Parts, stay: Stay | None, elsewhere: Elsewhere | None, resend: Collection[str]
    ) -> None:
        self._parts = parts
        self._stay = stay
        self._elsewhere = elsewhere
        self._resend = tuple(resend)
        self._waiting = 0
        """Calls that have not been sent yet."""
        self._live = 0
        self._under_way: dict[int, asyncio.Future[None]] = {}
        """Calls that are served, by number; their futures are done when they are not any more."""
        self._ends: set[asyncio.Task[None]] = set()

    def is_placed(self, request: CompletionRequest, begun_here: Callable[[CompletionRequest], bool]) -> bool:
        """Whether the child of a call is such a session.

        ``begun_here``: whether there is one in this process.
        """
        if self._stay is None or self._elsewhere is None or request.idempotency_key is None:
            return False
        if self._placed_before(request) is not None:
            return True
        if not self._elsewhere.places or self._parts.grants.child.workspace_writable or begun_here(request):
            return False
        return name_below(self._stay.durable.name, request.idempotency_key) is not None

    def _placed_before(self, request: CompletionRequest) -> PlacedCall | None:
        known = self._parts.calls.placed.get(request.id)
        return known if known is not None and known.key == request.idempotency_key else None

    # ---- a call, from here and back

    async def recurse(self, request: CompletionRequest, calls: LlmCalls, deepest: int) -> Completion:
        """Serve a recursive call: the answer that its session comes to."""
        assert self._elsewhere is not None
        assert self._stay is not None
        self._waiting += 1
        waiting = True
        over = self._under_way[request.id] = asyncio.get_running_loop().create_future()
        try:
            async with calls.budget.children(calls.depth):
                await asyncio.sleep(0)  # whoever asked in the same turn is counted
                work = await self._prepared(request, calls, deepest)
                given = self._part(request.id, calls.budget.limits.concurrency)
                self._waiting -= 1
                waiting = False
                account = self._parts.scheduler.fuel_account()
                account.give_away(given.fuel)
                self._live += 1
                try:
                    left = self._parts.scheduler.time_left()
                    limits = replace(
                        work.limits,
                        fuel=given.fuel,
                        memory_bytes=given.memory_bytes,
                        host_bytes=given.host_bytes,
                        timeout_s=work.limits.timeout_s if left is None else left,
                    )
                    work = replace(work, limits=limits)
                    told = await self._elsewhere.run(self._stay.durable.name, self._parts.grants, work)
                except BaseException:
                    self._end_soon(work)
                    raise
                finally:
                    self._live -= 1
                    account.give_away(-given.fuel)
                    self._parts.meter.memory.leave(-request.id)
                    self._parts.meter.release(given.host_bytes)
        finally:
            self._waiting -= waiting
            del self._under_way[request.id]
            over.set_result(None)
        self._settle(work.number, told)
        self._sweep()
        reply, _ = told
        if reply.status == "answered":
            return Completion(
                text=reply.text,
                model=reply.model,
                prompt_tokens=reply.prompt_tokens,
                completion_tokens=reply.completion_tokens,
                cached_tokens=reply.cached_tokens,
            )
        raise self._of_the_whole(error_of(reply), work)

    async def _prepared(self, request: CompletionRequest, calls: LlmCalls, deepest: int) -> Work:
        """What is to be done, noted in the journal; the store has the data when this returns."""
        stay, parts = self._stay, self._parts
        assert stay is not None
        durable, budget, key = stay.durable, calls.budget, request.idempotency_key or ""
        name = name_below(durable.name, key)
        assert name is not None
        family = await durable.family_budget(name, budget, parts.limits)
        data = durable.give(name, request.data) if request.data else ""
        if self._placed_before(request) is None:
            placed = PlacedCall(request.id, key, family.name)
            calls.place(placed)
            stay.journal.add(Kind.PLACED, placed.number, placed.key, placed.budget)
        durable.members.add(name)
        await stay.journal.flush()
        n_calls, tokens, usd = budget.left()
        limits = replace(parts.limits, calls=min(n_calls, _MAX), tokens=tokens, cost_usd=usd)
        return Work(
            name=name,
            key=key,
            epoch=durable.epoch,
            number=request.id,
            request=replace(request, data=""),
            data=data,
            depth=calls.depth,
            deepest=deepest,
            limits=limits,
            namespace=parts.namespace,
            family=family,
            resend=self._resend,
            logged=parts.recorder.in_run,
        )

    def _part(self, number: int, at_once: int) -> _Part:
        """An equal share of what is left for each that may be sent now, and one for everything else."""
        parts = self._parts
        parts.scheduler.guest.note_memory()
        shares = max(min(self._waiting, at_once - self._live), 1) + 1
        part = _Part(
            parts.scheduler.fuel_account().left // shares,
            parts.meter.memory.free // shares,
            parts.meter.free // shares,
        )
        parts.meter.memory.update(-number, part.memory_bytes)
        parts.meter.hold(part.host_bytes)
        return part

    def _of_the_whole(self, error: Exception, work: Work) -> Exception:
        """A limit that fired elsewhere is the session's, where it is one that all have together."""
        if not isinstance(error, LimitExceeded):
            return error
        kind = error.kind
        if kind in _SHARED_KINDS and "of the shared budget" not in str(error):
            limit = getattr(self._parts.limits, kind)
            if limit is not None:
                return LimitExceeded(kind, round(limit + max(error.used - error.limit, 0), 6), limit)
        if kind in ("fuel", "memory_bytes", "host_bytes"):
            whole = getattr(self._parts.limits, kind)
            return LimitExceeded(
                kind,
                error.used,
                error.limit,
                f"limit exceeded: {kind} (used {error.used:,}, limit {error.limit:,}: the part of {whole:,}"
                f" that the child of call {work.number} was given; raise {kind}, or let fewer run at once)",
            )
        return error

    def _settle(self, number: int, told: Told) -> None:
        """Count what it used, once; what it says of itself goes where it would have gone."""
        parts, calls = self._parts, self._parts.calls
        placed = calls.placed.get(number)
        if placed is None or placed.over:
            return
        reply, records = told
        budget = calls.budget
        shift = budget.next_number - 1 - number
        if reply.last_number > number:
            budget.take_number(reply.last_number + shift)
        calls.place_over(number)
        if self._stay is not None:
            self._stay.journal.add(Kind.PLACED_OVER, number)
        budget.include(reply.spent())
        parts.scheduler.charge(reply.fuel)
        for entry in reply.entries:
            fields = {name: value for name, value in entry.items() if name not in _ENTRY}
            if type(fields.get("call_id")) is int:
                fields["call_id"] = _renumbered(fields["call_id"], number, shift)
            parts.log.add(
                str(entry.get("op", "?")),
                entry.get("datum_preview", ""),
                str(entry.get("scope", "")),
                **fields,
            )
        for warning in reply.warnings:
            parts.warn(warning)
        if parts.recorder.on:
            self._tell_again(records, number, shift)

    def _tell_again(self, records: Iterable[events.Record], number: int, shift: int) -> None:
        recorder = self._parts.recorder
        executions = {0: recorder.execution}
        for record in records:
            if record.execution not in executions:
                executions[record.execution] = recorder.next_execution()
            changes: dict[str, Any] = {"execution": executions[record.execution]}
            for name in ("call", "parent"):
                value = getattr(record, name, None)
                if type(value) is int and not isinstance(record, events.FiberStarted):
                    changes[name] = _renumbered(value, number, shift)
            made_from = getattr(record, "made_from", ())
            if made_from:
                changes["made_from"] = tuple(_renumbered(call, number, shift) for call in made_from)
            recorder.tell_again(record, **changes)

    # ---- the end of those that nobody waits for

    def _end_soon(self, work: Work) -> None:
        task = asyncio.get_running_loop().create_task(self._end(work))
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)

    async def _end(self, work: Work) -> None:
        assert self._elsewhere is not None
        assert self._stay is not None
        durable, journal = self._stay.durable, self._stay.journal
        if durable.writer.lost is not None:
            return  # whoever has the session now waits for this one, too
        try:
            told = await self._elsewhere.end(durable.name, self._parts.grants, work)
        except RlmError as error:
            log.warning("what session %s used is counted later: %s", work.name, error)
            return
        if durable.writer.frozen or durable.writer.lost is not None or journal.stale:
            return  # the store has the session as it waits for this one, and so it may go on
        self._settle(work.number, told if told is not None else (Reply(status="cancelled"), ()))
        self._sweep()

    def _sweep(self) -> None:
        """Forget those that are over and whose answers are in the journal, or wanted by nobody."""
        calls, stay = self._parts.calls, self._stay
        if stay is None or not calls.placed:
            return
        live = {request.call_number for request in self._parts.scheduler.requests.live.values()}
        for number, placed in list(calls.placed.items()):
            if placed.over and number not in live:
                del calls.placed[number]
                name = name_below(stay.durable.name, placed.key)
                if name is not None:
                    stay.durable.members.discard(name)
                    stay.durable.writer.forget(name)

    async def taken_up(self) -> None:
        """The session goes on from a store: so do those for which it waits, and the others are ended."""
        calls, stay = self._parts.calls, self._stay
        if stay is None or not calls.placed:
            return
        own = f"{calls.budget.id}-"
        for number, placed in list(calls.placed.items()):
            if not placed.key.startswith(own):  # those of the session that it is a copy of
                del calls.placed[number]
        self._sweep()
        live = {request.call_number for request in self._parts.scheduler.requests.live.values()}
        for number, placed in calls.placed.items():
            if placed.over:
                continue
            await stay.durable.family_again(placed.budget, calls.budget, self._parts.limits)
            name = name_below(stay.durable.name, placed.key)
            stay.durable.members.add(name or "")
            if number not in live and name is not None and self._elsewhere is not None:
                request = CompletionRequest(id=number, instruction="", idempotency_key=placed.key)
                work = Work(
                    name=name, key=placed.key, epoch=stay.durable.epoch, number=number, request=request
                )
                self._end_soon(replace(work, family=stay.durable.family))

    async def settled(self) -> None:
        """At the end of an execution: those that were ended have said what they used, as far as they can."""
        if self._stay is None or not (self._ends or self._under_way or self._parts.calls.placed):
            return
        live = {request.call_number for request in self._parts.scheduler.requests.live.values()}
        over = [future for number, future in self._under_way.items() if number not in live]
        if over:  # they were cancelled just now, and will say so
            await asyncio.wait(over)
        if self._ends:
            await asyncio.wait(set(self._ends), timeout=ENDING_S)
        self._sweep()
        if self._stay.owns_lease:
            await self._stay.durable.family_over()


_ENTRY: Final = ("op", "datum_preview", "scope")


def _renumbered(call: int, number: int, shift: int) -> int:
    """The number that one of its calls has in the parent. That of the call itself is what it was."""
    return call if call <= number else call + shift
