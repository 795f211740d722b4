"""A session: one guest with its state, from its first execution to its end.

It puts together what a program may reach (its Grants) and drives it (execution.Scheduler); everything
that either of them does, it leaves to them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Collection, Generator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, fields, replace
from functools import cached_property, partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, overload

import rlm_wasm
from rlm_wasm import tracing
from rlm_wasm.asking.answer import Answer, OnStep, no_answer
from rlm_wasm.asking.answer_type import AnswerType
from rlm_wasm.asking.bounds import in_line
from rlm_wasm.asking.describe import described
from rlm_wasm.asking.loop import Loop, iterations_of
from rlm_wasm.asking.own import CHECK_S, OwnPlace
from rlm_wasm.asking.planned import planned
from rlm_wasm.asking.prompts import Task
from rlm_wasm.asking.recursion import question_and_contexts, recursion
from rlm_wasm.capabilities.checkpoints import Checkpoints
from rlm_wasm.capabilities.contexts import Contexts
from rlm_wasm.capabilities.host_functions import HostFunctions
from rlm_wasm.capabilities.table import Handler, now
from rlm_wasm.capabilities.workspace import Workspace
from rlm_wasm.data import whole_characters
from rlm_wasm.errors import (
    GuestError,
    InternalError,
    LeaseLost,
    LimitExceeded,
    ProviderError,
    SessionClosed,
    SnapshotCorrupt,
    SnapshotVersionError,
    StoreError,
    UsageError,
)
from rlm_wasm.execution.history import History, asked_of
from rlm_wasm.execution.journal import Entry, Journal, Kind, before_last_execution, replay
from rlm_wasm.execution.meter import FuelAccount, Meter
from rlm_wasm.execution.outcome import Outcome, data_in_turns, data_of, is_large, result_of
from rlm_wasm.execution.progress import ProgressReporter, StreamedEvents, StreamEvent, tell
from rlm_wasm.execution.requests import HostRequest
from rlm_wasm.execution.scheduler import Scheduler, ToGuest
from rlm_wasm.execution.state import SchedulerState
from rlm_wasm.grants import Grants
from rlm_wasm.idle_sessions import SMALL, IdleSessions
from rlm_wasm.limits import Limits
from rlm_wasm.llm.budget import Budget
from rlm_wasm.llm.calls import LlmCalls
from rlm_wasm.llm.programs import program_operation
from rlm_wasm.python import python_backend
from rlm_wasm.python.place import FamilyPlace
from rlm_wasm.python.session_python import SessionPython
from rlm_wasm.results import ErrorInfo, Execution, OnProgress, Problem, Progress, Result
from rlm_wasm.runlog.events import (
    MAX_TEXT,
    ChildEnded,
    ChildStarted,
    ContextHeld,
    Failure,
    FiberStarted,
    ItemsCounted,
    Noted,
    OutputWritten,
    RunEnded,
    RunStarted,
    SnapshotTaken,
    logged,
)
from rlm_wasm.runlog.stream import EventStream, Reader, Recorder, fiber_fields, noted_fields
from rlm_wasm.sandbox import protocol
from rlm_wasm.sandbox.protocol import Counted, Logged, Output, Traced
from rlm_wasm.sandbox.snapshot import MemoryImage, Snapshot
from rlm_wasm.scope_log import ScopeLog
from rlm_wasm.session_state import SessionState, state_of

if TYPE_CHECKING:
    from rlm_wasm.durable import Durable

OnOutput = Callable[[str, str], None]
"""Called with "out" or "err" and each piece of text that the program prints, as it comes."""

_ASKED_AT_ONCE = 4 << 20
"""Bytes of objects up to which a guest is asked for its definitions while everybody waits."""
_NO_ITEMS = (0, 0, 0)
_MAX_LAST_LINE = 200
"""Characters of the last line that a program printed, in a report of the progress."""

SENT_AGAIN = ("llm",)
"""What of a snapshot's requests in flight is sent again without being asked for."""


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
        opened: set[Session],
        parent: _Parent | None = None,
        memory: MemoryImage | None = None,
        resend: Collection[str] = SENT_AGAIN,
        snapshot_key: bytes | None = None,
        durable: Durable | None = None,
        stream: str = "",
        budget: Budget | None = None,
        idle: IdleSessions | None = None,
    ) -> None:
        """For Runtime.session. ``opened`` holds the session while it is open, ``idle`` while it rests."""
        self._durable = durable
        self._journal = None if durable is None else Journal(durable.writer, stream, due=self._saving_now)
        self._saving: asyncio.Task[None] | None = None
        self._given_up = False
        """Its last execution was undone or abandoned: it is not left in its middle."""
        self._captured_python: bytes | None = None
        self._grants = grants
        self.limits = limits
        self.namespace = namespace
        self.closed = False
        self._opened = opened
        self._idle = idle
        self._resend = resend if resend is SENT_AGAIN else frozenset(resend)
        self._snapshot_key = snapshot_key
        self._busy = False
        self._asking: OwnPlace | None = None
        """Where a question is worked on, while one is."""
        self._options: dict[str, Any] = {}
        self._known_variables: list[str] | None = None
        self._reporter: ProgressReporter | None = None
        self._on_output: OnOutput | None = None
        self._parent = parent
        self._owns_budget = parent is None
        self._nested = 0 if parent is None else parent.nested
        self._shares_budget = budget is not None
        """With the session that it is a fork of."""
        self._recorder = Recorder(
            EventStream(grants.log_readers) if parent is None else parent.calls.recorder.stream,
            None if parent is None else parent.calls.recorder,
        )
        self._traced: bool | None = False
        """Whether the guest was told to send notes for a run log; None: nobody knows."""
        self._items = _NO_ITEMS
        """Of combinators, in the execution under way: announced, begun, done."""
        self._last_line = ""
        self._log = ScopeLog(limits.log_bytes) if parent is None else parent.calls.log
        self._functions = HostFunctions(grants.host_functions)
        self._meter = Meter(limits, parent=None if parent is None else parent.meter)
        if parent is None:
            workspace = Workspace(
                grants.workspace, writable=grants.workspace_writable, max_written_bytes=limits.workspace_bytes
            )
        else:
            workspace = parent.workspace.narrowed(writable=grants.workspace_writable)
        self._workspace = workspace
        self._calls = LlmCalls(
            grants.provider,
            budget=parent.calls.budget if parent is not None else budget or Budget(limits),
            log=self._log,
            model=grants.model,
            aliases=grants.aliases,
            depth=0 if parent is None else parent.calls.depth + 1,
            deepest=None if parent is None else parent.deepest,
            workspace=self._workspace,
            recurse=recursion(self._opened_child),
            changed=self._changed,
            warn=self._warn,
            journal=self._journal,
            child_over=self._child_over,
            recorder=self._recorder,
            parent=None if parent is None else parent.call,
        )
        self._contexts = Contexts(limits.message_bytes, self._charge)
        self._scheduler = Scheduler(
            grants.engine,
            limits,
            self._meter,
            table=self._table,
            services={"llm": self._calls.start, "fork": self._fork_map},
            observe=self._observe,
            recorder=self._recorder,
            account=None if parent is None else parent.account,
            memory=memory,
            journal=self._journal,
            effects=_EFFECTS,
        )
        self._fresh_options()
        if durable is not None and parent is None:
            durable.spends(self._calls.budget, limits)
            self._log.listen(self._logged)
        opened.add(self)

    @classmethod
    def _restored(
        cls,
        grants: Grants,
        snapshot: Snapshot,
        *,
        limits: Limits,
        namespace: str,
        opened: set[Session],
        resend: Collection[str] = SENT_AGAIN,
        snapshot_key: bytes | None = None,
        durable: Durable | None = None,
        stream: str = "",
        parent: _Parent | None = None,
        budget: Budget | None = None,
        idle: IdleSessions | None = None,
    ) -> Session:
        """For Runtime.restore, Runtime.resume and ``fork``.

        Raises:
            SnapshotVersionError: the snapshot belongs to another guest.
            SnapshotCorrupt: it is malformed, or does not fit the limits.
        """
        image = grants.engine.image_hash
        if snapshot.image_hash != image:
            raise SnapshotVersionError(
                f"the snapshot belongs to guest image {snapshot.image_hash[:12]}…, "
                f"this release has {image[:12]}…"
            )
        state = state_of(snapshot)
        session = cls(
            grants,
            limits=limits,
            namespace=namespace,
            opened=opened,
            memory=snapshot.memory(grants.engine.image_size + limits.memory_bytes),
            resend=resend,
            snapshot_key=snapshot_key,
            durable=durable,
            stream=stream,
            parent=parent,
            budget=budget,
            idle=idle,
        )
        try:
            session._adopt(state)
        except LimitExceeded as error:
            session._scheduler.close()
            opened.discard(session)
            raise SnapshotCorrupt(f"the snapshot does not fit the limits of this runtime: {error}") from error
        except UsageError as error:  # a context without a name, and the like
            session._scheduler.close()
            opened.discard(session)
            raise SnapshotCorrupt(f"the snapshot: {error}") from error
        except BaseException:
            session._scheduler.close()
            opened.discard(session)
            raise
        return session

    @cached_property
    def history(self) -> History:
        """Of a durable session that is only looked at: what its journal says that it asked."""
        return History()

    @cached_property
    def _python_place(self) -> FamilyPlace:
        return FamilyPlace() if self._parent is None else self._parent.python_place

    @cached_property
    def _checkpoints(self) -> Checkpoints:
        """Made when it is first wanted, like what follows: most sessions want neither."""
        return Checkpoints(
            self._grants.store,
            self.namespace,
            self._log,
            max_bytes=self.limits.checkpoint_bytes,
            writable=self._grants.checkpoints_writable,
        )

    @cached_property
    def _python(self) -> SessionPython:
        grants = self._grants
        return SessionPython(
            lambda: python_backend(
                grants.python,
                limits=self.limits,
                workspace=self._workspace,
                folder=grants.workspace,
                place=self._python_place,
            ),
            self._log,
            contexts=lambda: self._contexts.texts,
            fuel_left=self._scheduler.fuel_left,
            time_left=self._scheduler.time_left,
            charge=self._charge,
            # What the "host" back end holds is not restored anywhere.
            changed=self._python_changed if self._journal is not None and grants.python == "wasi" else None,
        )

    @property
    def _python_made(self) -> SessionPython | None:
        made: SessionPython | None = self.__dict__.get("_python")
        return made

    def _table(self) -> dict[str, Handler]:
        return {
            "now": now,
            "host": self._functions.call,
            "library": self._grants.libraries.read,
            "usage": lambda _arguments: self._calls.report(),
            "model-for": self._calls.model_named,
            "check-calls": self._calls.judged,
            "estimate-tokens": self._calls.estimated_tokens,
            "program-in": program_operation(self._charge),
            **self._contexts.table(),
            **self._checkpoints.table(),
            **self._python.table(),
        }

    def _charge(self, fuel: int) -> None:
        self._scheduler.charge(fuel)

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
            SnapshotCorrupt: the Result that the store has is damaged.
            InternalError: a defect of rlm-wasm.
        """
        self._check_free()
        if not isinstance(source, str):
            raise UsageError(f"execute: the program must be a str, got {type(source).__name__}")
        durable = self._durable
        if request is not None:
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
        if durable is not None:
            durable.asked_for(request or "")
            await self._begin_durably()
        if self._owns_budget:
            self._calls.budget.begin_execution()
        return await self._execute(
            source, self._tightened(timeout_s), name, on_progress, on_output, check=check
        )

    async def _execute(
        self,
        source: str,
        limits: Limits,
        name: str,
        on_progress: OnProgress | None = None,
        on_output: OnOutput | None = None,
        *,
        check: bool = True,
    ) -> Result:
        """A program, by whoever has the session. What it uses counts to the execution that has begun."""
        source = source.removeprefix("\ufeff")  # a byte order mark
        bad = _bad_text(source, self.limits.message_bytes)
        if bad is not None:
            return bad
        options, self._options = self._options, {}
        if self._recorder.on is not self._traced:
            self._traced = self._recorder.on
            options = {**options, "trace": self._traced}
        told = options if check else {"check": "never", **options}

        def message() -> ToGuest:
            due = self._scheduler.due_replies()
            if due:
                return protocol.evaluate_with(source, name, told, due)
            return protocol.evaluate(source, name, told)

        outcome: Outcome | None = None
        try:
            work = self._scheduler.execute(message, limits)
            outcome, result = await self._run(work, on_progress, on_output, source, name)
            return result
        finally:
            if outcome is None or outcome.rolled_back:
                self._options = {**options, **self._options}  # what the guest was told is undone

    async def stream(
        self, source: str, *, timeout_s: float | None = None, name: str = "program"
    ) -> AsyncIterator[StreamEvent]:
        """Run a program, and give what happens as it happens; last comes the Result.

        ``async for event in session.stream(source)``: Output, CallStarted and CallEnded in the order in
        which they came, Progress a few times a second, of which a reader that is slow gets the newest.
        Whoever stops reading before the Result cancels the execution.

        Raises:
            UsageError: the source is no text, an execution is running, or one is to be resumed.
            SessionClosed: the session was closed before.
            InternalError: a defect of rlm-wasm.
        """
        events = StreamedEvents()
        leave = self._recorder.stream.subscribe(events.take)
        work = self.execute(
            source, timeout_s=timeout_s, on_progress=events.progress, on_output=events.output, name=name
        )
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(events.end)
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
            copy._recorder.mute()
            copy._options["check"] = "only"
            result = await copy.execute(source, timeout_s=timeout_s)
        if result.error is not None and result.error.type.startswith("exn:fail:read"):
            error = result.error
            return (Problem(severity="error", message=error.message, line=error.line, column=error.column),)
        result.raise_for_status()
        return tuple(
            Problem(
                severity=found["severity"],
                message=found["message"],
                line=found["line"] or None,
                column=found["column"] or None,
                hint=found["hint"] or None,
            )
            for found in result.data or ()
        )

    async def resume(
        self,
        *,
        timeout_s: float | None = None,
        on_progress: OnProgress | None = None,
        on_output: OnOutput | None = None,
    ) -> Result:
        """Go on with the execution that the snapshot was taken of; calls in flight are sent again.

        Raises:
            UsageError: there is no execution to go on with, or one is running.
            SessionClosed: the session was closed before.
            InternalError: a defect of rlm-wasm.
        """
        self._check_free()
        if not self.suspended:
            raise UsageError("resume: this session has no suspended execution")
        await self._begin_durably()
        self._scheduler.requests.send_again(self._may_be_sent_again)
        work = self._scheduler.resume(self._tightened(timeout_s))
        return (await self._run(work, on_progress, on_output))[1]

    async def _run(
        self,
        work: Any,
        on_progress: OnProgress | None,
        on_output: OnOutput | None,
        source: str | None = None,
        name: str = "program",
    ) -> tuple[Outcome, Result]:
        span = tracing.execution_started(namespace=self.namespace, depth=self._calls.depth)
        self._calls.begin_execution(span)
        self._scheduler.requests.trace_below(span)
        self._on_output = on_output
        if on_progress is not None:
            self._reporter = ProgressReporter(on_progress, self._progress)
        self._known_variables = None
        self._busy = True
        idle = self._idle
        if idle is not None:
            idle.used(self)
        self._items = _NO_ITEMS
        self._last_line = ""
        result = None
        logging = self._recorder.on
        try:
            if logging:
                await self._log_start(source, name)
            outcome: Outcome = await work
            large = is_large(outcome)
            data = await data_in_turns(outcome) if large else data_of(outcome)
            result = result_of(outcome, self._used(outcome), data)
            if self._durable is not None:
                await self._end_durably(outcome, result)
            return outcome, result
        finally:
            self._busy = False
            if idle is not None and not self.closed:
                held = self._scheduler.sandbox.memory_bytes() - self._grants.engine.image_size
                if held >= SMALL:
                    idle.rested(self, held, self._sleep)
            self._on_output = None
            if self._reporter is not None:
                self._reporter.close()
                self._reporter = None
            tracing.execution_ended(span, result)
            if logging:
                self._log_end(result)

    async def _log_start(self, source: str | None, name: str) -> None:
        recorder, calls = self._recorder, self._calls
        program = logged(source or "")
        if not self._owns_budget:
            recorder.tell(ChildStarted, call=calls.parent or 0, depth=calls.depth, program=program)
            return
        recorder.begin()
        recorder.tell(
            RunStarted,
            name=name,
            program=program,
            namespace=self.namespace,
            provider=calls.provider_name,
            model=self._grants.model,
            limits=asdict(self.limits),
            resumed=source is None,
        )
        for key, text in self._contexts.texts.items():
            held = logged(text) if len(text) <= MAX_TEXT else await asyncio.to_thread(logged, text)
            recorder.tell(ContextHeld, name=key, text=held)

    def _log_end(self, result: Result | None) -> None:
        recorder = self._recorder
        status = "cancelled" if result is None else result.status
        error = None if result is None else result.error
        value = logged("" if result is None else result.value)
        if not self._owns_budget:
            recorder.tell(
                ChildEnded, status=status, value=value, error=None if error is None else error.message
            )
        elif result is None:
            recorder.tell(RunEnded, status=status)
        else:
            used = result.execution
            recorder.tell(
                RunEnded,
                status=status,
                value=value,
                error=None if error is None else _failure(error),
                calls=used.calls,
                prompt_tokens=used.prompt_tokens,
                completion_tokens=used.completion_tokens,
                cost_usd=used.cost_usd,
                cached=used.cached,
                fuel=used.fuel,
                memory_bytes=used.memory_bytes,
                elapsed=used.elapsed,
                derived_from=result.derived_from,
                truncated=result.truncated,
                warnings=result.warnings,
                rolled_back=result.rolled_back,
            )
        recorder.end()

    def subscribe(self, reader: Reader) -> Callable[[], None]:
        """Hand ``reader`` every record of what happens from now on; what is given back ends that.

        It is called on the event loop, so it must be quick; what it raises never reaches the program.
        """
        return self._recorder.stream.subscribe(reader)

    def log_chapter(self, title: str) -> None:
        """Tell the run log that a part of a longer undertaking begins; nothing where nobody reads it."""
        if self._recorder.on:
            self._recorder.chapter(title)

    async def _sleep(self) -> None:
        if not self._busy and not self.closed:
            try:
                await self._scheduler.sleep()
            except InternalError:
                if not self.closed:  # while its memory was copied
                    raise

    def _used(self, outcome: Outcome) -> Execution:
        execution = outcome.execution
        return self._calls.budget.execution.to_execution(
            elapsed=execution.elapsed(),
            fuel=execution.account.used if self._owns_budget else execution.fuel,
            memory_bytes=self._scheduler.sandbox.heap_used(),
        )

    def _tightened(self, timeout_s: float | None) -> Limits:
        if timeout_s is None:
            return self.limits
        return replace(self.limits, timeout_s=min(float(timeout_s), self.limits.timeout_s))

    def _check_free(self) -> None:
        if self.closed:
            raise SessionClosed("the session is closed")
        if self._durable is not None and not self._durable.writes:
            raise UsageError("this session is only looked at: Runtime.resume takes it up")
        if self.running:
            raise UsageError("the session is executing already: one execution at a time")

    @property
    def running(self) -> bool:
        """Whether an execution is under way, or a question."""
        return self._busy or self._asking is not None

    @property
    def suspended(self) -> bool:
        """Whether ``resume`` has something to go on with."""
        return not self._busy and self._scheduler.execution is not None

    def cancel(self) -> None:
        """End the running execution: its Result says "cancelled". Without one nothing happens."""
        if self._asking is not None:
            self._asking.cancel()
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

        Raises:
            UsageError: the question is no text, a name no context, ``answer_type`` no type, or an
                execution is running.
            SessionClosed: the session was closed before.
            InternalError: a defect of rlm-wasm.
        """
        self._check_free()
        if self.suspended:
            raise UsageError("ask: this session is in the middle of an execution: resume() it, or reset()")
        kind = AnswerType.of(answer_type)
        if not isinstance(question, str) or not question.strip():
            raise UsageError("ask: the question must be a text that says something")
        if max_iterations is not None and (type(max_iterations) is not int or max_iterations < 1):
            raise UsageError(f"ask: max_iterations must be a positive integer, got {max_iterations!r}")
        if timeout_s is not None and not timeout_s > 0:
            raise UsageError(f"ask: timeout_s must be positive, got {timeout_s!r}")
        texts = self._chosen_contexts(contexts)
        began = time.monotonic()
        if texts and not any(text.strip() for text in texts.values()):
            return no_answer("exn:fail:contract", "the context is empty: there is nothing to answer from")
        try:
            writes_programs = self._calls.info.writes_programs
        except ProviderError as error:  # no key
            return no_answer("exn:fail:llm", str(error))
        question, texts = question_and_contexts(whole_characters(question), texts)
        added = next((name for name in texts if name not in self._contexts.texts), None)
        if added is not None:
            await self.load_context(texts[added], added)
        if self._durable is not None:
            self._durable.asked_for("")
        await self._begin_durably()
        self._calls.budget.begin_execution()

        async def run(program: str, seconds: float, fuel: int) -> Result:
            limits = replace(self.limits, timeout_s=seconds, fuel=fuel)
            return await self._execute(program, limits, "program", on_progress, on_output)

        place = self._asking = OwnPlace(
            self._calls,
            self.limits,
            self._log,
            model=model,
            timeout_s=timeout_s,
            run=run,
            check=self._problems,
            chapter=lambda title: self.log_chapter(f"{title}: {in_line(question, 120)}"),
        )
        try:
            if not writes_programs:
                found = await planned(question, texts, place, kind, self._calls.info.name, on_step)
            else:
                task = Task(
                    question=question,
                    data=await asyncio.to_thread(described, texts),
                    answer_type=kind,
                    sub_model=self._grants.model,
                )
                iterations = iterations_of(self.limits, max_iterations)
                found = await Loop(task, place, iterations=iterations, on_step=on_step).run()
        finally:
            self._asking = None
            place.close()
        self._log.add("answer", found.value, "root", status=found.status, how=found.how)
        return found.to_answer(replace(place.used(), elapsed=time.monotonic() - began))

    def _chosen_contexts(self, names: Collection[str | None] | None) -> dict[str | None, str]:
        texts = self._contexts.texts
        if names is None:
            return texts
        missing = [name for name in names if name not in texts]
        if missing:
            known = ", ".join(sorted(name for name in texts if name is not None)) or "none"
            raise UsageError(f"ask: there is no context named {missing[0]!r} (loaded: {known})")
        return {name: texts[name] for name in names}

    # ---- children of #:recursive calls

    @asynccontextmanager
    async def _opened_child(
        self, calls: LlmCalls, deepest: int, contexts: Mapping[str | None, str], call: int
    ) -> AsyncIterator[_Child]:
        scheduler = self._scheduler
        async with calls.budget.children(calls.depth):
            scheduler.note_memory()
            parent = _Parent(
                calls,
                deepest,
                self._meter,
                scheduler.fuel_account(),
                self._workspace,
                self._python_place,
                call,
            )
            child = self._child(parent, f"{call}.1")
            try:
                for name, text in contexts.items():
                    child._contexts.load(text, name)
                if not child.suspended:
                    child._options.update(context=True, check="first")
                yield _Child(child, scheduler.time_left, self._warn)
            finally:
                await child.aclose()

    def _child(self, parent: _Parent, name: str) -> Session:
        """A child's session: a new one, or the one that the journal has under that name."""
        journal, durable, grants = self._journal, self._durable, self._grants.for_child()
        stream = "" if journal is None else f"{journal.stream}/{name}"
        snapshot = None if durable is None else durable.child_snapshot(stream, self._snapshot_key)
        if snapshot is None:
            child = Session(
                grants,
                limits=self.limits,
                namespace=self.namespace,
                opened=set(),
                parent=parent,
                durable=durable,
                stream=stream,
            )
        else:
            child = Session._restored(
                grants,
                snapshot,
                limits=self.limits,
                namespace=self.namespace,
                opened=set(),
                parent=parent,
                durable=durable,
                stream=stream,
            )
        if durable is not None:
            for _ in child.replayed():
                pass
        return child

    # ---- forks that the program itself makes

    def _fork_map(self, request: HostRequest) -> Any:
        """Serve a "fork" operation: each fork goes on from here, and its end is its answer.

        Raises:
            UsageError: it is no number of forks, or they are nested too deep.
        """
        count = request.arguments[0] if len(request.arguments) == 1 else None
        if type(count) is not int or not 0 < count <= self.limits.handles:
            raise UsageError(f"fork-map: from 1 to {self.limits.handles:,} items (the limit handles)")
        if self._nested >= MAX_NESTED_FORKS:
            raise UsageError(f"fork-map: forks are nested {MAX_NESTED_FORKS} deep already")
        return request.spawn(self._forked(request, count))

    async def _forked(self, request: HostRequest, count: int) -> list[Any]:
        """What each fork gives, in their order. The first that fails ends the others."""
        whole = await self._captured()
        start = _waiting_for(whole, request.id)
        tasks = [asyncio.create_task(self._in_fork(request, start, number)) for number in range(count)]
        try:
            given = await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            raise
        finally:
            if self._journal is not None and not self._journal.stale and request.wanted:
                for number in range(count):
                    self._journal.writer.drop(_fork_stream(self._journal, request, number))
        return given

    async def _in_fork(self, request: HostRequest, start: Snapshot, number: int) -> Any:
        calls, scheduler = self._calls, self._scheduler
        async with calls.budget.children(calls.depth):
            scheduler.note_memory()
            parent = _Parent(
                calls,
                calls.deepest + 1,  # a fork is one level down, and no recursive call
                self._meter,
                scheduler.fuel_account(),
                self._workspace,
                self._python_place,
                0,
                nested=self._nested + 1,
            )
            fork = await self._opened_fork(parent, request, start, number)
            try:
                result = await fork.resume(timeout_s=scheduler.time_left())
            finally:
                await fork.aclose()
        error = result.error
        if result.status == "limit" and error is not None:
            raise LimitExceeded(error.kind or "?", error.used or 0, error.limit or 0, error.message)
        if not result.ok:
            kind, message = ("exn:fail", result.status) if error is None else (error.type, error.message)
            raise GuestError(f"fork-map: item {number}: {message}", type=kind)
        return result.value if result.data is None else result.data

    async def _opened_fork(
        self, parent: _Parent, request: HostRequest, start: Snapshot, number: int
    ) -> Session:
        """The fork for an item: from here, or from where the journal has it."""
        durable, kept = self._durable, None
        stream = "" if self._journal is None else _fork_stream(self._journal, request, number)
        if durable is not None:
            kept = durable.child_snapshot(stream, self._snapshot_key)
        fork = Session._restored(
            self._grants,
            start if kept is None else kept,
            limits=self.limits,
            namespace=self.namespace,
            opened=set(),
            resend=("llm",),
            snapshot_key=self._snapshot_key,
            parent=parent,
            durable=durable,
            stream=stream,
        )
        if kept is not None:
            for _ in fork.replayed():
                pass
            return fork
        fork._scheduler.requests.live[request.id].resolve(number)
        if durable is not None:
            with contextlib.suppress(StoreError):  # the writer has told it
                await fork._save()
        return fork

    def _child_over(self, number: int) -> None:
        """A recursive call has its answer: of its children nothing is wanted any more."""
        journal = self._journal
        if journal is not None and not journal.stale:
            journal.writer.drop(f"{journal.stream}/{number}.1")

    # ---- progress and notes

    def _observe(self, message: Output | Logged | Traced | Counted) -> None:
        recorder = self._recorder
        if not isinstance(message, Output):
            self._take_note(message)
            return
        if recorder.on:
            recorder.tell(OutputWritten, stream=message.stream, text=logged(message.text))
        if self._on_output is not None:
            tell(self._on_output, message.stream, message.text)
        if self._reporter is None:
            return
        lines = message.text[-4 * _MAX_LAST_LINE :].rstrip("\n").rsplit("\n", 1)
        self._last_line = lines[-1][:_MAX_LAST_LINE] or self._last_line
        if message.stream == "err":
            self._reporter.stderr(message.text)
        else:
            self._reporter.changed()

    def _take_note(self, message: Logged | Traced | Counted) -> None:
        recorder = self._recorder
        if isinstance(message, Counted):
            self._items = message.items
            if recorder.on:
                announced, begun, done = message.items
                recorder.tell(ItemsCounted, announced=announced, begun=begun, done=done)
            self._changed()
        elif isinstance(message, Logged):
            self._log.add_from_guest(message.entry)
            if recorder.on:
                recorder.tell(Noted, **noted_fields(message.entry))
        elif recorder.on:
            facts = message.facts
            if type(facts.get("id")) is int:
                recorder.hold(facts["id"], facts)
            else:
                recorder.tell(FiberStarted, **fiber_fields(facts))

    def _warn(self, text: str) -> None:
        if self._scheduler.execution is not None:
            self._scheduler.execution.warn(text)

    def _changed(self) -> None:
        if self._reporter is not None:
            self._reporter.changed()

    def _progress(self, stderr: str) -> Progress:
        used, execution = self._calls.budget.execution, self._scheduler.execution
        announced, begun, _ = self._items
        ahead = max(0, announced - begun) if used.calls else 0
        return Progress(
            done=used.done,
            running=len(self._calls.running),
            total=used.calls + ahead,
            ahead=ahead,
            models=self._calls.models(),
            tokens=used.tokens,
            cost_usd=used.known_cost,
            elapsed_s=0.0 if execution is None else execution.elapsed(),
            longest_s=self._calls.longest_s(),
            stderr=stderr,
            last_line=self._last_line,
        )

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
        name = self._contexts.load(text, name)
        if name is None:
            self._options["context"] = True
        if self._journal is not None and self._durable is not None:
            self._journal.add(Kind.CONTEXT, name, self._durable.keep_text(self._contexts.text(name)))
        if self._python_made is not None:
            self._python_made.set_context(name, self._contexts.text(name))

    async def reset(self) -> None:
        """Forget everything but the checkpoints: definitions, Python variables, contexts, the log.

        An execution that runs meanwhile is a UsageError: cancel it first.
        """
        self._check_free()
        if self._journal is not None:
            self._journal.add(Kind.RESET)
        self._forget()
        if self._python_made is not None:
            await self._python_made.reset()

    def _forget(self) -> None:
        self._scheduler.reset()
        self._contexts.clear()
        self._known_variables = None
        self._log.clear()
        self._fresh_options()

    def _fresh_options(self) -> None:
        """What a fresh guest has to be told with its first program."""
        options: dict[str, Any] = {}
        self._traced = False
        if self._functions.functions:
            options["grants"] = self._functions.names
        limits = self.limits
        if (limits.handles, limits.output_bytes, limits.message_bytes) != _DEFAULT_LIMITS:
            options["limits"] = _guest_limits(limits)
        self._options = options

    def scope_log(self) -> list[dict[str, Any]]:
        """What crossed between host, sandbox and sub-calls, in order."""
        return self._log.entries()

    async def definitions(self) -> list[str]:
        """The names that the session's programs have defined."""
        self._check_free()
        if self._known_variables is None and not self.suspended:
            self._known_variables = await self._scheduler.definitions()
        return self._known_variables or []

    def _variables(self) -> list[str] | None:
        """What is known, or what the guest can say at once; None where it is not free or has too many."""
        if self.closed or self._busy or self.suspended:
            return None
        if self._known_variables is None and self._scheduler.sandbox.heap_used() <= _ASKED_AT_ONCE:
            self._known_variables = self._scheduler.definitions_at_once()
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
            "checkpoints": sorted(self._checkpoints.written),
            "contexts": {name or "context": len(text) for name, text in self._contexts.texts.items()},
            "host_functions": self._functions.names,
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
                "memory_bytes": 0 if self.closed else self._scheduler.sandbox.heap_used(),
                "host_bytes": self._meter.held,
            },
            "log_entries": len(self._log),
        }

    @property
    def calls_made(self) -> int:
        """LLM calls of the whole session."""
        return self._calls.budget.session.calls

    @property
    def log_length(self) -> int:
        """How many entries the scope log has."""
        return len(self._log)

    @property
    def contexts(self) -> Mapping[str | None, str]:
        """The texts that are loaded, by name; the main one under None. A copy of the table."""
        return self._contexts.texts

    async def checkpoints(self) -> list[str]:
        """Keys in the session's namespace of the store."""
        return await self._checkpoints.keys()

    # ---- snapshots

    async def snapshot(self) -> Snapshot:
        """The session as a value, also in the middle of an execution.

        Raises:
            SessionClosed: the session was closed before, or meanwhile.
            InternalError: a defect of rlm-wasm.
        """
        return await self._captured()

    async def _captured(
        self, at: Callable[[], None] = lambda: None, *, forked: bool = False, closing: bool = False
    ) -> Snapshot:
        """``at`` is called at the moment that the snapshot is of; in rare cases once more, at a later one.

        ``closing``: it is the last thing that a session does which is being closed.

        Raises:
            SessionClosed: the session was closed meanwhile.
            InternalError: a defect of rlm-wasm.
        """
        if self.closed and not closing:
            raise SessionClosed("the session is closed")
        python = None if self._python_made is None else await self._python_made.capture()
        if self._recorder.in_run:
            self._recorder.tell(SnapshotTaken, forked=forked)
        try:
            image, (header, state) = await self._scheduler.captured(partial(self._saved, python, at))
        except InternalError:
            if self.closed:  # while its memory was copied
                raise SessionClosed("the session is closed") from None
            raise
        return Snapshot(header, image, state, key=self._snapshot_key)

    def _saved(
        self, python: bytes | None, at: Callable[[], None], scheduler: SchedulerState
    ) -> tuple[dict[str, Any], SessionState]:
        """The host's side of a snapshot: its header and its body."""
        at()
        execution = self._scheduler.execution
        budget = self._calls.budget
        header = {
            "release": rlm_wasm.__version__,
            "image": self._grants.engine.image_hash,
            "suspended": scheduler.execution is not None,
            "namespace": self.namespace,
            "used": {"fuel": 0 if execution is None else execution.fuel, "calls": budget.session.calls},
        }
        return header, SessionState(
            scheduler=scheduler,
            contexts=tuple(self._contexts.texts.items()),
            context_replaced="context" in self._options,
            limits_told="limits" not in self._options,
            budget=budget.to_state(),
            limits=self.limits,
            log=tuple(self._log.entries()),
            python=python,
            runs=0 if self._journal is None else self._journal.runs,
            checksum=0 if self._journal is None else self._journal.checksum,
            asked=tuple(self._calls.asked.items()),
            asking=tuple(self._calls.asking),
        )

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
            UsageError: ``count`` is no positive number.
        """
        if count is not None and (type(count) is not int or count < 1):
            raise UsageError(f"fork: the number of forks must be a positive integer, got {count!r}")
        snapshot = _as_calls_of_its_own(await self._captured(forked=True))
        forks = [
            Session._restored(
                self._grants,
                snapshot,
                limits=self.limits,
                namespace=self.namespace,
                opened=self._opened,
                resend=("llm", "host", "python"),
                snapshot_key=self._snapshot_key,
                budget=self._calls.budget.forked(self.limits),
                idle=self._idle,
            )
            for _ in range(1 if count is None else count)
        ]
        return forks[0] if count is None else forks

    def _adopt(self, state: SessionState) -> None:
        self._scheduler.from_state(state.scheduler)
        self._traced = None
        for name, text in state.contexts:
            self._contexts.load(text, name)
        if state.context_replaced:
            self._options["context"] = True
        if state.limits_told and _guest_limits(state.limits) == _guest_limits(self.limits):
            self._options.pop("limits", None)
        elif _guest_limits(state.limits) != _DEFAULT_GUEST_LIMITS:
            self._options["limits"] = _guest_limits(self.limits)
        if self._owns_budget:
            if not self._shares_budget:
                self._calls.budget.from_state(state.budget)
            self._log.replace(list(state.log))
        if state.python is not None:
            self._python.restore(state.python)
        self._calls.adopt(state.asked, state.asking)
        if self._journal is not None:
            self._journal.continues(state.runs, state.checksum)
        elif not self.suspended:
            self._scheduler.requests.send_again(self._may_be_sent_again)

    def _may_be_sent_again(self, request: HostRequest) -> str | None:
        kind = _SENT_AGAIN_AS.get(request.operation)
        if kind is None or kind in self._resend:
            return None
        what = request.operation if kind != "host" else "a host function"
        return (
            f"{what} was in flight when the snapshot was taken, and is not called a second time "
            f'unless the embedder says so: restore(…, resend=("llm", "{kind}"))'
        )

    # ---- in a store

    @property
    def name(self) -> str | None:
        """Of a durable session, in its store; None of others."""
        return None if self._durable is None else self._durable.name

    @property
    def found(self) -> bool:
        """Whether it is one that was in the store."""
        return self._durable is not None and self._durable.found

    @property
    def kept(self) -> bool:
        """Whether the store has all of a durable session; True of others."""
        return self._durable is None or self._durable.kept

    @property
    def request(self) -> str | None:
        """The id by which the last execution of a durable session was asked for; None where by none."""
        return None if self._durable is None else self._durable.request

    async def flush(self) -> bool:
        """Wait until the store has all of a durable session: whether it has.

        Raises:
            LeaseLost: another process has the session.
        """
        if self._journal is not None:
            await self._journal.flush()
        return self.kept

    def give_up(self) -> None:
        """It could not be taken up: nothing of it is left here, and the store is as it was."""
        self.closed = True
        self._opened.discard(self)
        self._scheduler.close()

    async def suspend(self) -> bool:
        """Leave the running execution in the store as it is now, and end it here: another process resumes it.

        The Result of ``execute`` says "cancelled". Nothing more of this session is kept. False where
        the store could not be written.

        Raises:
            UsageError: the session is not durable.
            LeaseLost: another process has it.
        """
        if self._durable is None:
            raise UsageError(
                "suspend: this session is not durable: Runtime(store=…, durable=True).session(name=…)"
            )
        writer = self._durable.writer
        writer.freeze()
        try:
            await writer.flush()
        except StoreError:
            pass  # the writer has told it
        finally:
            self.cancel()
        return writer.kept

    async def _begin_durably(self) -> None:
        """A snapshot at the start, and where only a snapshot says what the session is.

        Raises:
            LeaseLost: another process has the session.
            SessionClosed: the session was closed meanwhile.
        """
        durable, journal = self._durable, self._journal
        if durable is None or journal is None or not self._owns_budget:
            return
        if durable.writer.lost is not None:
            raise durable.writer.lost
        durable.writer.beat()
        durable.writer.on_recovery(self._saving_now)
        self._busy = True  # nobody else begins meanwhile, and closing waits
        try:
            if self._saving is not None:
                await asyncio.wait([self._saving])
            if not durable.saved or journal.stale or durable.writer.overflown:
                await self._save()
        except LeaseLost:
            raise
        except StoreError:
            pass  # the writer has told it
        finally:
            self._busy = False
        if self.closed:
            raise SessionClosed("the session is closed")
        self._given_up = False
        durable.begins()

    async def _end_durably(self, outcome: Outcome, result: Result) -> None:
        durable, journal = self._durable, self._journal
        if durable is None or journal is None:
            return
        if not self._owns_budget:
            return  # a child's end is its parent's answer: until that is written, it is not over
        journal.add(Kind.END, result.status)
        durable.ends(result)
        await journal.flush()
        self._given_up = outcome.rolled_back
        if outcome.rolled_back and not durable.writer.frozen:
            self._saving_now()  # it begins when ``execute`` has returned

    def _saving_now(self) -> None:
        """Save a snapshot while the session goes on. One at a time."""
        if self._saving is None or self._saving.done():
            self._saving = asyncio.get_running_loop().create_task(self._save_quietly())

    async def _save_quietly(self, *, closing: bool = False) -> None:
        if self._durable is None or self._durable.writer.frozen or self._durable.writer.lost is not None:
            return
        try:
            await self._save(closing=closing)
        except (StoreError, SessionClosed):
            return  # the writer has told it

    async def _save(self, *, closing: bool = False) -> None:
        """Save a snapshot. ``closing``: see _captured.

        Raises:
            StoreError: the store cannot be written.
            LeaseLost: another process has the session.
            SessionClosed: the session was closed meanwhile.
        """
        durable, journal = self._durable, self._journal
        assert durable is not None
        assert journal is not None
        nothing_else, base = False, -1

        def at_this_moment() -> None:
            nonlocal nothing_else, base
            if not durable.writer.frozen:  # what comes then is no part of it
                nothing_else |= journal.stale or durable.writer.overflown or not durable.saved
                base = journal.rebased()

        try:
            snapshot = await self._captured(at_this_moment, closing=closing)
            if base < 0:
                return
            state = state_of(snapshot)
            journal.measured(len(snapshot.memory().numbers), _host_bytes(state))
            stored = replace(snapshot, body=durable.by_reference(state))
            await durable.save(stored, journal.stream, base, self._grants.engine)
        except (StoreError, SessionClosed):
            if nothing_else and not journal.stream:
                durable.writer.overflow()
            raise

    def pending(self) -> list[dict[str, Any]]:
        """What a program that is in the middle waits for: each request without an answer, oldest first.

        ``operation``, ``call_id`` of an LLM call, and ``asks``, the beginning of its arguments.
        """
        return [
            {
                "request": request.id,
                "operation": request.operation,
                "call_id": request.call_number or None,
                "asks": asked_of(request.operation, request.to_state().arguments),
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
        if self._journal is not None:
            self._journal.abandon()
        self._scheduler.end_suspended()
        self._given_up = True

    def _logged(self, fields: dict[str, Any], call: int | None) -> None:
        assert self._journal is not None
        if call is None:
            self._journal.add(Kind.LOGGED, fields)
        else:
            self._journal.add(Kind.LOG_CHANGED, call, fields)

    def _python_changed(self, captured: bytes | None) -> None:
        assert self._journal is not None
        if captured != self._captured_python:
            self._captured_python = captured
            self._journal.add(Kind.PYTHON, captured)

    def replayed(self, until: int | None = None) -> Generator[None, None, None]:
        """Do again what the store's journal says.

        ``until``: as far as the moment at which the LLM call of this number was made; 0: to where its last
        execution began.

        Raises:
            SnapshotError: the journal is damaged, or the guest does something else than then.
            UsageError: there was no such call.
        """
        durable, journal = self._durable, self._journal
        assert durable is not None
        assert journal is not None
        requests, writer = self._scheduler.requests, durable.writer
        told = dict(self._options)
        frozen, entries = writer.frozen, durable.entries(journal.stream)
        account = durable.account if self._owns_budget and until is None else None
        if until == 0:
            entries = before_last_execution(entries)
        by_call = self._log.by_call() if self._owns_budget else {}
        texts = durable.texts([entry.fields[1] for entry in entries if entry.kind is Kind.CONTEXT])

        def apply(entry: Entry) -> None:
            kind, fields = entry.kind, entry.fields
            if kind is Kind.EVALUATE:
                self._options = {}
                self.history.evaluated(fields[0])
            elif kind is Kind.END:
                self._scheduler.replay_end(fields[0])
            elif kind is Kind.CALL:
                request = requests.made_before(fields[0])
                request.was_called(fields[1])
                if not durable.writes:
                    self.history.called(request.id, fields[1], request.to_state().arguments)
            elif kind in (Kind.SENT, Kind.SETTLED):
                request = requests.made_before(fields[0])
                request.was_sent(unsettled=kind is Kind.SENT and request.operation == "llm")
            elif kind is Kind.CONTEXT:
                if self._contexts.load(texts[fields[1]], fields[0]) is None:
                    self._options["context"] = True
            elif kind is Kind.PYTHON:
                self._python.restore(fields[0])
                self._captured_python = fields[0]
            elif kind is Kind.RESET:
                self._forget()
                if self._python_made is not None:
                    self._python_made.restore(None)
            elif kind is Kind.LOGGED:
                kept = self._log.again(fields[0])
                if type(kept.get("call_id")) is int:
                    by_call[kept["call_id"]] = kept
            elif kind is Kind.LOG_CHANGED:
                if fields[0] in by_call:
                    by_call[fields[0]].update(fields[1])
            else:
                self._calls.asked_before(kind, fields)

        writer.freeze()
        try:
            found = yield from replay(
                self._scheduler,
                journal,
                entries,
                apply,
                lambda entry: until is not None and entry.kind is Kind.CALL and entry.fields[1] == until,
            )
        finally:
            if not frozen:
                writer.thaw()
        if until and not found:
            raise UsageError(f"session {durable.name} made no call {until} in its last execution")
        if not durable.writes:
            self.history.answered(entry for entry in entries if entry.kind is Kind.ANSWER)
        for key in ("grants", "limits"):
            if key in told:
                self._options[key] = told[key]
        if account is not None:
            self._calls.budget.from_state(account.budget)
        requests.hold_back()
        if not self.suspended:
            requests.send_again(self._may_be_sent_again)
        self._known_variables = None
        self._traced = None  # the messages of then said whether to send notes, and nobody looked

    # ---- the end

    async def aclose(self) -> None:
        """Cancel what runs and give everything back. Idempotent."""
        if self.closed:
            return
        self.closed = True
        if self._durable is not None and self._owns_budget and self._busy:
            self._durable.writer.freeze()  # another process goes on with it
        if self._asking is not None:
            self._asking.cancel()
        self._scheduler.cancel()
        self._opened.discard(self)
        if self._idle is not None:
            self._idle.used(self)
        while self.running:
            await asyncio.sleep(0)
        if self._saving is not None:
            await asyncio.wait([self._saving])
        await self._save_at_last()
        await self._scheduler.aclose()
        if self._python_made is not None:
            await self._python_made.aclose()
        if self._durable is not None and self._owns_budget:
            await self._durable.aclose()

    async def _save_at_last(self) -> None:
        """Save a snapshot of a session that is being closed, where only that says what it is."""
        durable, journal = self._durable, self._journal
        if durable is None or journal is None or not self._owns_budget:
            return
        if (journal.stale and self._given_up) or durable.writer.overflown:
            await durable.in_time(self._save_quietly(closing=True))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class _Parent:
    """What a child takes from the session whose #:recursive call began it."""

    __slots__ = ("account", "call", "calls", "deepest", "meter", "nested", "python_place", "workspace")

    def __init__(
        self,
        calls: LlmCalls,
        deepest: int,
        meter: Meter,
        account: FuelAccount,
        workspace: Workspace,
        python_place: FamilyPlace,
        call: int,
        nested: int = 0,
    ) -> None:
        self.nested = nested
        """Forks above it that a program made."""
        self.calls = calls
        self.deepest = deepest
        self.meter = meter
        self.account = account
        self.workspace = workspace
        self.python_place = python_place
        self.call = call


