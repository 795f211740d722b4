"""Sessions in actors of a Ray cluster: ``Runtime(executor="ray", store=…, durable=True)``.

Ray places the actors, restarts those that die, and carries calls and results; the store has the sessions. An
actor opens the sessions that it is asked for by their names and holds their leases. Where an actor dies, its
sessions are asked of others: each takes them up from snapshot and journal, so no answer is paid twice. Every
execution has an id, by which it is begun once and its Result given to whoever asks for it again.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self, cast

try:
    import ray
    from ray import cloudpickle
    from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "ray":
        raise
    raise ModuleNotFoundError("ray is not installed: pip install 'rlm-wasm[ray]'", name="ray") from None

from rlm_wasm.errors import (
    ExecutorError,
    InternalError,
    LeaseLost,
    RlmError,
    SessionClosed,
    SessionHeld,
    UsageError,
)
from rlm_wasm.executor import Document, run_document
from rlm_wasm.results import Result
from rlm_wasm.runtime import Runtime
from rlm_wasm.runtime_parts import named_asks
from rlm_wasm.session import Session
from rlm_wasm.store.leases import LEASE_S

if TYPE_CHECKING:
    from rlm_wasm.asking.answer import Answer
    from rlm_wasm.grants import Grants
    from rlm_wasm.session_parts.placed import Told, Work

MAX_MOVES: Final = 20
"""How often one operation is taken up by another actor; then the session itself may be what kills them."""
START_S: Final = 120.0
"""So long the actors may take to begin."""
_FIRST_WAIT_S: Final = 0.05
_LONGEST_WAIT_S: Final = 1.0
_READS: Final = frozenset({"state", "scope_log", "definitions", "checkpoints", "pending"})
_CHANGES: Final = frozenset({"load_context", "reset", "abandon", "suspend"})


class Worker:
    """What an actor is: a Runtime, and the sessions that it holds.

    ``peers``: the names of all actors of the executor, and ``place`` the number of this one.
    """

    def __init__(self, options: bytes, peers: tuple[str, ...] = (), place: int = 0) -> None:
        self._runtime = Runtime(**cloudpickle.loads(options))
        self._held: dict[str, _Held] = {}
        self._openings: dict[str, dict[str, Any]] = {}
        """How the sessions were opened that are at work here: their children elsewhere are opened alike."""
        self._asked: Counter[str] = Counter()
        """How many wait for each child that is at work here."""
        if len(peers) > 1:
            self._runtime.run_children(_Peers(peers, place, self.child, self._openings))

    async def where(self) -> tuple[str, str]:
        """The machine, and Ray's name for the node."""
        return socket.gethostname(), ray.get_runtime_context().get_node_id()

    async def call(self, name: str, opening: dict[str, Any], asked: _Asked) -> _Answer:
        """Do something with a session, which is opened where need be."""
        held = self._held.setdefault(name, _Held())
        self._openings[name] = opening
        try:
            session = await held.opened(self._runtime, name, opening, make=asked.make)
            value = await held.done(session, asked)
        except RlmError as error:
            if held.session is None or held.session.closed or isinstance(error, LeaseLost):
                await self._drop(name)
            return _Answer(error=error)
        return _Answer(value=value, facts=_facts(session))

    async def cancel(self, name: str) -> None:
        """End what a session runs; this returns when it has ended."""
        held = self._held.get(name)
        if held is not None:
            await held.cancelled()

    async def close(self, name: str, *, forget: bool) -> _Answer:
        """Give a session back; ``forget``: for good. Where it is not here, another process may have it."""
        try:
            await self._drop(name)
            if forget:
                await self._runtime.store.sessions.delete(name)  # type: ignore[attr-defined]
        except RlmError as error:
            return _Answer(error=error)
        return _Answer()

    async def child(self, parent: str, opening: dict[str, Any], work: Work, *, end: bool) -> _Answer:
        """Serve a recursive call of a session that may be in any actor; or ``end`` that."""
        self._openings[work.name] = opening
        self._asked[work.name] += 1
        try:
            return _Answer(value=await self._runtime.serve_child(parent, work, end=end, **opening))
        except RlmError as error:
            return _Answer(error=error)
        finally:
            self._asked[work.name] -= 1
            if not self._asked[work.name]:
                del self._asked[work.name], self._openings[work.name]

    async def _drop(self, name: str) -> None:
        self._openings.pop(name, None)
        held = self._held.pop(name, None)
        if held is not None and held.session is not None:
            await held.session.aclose()

    async def leave(self) -> None:
        """Give all sessions back; what is in its middle stays in the store as it is."""
        await self._runtime.aclose()


