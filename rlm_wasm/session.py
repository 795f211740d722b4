"""One session: a guest with its state, and who may have it: one execution, one question, or nobody.

This is the public face of what a session consists of; that stands in ``session_parts``, a part a file.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import AsyncIterator, Callable, Collection, Generator, Mapping
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, overload

from rlm_wasm import tracing
from rlm_wasm.errors import (
    InstanceLost,
    InternalError,
    LimitExceeded,
    SessionClosed,
    SnapshotCorrupt,
    UsageError,
)
from rlm_wasm.execution import history as histories
from rlm_wasm.execution import progress as progresses
from rlm_wasm.execution.outcome import Outcome, data_in_turns, data_of, is_large, result_of
from rlm_wasm.grants import Grants
from rlm_wasm.lazy_dataclass import asdict, dataclass, field, replace
from rlm_wasm.limits import Limits
from rlm_wasm.llm.budget import Budget
from rlm_wasm.results import Execution, OnProgress, Problem, Result
from rlm_wasm.runlog.stream import Reader
from rlm_wasm.sandbox.pages import at_once
from rlm_wasm.session_parts import capture, replaying, run_log, serving
from rlm_wasm.session_parts import children as families
from rlm_wasm.session_parts import inquiry as inquiries
from rlm_wasm.session_parts import question as questions
from rlm_wasm.session_parts import state as states
from rlm_wasm.session_parts import stay as stays
from rlm_wasm.session_parts.idle import SMALL, IdleSessions
from rlm_wasm.session_parts.observer import OnOutput
from rlm_wasm.session_parts.parts import Parent, Parts
from rlm_wasm.session_parts.program_text import bad_text
from rlm_wasm.session_parts.resending import ALL_KINDS, SENT_AGAIN, Resending

if TYPE_CHECKING:
    from rlm_wasm.asking.answer import Answer, OnStep
    from rlm_wasm.execution.history import History
    from rlm_wasm.execution.progress import StreamEvent
    from rlm_wasm.sandbox.engine import Engine
    from rlm_wasm.sandbox.snapshot import Snapshot
    from rlm_wasm.session_parts.children import Below, Children
    from rlm_wasm.session_parts.durable import Durable
    from rlm_wasm.session_parts.placed import Elsewhere, Told, Work
    from rlm_wasm.session_parts.stay import Stay

_ASKED_AT_ONCE = 4 << 20
"""Bytes of objects up to which a guest is asked for its definitions while everybody waits."""


@dataclass(slots=True)
class Registry:
    """What a Runtime keeps of its sessions together. Sessions below a session have one of their own."""

    open: set[Session] = field(default_factory=set)
    idle: IdleSessions | None = None
    """Puts those that rest or wait to sleep."""
    snapshot_key: bytes | None = None
    elsewhere: Elsewhere | None = None
    """Where children of #:recursive calls may be sessions of their own."""

    def run_children(self, elsewhere: Elsewhere) -> None:
        """There, from now on."""
        self.elsewhere = elsewhere


@dataclass(frozen=True, slots=True)
class _Streamed:
    """The execution of a stream, and whether somebody may still read that."""

    task: asyncio.Task[Result]
    is_read: Callable[[], bool]


