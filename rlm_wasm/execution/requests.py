"""What a guest asked its host for, from the request to the reply that it takes.

Every request is admitted (its bytes are held by the meter, its work is charged to fuel), waits for its
turn, is served, and has its reply held until the guest takes it. Requests are served in the order of
asking, a few milliseconds at a time, and only as fast as their replies are taken: whatever a program
asks for, the host holds a bounded part of it at once, and the event loop is never kept.

A request is not an LLM call: most of them ask for other things, and an LLM call has a number of its own
(rlm_wasm.llm.calls).
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Any

from rlm_wasm import tracing
from rlm_wasm.capabilities.table import Handler, PackedHandler, condition_of, is_awaitable
from rlm_wasm.errors import CapabilityDenied, LimitExceeded, ProviderError, SnapshotCorrupt, Unencodable
from rlm_wasm.execution import journal as journals
from rlm_wasm.execution import state as states
from rlm_wasm.execution.meter import (
    BYTES_A_PART,
    FUEL_A_BYTE,
    FUEL_A_REQUEST,
    Meter,
    are_flat,
    flat_footprint,
    footprint,
    footprint_in_turns,
)
from rlm_wasm.foreign import described, message_of
from rlm_wasm.limits import Limits
from rlm_wasm.runlog import events
from rlm_wasm.runlog.stream import Recorder, place_of
from rlm_wasm.sandbox import protocol
from rlm_wasm.sandbox.pages import at_once
from rlm_wasm.sandbox.texts import LONG_TEXT, LongText, is_long, long_text
from rlm_wasm.sandbox.uncollected import Uncollected
from rlm_wasm.turns import Alone, InTurns, beside_the_rest, in_turns

REPLIES_AHEAD = 4 << 20
"""Bytes of replies that are made before the guest has taken those before: more waits unserved."""

_LOGGED = frozenset(
    ("py-exec", "py-eval", "py-set!", "py-call", "host", "checkpoint", "restore", "sleep", "fork")
)
"""Operations that a run log has records of; an LLM call has richer ones of its own."""
_LOGGED_ARGUMENTS = 2_000
"""Characters of their arguments that it shows."""

_CANCELLED_AT_ONCE = 200
"""Tasks that are cancelled in one turn: each takes some microseconds then, and in the next."""


def _nobody(*_: Any) -> None:
    """Is told of what comes when all is over."""


PENDING = object()
"""A handler's answer when the reply comes by another way."""