class _Asked:
    """One operation: a method of Session, and by what id it is known where it is an execution."""

    __slots__ = ("arguments", "make", "method", "options", "request")

    def __init__(
        self, method: str, *arguments: Any, make: bool = True, request: str | None = None, **options: Any
    ) -> None:
        self.method = method
        self.arguments = arguments
        self.make = make
        self.request = request
        self.options = options


class _Answer:
    """What came of it, and what is known of the session now."""

    __slots__ = ("error", "facts", "value")

    def __init__(
        self, value: Any = None, error: RlmError | None = None, facts: dict[str, Any] | None = None
    ) -> None:
        self.value = value
        self.error = error
        self.facts = facts or {}


class _Held:
    """A session in an actor, and the executions that are under way in it."""

    def __init__(self) -> None:
        self.session: Session | None = None
        self._opening = asyncio.Lock()
        self._running: dict[str, asyncio.Task[Any]] = {}

    async def opened(self, runtime: Runtime, name: str, opening: dict[str, Any], *, make: bool) -> Session:
        async with self._opening:
            if self.session is None or self.session.closed:
                self.session = await runtime.resume(name, make=make, **opening)
            return self.session

    async def cancelled(self) -> None:
        """End what runs."""
        if self.session is not None:
            self.session.cancel()
        if self._running:
            await asyncio.wait(list(self._running.values()))

    async def done(self, session: Session, asked: _Asked) -> Any:
        """Do it. What is asked for a second time, as the first answer was lost, is not done twice."""
        if asked.method == "open":
            return None
        if asked.request is None:
            return await self._plainly(session, asked)
        task = self._running.get(asked.request)
        if task is None:
            task = self._running[asked.request] = asyncio.create_task(self._execution(session, asked))
            task.add_done_callback(lambda _task: self._running.pop(asked.request or "", None))
        return await asyncio.shield(task)

    @staticmethod
    async def _execution(session: Session, asked: _Asked) -> Result | Answer:
        if asked.method == "ask":
            return await session.ask(*asked.arguments, request=asked.request, **asked.options)
        if asked.method == "named question":
            return await named_asks.asked_in(session, *asked.arguments, **asked.options)
        if asked.method == "document":
            program, document, timeout_s = asked.arguments
            return await run_document(session, program, document, timeout_s)
        if asked.method == "resume":
            return await session.resume(**asked.options)
        return await session.execute(*asked.arguments, request=asked.request, **asked.options)

    @staticmethod
    async def _plainly(session: Session, asked: _Asked) -> Any:
        given = getattr(session, asked.method)(*asked.arguments, **asked.options)
        value = await given if asyncio.iscoroutine(given) else given
        if asked.method in _CHANGES:
            await session.flush()
        return value


def _facts(session: Session) -> dict[str, Any]:
    return {
        name: getattr(session, name)
        for name in ("suspended", "found", "kept", "request", "calls_made", "namespace", "limits")
    }