class _Child:
    """A child as the loop sees it: its programs have the time that its parent has left."""

    __slots__ = ("_session", "_time_left", "_warn")

    def __init__(
        self, session: Session, time_left: Callable[[], float | None], warn: Callable[[str], None]
    ) -> None:
        self._session = session
        self._time_left = time_left
        self._warn = warn

    async def run_step(self, program: str) -> Result:
        """Run one of its programs; the one that a process had begun that died goes on."""
        left = self._time_left()
        if self._session.suspended:
            result = await self._session.resume(timeout_s=left)
        else:
            result = await self._session.execute(program, timeout_s=left, name="sub-program")
        for warning in result.warnings:
            self._warn(f"in a sub-model's program: {warning}")
        return result

    async def check_step(self, program: str) -> Sequence[Problem]:
        """What is wrong with a program; nothing where that takes too long to find out."""
        if self._session.suspended:
            return ()
        try:
            return await self._session.check(program, timeout_s=min(CHECK_S, self._time_left() or CHECK_S))
        except LimitExceeded:
            return ()


_SENT_AGAIN_AS = {
    "llm": "llm",
    "host": "host",
    "py-exec": "python",
    "py-eval": "python",
    "py-set!": "python",
    "py-call": "python",
}
"""Operations with effects, by the word that ``restore(resend=…)`` has for them."""