class HostRequest:
    """One request of the guest that has no reply yet. Its id is the protocol's."""

    __slots__ = (
        "_queue",
        "again",
        "arguments",
        "call_number",
        "held",
        "id",
        "lent",
        "on_cancel",
        "on_over",
        "operation",
        "packed",
        "queued",
        "sent",
        "span",
        "started",
        "task",
        "timer",
        "transit",
        "unsettled",
    )

    def __init__(self, queue: HostRequests, id_: int, operation: str, packed: bytes) -> None:
        self._queue = queue
        self.id = id_
        self.operation = operation
        self.packed: bytes | None = packed
        """The arguments as they came; None once they are decoded."""
        self.arguments: list[Any] = []
        self.lent: Uncollected | None = None
        """What its arguments are made of, where that is much: see ``over``."""
        self.held = 0
        self.call_number = 0
        """Of the LLM call that serves it, as people see it; kept where the request is sent again."""
        self.again = False
        """It was served before, by the process that the snapshot was taken in."""
        self.queued = False
        self.sent = False
        """By this process, into the unknown until the answer is here."""
        self.unsettled = False
        """It was sent, and the process died before it knew what came of that."""
        self.started = False
        self.span: tracing.Span = None
        self.task: asyncio.Task[Any] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.on_cancel: Callable[[], None] | None = None
        self.on_over: tuple[Callable[[], None], ...] = ()
        self.transit: ExitStack | None = None
        """While what answers it is here, and the reply is not due yet: see ``arrives``."""

    @property
    def wanted(self) -> bool:
        """Whether anybody waits for the reply still."""
        return self._queue.live.get(self.id) is self

    def arrives(self) -> None:
        """What answers it is here. Until that is a reply, or nobody wants it, no snapshot is taken.

        For what takes turns of the event loop until then: a snapshot of that time would have neither the
        answer nor anybody who is asked for it.
        """
        if self.transit is None and self.wanted:
            self.transit = ExitStack()
            self.transit.enter_context(self._queue.in_transit())

    def when_over(self, then: Callable[[], None]) -> None:
        """Call this in the step in which the reply is due, and stands in the journal, or nobody wants it."""
        if self.wanted:
            self.on_over += (then,)
        else:
            then()

    def over(self) -> None:
        """Nothing is done for it any longer: what its arguments were made of is freed."""
        transit, self.transit = self.transit, None
        if transit is not None:
            transit.close()
        thens, self.on_over = self.on_over, ()
        for then in thens:
            then()
        lent, self.lent = self.lent, None
        if lent is not None:
            self.arguments = []
            if len(lent) <= _FREED_AT_ONCE:
                at_once(lent.given_back())
            else:
                beside_the_rest(lent.given_back())

    def serve_as(self, call_number: int, on_cancel: Callable[[], None]) -> None:
        """It is an LLM call of this number; ``on_cancel`` is called where nobody wants it any longer."""
        self.call_number = call_number
        self.on_cancel = on_cancel
        journal = self._queue.journal
        if journal is not None and not self.again:
            journal.add(journals.Kind.CALL, self.id, call_number)

    @property
    def durable(self) -> bool:
        """Whether what becomes of it is written in a journal."""
        return self._queue.journal is not None

    async def to_be_sent(self) -> None:
        """It is sent when this returns; where there is a journal, that stands in it."""
        await self._queue.sending(self)

    def settled(self) -> None:
        """A sending whose end nobody knows was counted."""
        self.unsettled = False
        if self._queue.journal is not None:
            self._queue.journal.add(journals.Kind.SETTLED, self.id)

    def hold(self, size: int) -> None:
        """So many bytes are held for it until it is over. Raises LimitExceeded."""
        self._queue.hold(self, size)

    def past_cancelling(self) -> None:
        """What serves it is over."""
        self.on_cancel = None

    def run(self, work: Callable[[], Any]) -> None:
        """Do what answers the request; its answer, or what it raised, is the reply."""
        self._queue.run(self, work)

    def spawn(self, work: Awaitable[Any]) -> Any:
        """Answer the request by a task of its own."""
        self._queue.spawn(self, work)
        return PENDING

    def resolve(self, value: Any) -> None:
        """The reply has come."""
        self._queue.resolve(self, value)

    def abort(self, error: Exception) -> None:
        """The embedder ends it: it fails in the guest with a condition."""
        self._queue.abort(self, error)

    def to_state(self) -> states.RequestState:
        """For a snapshot."""
        packed = self.packed if self.packed is not None else protocol.encode(self.arguments)
        sent = self._queue.journal is not None and (self.unsettled or self.sent)
        served = self.started or self.again  # in an earlier process, where it waits to be served again
        return states.RequestState(self.id, self.operation, packed, self.call_number, served, sent)

    def take_over(self, state: states.RequestState) -> None:
        """It is the one of a snapshot."""
        self.call_number = state.call_number
        self.again = state.started
        self.unsettled = state.unsettled

    def wait_for_leave(self) -> None:
        """It is served when ``send_again`` says so."""
        self.queued = False

    def was_called(self, number: int) -> None:
        """A journal says which LLM call it is."""
        self.call_number = number
        self.again = True

    def was_sent(self, *, unsettled: bool) -> None:
        """A journal says that it was sent, or that this was counted."""
        self.again = True
        self.unsettled = unsettled

    def time_left(self) -> float | None:
        """Seconds until the timeout of the execution under way."""
        return self._queue.time_left()

    def facts(self) -> dict[str, Any]:
        """What the guest said about it for a run log: fiber, line and so on. They are forgotten then."""
        return self._queue.recorder.facts(self.id)


