"""Sessions that outlive their process: snapshots by name, each written in one statement."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from rlm_wasm.errors import UsageError
from rlm_wasm.sandbox.snapshot import Snapshot
from rlm_wasm.store.tables import sessions

if TYPE_CHECKING:
    from rlm_wasm.store.checkpoints import DatabaseCheckpoints

MAX_NAME_CHARACTERS: Final = 255
"""What the table's column holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSession:
    """What is known of a saved session without loading it.

    ``status`` is its last execution's, or "suspended" where the snapshot was taken in the middle of
    one; ``note`` is for people; times are seconds since 1970.
    """

    name: str
    status: str
    note: str
    bytes: int
    made_at: float
    written_at: float


class SessionRepository:
    """Sessions by name. Two writers of one name: the last one counts."""

    def __init__(self, store: DatabaseCheckpoints) -> None:
        self._store = store

    @staticmethod
    def check_name(name: str) -> None:
        """Raises UsageError for what cannot be a session's name."""
        if not name or len(name) > MAX_NAME_CHARACTERS:
            raise UsageError(f"a session's name has 1 to {MAX_NAME_CHARACTERS} characters, got {name!r}")

    async def save(self, name: str, snapshot: Snapshot, *, status: str, note: str = "") -> None:
        """Write a snapshot under a name, in place of an earlier one.

        Raises UsageError for what is no name, StoreError where the database fails.
        """
        self.check_name(name)
        store = self._store
        status = "suspended" if snapshot.suspended else status

        def write() -> None:
            now = time.time()
            made = store.scalar(sa.select(sessions.c.made_at).where(sessions.c.name == name))
            row: dict[str, Any] = {
                "snapshot": snapshot.dump(),
                "status": status,
                "note": note[:1000],
                "made_at": now if made is None else made,
                "written_at": now,
            }
            store.upsert(sessions, {"name": name}, row)

        await store.run(write)

    async def copy(self, name: str, new_name: str) -> bool:
        """Keep a session under a second name, with its checkpoints; False where there is none of that name.

        Raises UsageError for what is no name, StoreError where the database fails.
        """
        snapshot = await self.load(name)
        if snapshot is None:
            return False
        known = {session.name: session for session in await self.list()}[name]
        await self._store.copy_checkpoints(name, new_name)
        await self.save(new_name, snapshot, status=known.status, note=known.note)
        return True

    async def load(self, name: str) -> Snapshot | None:
        """A saved snapshot; None where there is none of that name."""
        query = sa.select(sessions.c.snapshot).where(sessions.c.name == name)
        data = await self._store.run(lambda: self._store.scalar(query))
        return None if data is None else Snapshot.load(bytes(data))

    async def list(self) -> list[StoredSession]:
        """All of them, the one written last first."""
        columns = (
            sessions.c.name,
            sessions.c.status,
            sessions.c.note,
            sa.func.length(sessions.c.snapshot).label("bytes"),
            sessions.c.made_at,
            sessions.c.written_at,
        )
        newest_first = sa.select(*columns).order_by(sessions.c.written_at.desc(), sessions.c.name)
        rows = await self._store.run(lambda: self._store.rows(newest_first))
        return [StoredSession(**row._mapping) for row in rows]

    async def delete(self, name: str) -> bool:
        """Forget one; False where there was none."""
        gone = sa.delete(sessions).where(sessions.c.name == name)
        return await self._store.run(lambda: self._store.execute(gone)) > 0
