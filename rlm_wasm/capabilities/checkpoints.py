"""Checkpoints: where programs keep values under a key, and the store that lives in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, runtime_checkable

from rlm_wasm.capabilities.table import Handler
from rlm_wasm.errors import CapabilityDenied, UsageError
from rlm_wasm.scope_log import ScopeLog
from rlm_wasm.turns import Alone

MAX_KEY = 1024
"""Characters of a checkpoint's key."""
KEY_BYTES = 256
"""What a checkpoint counts beside its value and its key's characters: so that there is no number of them
that costs nothing."""


def size_of(key: str, value: bytes) -> int:
    """What a checkpoint counts to checkpoint_bytes."""
    return KEY_BYTES + 4 * len(key) + len(value)


class CheckpointStore(Protocol):
    """Where checkpoint and restore keep values, by namespace and key. Shared by sessions."""

    async def put(self, namespace: str, key: str, value: bytes, preview: str) -> None:
        """Write, atomically."""
        ...

    async def get(self, namespace: str, key: str) -> bytes | None:
        """Read; None where there is none."""
        ...

    async def keys(self, namespace: str) -> list[str]:
        """All keys, sorted."""
        ...

    async def aclose(self) -> None:
        """Give everything back. Idempotent."""
        ...


@runtime_checkable
class SizedStore(Protocol):
    """A store that can say how much a namespace holds; of others a session counts what it wrote itself."""

    async def size(self, namespace: str) -> int:
        """Bytes of all values."""
        ...


class MemoryStore:
    """Checkpoints that live as long as the runtime."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, bytes]] = {}
        self._sizes: dict[str, int] = {}

    async def put(self, namespace: str, key: str, value: bytes, preview: str) -> None:
        """Write."""
        values = self._values.setdefault(namespace, {})
        before = size_of(key, values[key]) if key in values else 0
        values[key] = value
        self._sizes[namespace] = self._sizes.get(namespace, 0) + size_of(key, value) - before

    async def get(self, namespace: str, key: str) -> bytes | None:
        """Read."""
        return self._values.get(namespace, {}).get(key)

    async def keys(self, namespace: str) -> list[str]:
        """All keys, sorted."""
        return sorted(self._values.get(namespace, {}))

    async def delete(self, namespace: str, key: str) -> bool:
        """Forget one; False where there was none."""
        value = self._values.get(namespace, {}).pop(key, None)
        if value is None:
            return False
        self._sizes[namespace] -= size_of(key, value)
        return True

    async def size(self, namespace: str) -> int:
        """Bytes of all values and keys."""
        return self._sizes.get(namespace, 0)

    async def aclose(self) -> None:
        """Nothing to give back."""


class Checkpoints:
    """One session's checkpoints: those of its namespace."""

    def __init__(
        self,
        store: Callable[[], CheckpointStore],
        namespace: str,
        log: ScopeLog,
        *,
        max_bytes: int,
        writable: bool = True,
    ) -> None:
        self._open_store = store
        self._store: CheckpointStore | None = None
        self._namespace = namespace
        self._log = log
        self._max_bytes = max_bytes
        self._writable = writable
        self.written: dict[str, int] = {}
        """Keys that this session wrote, and what each counts."""
        self._written_bytes = 0
        self._one: asyncio.Lock | None = None
        """One checkpoint at a time: what two of them look at is not changed between, and no more than one
        value of a hundred that are asked for at once is on its way."""

    async def _opened(self) -> CheckpointStore:
        """The store. It is opened beside the event loop: a database may have to be waited for."""
        if self._store is None:
            self._store = await asyncio.to_thread(self._open_store)
        return self._store

    def table(self) -> dict[str, Handler]:
        """The operations."""
        return {
            "checkpoint": lambda arguments: self._alone(self._checkpoint, arguments),
            "restore": lambda arguments: Alone(self._alone(self._restore, arguments)),
        }

    async def _alone(self, act: Callable[[list[Any]], Awaitable[Any]], arguments: list[Any]) -> Any:
        if self._one is None:
            self._one = asyncio.Lock()
        async with self._one:
            return await act(arguments)

    async def _checkpoint(self, arguments: list[Any]) -> None:
        key, value, preview = arguments
        if not isinstance(key, str) or not isinstance(value, bytes) or not isinstance(preview, str):
            raise UsageError("checkpoint: a key is text, and the value encoded")
        if len(key) > MAX_KEY:
            raise UsageError(f"checkpoint: the key has {len(key):,} characters; {MAX_KEY:,} are the most")
        if not self._writable:
            raise CapabilityDenied(
                "checkpoint: this session may read checkpoints, not write them "
                "(a child of a #:recursive call: give the value to its parent by finish)"
            )
        store, namespace = await self._opened(), self._namespace
        size = size_of(key, value)
        if isinstance(store, SizedStore):
            old = await store.get(namespace, key)
            others = await store.size(namespace) - (0 if old is None else size_of(key, old))
        else:
            others = self._written_bytes - self.written.get(key, 0)
        total = others + size
        if total > self._max_bytes:
            raise UsageError(
                f"checkpoint: the namespace {namespace!r} would hold {total:,} bytes; "
                f"it may hold {self._max_bytes:,} (the limit checkpoint_bytes)"
            )
        self._log.add("checkpoint", f"{key}: {preview}", "host")
        await store.put(namespace, key, value, preview)
        self._written_bytes += size - self.written.get(key, 0)
        self.written[key] = size

    async def _restore(self, arguments: list[Any]) -> bytes | bool:
        key = arguments[0]
        if not isinstance(key, str):
            raise UsageError("restore: a key is text")
        self._log.add("restore", key, "host")
        result = await (await self._opened()).get(self._namespace, key)
        return False if result is None else result

    async def keys(self) -> list[str]:
        """All keys of the namespace, sorted."""
        return await (await self._opened()).keys(self._namespace)
