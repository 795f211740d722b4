"""Checkpoints in the store's database, by namespace and key."""

from __future__ import annotations

import time

import sqlalchemy as sa

from rlm_wasm.capabilities.checkpoints import KEY_BYTES
from rlm_wasm.store.connection import Database
from rlm_wasm.store.tables import checkpoints


class DatabaseCheckpoints(Database):
    """What programs keep by ``checkpoint``: a CheckpointStore."""

    async def put(self, namespace: str, key: str, value: bytes, preview: str) -> None:
        """Write a checkpoint, in place of an earlier one: all of it or nothing."""
        row = {"value": value, "preview": preview, "written_at": time.time()}
        await self.run(lambda: self.upsert(checkpoints, {"namespace": namespace, "key": key}, row))

    async def get(self, namespace: str, key: str) -> bytes | None:
        """A checkpoint's value; None where there is none."""
        query = sa.select(checkpoints.c.value).where(
            checkpoints.c.namespace == namespace, checkpoints.c.key == key
        )
        value = await self.run(lambda: self.scalar(query))
        return None if value is None else bytes(value)

    async def keys(self, namespace: str) -> list[str]:
        """All keys of a namespace, sorted."""
        query = sa.select(checkpoints.c.key).where(checkpoints.c.namespace == namespace)
        return sorted(row[0] for row in await self.run(lambda: self.rows(query)))

    async def size(self, namespace: str) -> int:
        """Bytes of a namespace's values and keys, as ``checkpoints.size_of`` counts each."""
        each = sa.func.length(checkpoints.c.value) + 4 * sa.func.length(checkpoints.c.key) + KEY_BYTES
        total = sa.select(sa.func.sum(each)).where(checkpoints.c.namespace == namespace)
        return int(await self.run(lambda: self.scalar(total)) or 0)

    async def delete(self, namespace: str, key: str) -> bool:
        """Forget a checkpoint; False where there was none."""
        gone = sa.delete(checkpoints).where(checkpoints.c.namespace == namespace, checkpoints.c.key == key)
        return await self.run(lambda: self.execute(gone)) > 0

    async def copy_checkpoints(self, namespace: str, into: str) -> None:
        """Give another namespace what this one holds, in place of what stands under the same keys there."""
        columns = (checkpoints.c.key, checkpoints.c.value, checkpoints.c.preview, checkpoints.c.written_at)

        def copy() -> None:
            for row in self.rows(sa.select(*columns).where(checkpoints.c.namespace == namespace)):
                key, *rest = row
                values = dict(zip(("value", "preview", "written_at"), rest, strict=True))
                self.upsert(checkpoints, {"namespace": into, "key": key}, values)

        await self.run(copy)