class HostRequests:
    """One guest's requests.

    ``table`` makes the table of what it may ask for, when it first asks; ``services`` take the request
    itself. ``changed`` is called when a reply has come outside of ``serve``, ``limit`` when a limit fired.
    In the body of ``in_transit`` no snapshot is taken.
    """

    def __init__(
        self,
        limits: Limits,
        meter: Meter,
        *,
        table: Callable[[], Mapping[str, Handler]],
        services: Mapping[str, Callable[[HostRequest], Any]],
        charge: Callable[[int], None],
        changed: Callable[[], None],
        limit: Callable[[LimitExceeded], None],
        time_left: Callable[[], float | None],
        recorder: Recorder,
        in_transit: Callable[[], AbstractContextManager[None]],
        journal: journals.Journal | None = None,
        effects: Collection[str] = (),
    ) -> None:
        self.journal = journal
        self.in_transit = in_transit
        self._effects = frozenset(effects)
        """Operations that are noted in the journal before they are done."""
        self._limits = limits
        self.recorder = recorder
        self.span: tracing.Span = None
        """The execution's, below which those of its requests stand."""
        self._meter = meter
        self._make_table = table
        self._table: Mapping[str, Handler] | None = None
        self._then: Callable[[str, bytes], tuple[int, bytes] | None] | None = None
        self._services = {"sleep": _sleep, **services}
        self._charge = charge
        self._changed = changed
        self._limit = limit
        self.time_left = time_left
        self.live: dict[int, HostRequest] = {}
        self._waiting: deque[HostRequest] = deque()
        self._replies: deque[tuple[int, protocol.Part]] = deque()
        self._reply_bytes = 0
        self._working: HostRequest | None = None
        """The one whose work takes several turns; those behind it wait: one at a time is in memory."""
        self._work_task: asyncio.Task[Any] | None = None
        self.last_id = 0
        self._seen_id = 0
        """The last one that this guest itself gave, where a snapshot may say anything of those before."""
        self._earlier_id = 0

    def let_go(self) -> None:
        """The guest is gone, and so is what was in flight: whom this knew goes at once, as it does itself."""
        self._charge = self._limit = _nobody
        self._changed = self.time_left = _nobody
        self._make_table, self._table, self._services = dict, None, {}

    # ---- in

    def begin(self) -> int:
        """An execution begins: the least id that its requests have."""
        self._earlier_id = self._seen_id
        return self.last_id + 1

    def admit(self, call: protocol.Call) -> None:
        """Take a request on. Raises Unencodable for an id that is taken, LimitExceeded for no room."""
        if call.id in self.live:
            raise Unencodable("a call's id is taken")
        if call.id <= self._earlier_id:  # it would outlive its execution, as those of earlier ones do
            raise Unencodable("a call's id is one of an earlier execution")
        request = HostRequest(self, call.id, call.operation, call.arguments)
        self.last_id = max(self.last_id, call.id)
        self._seen_id = max(self._seen_id, call.id)
        size = len(call.arguments)
        self._charge(FUEL_A_REQUEST + size * FUEL_A_BYTE)
        if len(self.live) >= self._limits.handles:
            raise LimitExceeded("handles", len(self.live) + 1, self._limits.handles)
        self.hold(request, size)
        self.live[call.id] = request
        self._queue(request)

    def _queue(self, request: HostRequest) -> None:
        request.queued = True
        self._waiting.append(request)

    def hold(self, request: HostRequest, size: int) -> None:
        """More bytes, or fewer where it is negative. Raises LimitExceeded."""
        self._meter.hold(size)
        request.held += size

    def _release(self, request: HostRequest) -> None:
        held, request.held = request.held, 0
        self._meter.release(held)

    @property
    def backlog(self) -> bool:
        """Whether a request can be served now."""
        return bool(self._waiting) and self._reply_bytes < REPLIES_AHEAD and self._working is None

    @property
    def replies_due(self) -> bool:
        """Whether the guest has a reply to take."""
        return bool(self._replies)

    # ---- served in turns

    def serve(self, until: float) -> None:
        """Serve requests in their order until a moment of the monotonic clock; at least one."""
        waiting = self._waiting
        while waiting and self._reply_bytes < REPLIES_AHEAD and self._working is None:
            request = waiting.popleft()
            if self.live.get(request.id) is request:
                self._begin(request)
                if time.monotonic() >= until:
                    return

    def _begin(self, request: HostRequest) -> None:
        request.started = True
        packed = request.packed
        if self._then is not None and self._answered_as_then(request, self._then):
            return
        if packed is not None:
            if len(packed) > protocol.IN_ONE_GO:
                if isinstance(self._handler_of(request), PackedHandler):
                    self.run(request, self._handle, request)
                    return
                self._work(request, self._decoded(request, packed), partial(self._ready, request))
                return
            try:
                arguments = protocol.arguments_of(packed)
                flat = are_flat(arguments)
                taken = flat_footprint(arguments, len(packed)) if flat else footprint(arguments)
                self.hold(request, taken - request.held)
                if not flat:
                    request.lent = Uncollected()
                    at_once(request.lent.add_all(arguments))
            except (Unencodable, LimitExceeded) as error:
                self.fail(request, error)
                return
            request.arguments, request.packed = arguments, None
        self.run(request, self._handle, request)

    def _decoded(self, request: HostRequest, packed: bytes) -> Generator[None, None, list[Any]]:
        """Large arguments. What is made of them is held as it is made, and at last what it is."""
        counted = 0
        request.lent = Uncollected()
        work = protocol.decode_in_turns(packed, uncollected=request.lent)
        while True:
            try:
                parts = next(work)
            except StopIteration as stop:
                arguments = stop.value
                break
            self.hold(request, (parts - counted) * BYTES_A_PART)
            counted = parts
            yield
        if type(arguments) is not list:
            raise Unencodable("a call's arguments are no array")
        taken = yield from footprint_in_turns(arguments)
        self.hold(request, taken - request.held)
        return arguments

    def _ready(self, request: HostRequest, arguments: list[Any]) -> None:
        request.arguments, request.packed = arguments, None
        self.run(request, self._handle, request)

    def _work(
        self, request: HostRequest, work: Generator[Any, None, Any], then: Callable[[Any], None]
    ) -> None:
        """Do work that takes several turns. Nothing else is served until it is done."""
        self._block_on(request, self._worked(work, then))

    def _block_on(self, request: HostRequest, work: Coroutine[Any, Any, Any]) -> None:
        self._working = request
        self.spawn(request, work)
        assert request.task is not None
        self._work_task = request.task
        self._work_task.add_done_callback(self._next)

    async def _worked(self, work: Generator[Any, None, Any], then: Callable[[Any], None]) -> Any:
        then(await in_turns(work))
        return PENDING

    def _next(self, task: asyncio.Task[Any]) -> None:
        if self._work_task is task:  # not, where its result began work of its own
            self._working = self._work_task = None
            self._changed()

    def _log_start(self, request: HostRequest) -> None:
        recorder = self.recorder
        facts = recorder.facts(request.id)
        if request.operation not in _LOGGED:
            return
        handler = self._handler_of(request) if request.packed is not None else None
        if isinstance(handler, PackedHandler):
            assert request.packed is not None
            preview = handler.name(request.packed)
        else:
            preview = " ".join(
                part if isinstance(part, str) else repr(part)[:_LOGGED_ARGUMENTS]
                for part in request.arguments[:8]
            )
        recorder.tell(
            events.RequestStarted,
            request=request.id,
            operation=request.operation,
            arguments=events.logged(preview, _LOGGED_ARGUMENTS),
            **place_of(facts),
        )

    def _log_end(self, request: HostRequest, status: str, error: str | None = None) -> None:
        if request.operation in _LOGGED:
            self.recorder.tell(events.RequestEnded, request=request.id, status=status, error=error)

    def trace_below(self, span: tracing.Span) -> None:
        """From now on what is asked for stands below this span."""
        self.span = span

    def _end_span(self, request: HostRequest, error: BaseException | str | None) -> None:
        span, request.span = request.span, None
        tracing.tool_ended(span, error)

    def _handle(self, request: HostRequest) -> Any:
        if request.operation != "llm" and self.recorder.on:
            self._log_start(request)
        if self.span is not None and request.operation in _LOGGED:
            request.span = tracing.tool_started(request.operation, self.span)
        service = self._services.get(request.operation)
        if service is not None:
            return service(request)
        handler = self._handler_of(request)
        if handler is None:
            raise CapabilityDenied(f"{request.operation}: this session was not granted that capability")
        if self.journal is not None and request.operation in self._effects:
            return self._noted(request, handler)
        return _served(request, handler)

    def _handler_of(self, request: HostRequest) -> Handler | None:
        if self._table is None:
            self._table = self._make_table()
        return self._table.get(request.operation)

    async def _noted(self, request: HostRequest, handler: Handler) -> Any:
        """Do what has an effect outside when the journal says that it is done."""
        await self.sending(request)
        self.run(request, _served, request, handler)
        return PENDING

    async def sending(self, request: HostRequest) -> None:
        """Write that a request is sent, before it is."""
        if self.journal is not None:
            request.sent = True
            self.journal.add(journals.Kind.SENT, request.id)
            await self.journal.flush()

    def run(self, request: HostRequest, work: Callable[..., Any], *arguments: Any) -> None:
        """Do what answers a request; its answer, or what it raised, is the reply."""
        try:
            answer = work(*arguments)
            if answer is PENDING:
                return
            if type(answer) in _AT_ONCE:
                self.resolve(request, answer)
                return
            if isinstance(answer, InTurns):
                self._work(request, answer.work, request.resolve)
                return
            if isinstance(answer, Alone):
                self._block_on(request, answer.work)
                return
            if is_awaitable(answer):
                self.spawn(request, answer)
                return
        except Exception as error:
            self.fail(request, error)
        except BaseException as error:
            # An embedder's function that ends its process ends itself: the session is not its own.
            self.fail(request, _ended(error))
        else:
            self.resolve(request, answer)

    def spawn(self, request: HostRequest, work: Awaitable[Any]) -> None:
        """Answer a request by a task of its own."""
        request.task = asyncio.get_running_loop().create_task(self._await(request, work))
        close = getattr(work, "close", None)
        if close is not None:  # a task that is cancelled before its first step never begins the work
            request.task.add_done_callback(lambda _task: close())

    async def _await(self, request: HostRequest, work: Awaitable[Any]) -> None:
        # The reply is queued in the same step in which the work ends, so that no snapshot can be
        # taken of a call that is counted as done and still in flight.
        try:
            value = await work
        except Exception as error:
            if request.wanted:
                self.fail(request, error)
        except (SystemExit, KeyboardInterrupt) as error:
            if request.wanted:
                self.fail(request, _ended(error))
        except BaseException:
            if request.wanted:
                self.fail(request, CapabilityDenied(f"{request.operation}: it was cancelled by its host"))
            raise
        else:
            if value is not PENDING and request.wanted:
                self.resolve(request, value)

    # ---- out

    def resolve(self, request: HostRequest, value: Any) -> None:
        """The reply has come. One that is large and of many parts is encoded in turns."""
        if self.live.get(request.id) is not request:
            return
        if self.recorder.on:
            self._log_end(request, "done")
        if request.span is not None:
            self._end_span(request, None)
        if type(value) in _SMALL:
            self._queue_reply(request, True, value)
            return
        work: Coroutine[Any, Any, Any] | None = None
        if is_long(value):
            if self.journal is None and (isinstance(value, LongText) or value.isascii()):
                text = at_once(long_text(value))  # it has nothing to look at
                if text is not None:
                    self._queue_encoded(request, protocol.TextReply(request.id, text))
                    return
            work = self._apart(request, value)
        elif isinstance(value, protocol.Encoded):
            head = protocol.reply_head(request.id)
            if sum(map(len, value.parts)) <= protocol.IN_ONE_GO:
                self._queue_encoded(request, b"".join((head, *value.parts)))
                return
            work = self._put_together(request, value.behind(head))
        elif _large(value):
            encoding = protocol.encode_in_turns(value, protocol.reply_head(request.id))
            work = self._put_together(request, encoding)
        if work is not None:
            request.arrives()
            if self.journal is not None and request.sent:  # what it took is in the account
                request.sent = False
                request.settled()
            if self._working in (None, request):
                self._block_on(request, work)
            else:
                self.spawn(request, work)
            return
        self._queue_reply(request, True, value)

    async def _put_together(self, request: HostRequest, work: Generator[Any, None, bytes]) -> Any:
        self._queue_encoded(request, await in_turns(work))
        return PENDING

    async def _apart(self, request: HostRequest, value: str | LongText) -> Any:
        text = await in_turns(long_text(value))
        if text is None:
            return await self._put_together(
                request, protocol.encode_in_turns(value, protocol.reply_head(request.id))
            )
        reply = protocol.TextReply(request.id, text)
        journalled = None if self.journal is None else await in_turns(reply.encoded())
        self._queue_encoded(request, reply, journalled)
        return PENDING

    def fail(self, request: HostRequest, error: BaseException) -> None:
        """The request failed. A limit among the reasons ends the execution."""
        if isinstance(error, LimitExceeded):
            self._limit(error)
        if self.recorder.on:
            self._log_end(request, "failed", message_of(error)[:_LOGGED_ARGUMENTS])
        if request.span is not None:
            self._end_span(request, error)
        self._queue_reply(request, False, condition_of(error))

    def _queue_reply(self, request: HostRequest, fine: bool, value: Any) -> None:
        try:
            encoded = protocol.reply(request.id, fine, value)
        except Unencodable as error:
            encoded = protocol.encode([request.id, False, condition_of(error)])
        self._queue_encoded(request, encoded)

    def _queue_encoded(
        self, request: HostRequest, encoded: protocol.Part, journalled: bytes | None = None
    ) -> None:
        """``journalled``: the same for the journal, where it is not bytes already."""
        if self.live.pop(request.id, None) is None:
            return
        request.over()
        size = len(encoded)
        limit = self._limits.message_bytes
        if size > limit:
            error = Unencodable(
                f"{request.operation}: the reply has {size:,} bytes; "
                f"a message may have {limit:,} (message_bytes)"
            )
            encoded = journalled = protocol.encode([request.id, False, condition_of(error)])
            size = len(encoded)
        self._charge(size * FUEL_A_BYTE)
        held, request.held = request.held, 0
        size = size if type(encoded) is bytes else protocol.own_bytes((encoded,))
        try:
            self._meter.hold(size - held)  # the reply, in place of what the request was
        except LimitExceeded as limit:
            self._meter.release(held)
            self._limit(limit)
            return
        self._reply_bytes += size
        self._replies.append((request.id, encoded))
        if self.journal is not None:
            self.journal.add(journals.Kind.ANSWER, request.id, journalled or protocol.joined((encoded,)))
        self._changed()

    def next_ids(self) -> list[int]:
        """Of which requests ``take`` would give the replies now."""
        ids: list[int] = []
        size = 0
        for id_, encoded in self._replies:
            size += len(encoded)
            if ids and (size > self._limits.message_bytes or len(encoded) > LONG_TEXT):
                break
            ids.append(id_)
            if len(encoded) > LONG_TEXT:
                break
        return ids

    def take(self, max_replies: int | None = None) -> list[tuple[int, protocol.Part]]:
        """Encoded replies for the guest, as many as fit one message; they are the guest's from now on.

        A long one comes alone: its text need not be copied to stand beside others.

        ``max_replies``: not more than so many.
        """
        replies = self._replies
        if len(replies) == 1 and max_replies != 0:
            taken = [replies.popleft()]
            self._taken(taken)
            return taken
        taken = []
        size = 0
        while (
            replies
            and len(taken) != max_replies
            and (not taken or size + len(replies[0][1]) <= self._limits.message_bytes)
        ):
            if taken and len(replies[0][1]) > LONG_TEXT:
                break
            item = replies.popleft()
            taken.append(item)
            size += len(item[1])
            if len(item[1]) > LONG_TEXT:
                break
        self._taken(taken)
        return taken

    def _taken(self, replies: list[tuple[int, protocol.Part]]) -> None:
        size = _held_for(replies)
        self._reply_bytes -= size
        self._meter.release(size)

    def keep(self, replies: list[tuple[int, protocol.Part]]) -> None:
        """Replies that the guest has taken, and that are kept for a rollback. Raises LimitExceeded."""
        self._meter.hold(_held_for(replies))

    def drop(self, replies: list[tuple[int, protocol.Part]]) -> None:
        """They are kept no longer."""
        self._meter.release(_held_for(replies))

    def give_back(self, replies: list[tuple[int, protocol.Part]]) -> None:
        """Replies that a guest had taken and that are due again: it went back to before that."""
        for item in reversed(replies):
            self._replies.appendleft(item)
            size = _held_for((item,))
            self._reply_bytes += size
            self._meter.hold(size, always=True)

    # ---- cancelling

    def cancel(self, id_: int) -> None:
        """The guest no longer wants a reply. One that has come already is dropped by the guest."""
        request = self.live.pop(id_, None)
        if request is not None:
            self._drop(request)

    def cancel_all(self, from_id: int = 0) -> None:
        """Nobody wants the replies any longer: neither those that are due nor those to come."""
        if not (self.live or self._waiting or self._replies):
            return
        dropped = [request for request in self.live.values() if request.id >= from_id]
        for request in dropped:
            del self.live[request.id]
        tasks: list[asyncio.Task[Any]] = []
        for request in reversed(dropped):  # those that wait before those whose places they wait for
            self._drop(request, tasks)
        if tasks:
            _cancelled(tasks)
        self._waiting = deque(request for request in self._waiting if request.wanted)
        kept = [item for item in self._replies if item[0] < from_id]
        forgotten = _held_for(self._replies) - _held_for(kept)
        self._replies = deque(kept)
        self._reply_bytes -= forgotten
        self._meter.release(forgotten)

    def abort(self, request: HostRequest, error: Exception) -> None:
        """The embedder ends a request: it fails in the guest with a condition."""
        if request.wanted:
            self._drop(request)
            self.fail(request, error)

    def _drop(self, request: HostRequest, tasks: list[asyncio.Task[Any]] | None = None) -> None:
        """``tasks`` gets the one that serves it, for who cancels many; else it is cancelled here."""
        self._release(request)
        if self.recorder.on and request.started:
            self._log_end(request, "cancelled")
        if request.span is not None:
            self._end_span(request, "cancelled")
        if request.on_cancel is not None:
            request.on_cancel()
        if request.timer is not None:
            request.timer.cancel()
        if request.task is not None:
            if tasks is None:
                request.task.cancel()
            else:
                tasks.append(request.task)
        request.over()

    def forget_ids(self) -> None:
        """The guest is a fresh one, which counts from the beginning."""
        self.last_id = self._seen_id = self._earlier_id = 0

    def back_to(self, first_id: int) -> None:
        """The guest went back, and counts from before this one."""
        self.last_id = first_id - 1
        self._seen_id = min(self._seen_id, self.last_id)

    def back_to_snapshot(self) -> None:
        """The guest went back to where it was restored, or a little later: how far it counted is unknown."""
        self._seen_id = 0

    async def arrived(self) -> None:
        """Until what is here of answers now is due as replies, or is wanted no more."""
        arriving = [request for request in self.live.values() if request.transit is not None]
        while any(request.transit is not None for request in arriving):
            await asyncio.sleep(0)

    # ---- snapshots

    def to_state(self) -> states.RequestsState:
        """Requests and replies, for a snapshot."""
        return states.RequestsState(
            self.last_id,
            tuple(request.to_state() for request in self.live.values()),
            tuple((id_, protocol.joined((encoded,))) for id_, encoded in self._replies),
        )

    def from_state(self, state: states.RequestsState) -> None:
        """Take over what ``to_state`` gave; ``send_again`` starts what was in flight.

        Raises SnapshotCorrupt for what could not have come about, LimitExceeded for no room.
        """
        ids = [request.id for request in state.requests] + [id_ for id_, _ in state.replies]
        if len(set(ids)) < len(ids) or max(ids, default=0) > state.last_id:
            raise SnapshotCorrupt("the snapshot's requests in flight have ids that cannot be")
        if len(ids) > self._limits.handles:
            raise LimitExceeded("handles", len(ids), self._limits.handles)
        self.last_id = state.last_id
        self.give_back(list(state.replies))
        for saved in state.requests:
            request = HostRequest(self, saved.id, saved.operation, saved.arguments)
            request.take_over(saved)
            self.hold(request, len(saved.arguments))
            self.live[saved.id] = request

    # ---- once more, by a journal

    def answer_as_then(self, known: Callable[[str, bytes], tuple[int, bytes] | None]) -> None:
        """Answer requests by what is known of such, an operation and its arguments: an id, and its reply.

        What ``known`` raises is the reply; None: the request is served as any.
        """
        self._then = known

    def _answered_as_then(
        self, request: HostRequest, known: Callable[[str, bytes], tuple[int, bytes] | None]
    ) -> bool:
        try:
            found = known(request.operation, request.to_state().arguments)
        except ProviderError as error:
            self.fail(request, error)
            return True
        if found is not None:
            encoded = protocol.reply_to(request.id, *found)
            self._queue_encoded(request, protocol.part_of(encoded), encoded)
        return found is not None

    def made_before(self, id_: int) -> HostRequest:
        """A request that a journal speaks of. Raises JournalDiverged for one that nobody made."""
        request = self.live.get(id_)
        if request is None:
            raise journals.diverged(None, f"there is no request {id_!r:.20}, which was made then")
        return request

    def answered_before(self, id_: int, encoded: bytes) -> None:
        """A request's reply had come. Raises JournalDiverged for one that nobody made."""
        request = self.made_before(id_)
        del self.live[id_]
        self._release(request)
        part = protocol.part_of(encoded)
        size = protocol.own_bytes((part,))
        self._charge(len(part) * FUEL_A_BYTE)
        self._meter.hold(size, always=True)
        self._reply_bytes += size
        self._replies.append((id_, part))

    def take_again(self, ids: Sequence[int]) -> list[tuple[int, protocol.Part]]:
        """The guest took the replies to these requests. Raises JournalDiverged where they are not next."""
        if [item[0] for item in itertools.islice(self._replies, len(ids))] != list(ids):
            raise journals.diverged(None, f"the replies to {list(ids)[:5]} were taken, and are not there")
        taken = [self._replies.popleft() for _ in ids]
        self._taken(taken)
        return taken

    def hold_back(self) -> None:
        """What was done before, by a journal, waits until ``send_again`` says that it may be."""
        for request in self.live.values():
            if request.again and request.operation in self._effects:
                request.wait_for_leave()
        self._waiting = deque(request for request in self._waiting if request.queued)

    def send_again(self, allowed: Callable[[HostRequest], str | None]) -> None:
        """Serve what was in flight when the snapshot was taken.

        ``allowed`` gives None for a request that may be served again, else why it may not: then it
        fails in the guest with those words.
        """
        for request in list(self.live.values()):
            if not request.queued:
                refused = allowed(request) if request.again else None
                if refused is None:
                    self._queue(request)
                else:
                    self.fail(request, CapabilityDenied(refused))


