"""A session as its clients see it: what they ask for is done in the order of asking.

Whoever asks waits on a task of the queue's own. A client that goes away therefore never tears an
execution apart: its execution is cancelled by ``Session.cancel``, which aborts the LLM requests
and leaves the session as usable as before.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from rlm_wasm.capabilities.checkpoints import MemoryStore
from rlm_wasm.errors import RlmError, UsageError
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.mcp.bounds import ServerBounds
from rlm_wasm.named_sessions import open_named
from rlm_wasm.results import OnProgress, Progress, Result, own_places

if TYPE_CHECKING:
    from rlm_wasm.mcp.notifier import ProgressNotifier
    from rlm_wasm.runtime import Runtime
    from rlm_wasm.session import Session

log = logging.getLogger("rlm_wasm.mcp")

T = TypeVar("T")

Changed = Callable[["SessionQueue", list[str], bool], None]
"""Called with a queue, the URIs of resources that changed, and whether the list of them did."""


Begin = Callable[[OnProgress], Awaitable[Result]]
"""Begins what a run does."""


@dataclass(slots=True)
class Run:
    """One execution: asked for, running or done."""

    id: int
    code: str
    asked_at: float
    started_at: float = 0.0
    result: Result | None = None
    log_from: int = 0
    log_to: int = 0

    @property
    def bytes(self) -> int:
        """About what it takes to keep it."""
        result = self.result
        texts = [self.code] if result is None else [self.code, result.value, result.stdout, result.stderr]
        # The value stands there a second time, as data.
        return sum(map(len, texts)) + (0 if result is None else len(result.value))


class SessionQueue:
    """A session, what waits for it, and its runs.

    ``key`` is what clients name it by, ``name`` the same where it is a named one. ``notice`` is something
    that the next answer tells the client.
    """

    def __init__(
        self,
        runtime: Runtime,
        session: Session,
        *,
        key: str,
        name: str | None = None,
        changed: Changed | None = None,
        bounds: ServerBounds = ServerBounds(),  # noqa: B008  # frozen
    ) -> None:
        self.runtime = runtime
        self.session = session
        self.key = key
        self.name = name
        self.bounds = bounds
        self.notice = ""
        self.gives_key = False
        """Whether its client can come back by the key only: answers then say it."""
        self.is_new = True
        self.runs: dict[int, Run] = {}
        self.current: Run | None = None
        self._changed = changed
        self._turn = asyncio.Lock()
        self._last_id = 0
        self._calls_before = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._running: asyncio.Task[None] | None = None
        self._notifier: ProgressNotifier | None = None
        self.closed = False

    @classmethod
    async def open(
        cls,
        runtime: Runtime,
        name: str,
        *,
        changed: Changed | None = None,
        bounds: ServerBounds = ServerBounds(),  # noqa: B008  # frozen
    ) -> SessionQueue:
        """The named session, as the runtime's store has it, or a new one. Raises UsageError."""
        if not runtime.keeps_sessions:
            session = runtime.session(namespace=name)
            return cls(runtime, session, key=name, name=name, changed=changed, bounds=bounds)
        queue: SessionQueue | None = None
        early: list[str] = []

        def notify(message: str) -> None:
            if queue is None:
                early.append(message)
                return
            queue.notice = message  # clients that ask for no log are told by the answer
            if queue._notifier is not None:
                queue._notifier.warning(message)
            else:
                log.warning("%s", message)

        session = await open_named(runtime, name, notify=notify)
        queue = cls(runtime, session, key=name, name=name, changed=changed, bounds=bounds)
        queue.is_new = not session.found
        for message in early:
            notify(message)
        return queue

    def tell_next(self, notice: str) -> None:
        """The next answer says this, too."""
        self.notice = notice

    def tell_key(self) -> None:
        """Answers give the key from now on: its client can come back by that only."""
        self.gives_key = True

    def told(self) -> dict[str, str]:
        """What an answer has to say of the session itself: ``session``, its key, and ``notice``, once."""
        told = {"session": self.key} if self.gives_key else {}
        if self.notice:
            told["notice"], self.notice = self.notice, ""
        return told

    # ---- in turn

    async def execute(
        self, code: str, timeout_s: float | None, notifier: ProgressNotifier | None = None
    ) -> Run:
        """Run a program when its turn comes. Cancelling this cancels the program.

        Raises UsageError where too many wait already.
        """
        # A procedure of an earlier program may fail: its line is none of this one.
        name = f"program {self._last_id + 1}"

        async def begin(progress: OnProgress) -> Result:
            result = await self.session.execute(code, timeout_s=timeout_s, on_progress=progress, name=name)
            return own_places(result, name)

        return await self._run(code, begin, notifier)

    async def ask(
        self,
        question: str,
        name: str | None,
        notifier: ProgressNotifier | None = None,
        *,
        model: str | None = None,
        max_iterations: int | None = None,
        timeout_s: float | None = None,
    ) -> Run:
        """Answer a question when its turn comes; ``name`` is the context that it is about, None: all.

        Cancelling this cancels it. Raises UsageError for a name that is no context, and where too many wait.
        """

        def begin(progress: OnProgress) -> Awaitable[Result]:
            return self.session.ask(
                question,
                contexts=None if name is None else [name],
                model=model,
                max_iterations=max_iterations,
                timeout_s=timeout_s,
                on_progress=progress,
            )

        return await self._run(question, begin, notifier)

    async def _run(self, code: str, begin: Begin, notifier: ProgressNotifier | None) -> Run:
        if self.queued >= self.bounds.waiting:
            raise UsageError(
                f"{self.queued} programs wait in this session already: wait for their results, or name"
                " another session"
            )
        self._last_id += 1
        run = Run(self._last_id, code, time.time())
        self.runs[run.id] = run
        task = self._begin(self._execute(run, begin, notifier))
        try:
            await asyncio.shield(task)
        except BaseException:
            if notifier is not None:
                notifier.abandon()
            if self.current is run:
                self.session.cancel()  # its Result will say so
            else:
                task.cancel()
                self.runs.pop(run.id, None)
            raise
        if notifier is not None:
            await notifier.aclose()
        return run

    async def _execute(self, run: Run, begin: Begin, notifier: ProgressNotifier | None) -> None:
        async with self._turn:
            self.current, run.started_at = run, time.time()
            self._running, self._notifier = asyncio.current_task(), notifier
            run.log_from = self.session.log_length
            if notifier is not None:
                notifier.start()

            def progress(report: Progress) -> None:
                if notifier is not None:
                    notifier.progress(report)
                self._publish(["rlm://status"])

            execution = begin(progress)
            try:
                run.result = await execution
            finally:
                self.current = self._running = self._notifier = None
                run.log_to = self.session.log_length
                self._calls_before = self.session.calls_made
                self._forget_runs(run)
        self._publish(["rlm://status", "rlm://log", "rlm://runs"])

    def _forget_runs(self, newest: Run) -> None:
        """The oldest ones that have ended, as far as there are too many."""
        total = sum(run.bytes for run in self.runs.values())
        for run in list(self.runs.values()):
            if len(self.runs) <= self.bounds.runs and total <= self.bounds.run_bytes:
                break
            if run.result is not None and run is not newest:
                total -= run.bytes
                del self.runs[run.id]

    async def in_turn(self, work: Callable[[], Awaitable[T]], *, whole: bool = False) -> T:
        """Do something with the session when nothing else runs in it.

        ``whole``: once begun it is done to its end, also where nobody waits for it any more.
        """
        begun = False

        async def do() -> T:
            nonlocal begun
            async with self._turn:
                begun = True
                return await work()

        task = self._begin(do())
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not (whole and begun):
                task.cancel()
            raise

    def _begin(self, work: Any) -> asyncio.Task[Any]:
        if self.closed:
            work.close()
            raise UsageError("the session is closed")
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked has gone: nobody else will look at it

    async def load_context(self, text: str | bytes, name: str | None) -> None:
        """Load a text, in turn."""
        await self.in_turn(lambda: self.session.load_context(text, name), whole=True)
        self._publish([f"rlm://contexts/{name or 'context'}", "rlm://status"], listing=True)

    async def reset(self) -> None:
        """Forget everything but the checkpoints, in turn."""
        await self.in_turn(self.session.reset, whole=True)
        self.runs = {number: run for number, run in self.runs.items() if run.result is None}
        self._publish(["rlm://status", "rlm://log", "rlm://runs"], listing=True)

    # ---- at once

    @property
    def queued(self) -> int:
        """Executions that wait for their turn."""
        return sum(1 for run in self.runs.values() if run.result is None and not run.started_at)

    @property
    def busy(self) -> bool:
        """Whether something runs or waits."""
        return self._turn.locked() or bool(self._tasks)

    @property
    def unused(self) -> bool:
        """Whether no client would miss it."""
        return not self.busy and not self._last_id and not self.session.contexts

    @property
    def bytes(self) -> int:
        """About what its sandbox, its contexts and its runs take."""
        last = next((run.result for run in reversed(self.runs.values()) if run.result is not None), None)
        held = sum(map(len, self.session.contexts.values())) + sum(run.bytes for run in self.runs.values())
        return held + (0 if last is None else last.execution.memory_bytes)

    def status(self) -> dict[str, Any]:
        """What is going on, without waiting for it."""
        state = self.session.state()
        run = self.current
        last = next((r for r in reversed(self.runs.values()) if r.result is not None), None)
        status: dict[str, Any] = {
            "running": run is not None,
            "queued": self.queued,
            "calls_in_flight": state["calls_in_flight"],
            "calls_queued": state["calls_queued"],
            "used": state["used"],
        }
        if run is not None:
            calls = state["used"]["calls"] - self._calls_before
            status["run"] = {
                "id": run.id,
                "elapsed": round(time.time() - run.started_at, 3),
                "calls": calls,
                "calls_done": calls - len(state["calls_in_flight"]) - state["calls_queued"],
            }
        if last is not None and last.result is not None:
            status["last_run"] = {"id": last.id, "status": last.result.status}
        return status

    async def state(self) -> dict[str, Any]:
        """What the sandbox holds. What the programs defined is known only while nothing runs."""
        state = self.session.state()
        state["checkpoints"] = await self.session.checkpoints()
        state["session"] = self.name
        if not self._turn.locked() and not state["suspended"]:
            state["definitions"] = await self.in_turn(self.session.definitions)
        return state

    def scope_log(self) -> list[dict[str, Any]]:
        """What crossed between host, sandbox and sub-calls, in order."""
        return self.session.scope_log()

    def _publish(self, uris: list[str], *, listing: bool = False) -> None:
        if self._changed is not None:
            self._changed(self, uris, listing)

    async def aclose(self) -> None:
        """Cancel what runs, forget what waits, save and close the session. Idempotent."""
        if self.closed:
            return
        self.closed = True
        for task in list(self._tasks):
            if task is not self._running:
                task.cancel()
        self.session.cancel()  # what runs ends with a result, and a named session is saved with it
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.session.aclose()
        await self._forget_checkpoints()

    async def _forget_checkpoints(self) -> None:
        """Those of a session that nobody can name any more, and those that only live in memory."""
        if not self.session.state()["checkpoints"]:
            return  # the store may not even be open
        store = self.runtime.store
        delete = getattr(store, "delete", None)
        if delete is None or (self.name is not None and not isinstance(store, MemoryStore)):
            return
        try:
            for key in await store.keys(self.session.namespace):
                await delete(self.session.namespace, key)
        except RlmError as error:
            log.warning("checkpoints of a session that ended are still in the store: %s", error)