class _Peers:
    """All actors of an executor, as one of them sees them: children of recursive calls are spread over them.

    It is used by that one alone.
    """

    places = True

    def __init__(
        self,
        names: tuple[str, ...],
        place: int,
        here: Callable[..., Awaitable[_Answer]],
        openings: Mapping[str, dict[str, Any]],
    ) -> None:
        self._names = names
        self._place = place
        self._here = here
        self._openings = openings
        self._handles: dict[int, Any] = {}
        self._load = [0] * len(names)
        """How many children that were sent from here each of them has."""
        self._at: dict[str, int] = {}
        """Which one has a child that is under way, by name."""

    async def run(self, parent: str, grants: Grants, work: Work) -> Told:
        """See Elsewhere: by the actor that has the fewest of those that this one has sent."""
        count = len(self._names)
        # Beginning with the next one, so that actors which all begin at once do not all choose the same.
        order = [(self._place + 1 + number) % count for number in range(count)]
        place = min(order, key=lambda number: self._load[number])
        told = await self._asked(place, parent, work, end=False)
        self._at.pop(work.name, None)
        assert told is not None
        return told

    async def end(self, parent: str, grants: Grants, work: Work) -> Told | None:
        """See Elsewhere: the actor that has it says what it took; where that is gone, the store does."""
        place = self._at.pop(work.name, self._place)
        return await self._asked(place, parent, work, end=True)

    async def _asked(self, place: int, parent: str, work: Work, *, end: bool) -> Told | None:
        """Ask the actor of that number; where it dies, or another one has the session, the next one.

        Raises ExecutorError where each of them dies, SessionHeld where it is not known who has it,
        SessionClosed where all of them are being closed.
        """
        moves, wait_s, held_since = 0, _FIRST_WAIT_S, 0.0
        closed: set[int] = set()
        while True:
            self._load[place] += 1
            if not end:
                self._at[work.name] = place
            try:
                answer = await self._ask(place, parent, work, end=end)
            except RayActorError as error:
                moves += 1
                if moves > MAX_MOVES:
                    raise ExecutorError(
                        f"session {work.name}: {MAX_MOVES} actors died over it, the last one by:"
                        f" {_reason(error)}"
                    ) from error
                if moves > 1:
                    await asyncio.sleep(wait_s)
                    wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
            except RayTaskError as error:
                raise InternalError(f"session {work.name}: {_reason(error)}") from error
            else:
                if not isinstance(answer.error, SessionHeld | LeaseLost | SessionClosed):
                    if answer.error is not None:
                        raise answer.error
                    told: Told | None = answer.value
                    return told
                # By an actor that has gone on with it for a parent that died, or by one that died itself.
                if isinstance(answer.error, SessionClosed):
                    closed.add(place)
                now = time.monotonic()
                held_since = held_since or now
                if now - held_since > 2 * LEASE_S or (end and len(closed) == len(self._names)):
                    raise answer.error
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
            finally:
                self._load[place] -= 1
            place = (place + 1) % len(self._names)

    async def _ask(self, place: int, parent: str, work: Work, *, end: bool) -> _Answer:
        opening = self._openings.get(parent, {})
        if place == self._place:
            return await self._here(parent, opening, work, end=end)
        if place not in self._handles:
            self._handles[place] = await asyncio.to_thread(
                ray.get_actor, self._names[place], namespace=_NAMESPACE
            )
        answer: _Answer = await self._handles[place].child.remote(parent, opening, work, end=end)
        return answer


_NAMESPACE: Final = "rlm-wasm"
"""Of the actors' names in a cluster."""


