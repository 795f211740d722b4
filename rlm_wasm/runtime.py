"""The facade: a Runtime holds what sessions are granted, and makes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from rlm_wasm.capabilities.checkpoints import CheckpointStore, MemoryStore
from rlm_wasm.capabilities.host_functions import HostFunction, check_host_function
from rlm_wasm.capabilities.libraries import LibraryFolders
from rlm_wasm.errors import SessionClosed, UsageError
from rlm_wasm.grants import ChildGrants, Grants, PythonKind
from rlm_wasm.idle_sessions import IdleSessions
from rlm_wasm.limits import MIB, Limits
from rlm_wasm.providers.base import Provider
from rlm_wasm.providers.info import close as close_provider
from rlm_wasm.results import OnProgress, Result
from rlm_wasm.runlog.file import FileLog
from rlm_wasm.runlog.stream import Reader
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.sandbox import live_sandboxes
from rlm_wasm.sandbox.snapshot import Snapshot
from rlm_wasm.session import SENT_AGAIN, OnOutput, Session
from rlm_wasm.session_state import SessionState, state_of
from rlm_wasm.turns import in_turns

if TYPE_CHECKING:
    from rlm_wasm.viewer.server import Viewer

_AT_ONCE = 1 << 18
"""Bytes of a snapshot that are read on the event loop."""


class Runtime:
    """What sessions share: the engine, the provider, the store, and the ceiling of limits.

    provider        a name ("openai", "extractive", "scripted", "echo", or a plug-in's), or an object
                    with ``complete``; None: openai where OPENAI_API_KEY is set, else extractive
    model, base_url for the provider
    python          "wasi" (default), "host" (trusted code only), or "off"
    store           where checkpoints live: an SQLAlchemy URL, an object, or None for memory
    workspace       the one folder that Python and images may see; None: no files at all
    workspace_writable  False: Python may read the workspace's files, not change them
    libraries       folders of Scheme libraries that ``import`` may read
    limits          a ceiling for every session
    host_functions  by name; ``host_function`` adds more
    child_grants    what the children of #:recursive calls get of these: by default, no effects
    snapshot_key    signs snapshots (HMAC-SHA-256); unsigned and forged ones are then refused
    idle_bytes      what sessions that rest may hold together: beyond it the longest unused go to sleep,
                    which keeps their memory compressed until they are used again
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
        python: str = "wasi",
        store: str | CheckpointStore | None = None,
        workspace: str | Path | None = None,
        workspace_writable: bool = True,
        libraries: Sequence[str | Path] | LibraryFolders = (),
        limits: Limits | None = None,
        host_functions: Mapping[str, HostFunction] | None = None,
        child_grants: ChildGrants | None = None,
        snapshot_key: bytes | None = None,
        idle_bytes: int = 256 * MIB,
        idle_s: float = 60.0,
        log: Any = None,
        engine: Engine | None = None,
    ) -> None:
        self.limits = limits if limits is not None else Limits()
        self.closed = False
        self._model = model
        self._base_url = base_url
        self._provider: Provider | None = None
        if provider is not None:
            self._provider = self._resolved(provider, model)
        self._store = store
        self._python = _python_kind(python)
        self._workspace = _folder(workspace)
        self._workspace_writable = workspace_writable
        self._libraries = libraries if isinstance(libraries, LibraryFolders) else LibraryFolders(libraries)
        self._child = child_grants if child_grants is not None else ChildGrants()
        if snapshot_key is not None and (not isinstance(snapshot_key, bytes) or len(snapshot_key) < 16):
            raise UsageError("snapshot_key must be at least 16 bytes")
        self._snapshot_key = snapshot_key
        if idle_bytes < 0 or not idle_s >= 0:
            raise UsageError("idle_bytes and idle_s must not be negative")
        self._idle = IdleSessions(idle_bytes, idle_s)
        self._functions: dict[str, HostFunction] = {}
        for name, function in (host_functions or {}).items():
            self._grant(name, function)
        self._engine = engine
        self._sessions: set[Session] = set()
        self._log_stores: list[Any] = []
        self._log_readers: list[Reader] = []
        self._viewers: list[Viewer] = []
        for each in log if isinstance(log, list | tuple) else () if log is None else (log,):
            self._log_readers.append(self._log_reader(each))

    # ---- sessions

    def session(
        self,
        *,
        limits: Limits | None = None,
        namespace: str = "default",
        host_functions: Mapping[str, HostFunction] | None = None,
        provider: str | Provider | None = None,
        model: str | None = None,
        python: str | None = None,
        workspace: str | Path | None = None,
    ) -> Session:
        """A new session. What is left out is the runtime's.

        ``limits`` can only tighten; ``host_functions`` replaces the runtime's set. A provider that is
        given here is the caller's to close.

        Raises:
            SessionClosed: the runtime was closed before.
            UsageError: what is asked for cannot be granted.
        """
        self._check_open()
        grants = self._grants_with(host_functions, provider, model, python, workspace)
        return Session(
            grants,
            limits=self.limits.tightened_by(limits),
            namespace=namespace,
            opened=self._sessions,
            snapshot_key=self._snapshot_key,
            idle=self._idle,
        )

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
        unknown = set(resend) - {"llm", "host", "python"}
        if unknown:
            raise UsageError(f'restore: resend takes "llm", "host" and "python", not {sorted(unknown)}')
        key = self._snapshot_key
        if isinstance(snapshot, Snapshot):
            loaded = snapshot
        elif len(snapshot) <= _AT_ONCE:
            loaded = Snapshot.load(snapshot, key=key)
        else:
            loaded = await asyncio.to_thread(Snapshot.load, snapshot, key=key)
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
        if not isinstance(state, SessionState):
            state = await asyncio.to_thread(state_of, loaded)
        allowed = self.limits.tightened_by(state.limits).tightened_by(limits)
        memory = await in_turns(loaded.memory_in_turns(self.engine.image_size + allowed.memory_bytes))
        loaded = loaded.with_memory(memory, state)
        self._check_open()
        return Session._restored(
            self._grants_with(host_functions, None, None, None, None),
            loaded,
            limits=allowed,
            namespace=namespace,
            opened=self._sessions,
            resend=resend,
            snapshot_key=key,
            idle=self._idle,
        )

    @property
    def sessions(self) -> list[Session]:
        """Those that are open."""
        return list(self._sessions)

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
        self._functions[name] = function

    # ---- what sessions are granted

    @property
    def grants(self) -> Grants:
        """What a session gets that asks for nothing else."""
        return Grants(
            engine=self.engine,
            provider=self._made_provider,
            store=self._opened_store,
            model=self._model,
            python=self._python,
            workspace=self._workspace,
            workspace_writable=self._workspace_writable,
            libraries=self._libraries,
            host_functions=dict(self._functions),
            child=self._child,
            log_readers=tuple(self._log_readers),
        )

    def _log_reader(self, log: Any) -> Reader:
        if isinstance(log, Path) or (isinstance(log, str) and "://" not in log):
            return FileLog(log)
        if isinstance(log, str):
            from rlm_wasm.store import open_store

            log = open_store(log)
            self._log_stores.append(log)
        run_log = getattr(log, "run_log", None)
        if run_log is not None:
            kept: Reader = run_log()
            return kept
        if not callable(log):
            raise UsageError(
                f"log takes a path, a callable, or a store with room for runs, not {type(log).__name__}"
            )
        reader: Reader = log
        return reader

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
        self._log_readers.append(source)
        self._viewers.append(viewer)
        return viewer

    @property
    def log_trouble(self) -> str | None:
        """Why the run log ends early, where it does: a disk that is full, a database that is gone."""
        troubles = (getattr(reader, "trouble", None) for reader in self._log_readers)
        return next((trouble for trouble in troubles if trouble), None)

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
            changes["host_functions"] = dict(host_functions)
        if provider is not None:
            made = self._resolved(provider, model)
            changes["provider"] = lambda: made
        if model is not None:
            changes["model"] = model
        if python is not None:
            changes["python"] = _python_kind(python)
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
    def store(self) -> CheckpointStore:
        """Where checkpoints live."""
        return self._opened_store()

    def _opened_store(self) -> CheckpointStore:
        if isinstance(self._store, str):
            from rlm_wasm.store import open_store

            opened: CheckpointStore = open_store(self._store)
            self._store = opened
        elif self._store is None:
            self._store = MemoryStore()
        return self._store

    def _made_provider(self) -> Provider:
        if self._provider is None:
            self._provider = self._resolved(None, self._model)
        return self._provider

    def _resolved(self, provider: str | Provider | None, model: str | None) -> Provider:
        from rlm_wasm.providers import resolve_provider

        return resolve_provider(provider, model=model, base_url=self._base_url)

    def stats(self) -> dict[str, Any]:
        """Figures about this process, for people."""
        return {
            "sessions": len(self._sessions),
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
        for session in self.sessions:
            await session.aclose()
        for viewer in self._viewers:
            await viewer.aclose()
        for reader in self._log_readers:
            if isinstance(reader, FileLog):
                reader.close()
            elif hasattr(reader, "runs"):
                await reader.aclose()  # type: ignore[attr-defined]
        for store in self._log_stores:
            await store.aclose()
        if self._provider is not None:
            await close_provider(self._provider)
        if self._store is not None and not isinstance(self._store, str):
            await self._store.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def run(
    source: str,
    *,
    context: str | bytes | Mapping[str, str | bytes] | None = None,
    timeout_s: float | None = None,
    **runtime_options: Any,
) -> Result:
    """One program in a Runtime of its own, without asyncio: for scripts and notebooks' plain cells.

    ``runtime_options`` are those of Runtime. Its errors and limits are in the Result.

    Raises:
        UsageError: an option that cannot be granted, or an event loop runs here already.
        InternalError: a defect of rlm-wasm.
    """

    async def once() -> Result:
        async with Runtime(**runtime_options) as runtime:
            return await runtime.run(source, context=context, timeout_s=timeout_s)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(once())
    raise UsageError("an event loop runs here already: await Runtime.run, or call run in another thread")


def _python_kind(python: str) -> PythonKind:
    if python not in ("wasi", "host", "off"):
        raise UsageError(f'python must be "wasi", "host" or "off", got {python!r}')
    return cast(PythonKind, python)


def _folder(workspace: str | Path | None) -> Path | None:
    if workspace is None:
        return None
    folder = Path(workspace).resolve()
    if not folder.is_dir():
        raise UsageError(f"the workspace {folder} is no folder")
    return folder
