"""The facade: a Runtime holds what sessions are granted, and makes them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rlm_wasm.capabilities.checkpoints import CheckpointStore, MemoryStore
from rlm_wasm.capabilities.host_functions import HostFunction, check_host_function
from rlm_wasm.capabilities.libraries import LibraryFolders
from rlm_wasm.capabilities.python import PythonBackend
from rlm_wasm.errors import CapabilityDenied, SessionClosed, UsageError
from rlm_wasm.limits import Limits
from rlm_wasm.llm.recursion import recursion
from rlm_wasm.results import OnProgress, Result
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.sandbox import live_sandboxes
from rlm_wasm.sandbox.snapshot import Snapshot
from rlm_wasm.session import Session

if TYPE_CHECKING:
    from rlm_wasm.llm.calls import LlmCalls
    from rlm_wasm.providers.base import Provider


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
        libraries: Sequence[str | Path] = (),
        limits: Limits | None = None,
        host_functions: Mapping[str, HostFunction] | None = None,
        engine: Engine | None = None,
    ) -> None:
        if python not in ("wasi", "host", "off"):
            raise UsageError(f'python must be "wasi", "host" or "off", got {python!r}')
        self.model = model
        self.limits = limits if limits is not None else Limits()
        self.workspace = None if workspace is None else Path(workspace).resolve()
        self.workspace_writable = workspace_writable
        if self.workspace is not None and not self.workspace.is_dir():
            raise UsageError(f"the workspace {self.workspace} is no folder")
        self.library_folders = LibraryFolders(libraries)
        self._python = python
        self._base_url = base_url
        self._provider: Any = None
        if provider is not None:
            self._provider = self._resolved(provider)
        self._store = store
        self._functions: dict[str, HostFunction] = {}
        for name, function in (host_functions or {}).items():
            self._grant(name, function)
        self._engine = engine
        self._sessions: dict[int, Session] = {}
        self.closed = False

    # ---- sessions

    def session(
        self,
        *,
        limits: Limits | None = None,
        namespace: str = "default",
        host_functions: Mapping[str, HostFunction] | None = None,
    ) -> Session:
        """A new session. ``limits`` can only tighten; ``host_functions`` replaces the runtime's set."""
        self._check_open()
        granted = self._functions if host_functions is None else host_functions
        for name, function in granted.items():
            check_host_function(name, function)
        session = Session(
            self, limits=self.limits.tightened_by(limits), namespace=namespace, host_functions=granted
        )
        self._sessions[id(session)] = session
        return session

    async def run(
        self,
        source: str,
        *,
        context: str | bytes | Mapping[str, str | bytes] | None = None,
        timeout_s: float | None = None,
        on_progress: OnProgress | None = None,
        limits: Limits | None = None,
    ) -> Result:
        """One program in a session of its own. ``context``: a text, or texts by name."""
        async with self.session(limits=limits) as session:
            if isinstance(context, Mapping):
                for name, text in context.items():
                    await session.load_context(text, name)
            elif context is not None:
                await session.load_context(context)
            return await session.execute(source, timeout_s=timeout_s, on_progress=on_progress)

    async def restore(
        self,
        snapshot: Snapshot | bytes,
        *,
        limits: Limits | None = None,
        host_functions: Mapping[str, HostFunction] | None = None,
    ) -> Session:
        """A session that goes on where the snapshot was taken.

        Raises SnapshotVersionError or SnapshotCorrupt. Capabilities are this runtime's, never the
        snapshot's.
        """
        loaded = snapshot if isinstance(snapshot, Snapshot) else Snapshot.load(snapshot)
        return self.restored(loaded, limits, self._functions if host_functions is None else host_functions)

    def restored(
        self, snapshot: Snapshot, limits: Limits | None, host_functions: Mapping[str, HostFunction]
    ) -> Session:
        """See ``restore``."""
        self._check_open()
        session = Session(
            self,
            limits=self.limits.tightened_by(limits),
            namespace=str(snapshot.header.get("namespace", "default")),
            host_functions=host_functions,
            snapshot=snapshot,
        )
        self._sessions[id(session)] = session
        return session

    def child(self, parent: Session, calls: LlmCalls, deepest: int) -> Session:
        """A session for one #:recursive call: one level deeper, on its parent's budget."""
        return Session(
            self,
            limits=parent.limits_left(),
            namespace=parent.namespace,
            host_functions=parent.host_functions,
            parent=calls,
            deepest=deepest,
        )

    def forget(self, session: Session) -> None:
        """The session was closed."""
        self._sessions.pop(id(session), None)

    @property
    def sessions(self) -> list[Session]:
        """Those that are open."""
        return list(self._sessions.values())

    def rehearsal(self, provider: Provider, store: CheckpointStore) -> Runtime:
        """A runtime for trying programs out: the same language and limits, nothing that has an effect.

        It has no workspace, no host functions, and no Python in this process.
        """
        rehearsal = Runtime(
            provider,
            self.model,
            python="off" if self._python == "host" else self._python,
            store=store,
            limits=self.limits,
            engine=self.engine,
        )
        rehearsal.library_folders = self.library_folders
        return rehearsal

    # ---- host functions

    def host_function(self, name: str) -> Callable[[HostFunction], HostFunction]:
        """Grant a Python callable, sync or async, to sessions made from now on, under this name.

        Arguments and results cross as data; what it raises becomes a condition in the program.
        A synchronous one runs on the event loop: let it be quick.
        """

        def decorate(function: HostFunction) -> HostFunction:
            self._grant(name, function)
            return function

        return decorate

    def _grant(self, name: str, function: HostFunction) -> None:
        check_host_function(name, function)
        self._functions[name] = function

    # ---- what sessions ask for

    @property
    def engine(self) -> Engine:
        """The compiled guest."""
        if self._engine is None:
            self._engine = Engine.shared()
        return self._engine

    def provider(self) -> Any:
        """The LLM back end, made at the first call where it was not given."""
        if self._provider is None:
            self._provider = self._resolved(None)
        return self._provider

    def _resolved(self, provider: Any) -> Any:
        from rlm_wasm.providers import resolve_provider

        return resolve_provider(provider, model=self.model, base_url=self._base_url)

    @property
    def store(self) -> CheckpointStore:
        """Where checkpoints live."""
        if isinstance(self._store, str):
            from rlm_wasm.store import open_store

            opened: CheckpointStore = open_store(self._store)
            self._store = opened
        elif self._store is None:
            self._store = MemoryStore()
        return self._store

    def python_backend(self, limits: Limits) -> PythonBackend:
        """A back end for one session's py-exec and py-eval.

        Raises:
            CapabilityDenied: Python is off.
        """
        if self._python == "off":
            raise CapabilityDenied('Python is off in this runtime (python="wasi" turns it on)')
        from rlm_wasm.python import resolve

        backend: PythonBackend | None = resolve(
            self._python, limits=limits, workspace=self.workspace, writable=self.workspace_writable
        )
        if backend is None:
            raise CapabilityDenied("there is no Python in this runtime")
        return backend

    def recurse(self, session: Session) -> Any:
        """How a session serves #:recursive calls."""
        return recursion(self, session)

    def stats(self) -> dict[str, Any]:
        """Figures about this process, for people."""
        return {
            "sessions": len(self._sessions),
            "live_instances": len(live_sandboxes()),
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
        for session in self.sessions:
            await session.aclose()
        for owned in (self._provider, self._store):
            close: Callable[[], Awaitable[None]] | None = getattr(owned, "aclose", None)
            if close is not None:
                await close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
