"""What ``,save`` and ``,load`` of the REPL do: a session's state under a name, in the store, and back.

Both copy. What happens later in the conversation is not in what was saved, and what is loaded stays as it is.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, cast

from rlm_wasm.errors import UsageError
from rlm_wasm.named_sessions import default_store_url

if TYPE_CHECKING:
    from rlm_wasm.capabilities.checkpoints import CheckpointStore
    from rlm_wasm.cli.options import RuntimeOptions
    from rlm_wasm.runtime import Runtime
    from rlm_wasm.session import Session
    from rlm_wasm.store.database import DatabaseStore


class Shelf:
    """The store of a conversation: that of --store, else the one that named sessions have."""

    def __init__(self, options: RuntimeOptions, runtime: Runtime) -> None:
        self._options = options
        self._runtime = runtime
        self._own: set[str] = set()
        """Names that this conversation has saved under: it may do so again."""

    @cached_property
    def _looking(self) -> Runtime:
        """Reads kept sessions: the conversation's own, where that has the store."""
        if self._options.store is not None:
            return self._runtime
        from rlm_wasm.runtime import Runtime as Looking

        return Looking("echo", python="off", store=default_store_url())

    def _store(self) -> DatabaseStore:
        return cast("DatabaseStore", self._looking.store)

    async def names(self) -> list[str]:
        """Of all that is kept."""
        return [session.name for session in await self._store().sessions.list()]

    async def save(self, session: Session, name: str) -> None:
        """Keep a copy of the session, with its checkpoints.

        Raises UsageError for what is no name, and for one that another conversation has given.
        """
        store = self._store()
        if name not in self._own and name in await self.names():
            raise UsageError(
                f"there is a session {name} already, which is not of this conversation: save under another"
                f" name, or forget that one by rlm-wasm sessions rm {name}"
            )
        await store.sessions.save(name, await session.snapshot(), status="ok", note="saved by ,save")
        await _copy_checkpoints(self._runtime.store, session.namespace, store, name)
        self._own.add(name)

    async def load(self, name: str, namespace: str) -> Session:
        """A new session that goes on from the one kept under that name. Raises UsageError, SnapshotError."""
        async with await self._looking.look(name) as looked:
            if looked.suspended:
                raise UsageError(
                    f"session {name} is in the middle of an execution: rlm-wasm sessions resume {name} goes"
                    " on with it"
                )
            snapshot = await looked.snapshot()
        session = await self._runtime.restore(snapshot, namespace=namespace)
        await _copy_checkpoints(self._store(), name, self._runtime.store, namespace)
        return session

    async def aclose(self) -> None:
        """Close what was opened here."""
        looking = self.__dict__.get("_looking")
        if looking is not None and looking is not self._runtime:
            await looking.aclose()


async def _copy_checkpoints(
    source: CheckpointStore, namespace: str, target: CheckpointStore, new_namespace: str
) -> None:
    if source is target and namespace == new_namespace:
        return
    for key in await source.keys(namespace):
        value = await source.get(namespace, key)
        if value is not None:
            await target.put(new_namespace, key, value, "")