class RayExecutor:
    """Runs sessions in actors: ``Runtime(executor=RayExecutor(actors=8), …)``; "ray" is the default one.

    actors       how many; by default one a CPU that the cluster has when the first session is opened
    cpus         that Ray sets aside for each of them
    at_once      documents of ``Runtime.map`` that each works on at once
    address      of the cluster, as for ``ray.init``; None: the one that this process is in already, else
                 RAY_ADDRESS, else a new one on this machine, which ends with the Runtime

    Raises:
        UsageError: a number is none.
    """

    def __init__(
        self,
        *,
        actors: int | None = None,
        cpus: float = 1.0,
        at_once: int = 16,
        address: str | None = None,
    ) -> None:
        for name, value in (("actors", actors), ("at_once", at_once)):
            if value is not None and (type(value) is not int or value < 1):
                raise UsageError(f"RayExecutor: {name} must be a positive integer, got {value!r}")
        if isinstance(cpus, bool) or not isinstance(cpus, int | float) or not cpus >= 0:
            raise UsageError(f"RayExecutor: cpus must be a number that is not negative, got {cpus!r}")
        self._wanted = actors
        self._cpus = cpus
        self._at_once = at_once
        self._address = address
        self._options: Callable[[], dict[str, Any]] | None = None
        self._actors: list[Any] = []
        self._sessions: dict[str, RaySession] = {}
        self._alone = asyncio.Lock()
        self._ours = False
        self._closed = False
        self.moves = 0
        """How often an operation was taken up by another actor, since the first had died."""

    # ---- for the Runtime

    def serve(self, options: Callable[[], dict[str, Any]]) -> None:
        """See Executor. Raises UsageError."""
        if self._options is not None:
            raise UsageError("an executor belongs to one Runtime: make another one")
        _packed(options())
        self._options = options

    @property
    def started(self) -> bool:
        """Whether the actors have their options."""
        return bool(self._actors)

    async def documents_at_once(self) -> int:
        """For all actors together."""
        return self._at_once * len(await self.actors())

    def session(self, name: str, opening: dict[str, Any], *, make: bool, forget: bool) -> RaySession:
        """See Executor. Raises UsageError."""
        if name in self._sessions:
            raise UsageError(f"session {name} is open already: close it first")
        _sendable("what the session is granted", opening)
        session = self._sessions[name] = RaySession(self, name, opening, make=make, forget=forget)
        return session

    def closed(self, session: RaySession) -> None:
        """It is no longer open."""
        self._sessions.pop(session.name, None)

    async def aclose(self) -> None:
        """Close sessions and actors; the cluster, too, where it was begun here."""
        if self._closed:
            return
        self._closed = True
        for session in list(self._sessions.values()):
            await session.aclose()
        if self._actors:
            leaving = [asyncio.ensure_future(_awaited(actor.leave.remote())) for actor in self._actors]
            await asyncio.wait(leaving, timeout=LEASE_S)
            for task in leaving:
                task.cancel()
            await asyncio.gather(*leaving, return_exceptions=True)
            for actor in self._actors:
                ray.kill(actor, no_restart=True)
        if self._ours:
            await asyncio.to_thread(ray.shutdown)

    # ---- the actors

    async def actors(self) -> list[Any]:
        """Those that there are; the first time they begin.

        Raises ExecutorError where they cannot, UsageError where they cannot share the store.
        """
        async with self._alone:
            if self._closed:
                raise SessionClosed("the runtime is closed")
            if not self._actors:
                self._actors = await asyncio.to_thread(self._begin)
        return self._actors

    def _begin(self) -> list[Any]:
        assert self._options is not None
        options = self._options()
        try:
            if not ray.is_initialized():
                ray.init(
                    address=self._address,
                    include_dashboard=None if self._address else False,
                    log_to_driver=False,
                    logging_level="ERROR",
                )
                self._ours = True
            hosts = {node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]}
            if len(hosts) > 1 and str(options["store"]).startswith("sqlite"):
                raise UsageError(
                    f"the cluster has {len(hosts)} machines, and a SQLite store is a file of one:"
                    ' Runtime(store="postgresql://user@host/database", …)'
                )
            count = self._wanted or max(int(ray.cluster_resources().get("CPU", 1)), 1)
            remote = ray.remote(
                num_cpus=self._cpus,
                max_restarts=-1,
                max_task_retries=0,  # whether it was done is not known: the store knows
                max_concurrency=10_000,
                scheduling_strategy="SPREAD",
            )(Worker)
            packed, token = _packed(options), secrets.token_hex(8)
            names = tuple(f"{token}-{number}" for number in range(count))
            actors = [
                remote.options(name=name, namespace=_NAMESPACE).remote(packed, names, number)
                for number, name in enumerate(names)
            ]
            try:
                ray.get([actor.where.remote() for actor in actors], timeout=START_S)
            except (GetTimeoutError, RayError) as error:
                for actor in actors:
                    ray.kill(actor, no_restart=True)
                if isinstance(error, GetTimeoutError):
                    raise ExecutorError(
                        f"the cluster has no room for {count} actors of {self._cpus:g} CPUs each"
                        f" (it has {ray.cluster_resources().get('CPU', 0):g}): RayExecutor(actors=…, cpus=…)"
                    ) from None
                raise ExecutorError(f"an actor cannot begin: {_reason(error)}") from error
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            if isinstance(error, RlmError):
                raise
            raise ExecutorError(f"the Ray cluster cannot be reached: {error}") from error
        return actors

    def actor(self, place: int) -> Any:
        """The one of that number."""
        return self._actors[place]

    def other_than(self, place: int) -> int:
        """The next one."""
        return (place + 1) % len(self._actors)

    def moved(self) -> None:
        """An operation is taken up by another actor."""
        self.moves += 1

    def least_loaded(self) -> int:
        """The actor that has the fewest of the open sessions."""
        load = [0] * len(self._actors)
        for session in self._sessions.values():
            if session.place is not None:
                load[session.place] += 1
        return load.index(min(load))