class Session:
    """A sandbox with state. Made by ``Runtime.session``; an async context manager.

    One execution at a time: a second one meanwhile is a UsageError. ``cancel``, ``snapshot``,
    ``fork``, ``state`` and ``scope_log`` may be called while an execution runs.
    """

    def __init__(
        self,
        grants: Grants,
        *,
        limits: Limits,
        namespace: str,
        registry: Registry,
        snapshot: Snapshot | None = None,
        parent: Parent | None = None,
        resend: Collection[str] = SENT_AGAIN,
        durable: Durable | None = None,
        stream: str = "",
        budget: Budget | None = None,
        depth: int = 0,
    ) -> None:
        """For Runtime, ``fork``, and the sessions below this one.

        ``snapshot``: where it starts. ``durable``, ``stream``: its place in a store. ``budget``: shared
        with the session that it is a fork of. ``depth``: of the one that it stands in for elsewhere.

        Raises:
            SnapshotVersionError: the snapshot belongs to another guest.
            SnapshotCorrupt: it is malformed, or does not fit the limits.
        """
        memory = state = None
        if snapshot is not None:
            capture.check_guest(snapshot, grants.engine)
            state = states.state_of(snapshot)
            most = grants.engine.image_size + limits.memory_bytes
            memory = at_once(snapshot.at_rest(most, grants.engine))
        self.limits = limits
        self.namespace = namespace
        self._registry = registry
        self._idle = registry.idle
        self._busy = False
        self._streamed: _Streamed | None = None
        self._serving: asyncio.Task[Any] | None = None
        """Where it stands in for another session."""
        self._question: questions.Question | None = None
        """The one that is worked on."""
        self._known_variables: list[str] | None = None
        self._resending = Resending(resend)
        self._stay = stay = (
            None
            if durable is None
            else stays.Stay(durable, stream, grants.engine, self._captured, owns_lease=parent is None)
        )
        self._parts = parts = Parts(
            grants,
            limits,
            namespace,
            parent=parent,
            memory=memory,
            budget=budget,
            journal=None if stay is None else stay.journal,
            recurse=lambda *call: self._children.recurse(*call),
            fork_map=lambda request: self._children.fork_map(request),
            child_over=lambda number: self._children.over(number),
            python_changed=None if stay is None else stay.python_changed,
            idle=registry.idle,
            depth=depth,
        )
        self._calls = parts.calls
        self._scheduler = parts.scheduler
        if stay is not None and parent is None:
            stay.durable.spends(parts.calls.budget, limits)
            parts.log.listen(stay.scope_logged)
        registry.open.add(self)
        if state is None:
            return
        try:
            capture.adopt(parts, state, self._resending)
            if state.children or state.forked:
                self._children.adopt(state)
        except LimitExceeded as error:
            self.give_up()
            raise SnapshotCorrupt(f"the snapshot does not fit the limits of this runtime: {error}") from error
        except UsageError as error:  # a context without a name, and the like
            self.give_up()
            raise SnapshotCorrupt(f"the snapshot: {error}") from error
        except BaseException:
            self.give_up()
            raise

    def _like_this(
        self,
        grants: Grants,
        snapshot: Snapshot | None,
        registry: Registry,
        **more: Any,
    ) -> Session:
        return Session(
            grants,
            limits=self.limits,
            namespace=self.namespace,
            registry=registry,
            snapshot=snapshot,
            **more,
        )

    def _below(self, grants: Grants, parent: Parent, snapshot: Snapshot | None, stream: str) -> Below:
        made = self._like_this(
            grants,
            snapshot,
            replace(self._registry, open=set()),
            parent=parent,
            durable=None if self._stay is None else self._stay.durable,
            stream=stream,
            resend=self._resending.allowed,
        )
        return families.Below(made, made._parts, made._stay, made._children)

    @cached_property
    def _children(self) -> Children:
        key, elsewhere = self._registry.snapshot_key, self._registry.elsewhere
        resend = self._resending.allowed
        return families.Children(self._parts, self._stay, key, self._below, elsewhere, resend)

    @cached_property
    def history(self) -> History:
        """Of a durable session that is only looked at: what its journal says that it asked."""
        return histories.History()

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return self._parts.closed

    # ---- executing

    async def execute(
        self,
        source: str,
        *,
        timeout_s: float | None = None,
        on_progress: OnProgress | None = None,
        on_output: OnOutput | None = None,
        name: str = "program",
        check: bool = True,
        request: str | None = None,
    ) -> Result:
        """Run a program to its end. Its errors and limits are in the Result.

        Before its first LLM call is sent, what of the program has not run yet is looked through as by
        ``check``: where something is certain to fail it ends there, with an error that lists all of that.
        ``check=False`` leaves this out. ``on_progress`` is called a few times a second, ``on_output`` with
        each piece of text that the program prints. Cancelling the task that awaits this cancels the
        program's calls; the session stays usable.

        ``request``: an id of the caller's, for durable sessions. Where the session's last execution was
        asked for by the same id, maybe in a process that died, it is not run again: it goes on, or its
        Result is given again. So asking until there is an answer runs a program once.

        Raises:
            UsageError: the source is no text, an execution is running, or one is to be resumed.
            SessionClosed: the session was closed before.
            SnapshotCorrupt: the Result that the store has is damaged, or the session's memory is.
            InternalError: a defect of rlm-wasm.
        """
        if self._streamed is not None:
            await self._end_left_stream()
        stay = self._stay
        if self._busy or stay is not None or self._question is not None or self._parts.closed:
            self._check_free()
        if not isinstance(source, str):
            raise UsageError(f"execute: the program must be a str, got {type(source).__name__}")
        if request is not None:
            durable = None if stay is None else stay.durable
            if durable is None:
                raise UsageError("execute: request= is for durable sessions: Runtime(store=…, durable=True)")
            if durable.is_asked_for(request):
                if self.suspended:
                    return await self.resume(
                        timeout_s=timeout_s, on_progress=on_progress, on_output=on_output
                    )
                if durable.result is not None:
                    return durable.result
        if self.suspended:
            raise UsageError(
                "this session was restored in the middle of an execution: resume() it, or reset()"
            )
        if stay is not None:
            stay.durable.asked_for(request or "")
            await self._begin(stay)
        if self._parts.owns_budget:
            self._calls.budget.begin_execution()
        limits = self.limits if timeout_s is None else self._tightened(timeout_s)
        return await self._execute(source, limits, name, on_progress, on_output, check=check)

    async def _execute(
        self,
        source: str | None,
        limits: Limits,
        name: str = "program",
        on_progress: OnProgress | None = None,
        on_output: OnOutput | None = None,
        *,
        check: bool = True,
    ) -> Result:
        """A program, by whoever has the session; without one that which is suspended goes on.

        What it uses counts to the execution that has begun.
        """
        parts, calls, stay, scheduler = self._parts, self._calls, self._stay, self._scheduler
        logging = parts.recorder.on
        options: dict[str, Any] = {}
        kept = None
        if source is not None:
            source = source.removeprefix("\ufeff")  # a byte order mark
            bad = bad_text(source, self.limits.message_bytes)
            if bad is not None:
                return bad
            options = parts.options.take(traced=logging)
            if stay is not None and stay.owns_lease:
                kept = parts.programs.given(source, stay.durable.keep_text)
        outcome: Outcome | None = None
        result: Result | None = None
        span = tracing.execution_started(namespace=self.namespace, depth=calls.depth)
        calls.begin_execution(span)
        scheduler.requests.trace_below(span)
        observed = on_progress is not None or on_output is not None
        if observed:
            parts.observer.begin(calls, scheduler, on_progress, on_output)
        self._known_variables = None
        self._busy = True
        idle = self._idle
        if idle is not None:
            idle.used(self)
        try:
            if logging:
                await run_log.log_start(parts, source, name)
            if source is None:
                outcome = await scheduler.resume(limits)
            else:
                sent = options if check else {"check": "never", **options}
                work = scheduler.execute(source, name, sent, limits)
                outcome = work if isinstance(work, Outcome) else await work
            if "_children" in self.__dict__:
                await self._children.placed.settled()
            if is_large(outcome):
                # A snapshot of this time would have neither the execution nor what came of it.
                with scheduler.guest.in_transit():
                    data = await data_in_turns(outcome)
            else:
                data = data_of(outcome)
            result = result_of(outcome, self._used(outcome), data)
            if stay is not None:
                parts.inquiry.ran(result)
                await stay.end(outcome, result)
            return result
        finally:
            self._busy = False
            if idle is not None and not parts.closed:
                held = scheduler.guest.sandbox.touched_bytes()
                if held >= SMALL:
                    idle.rested(self, held, self._sleep)
            try:
                if observed:
                    parts.observer.end()
            finally:
                if span is not None:
                    tracing.execution_ended(span, result)
                if logging:
                    run_log.log_end(parts, result)
                if source is not None and (outcome is None or outcome.rolled_back):
                    parts.options.give_back(options)  # what the guest was told is undone
                    parts.programs.undone(kept)

    def stream(
        self, source: str, *, timeout_s: float | None = None, name: str = "program"
    ) -> AsyncIterator[StreamEvent]:
        """Run a program, and give what happens as it happens; last comes the Result.

        ``async for event in session.stream(source)``: Output, CallStarted and CallEnded in the order in
        which they came, Progress a few times a second, of which a reader that is slow gets the newest.
        Whoever stops reading before the Result cancels the execution; the next one waits for its end.

        Raises:
            UsageError: the source is no text, an execution is running, or one is to be resumed.
            SessionClosed: the session was closed before.
            InternalError: a defect of rlm-wasm.
        """
        reader: weakref.ref[object] | None = None

        def is_read() -> bool:
            return reader is None or reader() is not None

        events = self._streamed_events(source, timeout_s, name, is_read)
        reader = weakref.ref(events)
        return events

    async def _streamed_events(
        self, source: str, timeout_s: float | None, name: str, is_read: Callable[[], bool]
    ) -> AsyncIterator[StreamEvent]:
        await self._end_left_stream()
        events = progresses.StreamedEvents()
        leave = self._parts.recorder.stream.subscribe(events.take)
        work = self.execute(
            source, timeout_s=timeout_s, on_progress=events.progress, on_output=events.output, name=name
        )
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(events.end)
        if not self.running:
            self._streamed = _Streamed(task, is_read)
        try:
            while True:
                event = await events.next()
                if event is None:
                    break
                yield event
            yield await task
        finally:
            leave()
            if not task.done():
                self.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _end_left_stream(self) -> None:
        """End the execution of a stream that nobody reads any more.

        A loop that is left by ``break`` only drops its iterator: what that does at its end would come after
        the program's next step, which may be an execution.
        """
        streamed = self._streamed
        if streamed is None or streamed.task is asyncio.current_task():
            return
        if streamed.task.done():
            self._streamed = None
        elif not streamed.is_read():
            self.cancel()
            await asyncio.wait({streamed.task})

    async def check(self, source: str, *, timeout_s: float | None = None) -> tuple[Problem, ...]:
        """What is wrong with a program, in the order of its places, without running it.

        Found are what cannot be read or expanded, names that nothing defines, calls of known procedures
        with a wrong number of arguments or an unknown keyword, patterns that do not compile, and LLM
        calls whose literal arguments the model would refuse. The program's macros run, in a copy of the
        session: this one stays as it is, and no model is asked.

        Raises:
            UsageError: the source is no text, an execution is running, or one is to be resumed.
            LimitExceeded: the limits of the session do not suffice for that.
            SessionClosed: the session was closed before.
            InternalError: a defect of rlm-wasm.
        """
        self._check_free()
        if self.suspended:
            raise UsageError("check: this session is in the middle of an execution: resume() it, or reset()")
        return await self._problems(source, timeout_s)

    async def _problems(self, source: str, timeout_s: float | None) -> tuple[Problem, ...]:
        async with await self.fork() as copy:
            copy._parts.recorder.mute()
            copy._parts.options.check("only")
            result = await copy.execute(source, timeout_s=timeout_s)
        if result.error is not None and result.error.type.startswith("exn:fail:read"):
            error = result.error
            return (Problem(severity="error", message=error.message, line=error.line, column=error.column),)
        result.raise_for_status()
        return tuple(
            Problem(
                severity=problem["severity"],
                message=problem["message"],
                line=problem["line"] or None,
                column=problem["column"] or None,
                hint=problem["hint"] or None,
            )
            for problem in result.data or ()
        )

    async def resume(
        self,
        *,
        timeout_s: float | None = None,
        on_progress: OnProgress | None = None,
        on_output: OnOutput | None = None,
    ) -> Result:
        """Go on with the execution that the snapshot was taken of; calls in flight are sent again.

        A durable session that was left in the middle of a question goes on with that: its Answer is given.

        Raises:
            UsageError: there is no execution to go on with, or one is running.
            SessionClosed: the session was closed before.
            SnapshotCorrupt: the memory of the snapshot is damaged, so that it can neither go on nor end.
            InternalError: a defect of rlm-wasm.
        """
        self._check_free()
        if not self.suspended:
            raise UsageError("resume: this session has no suspended execution")
        progress = self._parts.inquiry.progress
        if progress is not None and not progress.is_over:
            asked = questions.Question.of(self._parts, progress.asked, timeout_s)
            return await self._gone_on(asked, None, on_progress, on_output)
        if self._stay is not None:
            await self._begin(self._stay)
        return await self._resumed(self._tightened(timeout_s), on_progress, on_output)

    async def _resumed(
        self, limits: Limits, on_progress: OnProgress | None, on_output: OnOutput | None
    ) -> Result:
        self._scheduler.requests.send_again(self._resending.refusal)
        return await self._execute(None, limits, on_progress=on_progress, on_output=on_output)

    async def _begin(self, stay: Stay) -> None:
        """An execution of a durable session is about to begin: nobody else begins meanwhile.

        Raises:
            SessionClosed: it was closed meanwhile.
        """
        if not stay.owns_lease:
            return
        self._busy = True
        try:
            await stay.begin()
        finally:
            self._busy = False
        if self.closed:
            raise SessionClosed("the session is closed")
        self._parts.inquiry.used_again()
        stay.begun()
        if self._calls.placed:
            await self._children.placed.taken_up()

    def subscribe(self, reader: Reader) -> Callable[[], None]:
        """Hand ``reader`` every record of what happens from now on; what is given back ends that.

        It is called on the event loop, so it must be quick; what it raises never reaches the program.
        """
        return self._parts.recorder.stream.subscribe(reader)

    def log_chapter(self, title: str) -> None:
        """Tell the run log that a part of a longer undertaking begins; nothing where nobody reads it."""
        if self._parts.recorder.on:
            self._parts.recorder.chapter(title)

    async def _sleep(self) -> None:
        if not self._busy and not self.closed:
            try:
                await self._scheduler.sleep()
            except InstanceLost:
                pass  # its memory is damaged: who needs it next finds that out
            except InternalError:
                if not self.closed:  # while its memory was copied
                    raise

    def _used(self, outcome: Outcome) -> Execution:
        execution = outcome.execution
        return self._calls.budget.execution.to_execution(
            elapsed=execution.elapsed(),
            fuel=execution.account.used if self._parts.owns_budget else execution.fuel,
            memory_bytes=self._scheduler.guest.sandbox.heap_used(),
        )

    def _tightened(self, timeout_s: float | None) -> Limits:
        if timeout_s is None:
            return self.limits
        return replace(self.limits, timeout_s=min(float(timeout_s), self.limits.timeout_s))

    def _check_free(self) -> None:
        if self.closed:
            raise SessionClosed("the session is closed")
        if self._stay is not None and not self._stay.durable.writes:
            raise UsageError("this session is only looked at: Runtime.resume takes it up")
        if self.running:
            raise UsageError("the session is executing already: one execution at a time")

    @property
    def running(self) -> bool:
        """Whether an execution is under way, or a question."""
        return self._busy or self._question is not None

    @property
    def suspended(self) -> bool:
        """Whether ``resume`` has something to go on with: an execution, or a question."""
        return not self.running and (self._scheduler.execution is not None or self._parts.inquiry.open)

    def cancel(self) -> None:
        """End the running execution: its Result says "cancelled". Without one nothing happens."""
        if self._question is not None:
            self._question.cancel()
        if self._busy:
            self._scheduler.cancel()

    def cancel_call(self, call_id: int) -> bool:
        """Cancel one LLM call by the id that the scope log shows; False where none such runs."""
        return self._calls.cancel(call_id)

    # ---- questions

    async def ask(
        self,
        question: str,
        *,
        contexts: Collection[str | None] | None = None,
        answer_type: Any = None,
        model: str | None = None,
        max_iterations: int | None = None,
        timeout_s: float | None = None,
        request: str | None = None,
        on_step: OnStep | None = None,
        on_progress: OnProgress | None = None,
        on_output: OnOutput | None = None,
    ) -> Answer:
        """Answer a question over the loaded contexts, by programs that the model writes and looks at.

        ``contexts``: names of those that it is about, None being the main one; by default all. ``model``
        writes the programs; their calls go to the session's model where they name none. ``answer_type``:
        str, a pydantic model or another type that pydantic knows, or a JSON Schema. The session's limits
        hold for the whole question, ``iterations`` (which ``max_iterations`` tightens) among them.
        ``on_step`` is called after each iteration. What its programs define stays in the session.

        What goes wrong on the way is in the Answer: its ``status``, ``error``, ``steps`` and ``notes``.

        ``request``: an id of the caller's, for durable sessions. Where the session's last question was asked
        by the same id, maybe in a process that died, it goes on from there, and no call that was answered is
        made again; one that is over gives its Answer again, but for one that failed, which goes on, too.

        Raises:
            UsageError: the question is no text, a name no context, ``answer_type`` no type, an execution is
                running, or one is to be resumed.
            SessionClosed: the session was closed before.
            SnapshotCorrupt: the Answer that the store has is damaged.
            InternalError: a defect of rlm-wasm.
        """
        from rlm_wasm.store.records import check_name

        self._check_free()
        if request is not None and self._stay is None:
            raise UsageError("ask: request= is for durable sessions: Runtime(store=…, durable=True)")
        inquiry = self._parts.inquiry
        again = self.was_asked(request)
        if self.suspended and not (again and inquiry.open):
            raise UsageError("ask: this session is in the middle of an execution: resume() it, or reset()")
        asked = questions.Question(
            self._parts,
            question,
            contexts,
            answer_type,
            model,
            max_iterations,
            timeout_s,
            "" if request is None else check_name(request, "a request's id"),
        )
        if again:
            answer = inquiry.answer
            if answer is not None and answer.status not in inquiries.FAILED:
                return asked.given_again(answer)
            return await self._gone_on(asked, on_step, on_progress, on_output)
        refused = asked.refused()
        if refused is not None:
            return refused
        await asked.load(self.load_context)
        if self._stay is not None:
            self._stay.durable.asked_for("")
            await self._begin(self._stay)
        self._calls.budget.begin_execution()
        inquiry.begin(asked.asked)
        return await self._answered(asked, on_step, on_progress, on_output)

    def was_asked(self, request: str | None) -> bool:
        """Whether the session's last question was asked by this id: ``ask`` goes on with it then."""
        return bool(request) and self._parts.inquiry.was_asked(str(request))

    async def _gone_on(
        self,
        asked: questions.Question,
        on_step: OnStep | None,
        on_progress: OnProgress | None,
        on_output: OnOutput | None,
    ) -> Answer:
        """The answer to a question that was begun before."""
        asked.takes_up(self._parts.inquiry.take_up())
        refused = asked.refused()
        if refused is not None:
            return refused
        if self._stay is not None:
            await self._begin(self._stay)
        self._parts.inquiry.go_on()
        return await self._answered(asked, on_step, on_progress, on_output)

    async def _answered(
        self,
        asked: questions.Question,
        on_step: OnStep | None,
        on_progress: OnProgress | None,
        on_output: OnOutput | None,
    ) -> Answer:
        scheduler, stay = self._scheduler, self._stay

        async def run(program: str, limits: Limits) -> Result:
            if scheduler.execution is not None:  # another process has begun it
                return await self._resumed(limits, on_progress, on_output)
            if stay is not None:
                await stay.begin()
            return await self._execute(program, limits, "program", on_progress, on_output)

        self._question = asked
        if stay is not None:
            stay.asks(question=True)
        try:
            answer = await asked.answered(
                run, self._problems, lambda: scheduler.execution is not None, on_step
            )
            if stay is not None:
                await stay.answered(answer)
            return answer
        finally:
            self._question = None
            if stay is not None:
                stay.asks(question=False)
            self._parts.inquiry.leave()

    # ---- for another session, elsewhere

    async def serve(self, work: Work) -> Told:
        """Serve a recursive call of another session: see ``session_parts.serving``.

        What is over is told again.

        Raises:
            UsageError: it serves one already.
            SessionClosed: the session was closed before, or meanwhile.
            StoreError: what comes of it cannot be kept.
            SnapshotError: what the store has of it cannot be used.
            InternalError: a defect of rlm-wasm.
        """
        self._check_free()
        stay = self._stay
        assert stay is not None
        served = serving.Serving(self._parts, stay.durable, self._children, work)
        known = served.known()
        if known is not None:
            return known
        await self._begin(stay)
        if stay.durable.writer.frozen:
            raise SessionClosed("the session was wanted no longer before it began")
        self._busy = True
        self._serving = asyncio.current_task()
        try:
            told = await served.done(lambda: stay.durable.writer.frozen and not self.closed)
            await stay.journal.flush()
            return told
        finally:
            self._busy = False
            self._serving = None

    async def stop_serving(self) -> None:
        """Nobody wants that any longer: ``serve`` leaves it in its middle, and tells what it took.

        Raises LeaseLost where another process has the session.
        """
        assert self._stay is not None
        self._stay.freeze()
        try:
            await self._stay.write()
        finally:
            if self._serving is not None:
                self._serving.cancel()

    # ---- state

    async def load_context(self, text: str | bytes, name: str | None = None) -> None:
        """Give the program a text: ``context``, or ``(get-context name)``. Bytes must be UTF-8.

        A byte order mark is dropped; half of a surrogate pair, in text or name, becomes U+FFFD.

        Raises:
            UsageError: the text is no text, or no UTF-8.
            SessionClosed: the session was closed before.
        """
        if self.closed:
            raise SessionClosed("the session is closed")
        parts = self._parts
        name = parts.contexts.load(text, name)
        if name is None:
            parts.options.context_replaced()
        if self._stay is not None:
            self._stay.context_loaded(name, parts.contexts.text(name))
        if parts.python_made is not None:
            parts.python_made.set_context(name, parts.contexts.text(name))

    async def reset(self) -> None:
        """Forget everything but the checkpoints: definitions, Python variables, contexts, the log.

        An execution that runs meanwhile is a UsageError: cancel it first.
        """
        self._check_free()
        if self._stay is not None:
            self._stay.reset()
        self._parts.forget()
        self._known_variables = None
        if self._parts.python_made is not None:
            await self._parts.python_made.reset()

    def keep_last_value(self) -> None:
        """From the next execution on the variable ``_`` holds the last value, as conversations have it."""
        self._parts.options.converse()

    def scope_log(self) -> list[dict[str, Any]]:
        """What crossed between host, sandbox and sub-calls, in order."""
        return self._parts.log.entries()

    async def definitions(self) -> list[str]:
        """The names that the session's programs have defined."""
        self._check_free()
        if self._known_variables is None and not self.suspended:
            self._known_variables = await self._scheduler.guest.definitions()
        return self._known_variables or []

    def _variables(self) -> list[str] | None:
        """What is known, or what the guest can say at once; None where it is not free or has too many."""
        if self.closed or self._busy or self.suspended:
            return None
        if self._known_variables is None and self._scheduler.guest.sandbox.heap_used() <= _ASKED_AT_ONCE:
            self._known_variables = self._scheduler.guest.definitions_at_once()
        return self._known_variables

    def state(self) -> dict[str, Any]:
        """Variables, contexts, checkpoints, limits and what was used of them, calls in flight.

        ``variables`` is None while an execution is under way, and where a session of megabytes would take
        longer than a turn of the event loop to say them: after ``await definitions()`` they are known.
        ``checkpoints`` are the keys that this session wrote (``checkpoints()`` asks the store).
        """
        used = self._calls.budget.session
        return {
            "namespace": self.namespace,
            "running": self.running,
            "suspended": self.suspended,
            "variables": self._variables(),
            "checkpoints": sorted(self._parts.checkpoints.written),
            "contexts": {name or "context": len(text) for name, text in self._parts.contexts.texts.items()},
            "host_functions": self._parts.functions.names,
            "calls_in_flight": [
                {
                    "call_id": call.number,
                    "model": call.request.model,
                    "running_s": round(time.monotonic() - call.started, 3),
                }
                for call in self._calls.running.values()
            ],
            "calls_queued": self._calls.queued,
            "limits": asdict(self.limits),
            "used": {
                "calls": used.calls,
                "tokens": used.tokens,
                "prompt_tokens": used.prompt_tokens,
                "completion_tokens": used.completion_tokens,
                "cost_usd": used.known_cost,
                "cached": used.cached,
                "cached_tokens": used.cached_tokens,
                "memory_bytes": 0 if self.closed else self._scheduler.guest.sandbox.heap_used(),
                "host_bytes": self._parts.meter.held,
            },
            "log_entries": len(self._parts.log),
        }

    @property
    def calls_made(self) -> int:
        """LLM calls of the whole session."""
        return self._calls.budget.session.calls

    @property
    def log_length(self) -> int:
        """How many entries the scope log has."""
        return len(self._parts.log)

    @property
    def contexts(self) -> Mapping[str | None, str]:
        """The texts that are loaded, by name; the main one under None. A copy of the table."""
        return self._parts.contexts.texts

    async def checkpoints(self) -> list[str]:
        """Keys in the session's namespace of the store."""
        return await self._parts.checkpoints.keys()

    # ---- snapshots

    async def snapshot(self) -> Snapshot:
        """The session as a value, also in the middle of an execution.

        Raises:
            SessionClosed: the session was closed before, or meanwhile.
            SnapshotCorrupt: the session's memory is damaged, and cannot be copied.
            InternalError: a defect of rlm-wasm.
        """
        return await capture.captured(self._parts, self._registry.snapshot_key, family=self._children)

    async def _captured(self, at: Callable[[], None], *, closing: bool) -> Snapshot:
        return await capture.captured(self._parts, self._registry.snapshot_key, at, closing=closing)

    @overload
    async def fork(self) -> Session: ...
    @overload
    async def fork(self, count: int) -> list[Session]: ...
    async def fork(self, count: int | None = None) -> Session | list[Session]:
        """An independent session that starts where this one is; in an execution: ``resume`` it.

        ``count``: so many of them, as a list: for votes and searches, each goes another way from the same
        point. Forks and this session spend from one budget: its tokens, its money and its places are theirs
        together. A call in flight is sent by each of them, as a call of its own.

        Raises:
            SessionClosed: the session was closed before.
            SnapshotCorrupt: the session's memory is damaged, and cannot be copied.
            UsageError: ``count`` is no positive number.
        """
        if count is not None and (type(count) is not int or count < 1):
            raise UsageError(f"fork: the number of forks must be a positive integer, got {count!r}")
        whole = await capture.captured(self._parts, self._registry.snapshot_key, forked=True)
        snapshot = capture.with_calls_of_its_own(whole)
        forks = [
            self._like_this(
                self._parts.grants,
                snapshot,
                self._registry,
                resend=ALL_KINDS,
                budget=self._calls.budget.forked(self.limits),
            )
            for _ in range(1 if count is None else count)
        ]
        return forks[0] if count is None else forks

    # ---- in a store

    @property
    def name(self) -> str | None:
        """Of a durable session, in its store; None of others."""
        return None if self._stay is None else self._stay.durable.name

    @property
    def found(self) -> bool:
        """Whether it is one that was in the store."""
        return self._stay is not None and self._stay.durable.found

    @property
    def kept(self) -> bool:
        """Whether the store has all of a durable session; True of others."""
        return self._stay is None or self._stay.durable.kept

    @property
    def request(self) -> str | None:
        """The id by which the last execution of a durable session was asked for; None where by none."""
        return None if self._stay is None else self._stay.durable.request

    async def flush(self) -> bool:
        """Wait until the store has all of a durable session: whether it has.

        Raises:
            LeaseLost: another process has the session.
        """
        if self._stay is not None:
            await self._stay.journal.flush()
        return self.kept

    def give_up(self) -> None:
        """It could not be taken up: nothing of it is left here, and the store is as it was."""
        self._parts.close()
        self._registry.open.discard(self)
        self._scheduler.close()

    async def suspend(self) -> bool:
        """Leave the running execution in the store as it is now, and end it here: another process resumes it.

        The Result of ``execute`` says "cancelled". Nothing more of this session is kept. False where
        the store could not be written.

        Raises:
            UsageError: the session is not durable.
            LeaseLost: another process has it.
        """
        if self._stay is None:
            raise UsageError(
                "suspend: this session is not durable: Runtime(store=…, durable=True).session(name=…)"
            )
        try:
            await self._answers_here()
        finally:
            self._stay.freeze()
            self.cancel()  # not after it is written: what was sent until then would be sent again
        await self._stay.write()
        return self._stay.durable.kept

    async def _answers_here(self) -> None:
        """What of answers is here already is to be kept: wait until it stands in the journal."""
        below = self._children.at_work() if "_children" in self.__dict__ else []
        for parts in (self._parts, *below):
            await parts.scheduler.requests.arrived()

    async def stand_on(self, snapshot: Snapshot, engine: Engine) -> None:
        """Let the store have this snapshot in place of the session; see ``runtime_parts.upgrading``.

        Nothing more of this session is kept: whoever opens it next has that one.

        Raises:
            StoreError: the store cannot be written: everything is as it was.
            LeaseLost: another process has the session.
        """
        assert self._stay is not None
        await self._stay.stand_on(snapshot, engine)

    def pending(self) -> list[dict[str, Any]]:
        """What a program that is in the middle waits for: each request without an answer, oldest first.

        ``operation``, ``call_id`` of an LLM call, and ``asks``, the beginning of its arguments.
        """
        return [
            {
                "request": request.id,
                "operation": request.operation,
                "call_id": request.call_number or None,
                "asks": histories.asked_of(request.operation, request.to_state().arguments),
            }
            for request in self._scheduler.requests.live.values()
        ]

    def abandon(self) -> None:
        """Give up the suspended execution, in place of ``resume``: what it defined until then stays.

        Raises:
            UsageError: there is none, or one is running.
            SessionClosed: the session was closed before.
            InternalError: a defect of rlm-wasm.
        """
        self._check_free()
        if not self.suspended:
            raise UsageError("abandon: this session has no suspended execution")
        if self._stay is not None:
            self._stay.journal.abandon()
        self._parts.inquiry.leave()
        if self._scheduler.execution is not None:
            self._scheduler.end_suspended()
        if self._stay is not None:
            self._stay.abandoned()

    def replayed(self, until: int | None = None) -> Generator[None, None, None]:
        """Do again what the store's journal says; see ``session_parts.replaying``.

        Raises:
            SnapshotError: the journal is damaged, or the guest does something else than then.
            UsageError: there was no such call.
        """
        assert self._stay is not None
        yield from replaying.replayed(self._parts, self._stay, self._resending, self.history, until)
        if self._stay.durable.below(self._stay.journal.stream):
            self._children.known_again()
        self._known_variables = None

    def answer_as_then(self, known: Callable[[str, bytes], tuple[int, bytes] | None]) -> None:
        """Answer what programs ask for by what is ``known`` of such, an operation and its arguments."""
        self._scheduler.requests.answer_as_then(known)

    # ---- the end

    async def aclose(self) -> None:
        """Cancel what runs and give everything back. Idempotent."""
        if self.closed:
            return
        self._parts.close()
        if self._stay is not None:
            if self._stay.owns_lease and self.running:
                await self._answers_here()
            self._stay.closes(executing=self.running)
        if self._question is not None:
            self._question.cancel()
        if self._serving is not None:
            self._serving.cancel()
        self._scheduler.cancel()
        self._registry.open.discard(self)
        if self._idle is not None:
            self._idle.used(self)
        try:
            while self.running:
                await asyncio.sleep(0)
            if self._stay is not None:
                await self._stay.save_at_last()
            await self._scheduler.aclose()
            if "_children" in self.__dict__:
                await self._children.placed.settled()
            if self._parts.python_made is not None:
                await self._parts.python_made.aclose()
            self._parts.let_go()
        finally:  # also where whoever closes it is cancelled
            if self._stay is not None:
                await self._stay.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
