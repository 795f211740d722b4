"""A session: one guest with its state, from its first execution to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import cbor2

from rlm_wasm import tracing as telemetry
from rlm_wasm.capabilities.contexts import Contexts
from rlm_wasm.capabilities.host_functions import HostFunction, HostFunctions, check_host_function
from rlm_wasm.capabilities.python import PythonBackend
from rlm_wasm.capabilities.table import Handler, now
from rlm_wasm.errors import InternalError, SessionClosed, SnapshotVersionError, UsageError
from rlm_wasm.execution.scheduler import BoundedText, Outcome, Run, Scheduler
from rlm_wasm.limits import Limits
from rlm_wasm.llm.calls import Budget, LlmCalls, Usage
from rlm_wasm.results import ErrorInfo, Execution, OnProgress, Progress, Result
from rlm_wasm.sandbox import protocol
from rlm_wasm.sandbox.snapshot import Snapshot
from rlm_wasm.scope_log import ScopeLog

if TYPE_CHECKING:
    from rlm_wasm.runtime import Runtime

_REPORT_S = 0.05


class Session:
    """A sandbox with state. Made by ``Runtime.session``; an async context manager.

    One execution at a time: a second one meanwhile is a UsageError. ``cancel``, ``snapshot``,
    ``fork``, ``state`` and ``scope_log`` may be called while an execution runs.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        limits: Limits,
        namespace: str,
        host_functions: Mapping[str, HostFunction],
        snapshot: Snapshot | None = None,
        parent: LlmCalls | None = None,
        deepest: int | None = None,
    ) -> None:
        self._runtime = runtime
        self.limits = limits
        self.namespace = namespace
        self.closed = False
        self.on_stderr: Any = None
        """Called with each piece of standard error text as it comes."""
        self._log = parent.log if parent is not None else ScopeLog()
        self._contexts = Contexts()
        self._functions = HostFunctions(host_functions)
        self._python: PythonBackend | None = None
        self._python_saved: bytes | None = None
        self._options: dict[str, Any] = {}
        self._known_variables: list[str] | None = None
        self._written: set[str] = set()
        self._busy = False
        self._suspended: Run | None = None
        self._on_progress: OnProgress | None = None
        self._reported = 0.0
        self._report_timer: asyncio.TimerHandle | None = None
        self._fresh_stderr: list[str] = []
        self._counted: tuple[Usage, float] = (Usage(), 0.0)
        depth = 0 if parent is None else parent.depth + 1
        self._scheduler = Scheduler(
            runtime.engine,
            limits,
            self._table(),
            memory=None if snapshot is None else snapshot.memory,
            note=self._noted,
            changed=self._changed,
        )
        self._calls = LlmCalls(
            self._scheduler,
            runtime.provider,
            budget=parent.budget if parent is not None else Budget(limits),
            log=self._log,
            model=runtime.model,
            depth=depth,
            deepest=deepest,
            workspace=runtime.workspace,
            recurse=runtime.recurse(self),
            changed=self._changed,
        )
        self._scheduler.start_llm = self._calls.start
        self._owns_budget = parent is None
        self._fresh_options()
        if snapshot is not None:
            self._adopt(snapshot)

    # ---- executing

    async def execute(
        self,
        source: str,
        *,
        timeout_s: float | None = None,
        on_progress: OnProgress | None = None,
        name: str = "program",
    ) -> Result:
        """Run a program to its end. Its errors and limits are in the Result.

        Cancelling the task that awaits this cancels the program's calls; the session stays usable.

        Raises:
            UsageError: the source is no text, an execution is running, or one is to be resumed.
            SessionClosed: the session was closed before.
            InternalError: a defect of rlm-wasm.
        """
        self._check_free()
        if not isinstance(source, str):
            raise UsageError(f"execute: the program must be a str, got {type(source).__name__}")
        bad = _bad_text(source, self.limits.message_bytes)
        if bad is not None:
            return bad
        if self._suspended is not None:
            raise UsageError(
                "this session was restored in the middle of an execution: resume() it, or reset()"
            )
        budget = self._calls.budget
        if self._owns_budget:
            budget.execution = Usage()
        options, self._options = self._options, {}

        def message() -> bytes:
            due = self._scheduler.due_replies()
            if due:
                options["replies"] = due
            return protocol.evaluate(source, name, options)

        span = self._traced()
        outcome = result = None
        try:
            outcome = await self._run(self._scheduler.execute(message), timeout_s, on_progress)
            result = self._result(outcome)
            return result
        finally:
            telemetry.execution_ended(span, result)
            if outcome is None or outcome.rolled_back:
                self._options = {**options, **self._options}  # what the guest was told is undone
                self._options.pop("replies", None)

    async def resume(
        self, *, timeout_s: float | None = None, on_progress: OnProgress | None = None
    ) -> Result:
        """Go on with the execution that the snapshot was taken of; calls in flight are sent again.

        Raises:
            UsageError: there is no execution to go on with, or one is running.
            SessionClosed: the session was closed before.
            InternalError: a defect of rlm-wasm.
        """
        self._check_free()
        run = self._suspended
        if run is None:
            raise UsageError("resume: this session has no suspended execution")
        self._suspended = None
        self._scheduler.run = run
        span = self._traced()
        result = None
        try:
            self._scheduler.send_again()
            result = self._result(await self._run(self._scheduler.resume(run), timeout_s, on_progress))
            return result
        finally:
            telemetry.execution_ended(span, result)

    def _traced(self) -> telemetry.Span:
        span = telemetry.execution_started(namespace=self.namespace, depth=self._calls.depth)
        self._calls.parent_span = span
        return span

    async def _run(self, work: Any, timeout_s: float | None, on_progress: OnProgress | None) -> Outcome:
        scheduler = self._scheduler
        scheduler.limits = self.limits if timeout_s is None else self._tightened(timeout_s)
        self._on_progress = on_progress
        self._known_variables = None
        self._busy = True
        try:
            outcome: Outcome = await work
            return outcome
        finally:
            self._busy = False
            if on_progress is not None:
                self._report()
                self._on_progress = None
            if self._report_timer is not None:
                self._report_timer.cancel()
                self._report_timer = None

    def _tightened(self, timeout_s: float) -> Limits:
        return replace(self.limits, timeout_s=min(float(timeout_s), self.limits.timeout_s))

    def _check_free(self) -> None:
        if self.closed:
            raise SessionClosed("the session is closed")
        if self._busy:
            raise UsageError("the session is executing already: one execution at a time")

    @property
    def running(self) -> bool:
        """Whether an execution is under way."""
        return self._busy

    @property
    def suspended(self) -> bool:
        """Whether ``resume`` has something to go on with."""
        return self._suspended is not None

    def cancel(self) -> None:
        """End the running execution: its Result says "cancelled". Without one nothing happens."""
        self._scheduler.cancel()

    def cancel_call(self, call_id: int) -> bool:
        """Cancel one LLM call by the id that the scope log shows; False where none such runs."""
        for number, pending in list(self._calls.running.items()):
            if pending.request.id == call_id:
                return self._scheduler.cancel_call(number)
        return False

    # ---- the Result

    def _result(self, outcome: Outcome) -> Result:
        done, run = outcome.done, outcome.run
        limit = self.limits.output_bytes
        truncated: list[str] = []

        def bounded(text: Any, part: str) -> str:
            if not isinstance(text, str):
                return "" if text is None else str(text)
            if len(text) * 4 <= limit:
                return text
            cut = BoundedText(limit)
            cut.add(text)
            if cut.dropped and part not in truncated:
                truncated.append(part)
            return cut.text()

        if run.out.dropped:
            truncated.append("stdout")
        if run.err.dropped:
            truncated.append("stderr")
        if done.get("cut"):
            truncated.append("value")
        status = done.get("status")
        if status not in ("finished", "ok", "error", "limit", "cancelled"):
            raise InternalError(f"the guest ended with status {status!r}")
        error = done.get("error")
        used = self._calls.budget.execution
        data = done.get("data")
        value = bounded(done.get("value"), "value")
        return Result(
            status=status,
            value=value,
            data=value if data is True else protocol.data_of(data),
            stdout=run.out.text(),
            stderr=run.err.text(),
            error=None if error is None else self._error(error, bounded),
            execution=Execution(
                calls=used.calls,
                elapsed=run.elapsed(),
                tokens=used.tokens,
                prompt_tokens=used.prompt_tokens,
                completion_tokens=used.completion_tokens,
                cost_usd=used.known_cost,
                cached=used.cached,
                fuel=run.fuel,
                memory_bytes=self._scheduler.sandbox.heap_used(),
            ),
            truncated=tuple(truncated),
            rolled_back=outcome.rolled_back,
            derived_from=tuple(done.get("lineage") or ()),
        )

    def _error(self, error: dict[str, Any], bounded: Any) -> ErrorInfo:
        kind, used, most = error.get("kind"), error.get("used"), error.get("limit")
        message = error.get("message")
        if kind == "memory_bytes":
            most = self.limits.memory_bytes
            used = used or max(self._scheduler.sandbox.heap_used(), most)
            message = f"limit exceeded: memory_bytes (used {used:,}, limit {most:,})"
        return ErrorInfo(
            type=str(error.get("type") or "exn:fail"),
            message=bounded(message, "error"),
            irritants=tuple(bounded(i, "error") for i in error.get("irritants") or ()),
            source=error.get("source") or None,
            line=error.get("line") or None,
            column=error.get("column") or None,
            hint=error.get("hint") or None,
            backtrace=tuple(str(frame) for frame in error.get("backtrace") or ()),
            kind=kind,
            used=used,
            limit=most,
        )

    # ---- progress and notes

    def _noted(self, message: list[Any]) -> None:
        if message[1] == "err":
            if self.on_stderr is not None:
                _tell(self.on_stderr, message[2])
            if self._on_progress is not None:
                self._fresh_stderr.append(message[2])
                self._changed()
        elif message[1] == "log":
            entry = message[2]
            op, preview = str(entry.pop("op", "?")), entry.pop("preview", "")
            scope = str(entry.pop("scope", "sandbox"))
            self._log.add(op, preview, scope, **{str(k).replace("-", "_"): v for k, v in entry.items()})

    def _changed(self) -> None:
        if self._on_progress is None or self._report_timer is not None:
            return
        wait = self._reported + _REPORT_S - time.monotonic()
        if wait <= 0:
            self._report()
        else:
            self._report_timer = asyncio.get_running_loop().call_later(wait, self._report)

    def _report(self) -> None:
        self._report_timer = None
        callback, run = self._on_progress, self._scheduler.run
        if callback is None:
            return
        self._reported = time.monotonic()
        used = self._calls.budget.execution
        stderr, self._fresh_stderr = "".join(self._fresh_stderr), []
        running = len(self._calls.running)
        _tell(
            callback,
            Progress(
                done=used.done,
                running=running,
                total=used.calls,
                models=self._calls.models(),
                tokens=used.tokens,
                cost_usd=used.known_cost,
                elapsed_s=0.0 if run is None else run.elapsed(),
                longest_s=self._calls.longest_s(),
                stderr=stderr,
            ),
        )

    # ---- state

    async def load_context(self, text: str | bytes, name: str | None = None) -> None:
        """Give the program a text: ``context``, or ``(get-context name)``. Bytes must be UTF-8.

        Raises:
            UsageError: the text is no text, or no UTF-8.
            SessionClosed: the session was closed before.
        """
        if self.closed:
            raise SessionClosed("the session is closed")
        self._contexts.load(text, name)
        if name is None:
            self._options["context"] = True
        if self._python is not None:
            self._python.set_context(name, self._contexts.texts[name])

    async def reset(self) -> None:
        """Forget everything but the checkpoints: definitions, Python variables, contexts, the log.

        An execution that runs meanwhile is a UsageError: cancel it first.
        """
        self._check_free()
        self._suspended = None
        self._scheduler.reset()
        self._contexts.texts.clear()
        self._known_variables = None
        self._log.clear()
        self._fresh_options()
        if self._python is not None:
            await self._python.reset()
        self._python_saved = None

    def _fresh_options(self) -> None:
        """What a fresh guest has to be told with its first program."""
        options: dict[str, Any] = {}
        if self._functions.names:
            options["grants"] = self._functions.names
        if self.limits != _DEFAULT_LIMITS:
            options["limits"] = {
                "handles": self.limits.handles,
                "output": self.limits.output_bytes,
                "message": self.limits.message_bytes,
            }
        if self._calls.depth:
            options["depth"] = self._calls.depth
        self._options = options

    def scope_log(self) -> list[dict[str, Any]]:
        """What crossed between host, sandbox and sub-calls, in order."""
        return self._log.entries()

    async def definitions(self) -> list[str]:
        """The names that the session's programs have defined."""
        self._check_free()
        return self._variables() or []

    def _variables(self) -> list[str] | None:
        """Asked of the guest, where it is free; it answers at once. None where it is not."""
        if self.closed or self._busy or self._suspended is not None:
            return None
        if self._known_variables is None:
            work = self._scheduler.execute(lambda: protocol.encode(["state"]))
            try:
                work.send(None)
            except StopIteration as stop:
                data = protocol.data_of(stop.value.done.get("data"))
                self._known_variables = [str(name) for name in data] if isinstance(data, list) else []
            else:
                work.close()  # it wanted to wait: never mind
        return self._known_variables

    def state(self) -> dict[str, Any]:
        """Variables, contexts, checkpoints, limits and what was used of them, calls in flight.

        ``variables`` is None while an execution is under way; ``checkpoints`` are the keys that
        this session wrote (``checkpoints()`` asks the store).
        """
        used = self._calls.budget.session
        return {
            "namespace": self.namespace,
            "running": self._busy,
            "suspended": self.suspended,
            "variables": self._variables(),
            "checkpoints": sorted(self._written),
            "contexts": {name or "context": len(text) for name, text in self._contexts.texts.items()},
            "host_functions": self._functions.names,
            "calls_in_flight": [
                {
                    "call_id": pending.request.id,
                    "model": pending.request.model,
                    "running_s": round(time.monotonic() - pending.started, 3),
                }
                for pending in self._calls.running.values()
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
                "memory_bytes": 0 if self.closed else self._scheduler.sandbox.heap_used(),
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
        return dict(self._contexts.texts)

    async def checkpoints(self) -> list[str]:
        """Keys in the session's namespace of the store."""
        return await self._runtime.store.keys(self.namespace)

    # ---- snapshots

    async def snapshot(self) -> Snapshot:
        """The session as a value, also in the middle of an execution.

        Raises:
            SessionClosed: the session was closed before.
        """
        if self.closed:
            raise SessionClosed("the session is closed")
        python = self._python_saved
        if self._python is not None:
            python = await self._python.capture()
        scheduler, run = self._scheduler, self._scheduler.run or self._suspended
        memory = scheduler.sandbox.capture()
        plain = scheduler.plain(run)
        budget = self._calls.budget
        header = {
            "image": self._runtime.engine.image_hash,
            "suspended": run is not None,
            "namespace": self.namespace,
            "used": {"fuel": 0 if run is None else run.fuel, "calls": budget.session.calls},
        }
        body = {
            "scheduler": plain,
            "contexts": [[name, text] for name, text in self._contexts.texts.items()],
            "options": dict(self._options),
            "execution": budget.execution.plain(),
            "session": budget.session.plain(),
            "last_call": budget.last_id,
            "limits": asdict(self.limits),
            "log": self._log.entries(),
            "python": python,
        }
        # A copy by value: what the session does from now on must not reach into it.
        return Snapshot(header, memory, cbor2.loads(protocol.encode(body)))

    async def fork(self) -> Session:
        """An independent session that starts where this one is; in an execution: ``resume`` it."""
        return self._runtime.restored(await self.snapshot(), self.limits, self._functions.functions)

    def _adopt(self, snapshot: Snapshot) -> None:
        if snapshot.image_hash != self._runtime.engine.image_hash:
            raise SnapshotVersionError(
                f"the snapshot belongs to guest image {snapshot.image_hash[:12]}…, "
                f"this release has {self._runtime.engine.image_hash[:12]}…"
            )
        body = snapshot.body
        self._suspended = self._scheduler.adopt(body["scheduler"])
        for name, text in body["contexts"]:
            self._contexts.texts[name] = text
        self._options = dict(body["options"])
        if self._functions.names:
            self._options["grants"] = self._functions.names
        budget = self._calls.budget
        budget.execution = Usage.from_plain(body["execution"])
        budget.session = Usage.from_plain(body["session"])
        budget.last_id = body["last_call"]
        self._log.replace(body["log"])
        self._python_saved = body["python"]
        if self._suspended is None:
            self._scheduler.send_again()

    # ---- capabilities

    def _table(self) -> dict[str, Handler]:
        runtime = self._runtime
        return {
            "now": now,
            "host": self._functions.call,
            "library": runtime.library_folders.read,
            "checkpoint": self._checkpoint,
            "restore": self._restore,
            "usage": lambda _arguments: self._calls.report(),
            "py-exec": lambda a: self._python_run("exec", a),
            "py-eval": lambda a: self._python_run("eval", a),
            "py-set!": lambda a: self._python_run("set", a),
            "py-call": lambda a: self._python_run("call", a),
            **self._contexts.table(),
        }

    async def _checkpoint(self, arguments: list[Any]) -> None:
        key, value, preview = arguments
        self._log.add("checkpoint", f"{key}: {preview}", "host")
        await self._runtime.store.put(self.namespace, str(key), value, str(preview))
        self._written.add(str(key))

    async def _restore(self, arguments: list[Any]) -> Any:
        key = str(arguments[0])
        self._log.add("restore", key, "host")
        found = await self._runtime.store.get(self.namespace, key)
        return False if found is None else found

    async def _python_run(self, operation: str, arguments: list[Any]) -> Any:
        op = {"exec": "py-exec", "eval": "py-eval", "set": "py-set!", "call": "py-call"}[operation]
        self._log.add(op, arguments[0], "host")
        backend = await self._python_backend()
        scheduler = self._scheduler
        try:
            reply = await backend.run(
                operation, arguments, fuel=scheduler.fuel_left(), timeout_s=scheduler.time_left() or 1.0
            )
        except Exception as error:
            scheduler.charge(getattr(error, "fuel", 0))
            raise
        scheduler.charge(reply.fuel)
        return {"value": reply.value, "stdout": reply.stdout, "stderr": reply.stderr, "note": reply.note}

    async def _python_backend(self) -> PythonBackend:
        if self._python is None:
            backend = self._runtime.python_backend(self.limits)
            for name, text in self._contexts.texts.items():
                backend.set_context(name, text)
            if self._python_saved is not None:
                await backend.restore(self._python_saved)
                self._python_saved = None
            self._python = backend
        return self._python

    @property
    def host_functions(self) -> dict[str, HostFunction]:
        """What the session was granted."""
        return self._functions.functions

    def time_left(self) -> float | None:
        """Seconds until the running execution's timeout."""
        return self._scheduler.time_left()

    def limits_left(self) -> Limits:
        """What a child may use: this session's limits, less the fuel of the running execution."""
        return replace(self.limits, fuel=self._scheduler.fuel_left())

    def charge(self, fuel: int) -> None:
        """Fuel that a child used."""
        self._scheduler.charge(fuel)

    # ---- the end

    async def aclose(self) -> None:
        """Cancel what runs and give everything back. Idempotent."""
        if self.closed:
            return
        self.closed = True
        self._scheduler.cancel()
        self._runtime.forget(self)
        while self._busy:
            await asyncio.sleep(0)
        self._scheduler.close()
        if self._python is not None:
            await self._python.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


_DEFAULT_LIMITS = Limits()


def _tell(callback: Callable[[Any], Any], what: Any) -> None:
    """Call the embedder back. What that raises is its own affair, and never the program's."""
    try:
        callback(what)
    except Exception as error:
        context = {"message": "a callback of rlm_wasm failed", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)


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


__all__ = ["Session", "check_host_function"]