_FREED_AT_ONCE = 500
"""Containers of arguments that are freed where they are: work for later would be more."""
_AT_ONCE = frozenset({list, str, int, float, bool, type(None), bytes, dict})
"""Types of answers that nobody has to wait for."""
_ENCODED_AT_ONCE = 10_000
"""Items of a reply, or hundreds of characters or bytes, that are encoded without a turn in between."""


def _served(request: HostRequest, handler: Handler) -> Any:
    """Large arguments were not decoded for a handler that takes them as they came."""
    if request.packed is not None and isinstance(handler, PackedHandler):
        return handler.packed(request.packed)
    return handler(request.arguments)


_SMALL = frozenset({int, bool, float, type(None)})


def _cancelled(tasks: list[asyncio.Task[Any]]) -> None:
    """Cancel them, in their order. Each has a step to make of it, and thousands would make it in one turn."""
    for task in tasks[:_CANCELLED_AT_ONCE]:
        task.cancel()
    rest = tasks[_CANCELLED_AT_ONCE:]
    if rest:
        tasks[0].get_loop().call_soon(_cancelled, rest)


def _held_for(replies: Iterable[tuple[int, protocol.Part]]) -> int:
    return protocol.own_bytes([encoded for _, encoded in replies])


def _large(value: Any) -> bool:
    """Whether encoding it may take longer than a turn. Looks at so many of its parts and no more."""
    rest, seen = [value], 0
    for item in rest:
        kind = type(item)
        if kind in _SMALL:
            continue
        if kind is str or kind is bytes:
            seen += len(item) // 100
            if seen > _ENCODED_AT_ONCE:
                return True
            continue
        if kind is dict:
            seen += 2 * len(item)
        elif kind is list or kind is tuple:
            seen += len(item)
        elif isinstance(item, Mapping):
            seen += 2 * len(item)
        if seen > _ENCODED_AT_ONCE:
            return True
        if kind is list or kind is tuple:
            rest.extend(item)
        elif kind is dict:
            rest.extend(item)
            rest.extend(item.values())
        elif isinstance(item, Mapping):
            rest.extend(part for pair in item.items() for part in pair)
    return False


def _ended(error: BaseException) -> Exception:
    """What a host function did that tried to end its process."""
    return RuntimeError(described(error))


def _sleep(request: HostRequest) -> Any:
    seconds = protocol.plain_number(request.arguments[0])
    if seconds is None or seconds > 1e6:
        return PENDING  # for ever: a timeout will end it
    loop = asyncio.get_running_loop()
    request.timer = loop.call_later(max(seconds, 0.0), request.resolve, None)
    return PENDING
