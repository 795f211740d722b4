"""Sessions that outlive their process, as people see them: listed, copied, forgotten.

Whoever runs one does so by rlm_wasm/store/durable.py.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from rlm_wasm.errors import UsageError
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.store.durable import DurableSessions
from rlm_wasm.store.leases import Holder, is_free
from rlm_wasm.store.records import RUNNING, check_name
from rlm_wasm.store.tables import journal, sessions, snapshots

if TYPE_CHECKING:
    from rlm_wasm.sandbox.snapshot import Snapshot
    from rlm_wasm.store.checkpoints import DatabaseCheckpoints


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSession:
    """What is known of a saved session without loading it.

    ``status`` is its last execution's: "running" where another process is at work in it, "suspended"
    where it was left in the middle. ``note`` is for people, ``bytes`` are those of its snapshot and its
    journal, times are seconds since 1970. ``guest`` is the SHA-256 of the guest that it stands on,
    ``release`` the one that saved it; ``held_by`` who is at work in it, since ``held_since``.
    """

    name: str
    status: str
    note: str
    bytes: int
    made_at: float
    written_at: float
    guest: str | None = None
    release: str | None = None
    provider: str | None = None
    held_by: str | None = None
    held_since: float | None = None


class SessionRepository:
    """Sessions by name."""

    def __init__(self, store: DatabaseCheckpoints) -> None:
        self._store = store

    async def save(self, name: str, snapshot: Snapshot, *, status: str, note: str = "") -> None:
        """Write a snapshot under a name, in place of whatever there was.

        Raises UsageError for what is no name, SessionHeld where a process is at work in the session of that
        name, StoreError where the database fails.
        """
        check_name(name)
        store = self._store
        status = "suspended" if snapshot.suspended else status

        def write() -> None:
            DurableSessions(store).delete(name)
            now = time.time()
            row: dict[str, Any] = {
                "name": name,
                "snapshot": snapshot.dump(),
                "status": status,
                "note": note[:1000],
                "made_at": now,
                "written_at": now,
                "guest": snapshot.image_hash,
            }
            store.execute(sa.insert(sessions).values(**row))

        await store.run(write)

    async def copy(self, name: str, new_name: str, account: bytes | None) -> bool:
        """Keep a session under a second name, with its checkpoints; False where there is none of that name.

        ``account`` is the copy's. Raises UsageError for what is no name or is taken, StoreError where the
        database fails.
        """
        check_name(new_name)
        known = {session.name for session in await self.list()}
        if name not in known:
            return False
        if new_name in known:
            raise UsageError(f"there is a session {new_name} already")
        store = self._store
        await store.copy_checkpoints(name, new_name)
        await store.run(lambda: DurableSessions(store).copy(name, new_name, account))
        return True

    async def list(self) -> list[StoredSession]:
        """All of them, the one written last first."""
        names = (journal.c.session, snapshots.c.session)
        sizes = (sa.func.length(journal.c.payload), sa.func.length(snapshots.c.snapshot))
        beside = [
            sa.select(sa.func.coalesce(sa.func.sum(size), 0)).where(of == sessions.c.name).scalar_subquery()
            for of, size in zip(names, sizes, strict=True)
        ]
        columns = (
            sessions.c.name,
            sessions.c.status,
            sessions.c.note,
            (sa.func.length(sessions.c.snapshot) + beside[0] + beside[1]).label("bytes"),
            sessions.c.made_at,
            sessions.c.written_at,
            sessions.c.guest,
            sessions.c.release,
            sessions.c.provider,
            sessions.c.holder,
            sessions.c.held_since,
            sessions.c.held_until,
        )
        newest_first = sa.select(*columns).order_by(sessions.c.written_at.desc(), sessions.c.name)

        def read() -> list[StoredSession]:
            with self._store.transaction() as connection:
                now = self._store.now(connection)
                return [_stored(dict(row._mapping), now) for row in connection.execute(newest_first)]

        return await self._store.run(read)

    async def delete(self, name: str) -> bool:
        """Forget one; False where there was none. Raises SessionHeld where a process is at work in it."""
        store = self._store
        return await store.run(lambda: DurableSessions(store).delete(name))


def _stored(row: dict[str, Any], now: float) -> StoredSession:
    holder, since, until = row.pop("holder"), row["held_since"], row.pop("held_until")
    if is_free(holder, until, now):
        row["held_since"] = None
        if row["status"] == RUNNING:
            row["status"] = "suspended"
    else:
        row["held_by"], row["held_since"] = str(Holder.parse(holder) or "somebody"), since
    return StoredSession(**{**row, "bytes": int(row["bytes"])})
