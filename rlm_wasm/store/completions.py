"""Kept completions in the store's database, for CachedProvider."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import sqlalchemy as sa

from rlm_wasm.store.tables import completions

if TYPE_CHECKING:
    from rlm_wasm.store.connection import Database


class CompletionCache:
    """Kept completions; beyond ``max_bytes`` those used least recently are forgotten."""

    def __init__(self, store: Database, max_bytes: int) -> None:
        self._store = store
        self._max_bytes = max_bytes

    async def get(self, key: str) -> str | None:
        """The text under the key, which becomes the most recently used."""
        store = self._store

        def read() -> str | None:
            value: str | None = store.scalar(sa.select(completions.c.value).where(completions.c.key == key))
            if value is not None:
                used = sa.update(completions).where(completions.c.key == key)
                store.execute(used.values(used_at=time.time()))
            return value

        return await store.run(read)

    async def put(self, key: str, value: str) -> None:
        """Keep a text, and forget old ones where there are too many."""
        store = self._store
        size = len(value.encode("utf-8", "surrogatepass"))
        if size > self._max_bytes:
            return

        def write() -> None:
            row = {"value": value, "bytes": size, "used_at": time.time()}
            store.upsert(completions, {"key": key}, row)
            total = store.scalar(sa.select(sa.func.sum(completions.c.bytes))) or 0
            if total > self._max_bytes:
                self._forget(int(total))

        await store.run(write)

    def _forget(self, total: int) -> None:
        by_age = sa.select(completions.c.key, completions.c.bytes).order_by(completions.c.used_at)
        old = []
        for key, size in self._store.rows(by_age):
            if total <= self._max_bytes:
                break
            old.append(key)
            total -= size
        self._store.execute(sa.delete(completions).where(completions.c.key.in_(old)))