class RaySession:
    """A session that an actor runs. Its methods are Session's, as far as they are here; all are awaited.

    ``state``, ``scope_log`` and ``pending``, which a Session has at once, are awaited, too. ``suspended``,
    ``found``, ``kept`` and ``calls_made`` are as of the last answer.
    """

    def __init__(
        self, executor: RayExecutor, name: str, opening: dict[str, Any], *, make: bool, forget: bool
    ) -> None:
        self.name = name
        self.closed = False
        self.place: int | None = None
        """The number of the actor that has it."""
        self._executor = executor
        self._opening = opening
        self._make = make
        self._forget = forget
        self._known: dict[str, Any] = {}
        self._busy = False

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"a session in a Ray actor has no {name}: where it is closed, Runtime(store=…, durable=True)"
            f".resume({self.name!r}) has the session with all of its methods in this process"
        )

    # ---- as of the last answer

    @property
    def suspended(self) -> bool:
        """Whether ``resume`` has something to go on with."""
        return not self._busy and bool(self._known.get("suspended", False))

    @property
    def running(self) -> bool:
        """Whether an execution is under way."""
        return self._busy

    @property
    def found(self) -> bool:
        """Whether it is one that was in the store."""
        return bool(self._known.get("found", False))

    @property
    def kept(self) -> bool:
        """Whether the store has all of it."""
        return bool(self._known.get("kept", True))

    @property
    def calls_made(self) -> int:
        """LLM calls of the whole session."""
        return int(self._known.get("calls_made", 0))

    # ---- what a session does

    async def open(self) -> None:
        """Take its lease, in an actor. Raises UsageError where there is none of that name."""
        await self._do(_Asked("open", make=self._make))

    async def execute(
        self,
        source: str,
        *,
        timeout_s: float | None = None,
        on_progress: None = None,
        on_output: None = None,
        name: str = "program",
        check: bool = True,
        request: str | None = None,
    ) -> Result:
        """See Session.execute. An actor that dies meanwhile is no end: another one goes on."""
        _nothing_told(on_progress, on_output)
        if not isinstance(source, str):
            raise UsageError(f"execute: the program must be a str, got {type(source).__name__}")
        request = secrets.token_hex(8) if request is None else request
        asked = _Asked("execute", source, request=request, timeout_s=timeout_s, name=name, check=check)
        result: Result = await self._run(asked)
        return result

    async def document(self, program: str, document: Document, timeout_s: float | None) -> Result:
        """A program over a document: see Runtime.map."""
        result: Result = await self._run(_Asked("document", program, document, timeout_s, request="document"))
        return result

    async def resume(
        self, *, timeout_s: float | None = None, on_progress: None = None, on_output: None = None
    ) -> Result:
        """See Session.resume."""
        _nothing_told(on_progress, on_output)
        if not self._known:
            await self.open()
        request = self._known.get("request")
        if request is None or not self.suspended:
            asked = _Asked("resume", request="", timeout_s=timeout_s)
        else:
            asked = _Asked("execute", "", request=request, timeout_s=timeout_s)
        result: Result = await self._run(asked)
        return result

    async def load_context(self, text: str | bytes, name: str | None = None) -> None:
        """See Session.load_context. The store has it when this returns."""
        await self._do(_Asked("load_context", text, name))

    async def ask(self, question: str, *, request: str | None = None, **options: Any) -> Answer:
        """See Session.ask. Where the actor dies in the middle of a question, another one goes on with it."""
        request = secrets.token_hex(8) if request is None else request
        return await self._question("ask", (question,), request, options)

    async def asked_by_name(self, question: str, texts: Mapping[str | None, str], **options: Any) -> Answer:
        """The question that the session is named for, over these texts: see ``Runtime.ask``."""
        return await self._question("named question", (question, dict(texts)), "named question", options)

    async def _question(
        self, method: str, arguments: tuple[Any, ...], request: str, options: dict[str, Any]
    ) -> Answer:
        for name in ("on_progress", "on_output", "on_step"):
            _nothing_told(options.pop(name, None), None)
        _sendable("what the question is asked with", options)
        answer: Answer = await self._run(_Asked(method, *arguments, request=request, **options))
        return answer

    async def reset(self) -> None:
        """See Session.reset."""
        await self._do(_Asked("reset"))

    async def abandon(self) -> None:
        """See Session.abandon."""
        await self._do(_Asked("abandon"))

    async def state(self) -> dict[str, Any]:
        """See Session.state."""
        return cast("dict[str, Any]", await self._read("state"))

    async def scope_log(self) -> list[dict[str, Any]]:
        """See Session.scope_log."""
        return cast("list[dict[str, Any]]", await self._read("scope_log"))

    async def definitions(self) -> list[str]:
        """See Session.definitions."""
        return cast("list[str]", await self._read("definitions"))

    async def checkpoints(self) -> list[str]:
        """See Session.checkpoints."""
        return cast("list[str]", await self._read("checkpoints"))

    async def pending(self) -> list[dict[str, Any]]:
        """See Session.pending."""
        return cast("list[dict[str, Any]]", await self._read("pending"))

    def cancel(self) -> None:
        """See Session.cancel."""
        if self.place is not None and self._busy:
            self._executor.actor(self.place).cancel.remote(self.name)

    async def aclose(self) -> None:
        """Give it back to the store, or forget it where it has no name of its own. Idempotent."""
        if self.closed:
            return
        self.closed = True
        try:
            if self.place is not None:
                await self._close()
        finally:
            self._executor.closed(self)

    async def _close(self) -> None:
        for _ in range(MAX_MOVES):
            try:
                actor = self._executor.actor(self.place or 0)
                answer = await actor.close.remote(self.name, forget=self._forget)
            except RayActorError:
                self.place = self._executor.other_than(self.place or 0)
                await asyncio.sleep(_FIRST_WAIT_S)
                continue
            if isinstance(answer.error, SessionHeld):  # by the actor that died
                await asyncio.sleep(_LONGEST_WAIT_S)
                continue
            return

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    # ---- and how

    def _begin(self) -> None:
        if self._busy:
            raise UsageError("the session is executing already: one execution at a time")
        self._busy = True

    async def _run(self, asked: _Asked) -> Any:
        self._begin()
        try:
            result = await self._do(asked)
        except asyncio.CancelledError:
            if self.place is not None:
                ended = _awaited(self._executor.actor(self.place).cancel.remote(self.name))
                await asyncio.shield(asyncio.ensure_future(ended))
            raise
        finally:
            self._busy = False
        return result

    async def _read(self, method: str) -> Any:
        assert method in _READS
        return await self._do(_Asked(method))

    async def _do(self, asked: _Asked) -> Any:
        """Ask the actor; where it dies, another one.

        Raises ExecutorError where each of them does, and what the session raises.
        """
        if self.closed:
            raise SessionClosed("the session is closed")
        executor = self._executor
        await executor.actors()
        if self.place is None:
            self.place = executor.least_loaded()
        moves, wait_s, moved_at = 0, _FIRST_WAIT_S, 0.0
        while True:
            try:
                answer: _Answer = await executor.actor(self.place).call.remote(
                    self.name, self._opening, asked
                )
            except RayActorError as error:
                moves += 1
                executor.moved()
                if moves > MAX_MOVES:
                    raise ExecutorError(
                        f"session {self.name}: {MAX_MOVES} actors died over it, the last one by:"
                        f" {_reason(error)}"
                    ) from error
                moved_at = time.monotonic()
                self.place = executor.other_than(self.place)
                if moves > 1:  # all of them may be on their way up
                    await asyncio.sleep(wait_s)
                    wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
                continue
            except RayTaskError as error:
                raise InternalError(f"session {self.name}: {_reason(error)}") from error
            held = isinstance(answer.error, SessionHeld | LeaseLost)
            if held and moves and time.monotonic() - moved_at < 2 * LEASE_S:
                # By the actor that died, as far as this one can know, or by one that only seemed to be dead.
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
                self.place = executor.other_than(self.place)
                continue
            if answer.error is not None:
                raise answer.error
            self._known = answer.facts
            return answer.value


