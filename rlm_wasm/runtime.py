"""The facade: a Runtime holds what sessions are granted, and makes them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, cast

from rlm_wasm.asking import answer as answers
from rlm_wasm.asking import answer_type as answer_types
from rlm_wasm.capabilities.host_functions import (
    ARGUMENTS,
    Arguments,
    HostFunction,
    check_host_function,
)
from rlm_wasm.capabilities.libraries import LibraryFolders
from rlm_wasm.errors import SessionClosed, UsageError
from rlm_wasm.forking import undivided
from rlm_wasm.grants import ChildGrants, Grants
from rlm_wasm.lazy_dataclass import replace
from rlm_wasm.limits import MIB, Limits, SharedBudget, checked_limits
from rlm_wasm.llm.budget import new_id
from rlm_wasm.providers.aliases import checked_aliases
from rlm_wasm.providers.base import Provider
from rlm_wasm.python import python_kind
from rlm_wasm.results import OnProgress, Result
from rlm_wasm.runtime_parts import named_asks, opening
from rlm_wasm.runtime_parts.logs import RunLogs
from rlm_wasm.runtime_parts.placed_children import ChildRunner
from rlm_wasm.runtime_parts.providing import Providers
from rlm_wasm.sandbox import snapshot as snapshots
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.sandbox import live_sandboxes
from rlm_wasm.session import Registry, Session
from rlm_wasm.session_parts import capture
from rlm_wasm.session_parts import state as states
from rlm_wasm.session_parts.idle import IdleSessions
from rlm_wasm.session_parts.observer import OnOutput
from rlm_wasm.session_parts.recent import RecentSnapshots
from rlm_wasm.session_parts.resending import SENT_AGAIN, check_resend
from rlm_wasm.turns import in_turns

if TYPE_CHECKING:
    from pathlib import Path

    from rlm_wasm.asking.answer import Answer, OnStep
    from rlm_wasm.capabilities.checkpoints import CheckpointStore
    from rlm_wasm.context_files import ContextSource
    from rlm_wasm.execution.journal import Trouble
    from rlm_wasm.executor import Document, Executor
    from rlm_wasm.providers.wrappers.cache import CacheStore
    from rlm_wasm.runtime_parts.upgrading import Upgrade
    from rlm_wasm.sandbox.snapshot import Snapshot
    from rlm_wasm.session_parts.durable import Durable
    from rlm_wasm.session_parts.placed import Elsewhere, Told, Work
    from rlm_wasm.store.database import DatabaseStore
    from rlm_wasm.viewer.server import Viewer

T = TypeVar("T")

_AT_ONCE = 1 << 18
"""Bytes of a snapshot that are read on the event loop."""
_READ_AT_ONCE = 1 << 13
"""Bytes of one that a session made whose parts are checked there, too."""


class Runtime:
    """What sessions share: the engine, the provider, the store, and the ceiling of limits.

    provider        a name ("openai", "extractive", "scripted", "echo", or a plug-in's), or an object
                    with ``complete``; None: openai where OPENAI_API_KEY is set, else extractive
    model, base_url for the provider
    aliases         models by other names: {"cheap": "llama3.2"}, for wherever a program names a model
    retries         how often a call is sent again that failed in a way that may pass (429, 5xx, a broken
                    connection); None: as the provider does by itself, which for openai is twice
    cache           where answers are kept, so that the same call is not paid twice: a store's URL,
                    "memory", or an object with ``get`` and ``put``; calls with a temperature above 0
                    are always sent
    python          "wasi" (default), "host" (trusted code only), or "off"
    store           where checkpoints live: an SQLAlchemy URL, an object, or None for memory
    durable         sessions with a name live in the store, in the middle of an execution, too
    executor        "ray": sessions run in actors of a Ray cluster (docs/ray.md), and the store is where they
                    live; None: in this process
    budget          what the durable sessions of all runtimes that name it may use together
    workspace       the one folder that Python and images may see; None: no files at all
    workspace_writable  False: Python may read the workspace's files, not change them
    libraries       folders of Scheme libraries that ``import`` may read
    limits          a ceiling for every session
    host_functions  by name; ``host_function`` adds more
    args            what programs are given by name: the table that ``(args)`` gives them
    child_grants    what the children of #:recursive calls get of these: by default, no effects
    snapshot_key    signs snapshots and journals (HMAC-SHA-256); unsigned and forged ones are then refused
    idle_bytes      what sessions that rest or wait may hold together: beyond it the longest unused go to
                    sleep, which keeps their memory compressed until they are used again or go on
    idle_s          seconds after which a session of megabytes that rests goes to sleep in any case
    log             where the run log goes, prompts and answers in clear: a file's path (JSONL), a callable
                    that takes each record, a store or its URL, in which every run is kept, or a list of
                    these; None: nowhere

    Raises UsageError for what cannot be granted.
    """

    def __init__(
        self,
        provider: str | Provider | None = None,
        model: str | None = None,
        base_url: str | None = None,
        *,
        retries: int | None = None,
        cache: str | CacheStore | None = None,
        python: str = "wasi",
        store: str | CheckpointStore | None = None,
        durable: bool = False,
        executor: str | Executor | None = None,
        budget: SharedBudget | None = None,
        workspace: str | Path | None = None,
        workspace_writable: bool = True,
        libraries: Sequence[str | Path] | LibraryFolders = (),
        aliases: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        host_functions: Mapping[str, HostFunction] | None = None,
        args: Mapping[str, Any] | None = None,
        child_grants: ChildGrants | None = None,
        snapshot_key: bytes | None = None,
        idle_bytes: int = 256 * MIB,
        idle_s: float = 60.0,
        log: Any = None,
        engine: Engine | None = None,
    ) -> None:
        self.limits = checked_limits(limits)
        self.closed = False
        self._executor: Executor | None = None
        self._model = model
        self._aliases = checked_aliases(aliases)
        self._providers = Providers(provider, model=model, base_url=base_url, retries=retries, cache=cache)
        self._store = store
        self._opening_store = threading.Lock()
        if durable and store is None:
            raise UsageError('durable=True needs a store: Runtime(store="sqlite:///state.db", durable=True)')
        self._is_durable = durable
        if budget is not None and not isinstance(budget, SharedBudget):
            raise UsageError(f"budget must be a SharedBudget, got {type(budget).__name__}")
        if budget is not None and not durable:
            raise UsageError(
                "a shared budget is for durable sessions: Runtime(store=…, durable=True, budget=…)"
            )
        self._budget = budget
        self._python = python_kind(python)
        self._log = log
        self._workspace = _folder(workspace)
        self._workspace_writable = workspace_writable
        self._libraries = libraries if isinstance(libraries, LibraryFolders) else LibraryFolders(libraries)
        self._child = child_grants if child_grants is not None else ChildGrants()
        if snapshot_key is not None and (not isinstance(snapshot_key, bytes) or len(snapshot_key) < 16):
            raise UsageError("snapshot_key must be at least 16 bytes")
        if idle_bytes < 0 or not idle_s >= 0:
            raise UsageError("idle_bytes and idle_s must not be negative")
        self._idle = IdleSessions(idle_bytes, idle_s)
        self._children = ChildRunner(lambda: self._opener, self._database)
        self._recent = RecentSnapshots()
        self._registry = Registry(idle=self._idle, snapshot_key=snapshot_key, elsewhere=self._children)
        self._granted: Grants | None = None
        """What ``grants`` gives, until something of it changes."""
        self._functions: dict[str, HostFunction] = {}
        self._given_args = args
        self._args = Arguments(args) if args else None
        for name, function in (host_functions or {}).items():
            self._grant(name, function)
        self._engine = engine
        self._logs = RunLogs(log)
        if executor is not None:
            from rlm_wasm.executor import executor_of

            self._executor = self._served_by(executor_of(executor))

    # ---- sessions

    def session(
        self,
        *,
        name: str | None = None,
        limits: Limits | None = None,
        namespace: str | None = None,
        host_functions: Mapping[str, HostFunction] | None = None,
        provider: str | Provider | None = None,
        model: str | None = None,
        python: str | None = None,
        workspace: str | Path | None = None,
        notify: Trouble | None = None,
    ) -> Session:
        """A new session. What is left out is the runtime's.

        ``limits`` can only tighten; ``host_functions`` replaces the runtime's set. A provider that is
        given here is the caller's to close. ``namespace``: whose checkpoints it sees; by default that of
        its name, or "default".

        ``name`` makes it a durable session, which needs ``Runtime(store=…, durable=True)``: the one that
        the store has under that name, or a new one. It is read at once; ``resume`` does the same without
        keeping the event loop. ``notify`` is told what people should know of the store (a sentence without
        its full stop); by default that is logged.

        Raises:
            SessionClosed: the runtime was closed before.
            UsageError: what is asked for cannot be granted.
            SessionHeld: another process is at work in the session of that name.
            StoreError: the store cannot be read or written.
            SnapshotError: what the store has of the session cannot be used.
        """
        self._check_open()
        if self._executor is not None:
            asked = _given(
                limits=limits,
                namespace=namespace,
                host_functions=host_functions,
                provider=provider,
                model=model,
                python=python,
                workspace=workspace,
                notify=notify,
            )
            own_name = f"{_UNNAMED}{new_id()}" if name is None else name
            remote = self._executor.session(own_name, asked, make=True, forget=name is None)
            return cast(Session, remote)
        grants = self._grants_with(host_functions, provider, model, python, workspace)
        if name is not None:
            if not self._is_durable:
                raise UsageError("a session with a name is a durable one: Runtime(store=…, durable=True)")
            database = self._database()
            taken = database.run_now(lambda: self._opener.taken(database, name, grants, notify, make=True))
            assert taken is not None
            for session in self._opener.opened(*taken, limits, namespace, SENT_AGAIN):
                if session is not None:
                    return session
        return Session(
            grants,
            limits=self.limits.tightened_by(limits),
            namespace="default" if namespace is None else namespace,
            registry=self._registry,
        )

    async def resume(
        self,
        name: str,
        *,
        limits: Limits | None = None,
        namespace: str | None = None,
        host_functions: Mapping[str, HostFunction] | None = None,
        provider: str | Provider | None = None,
        model: str | None = None,
        python: str | None = None,
        workspace: str | Path | None = None,
        resend: Collection[str] = SENT_AGAIN,
        make: bool = False,
        notify: Trouble | None = None,
    ) -> Session:
        """Take up the durable session of that name where it was left, by whichever process.

        One that was in the middle of an execution is ``suspended``, and its ``resume`` goes on with it:
        calls that were answered are not asked again, those in flight are sent again with the same
        idempotency key. Its limits are its own, or ``limits`` in place of them, tightened by the
        runtime's. ``resend`` is as in ``restore``, the other arguments as in ``session``. ``make``: a new
        one where there is none. The runtime's store must be a database; it need not be ``durable``.

        Raises:
            SessionClosed: the runtime was closed before.
            UsageError: there is no session of that name, or what is asked for cannot be granted.
            SessionHeld: another process is at work in it.
            StoreError: the store cannot be read or written.
            SnapshotError: what the store has of it cannot be used.
        """
        self._check_open()
        check_resend(resend)
        if self._executor is not None:
            asked = _given(
                limits=limits,
                namespace=namespace,
                host_functions=host_functions,
                provider=provider,
                model=model,
                python=python,
                workspace=workspace,
                notify=notify,
            )
            asked["resend"] = tuple(resend)
            remote = self._executor.session(name, asked, make=make, forget=False)
            try:
                await remote.open()
            except BaseException:
                await remote.aclose()
                raise
            return cast(Session, remote)
        grants = self._grants_with(host_functions, provider, model, python, workspace)
        database = self._database()
        taken = await self._opener.taking(database, name, grants, notify, make=make)
        if taken is None:
            raise UsageError(await opening.no_such_session(database.sessions, name))
        session: Session = await in_turns(self._opener.opening(*taken, limits, namespace, resend))
        return session

    def _served_by(self, executor: Executor) -> Executor:
        """Hand sessions over.

        Raises:
            UsageError: something cannot be handed over.
        """
        if not self._is_durable:
            raise UsageError(
                "an executor runs sessions that live in a store which its processes share:"
                ' Runtime(executor=…, store="postgresql://user@host/database", durable=True)'
            )
        executor.serve(self._options)
        return executor

    def _options(self) -> dict[str, Any]:
        """What a Runtime is made from that runs this one's sessions.

        Raises:
            UsageError: something cannot be handed over.
        """
        store = self._store
        url = store if isinstance(store, str) else getattr(store, "url", None)
        if url is None:
            raise UsageError(
                f"the executor's processes cannot share a {type(store).__name__}: give the store's URL"
            )
        text = url if isinstance(url, str) else url.render_as_string(hide_password=False)
        if text.startswith("sqlite") and (":memory:" in text or not text.partition("://")[2].strip("/")):
            raise UsageError(
                "the executor's processes cannot share a store in memory: name a file or a server"
            )
        if self._log is not None and not (isinstance(self._log, str) and "://" in self._log):
            raise UsageError(
                "with an executor the run log goes into a store, which all processes share: log=URL"
            )
        return {
            **self._providers.to_hand_over(),
            "model": self._model,
            "python": self._python,
            "store": text,
            "durable": True,
            "budget": self._budget,
            "workspace": self._workspace,
            "workspace_writable": self._workspace_writable,
            "libraries": self._libraries,
            "aliases": dict(self._aliases),
            "limits": self.limits,
            "host_functions": dict(self._functions),
            "args": self._given_args,
            "child_grants": self._child,
            "snapshot_key": self._registry.snapshot_key,
            "log": self._log,
        }

    @cached_property
    def _opener(self) -> opening.Opener:
        return opening.Opener(self.limits, self._registry, self._budget)

    def _database(self) -> DatabaseStore:
        store = self._opened_store()
        if not hasattr(store, "sessions"):
            raise UsageError(
                'a durable session needs a database for its store: Runtime(store="sqlite:///state.db",'
                " durable=True); this store keeps checkpoints only"
            )
        return cast("DatabaseStore", store)

    async def look(self, name: str, *, whole: bool = False, until: int | None = None) -> Session:
        """The durable session of that name as it stands, to be looked at: nothing is written, nothing runs.

        Also where another process is at work in it. ``whole``: replayed from where its last execution
        began, so that its ``history`` has all of that. ``until``: as it was when it made the LLM call of
        this number; 0: before its last execution.

        Raises:
            SessionClosed: the runtime was closed before.
            UsageError: there is no session of that name, or it made no such call.
            StoreError: the store cannot be read.
            SnapshotError: what the store has of it cannot be used.
        """
        self._check_open()
        database = self._database()
        looked = await database.run(
            lambda: self._opener.seen(database, name, self.grants, whole=whole or until is not None)
        )
        if looked is None:
            raise UsageError(await opening.no_such_session(database.sessions, name))
        session: Session = await in_turns(self._opener.opening(*looked, None, None, (), until))
        return session

    async def copy(self, name: str, new_name: str) -> None:
        """Keep the durable session of that name under a second one, as it stands; both go on by themselves.

        Its checkpoints are copied, too. Calls in flight are sent by either, each under a key of its own.

        Raises:
            SessionClosed: the runtime was closed before.
            UsageError: there is no session of that name, or there is one of the new name.
            StoreError: the store cannot be read or written.
            SnapshotError: what the store has of it is damaged.
        """
        from rlm_wasm.session_parts.durable import account_of_copy

        self._check_open()
        database = self._database()
        opened = await database.run(lambda: database.durable.read(name))
        account = None if opened is None else account_of_copy(opened, self._registry.snapshot_key)
        if not await database.sessions.copy(name, new_name, account):
            raise UsageError(await opening.no_such_session(database.sessions, name))

    async def upgrade(
        self,
        name: str,
        *,
        dry_run: bool = False,
        drop_pending: bool = False,
        keep: str | None = None,
    ) -> Upgrade:
        """Carry the idle durable session of that name over to this release's guest.

        A session goes on with the guest that it began on. This makes it again on the present one: procedures,
        types, macros and imports from its programs' texts, variables by their data forms (scoped values and
        handles that are done among them), contexts, scope log, accounts, limits and Python's variables as
        they are. What cannot go (closures, continuations, ports, opaque structs) is ``left``, by name, and is
        unbound afterwards. ``dry_run``: only look what would come of it. ``drop_pending``: also where it
        waits for what it asked for; that is given up. ``keep``: a name under which the session is kept as it
        was. Where it stands on this guest already, nothing happens.

        Raises:
            SessionClosed: the runtime was closed before.
            UsageError: there is no session of that name, it is in the middle of an execution, it waits for
                something, or ``keep`` is taken.
            SessionHeld: another process is at work in it.
            LeaseLost: another process has taken it meanwhile.
            StoreError: the store cannot be read or written: everything is as it was.
            SnapshotError: what the store has of it cannot be used.
            InternalError: a defect of rlm-wasm.
        """
        from rlm_wasm.runtime_parts import upgrading

        self._check_open()
        database = self._database()
        grants = self.grants

        def opened() -> tuple[Durable, Grants] | None:
            if dry_run:
                return self._opener.seen(database, name, grants)
            return self._opener.taken(database, name, grants, lambda _text: None, make=False)

        taken = await database.run(opened)
        if taken is None:
            raise UsageError(await opening.no_such_session(database.sessions, name))
        durable, old_grants = taken
        if old_grants is grants:
            await database.run(durable.give_back_here)
            return upgrading.stands_already(durable, grants.engine)
        async with await in_turns(self._opener.opening(durable, old_grants, None, None, ())) as session:
            made = await upgrading.upgraded(
                session,
                durable,
                grants,
                old_grants,
                key=self._registry.snapshot_key,
                drop_pending=drop_pending,
            )
            if dry_run:
                return made.upgrade
            if keep is not None:
                await self.copy(name, keep)
            await session.stand_on(made.snapshot, grants.engine)
            return replace(made.upgrade, saved=True)

    async def run(
        self,
        source: str,
        *,
        context: str | bytes | Mapping[str, str | bytes] | None = None,
        timeout_s: float | None = None,
        on_progress: OnProgress | None = None,
        on_output: OnOutput | None = None,
        limits: Limits | None = None,
    ) -> Result:
        """One program in a session of its own. ``context``: a text, or texts by name."""
        async with self.session(limits=limits) as session:
            if isinstance(context, Mapping):
                for name, text in context.items():
                    await session.load_context(text, name)
            elif context is not None:
                await session.load_context(context)
            return await session.execute(
                source, timeout_s=timeout_s, on_progress=on_progress, on_output=on_output
            )

    async def ask(
        self,
        question: str,
        context: ContextSource = None,
        *,
        model: str | None = None,
        sub_model: str | None = None,
        max_iterations: int | None = None,
        limits: Limits | None = None,
        answer_type: Any = None,
        timeout_s: float | None = None,
        name: str | None = None,
        on_step: OnStep | None = None,
        on_progress: OnProgress | None = None,
        on_output: OnOutput | None = None,
    ) -> Answer:
        """Answer a question over data of any size: a model writes programs, looks at what they give, goes on.

        ``context``: a text, texts by name, a path, or a list of paths, folders and globs. ``model`` writes
        the programs; ``sub_model`` answers their calls where they name no model (by default the same one).
        The rest is as in ``Session.ask``. Data that cannot be read, a model that nobody knows, a missing
        key, limits that end the work in its middle: all of that is in the Answer.

        ``name`` keeps the question in the store, as a durable session. The same question over the same data
        goes on where it is asked again by that name, whatever the process before died of: nothing that was
        answered is paid twice; one that is over gives its Answer again.

        Raises:
            SessionClosed: the runtime was closed before.
            UsageError: the question, ``answer_type`` or another argument is not what it must be; ``name``
                where sessions are not durable, or where its session is in the middle of something else.
            SessionHeld: another process is at work on the question of that name.
            StoreError: the store cannot be read or written.
            SnapshotError: what the store has of it cannot be used.
            InternalError: a defect of rlm-wasm.
        """
        answer_types.AnswerType.of(answer_type)
        if name is not None and not self._is_durable:
            raise UsageError("a question with a name is kept in a store: Runtime(store=…, durable=True)")
        from rlm_wasm.context_files import contexts_of

        try:
            loaded = await asyncio.to_thread(contexts_of, context)
        except UsageError as error:
            return answers.no_answer("exn:fail:contract", str(error))
        asked: dict[str, Any] = {
            "answer_type": answer_type,
            "model": model,
            "max_iterations": max_iterations,
            "timeout_s": timeout_s,
            "on_step": on_step,
            "on_progress": on_progress,
            "on_output": on_output,
        }
        if name is not None:
            opened = await self.resume(name, limits=limits, model=sub_model or model, make=True)
            async with opened as session:
                if self._executor is None:
                    answer = await named_asks.asked_in(session, question, loaded.texts, **asked)
                else:
                    answer = await cast(Any, session).asked_by_name(question, loaded.texts, **asked)
        else:
            async with self.session(limits=limits, model=sub_model or model) as session:
                for key, text in loaded.texts.items():
                    await session.load_context(text, key)
                answer = await session.ask(question, **asked)
        return replace(answer, notes=(*loaded.notes, *answer.notes)) if loaded.notes else answer

    async def map(
        self,
        program: str,
        documents: Iterable[Document],
        *,
        name: str | None = None,
        limits: Limits | None = None,
        timeout_s: float | None = None,
        at_once: int | None = None,
        on_result: Callable[[int, Result], None] | None = None,
    ) -> list[Result]:
        """One program over many documents, each in a session of its own: the Results, in their order.

        ``documents``: texts, or mappings of texts by name, as ``run`` takes for ``context``; they are taken
        from the iterable as there is room for them. ``at_once`` sessions run at a time: by default 16, or as
        many as the executor likes. ``timeout_s`` is a document's. ``on_result`` is called with the number of
        a document and its Result, as they come. An error of a program is its document's Result.

        ``name`` keeps the sessions in the store, as NAME/NUMBER-HASH. A map of that name that was left in
        its middle goes on where it is called again: documents that are over give their Results, those in
        the middle go on, and nothing that was answered is asked again.

        Raises:
            UsageError: a document is none, or ``name`` where sessions are not durable.
            SessionClosed: the runtime was closed before.
            StoreError: the store cannot be read or written.
            ExecutorError: sessions cannot be run where the executor would run them.
            SnapshotError: what the store has of a document cannot be used.
        """
        self._check_open()
        if isinstance(documents, str | bytes | Mapping):
            raise UsageError("map: documents are a list of texts, not one text")
        if at_once is not None and (type(at_once) is not int or at_once < 1):
            raise UsageError(f"map: at_once must be a positive integer, got {at_once!r}")
        if name is not None and not self._is_durable:
            raise UsageError("a map with a name keeps sessions in a store: Runtime(store=…, durable=True)")
        if not isinstance(program, str):
            raise UsageError(f"map: the program must be a str, got {type(program).__name__}")
        from rlm_wasm.executor import checked_document, document_name, run_document

        results: dict[int, Result] = {}
        numbered = enumerate(documents)

        async def work() -> None:
            for number, document in numbered:
                own_name = None
                checked = checked_document(document, number)
                if name is not None:
                    own_name = document_name(name, number, program, checked)
                if own_name is None or self._executor is not None:
                    opened = self.session(name=own_name, limits=limits)
                else:  # without keeping the event loop
                    opened = await self.resume(own_name, limits=limits, make=True)
                async with opened as session:
                    if self._executor is None:
                        result = await run_document(session, program, checked, timeout_s)
                    else:
                        result = await cast(Any, session).document(program, checked, timeout_s)
                results[number] = result
                if on_result is not None:
                    on_result(number, result)

        if at_once is None:
            at_once = 16 if self._executor is None else await self._executor.documents_at_once()
        workers = [asyncio.create_task(work()) for _ in range(at_once)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return [results[number] for number in range(len(results))]

    async def restore(
        self,
        snapshot: Snapshot | bytes,
        *,
        namespace: str | None = None,
        limits: Limits | None = None,
        host_functions: Mapping[str, HostFunction] | None = None,
        resend: Collection[str] = SENT_AGAIN,
    ) -> Session:
        """A session that goes on where the snapshot was taken.

        Capabilities are this runtime's, never the snapshot's. Its limits are the snapshot's, tightened by
        the runtime's and by ``limits``. ``namespace``: whose checkpoints it sees; None is the snapshot's
        own, which for bytes that are not signed can only be "default". ``resend`` says what of its
        requests in flight is sent again: "llm", "host" (host functions), "python"; one that is not
        fails in the program.

        Raises:
            SnapshotVersionError: the snapshot belongs to another format or guest.
            SnapshotCorrupt: it is damaged, forged, unsigned where it must be signed, or too large.
            SessionClosed: the runtime was closed before.
            UsageError: its namespace has to be named, or ``resend`` is no such thing.
        """
        self._check_open()
        check_resend(resend)
        if self._executor is not None:
            raise UsageError(
                "restore: a snapshot is restored in this process: use a Runtime without an executor"
            )
        key = self._registry.snapshot_key
        recent = None if isinstance(snapshot, snapshots.Snapshot) else self._recent.get(snapshot, self.engine)
        if recent is not None:
            loaded = recent
        elif isinstance(snapshot, snapshots.Snapshot):
            loaded = snapshot
        elif len(snapshot) <= _AT_ONCE:
            loaded = snapshots.Snapshot.load(snapshot, key=key)
        else:
            loaded = await asyncio.to_thread(snapshots.Snapshot.load, snapshot, key=key)
        if key is not None:
            loaded.check_signature(key)
        if namespace is None:
            namespace = loaded.namespace
            if namespace != "default" and not loaded.trusted:
                raise UsageError(
                    f"the snapshot says that it belongs to the namespace {namespace!r}, and nobody signed "
                    f"that: restore(…, namespace={namespace!r}) allows it, snapshot_key signs snapshots"
                )
        state = loaded.body
        if not isinstance(state, states.SessionState):
            small = loaded.trusted and isinstance(snapshot, bytes) and len(snapshot) <= _READ_AT_ONCE
            state = states.state_of(loaded) if small else await asyncio.to_thread(states.state_of, loaded)
        allowed = self.limits.tightened_by(state.limits).tightened_by(limits)
        capture.check_guest(loaded, self.engine)
        most = self.engine.image_size + allowed.memory_bytes
        memory = await in_turns(loaded.at_rest(most, self.engine))
        loaded = loaded.with_memory(memory, state)
        self._check_open()
        if recent is None and not isinstance(snapshot, snapshots.Snapshot):
            self._recent.keep(snapshot, loaded)
        return Session(
            self._grants_with(host_functions, None, None, None, None),
            limits=allowed,
            namespace=namespace,
            registry=self._registry,
            snapshot=loaded,
            resend=resend,
        )

    @property
    def sessions(self) -> list[Session]:
        """Those that are open."""
        return list(self._registry.open)

    # ---- host functions

    def host_function(self, name: str) -> Callable[[HostFunction], HostFunction]:
        """Grant a Python callable, sync or async, to sessions made from now on, under this name.

        Arguments and results cross as data; what it raises becomes a condition in the program.
        A synchronous one runs on the event loop: let it be quick. Raises UsageError.
        """

        def decorate(function: HostFunction) -> HostFunction:
            self._grant(name, function)
            return function

        return decorate

    def _grant(self, name: str, function: HostFunction) -> None:
        check_host_function(name, function)
        if self._executor is not None and self._executor.started:
            raise UsageError("host functions are granted before the executor opens its first session")
        if name == ARGUMENTS and self._args is not None:
            raise UsageError("a host function cannot be called args where args are given, too")
        self._functions[name] = function
        self._granted = None

    def _with_args(self, functions: Mapping[str, HostFunction]) -> dict[str, HostFunction]:
        return dict(functions) if self._args is None else {**functions, ARGUMENTS: self._args}

    # ---- for an executor's processes

    def run_children(self, elsewhere: Elsewhere) -> None:
        """Run children of #:recursive calls there from now on, as sessions of their own."""
        self._registry.run_children(elsewhere)

    async def serve_child(self, parent: str, work: Work, *, end: bool = False, **opening: Any) -> Told | None:
        """Serve a recursive call of another process's session, which was opened like that.

        ``end``: nobody wants it any longer: it is left in its middle, and what it took is told; None where
        it has not begun.

        Raises:
            SessionClosed: the runtime was closed, or is closed meanwhile.
            SessionHeld: another process is at work in the session of that call.
            StoreError: the store cannot be read or written.
            SnapshotError: what the store has of it cannot be used.
        """
        self._check_open()
        names = ("host_functions", "provider", "model", "python", "workspace")
        grants = self._grants_with(*(opening.get(name) for name in names))
        if end:
            return await self._children.end(parent, grants, work)
        return await self._children.run(parent, grants, work)

    # ---- what sessions are granted

    @property
    def grants(self) -> Grants:
        """What a session gets that asks for nothing else."""
        if self._granted is None:
            self._granted = self._grants_now()
        return self._granted

    def _grants_now(self) -> Grants:
        return Grants(
            engine=self.engine,
            provider=self._providers.default,
            store=self._opened_store,
            model=self._model,
            aliases=self._aliases,
            python=self._python,
            workspace=self._workspace,
            workspace_writable=self._workspace_writable,
            libraries=self._libraries,
            host_functions=self._with_args(self._functions),
            child=self._child,
            log_readers=self._logs.readers,
        )

    async def viewer(self, *, port: int = 0) -> Viewer:
        """Serve a page that shows the runs of sessions made from now on, as they go: its ``url``.

        On this machine only, under an address that nobody can guess. It ends with the runtime, or by
        its ``aclose``. ``port`` 0: any that is free.

        Raises:
            SessionClosed: the runtime was closed before.
            UsageError: the port is taken.
        """
        self._check_open()
        from rlm_wasm.viewer.server import Viewer
        from rlm_wasm.viewer.sources import ProcessSource

        source = ProcessSource()
        viewer = await Viewer(source, port=port).start()
        self._logs.watch(viewer, source)
        self._granted = None
        return viewer

    @property
    def log_trouble(self) -> str | None:
        """Why the run log ends early, where it does: a disk that is full, a database that is gone."""
        return self._logs.trouble

    def _grants_with(
        self,
        host_functions: Mapping[str, HostFunction] | None,
        provider: str | Provider | None,
        model: str | None,
        python: str | None,
        workspace: str | Path | None,
    ) -> Grants:
        grants = self.grants
        changes: dict[str, Any] = {}
        if host_functions is not None:
            for name, function in host_functions.items():
                check_host_function(name, function)
            changes["host_functions"] = self._with_args(host_functions)
        if provider is not None:
            made = self._providers.made(provider, model)
            changes["provider"] = lambda: made
        if model is not None:
            changes["model"] = model
        if python is not None:
            changes["python"] = python_kind(python)
        if workspace is not None:
            changes["workspace"] = _folder(workspace)
        return replace(grants, **changes) if changes else grants

    @property
    def engine(self) -> Engine:
        """The compiled guest."""
        if self._engine is None:
            self._engine = Engine.shared()
        return self._engine

    @property
    def keeps_sessions(self) -> bool:
        """Whether the store is one that sessions can be kept in."""
        return hasattr(self._opened_store(), "sessions")

    @property
    def store(self) -> CheckpointStore:
        """Where checkpoints live."""
        return self._opened_store()

    def _opened_store(self) -> CheckpointStore:
        with undivided(), self._opening_store:  # sessions open it from threads
            if isinstance(self._store, str):
                from rlm_wasm.store import open_store

                opened: CheckpointStore = open_store(self._store)
                self._store = opened
            elif self._store is None:
                from rlm_wasm.capabilities.checkpoints import MemoryStore

                self._store = MemoryStore()
            return self._store

    def stats(self) -> dict[str, Any]:
        """Figures about this process, for people."""
        return {
            "sessions": len(self._registry.open),
            "live_instances": len(live_sandboxes()),
            "idle_bytes": self._idle.held,
            "image": self.engine.image_hash,
            "compiled_from_cache": self.engine.compiled_from_cache,
        }

    # ---- the end

    def _check_open(self) -> None:
        if self.closed:
            raise SessionClosed("the runtime is closed")

    async def aclose(self) -> None:
        """Close every session, the provider and the store. Idempotent."""
        if self.closed:
            return
        self.closed = True
        self._idle.close()
        if self._executor is not None:
            await self._executor.aclose()
        for session in self.sessions:
            await session.aclose()
        await self._logs.aclose()
        await self._providers.aclose()
        if self._store is not None and not isinstance(self._store, str):
            await self._store.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


_UNNAMED: Final = "unnamed/"
"""Begins the names of an executor's sessions that were given none; they go when they are closed."""


def _given(*, notify: Trouble | None, **asked: Any) -> dict[str, Any]:
    """What a session is opened with elsewhere.

    Raises:
        UsageError: something cannot be handed over.
    """
    if notify is not None:
        raise UsageError(
            "notify= is for sessions in this process: an executor's processes log what they have to say"
        )
    return {key: value for key, value in asked.items() if value is not None}


def _folder(workspace: str | Path | None) -> Path | None:
    if workspace is None:
        return None
    from pathlib import Path

    folder = Path(workspace).resolve()
    if not folder.is_dir():
        raise UsageError(f"the workspace {folder} is no folder")
    return folder