_EFFECTS = frozenset(_SENT_AGAIN_AS) - {"llm"}
"""Those that a journal notes before they are done; LLM calls note themselves, when they have their place."""


MAX_NESTED_FORKS = 32
"""Forks of forks of forks: each holds the memory of a session while those below it run."""


def _fork_stream(journal: Journal, request: HostRequest, number: int) -> str:
    return f"{journal.stream}/f{request.id}.{number}"


def _waiting_for(snapshot: Snapshot, request: int) -> Snapshot:
    """The session as it waits for that request alone: what its other fibers wait for never comes."""
    state = state_of(snapshot)
    requests = state.scheduler.requests
    alone = tuple(replace(each, started=False) for each in requests.requests if each.id == request)
    scheduler = replace(state.scheduler, requests=replace(requests, requests=alone, replies=()))
    return replace(
        snapshot, body=replace(state, scheduler=scheduler, asked=(), asking=(), log=(), runs=0, checksum=0)
    )


def _as_calls_of_its_own(snapshot: Snapshot) -> Snapshot:
    """What is in flight is asked by a fork anew: nobody may take its calls for the other session's."""
    state = state_of(snapshot)
    requests = state.scheduler.requests
    asked = tuple(
        replace(request, call_number=0, started=False, unsettled=False)
        if request.operation == "llm"
        else request
        for request in requests.requests
    )
    scheduler = replace(state.scheduler, requests=replace(requests, requests=asked))
    return replace(snapshot, body=replace(state, scheduler=scheduler, asked=(), asking=()))