async def _awaited(reference: Any) -> Any:
    try:
        return await reference
    except RayError:
        return None  # it is gone already


def _nothing_told(on_progress: object, on_output: object) -> None:
    if on_progress is not None or on_output is not None:
        raise UsageError("a session in a Ray actor tells no progress: give it a run log (log=) in a store")


def _reason(error: BaseException) -> str:
    """The last line of what Ray says, which is the error itself."""
    lines = str(error).strip().splitlines()
    return (lines[-1] if lines else type(error).__name__)[:500]


def _packed(options: Mapping[str, Any]) -> bytes:
    """Options for the actors. Raises UsageError that names the one which cannot be sent."""
    for name, value in options.items():
        if name == "host_functions":
            for function, body in value.items():
                _sendable(f"the host function {function}", body)
        elif name == "provider" and value is not None and not isinstance(value, str):
            _sendable(f"the provider {type(value).__name__}", value)
        else:
            _sendable(f"the option {name}", value)
    packed: bytes = cloudpickle.dumps(dict(options))
    return packed


def _sendable(what: str, value: object) -> None:
    try:
        cloudpickle.dumps(value)
    except Exception as error:  # whatever an object's methods raise
        raise UsageError(
            f"{what} cannot be sent to another process ({str(error).splitlines()[0][:200]}): give a name, or"
            " an object that makes its connections and locks where it is used"
        ) from error


def executor() -> RayExecutor:
    """One with the defaults."""
    return RayExecutor()