def _host_bytes(state: SessionState) -> int:
    """About what a snapshot holds beside memory; contexts are kept once, and do not count."""
    requests = state.scheduler.requests
    return (
        sum(len(request.arguments) for request in requests.requests)
        + sum(len(encoded) for _, encoded in requests.replies)
        + 200 * len(state.log)
        + len(state.python or b"")
    )


def _failure(error: ErrorInfo) -> Failure:
    """An error as a run log holds it."""
    return Failure(
        **{name: getattr(error, name) for name in _FAILURE_FIELDS if getattr(error, name) is not None}
    )


_FAILURE_FIELDS = [field.name for field in fields(Failure)]


def _guest_limits(limits: Limits) -> dict[str, int]:
    """The limits that the guest itself looks at."""
    return {
        "handles": limits.handles,
        "output": limits.output_bytes,
        "message": limits.message_bytes,
    }


_DEFAULT_GUEST_LIMITS = _guest_limits(Limits())
_DEFAULT_LIMITS = tuple(_DEFAULT_GUEST_LIMITS.values())


def _bad_text(source: str, limit: int) -> Result | None:
    """A Result for a program that is no text, or too much of it."""
    at, what = source.find("\0"), "a NUL character"
    length = len(source)
    if at < 0 and (length > limit // 4 or not source.isascii()):
        try:
            length = len(source.encode())
        except UnicodeEncodeError as error:
            at, what = error.start, f"a lone surrogate (U+{ord(source[error.start]):04X})"
    if at >= 0:
        line = source.count("\n", 0, at) + 1
        column = at - source.rfind("\n", 0, at)
        message = f"the program contains {what} (line {line}, column {column})"
        return _unreadable(message, line=line, column=column)
    if length > limit:
        return _unreadable(f"the program has {length:,} bytes; a message may have {limit:,} (message_bytes)")
    return None


def _unreadable(message: str, **place: int) -> Result:
    return Result(status="error", error=ErrorInfo(type="exn:fail:read", message=message, **place))  # type: ignore[arg-type]
