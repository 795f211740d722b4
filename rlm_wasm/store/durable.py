"""Durable sessions in the store: a snapshot, the journal that comes after it, and who may write to them.

Every write is one transaction that first extends the lease in its own epoch. Where another one has taken
the session over, nothing is written, and whoever tried is told.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from rlm_wasm.errors import LeaseLost, SessionHeld
from rlm_wasm.store.budgets import forget_budget, forget_budgets_of, forget_shares
from rlm_wasm.store.leases import LEASE_S, Holder, is_free
from rlm_wasm.store.records import Batch, Opened, SavedSnapshot, is_below
from rlm_wasm.store.tables import blobs, journal, references, sessions, snapshots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rlm_wasm.store.connection import Database

_KEEP_BLOBS_S: Final = 3600.0
"""A text that no session refers to may be about to be referred to."""


class DurableSessions:
    """The blocking half: call it on the store's threads (``Database.run``)."""

    def __init__(self, store: Database) -> None:
        self.store = store
        self._guests: set[str] = set()
        """Those that the store has had since this process looked."""

    # ---- the lease

    def acquire(self, name: str, holder: Holder, *, make: bool) -> Opened | None:
        """Take the lease and read the session. None where there is none of that name, and ``make`` is false.

        Raises SessionHeld where somebody else has it, StoreError where the store cannot be written.
        """
        for _ in range(_ATTEMPTS):
            with self.store.transaction() as connection:
                now = self.store.now(connection)
                row = connection.execute(sa.select(*_HELD).where(sessions.c.name == name)).first()
                if row is None:
                    if not make:
                        return None
                    epoch = _first_epoch()
                    fresh = {
                        "name": name,
                        "snapshot": b"",
                        "status": "new",
                        "note": "",
                        "made_at": now,
                        "written_at": now,
                        "base": 0,
                        "epoch": epoch,
                    }
                    self.store.insert_if_absent(connection, sessions, [fresh])
                else:
                    epoch = row.epoch
                    self._check_free(name, row, now)
                taken = connection.execute(
                    sa.update(sessions)
                    .where(sessions.c.name == name, sessions.c.epoch == epoch)
                    .values(epoch=epoch + 1, holder=holder.dump(), held_since=now, held_until=now + LEASE_S)
                )
            if taken.rowcount:
                return self.read(name)
        raise SessionHeld(f"session {name} is being taken by several processes at once: try again")

    @staticmethod
    def _check_free(name: str, row: Any, now: float) -> None:
        if is_free(row.holder, row.held_until, now):
            return
        left = max(row.held_until - now, 0.0)
        raise SessionHeld(
            f"session {name} is in use: {_who(row.holder)} holds it since {_when(row.held_since)}."
            f" End that one; if it is gone already, the session is free in {left:.0f} s"
        )

    def release(self, name: str, epoch: int, *, forget: bool = False) -> None:
        """Give the lease back. Where somebody else has it by now, nothing happens.

        ``forget``: nothing came of the session, and it goes.
        """
        mine = (sessions.c.name == name, sessions.c.epoch == epoch)
        if forget:
            self.store.execute(sa.delete(sessions).where(*mine))
        else:
            self.store.execute(
                sa.update(sessions).where(*mine).values(holder=None, held_since=None, held_until=None)
            )

    def keep_guest(self, key: str, image: Callable[[], bytes]) -> None:
        """Keep the guest that a session is about to stand on, before anything runs. Raises StoreError."""
        if key in self._guests:
            return
        with self.store.transaction() as connection:
            if connection.execute(sa.select(blobs.c.hash).where(blobs.c.hash == key)).first() is None:
                row = {"hash": key, "content": image(), "used_at": self.store.now(connection)}
                self.store.insert_if_absent(connection, blobs, [row])
        self._guests.add(key)

    # ---- reading

    def read(self, name: str) -> Opened | None:
        """A session as it stands, for whoever holds it or only looks; None where there is none."""
        columns = (
            sessions.c.snapshot,
            sessions.c.made_at,
            sessions.c.base,
            sessions.c.epoch,
            sessions.c.account,
            sessions.c.status,
            sessions.c.note,
            sessions.c.provider,
            sessions.c.request,
            sessions.c.result,
        )
        with self.store.transaction() as connection:
            row = connection.execute(sa.select(*columns).where(sessions.c.name == name)).first()
            if row is None:
                return None
            below = connection.execute(
                sa.select(snapshots.c.stream, snapshots.c.base, snapshots.c.snapshot)
                .where(snapshots.c.session == name, snapshots.c.stream != "")
                .order_by(snapshots.c.base)
            )
            children = {stream: (base, bytes(data)) for stream, base, data in below}
            later = connection.execute(
                sa.select(journal.c.seq, journal.c.stream, journal.c.payload)
                .where(journal.c.session == name)
                .where(sa.or_(journal.c.stream != "", journal.c.seq >= row.base))
                .order_by(journal.c.seq)
            )
            rows = [
                (number, stream, bytes(payload))
                for number, stream, payload in later
                if number >= children.get(stream, (0, b""))[0]
            ]
        return Opened(
            name=name,
            made_at=row.made_at,
            epoch=row.epoch,
            snapshot=bytes(row.snapshot),
            base=row.base,
            account=None if row.account is None else bytes(row.account),
            status=row.status,
            note=row.note,
            provider=row.provider,
            request=row.request,
            result=None if row.result is None else bytes(row.result),
            rows=rows,
            children=children,
        )

    def account(self, name: str) -> bytes | None:
        """What was spent in a session, and its limits; None where there is none, or it spent nothing yet."""
        data = self.store.scalar(sa.select(sessions.c.account).where(sessions.c.name == name))
        return None if data is None else bytes(data)

    def earlier(self, name: str) -> Opened | None:
        """A session as its last execution found it, with all that came since; None where there is none."""
        opened = self.read(name)
        if opened is None:
            return None
        with self.store.transaction() as connection:
            result = connection.execute(
                sa.select(snapshots.c.base, snapshots.c.snapshot)
                .where(snapshots.c.session == name, snapshots.c.stream == "")
                .order_by(snapshots.c.base)
            ).first()
            if result is None:
                return opened
            rows = connection.execute(
                sa.select(journal.c.seq, journal.c.stream, journal.c.payload)
                .where(journal.c.session == name, journal.c.seq >= result.base)
                .order_by(journal.c.seq)
            )
            later = [(number, stream, bytes(payload)) for number, stream, payload in rows]
        return replace(opened, base=result.base, snapshot=bytes(result.snapshot), rows=later)

    def texts(self, hashes: Iterable[str]) -> dict[str, bytes]:
        """What is kept under these hashes, as far as it is there and whole."""
        wanted = list(dict.fromkeys(hashes))
        texts: dict[str, bytes] = {}
        with self.store.transaction() as connection:
            for start in range(0, len(wanted), _AT_ONCE):
                chosen = blobs.c.hash.in_(wanted[start : start + _AT_ONCE])
                for key, content in connection.execute(
                    sa.select(blobs.c.hash, blobs.c.content).where(chosen)
                ):
                    if hashlib.sha256(content).hexdigest() == key:
                        texts[key] = bytes(content)
        return texts

    # ---- writing

    def write(self, name: str, epoch: int, batch: Batch) -> None:
        """Write a batch, and say that the holder lives. Raises LeaseLost, StoreError."""
        with self.store.transaction() as connection:
            self._write(connection, name, epoch, batch, {})

    def save(self, name: str, epoch: int, batch: Batch, snapshot: SavedSnapshot) -> None:
        """Write a batch and a snapshot that comes after it. Raises LeaseLost, StoreError."""
        with self.store.transaction() as connection:
            values: dict[str, Any] = {}
            if snapshot.stream == "":
                values = {
                    "snapshot": snapshot.data,
                    "base": snapshot.base,
                    "guest": snapshot.guest,
                    "provider": snapshot.provider,
                    "release": snapshot.release,
                }
                newest = connection.execute(
                    sa.select(sessions.c.base, sessions.c.snapshot).where(sessions.c.name == name)
                ).first()
            self._write(connection, name, epoch, batch, values)
            if snapshot.stream == "":
                self._keep_earlier(connection, name, snapshot.keeps, newest)
            else:
                self._keep_of_child(connection, name, snapshot)
            self._prune(connection, name, snapshot)

    def _write(
        self, connection: sa.Connection, name: str, epoch: int, batch: Batch, values: dict[str, Any]
    ) -> None:
        for column in ("account", "status"):
            if getattr(batch, column) is not None:
                values[column] = getattr(batch, column)
        if batch.request is not None:
            values |= {"request": batch.request, "result": batch.result}
        elif batch.result is not None:
            values["result"] = batch.result
        if batch.note is not None:
            values["note"] = batch.note[:1000].replace("\0", "\ufffd")
        self._extend(connection, name, epoch, values)
        self._keep_blobs(connection, name, batch.blobs)
        for stream in batch.dropped:
            for table in (journal, snapshots):
                above = stream if stream.endswith("/") else f"{stream}/"
                below = sa.or_(table.c.stream == stream, table.c.stream.startswith(above, autoescape=True))
                connection.execute(sa.delete(table).where(table.c.session == name, below))
        if batch.rows:
            connection.execute(
                sa.insert(journal),
                [
                    {"session": name, "seq": number, "stream": stream, "payload": payload}
                    for number, stream, payload in batch.rows
                ],
            )
        for session, content in batch.given.items():
            self._keep_blobs(connection, session, content)
        for session in batch.sessions_over:
            self._forget(connection, session)
        for budget in batch.budgets_over:
            forget_budget(connection, budget)

    @staticmethod
    def _keep_of_child(connection: sa.Connection, name: str, snapshot: SavedSnapshot) -> None:
        here = (snapshots.c.session == name, snapshots.c.stream == snapshot.stream)
        connection.execute(sa.delete(snapshots).where(*here))
        connection.execute(
            sa.insert(snapshots).values(
                session=name, stream=snapshot.stream, base=snapshot.base, snapshot=snapshot.data
            )
        )

    @staticmethod
    def _keep_earlier(connection: sa.Connection, name: str, keeps: int | None, newest: Any) -> None:
        """Of the snapshots that there were, keep the newest that the last execution began on or after."""
        here = (snapshots.c.session == name, snapshots.c.stream == "")
        if keeps is None or newest is None:
            connection.execute(sa.delete(snapshots).where(*here))
        elif newest.base <= keeps and newest.snapshot:
            connection.execute(sa.delete(snapshots).where(*here))
            connection.execute(
                sa.insert(snapshots).values(
                    session=name, stream="", base=newest.base, snapshot=newest.snapshot
                )
            )

    @staticmethod
    def _prune(connection: sa.Connection, name: str, snapshot: SavedSnapshot) -> None:
        """Forget the rows that come before every snapshot that there is, and sessions below that are over."""
        oldest = connection.execute(
            sa.select(sa.func.min(snapshots.c.base)).where(
                snapshots.c.session == name, snapshots.c.stream == snapshot.stream
            )
        ).scalar()
        first = snapshot.base if oldest is None else min(oldest, snapshot.base)
        connection.execute(
            sa.delete(journal).where(
                journal.c.session == name, journal.c.stream == snapshot.stream, journal.c.seq < first
            )
        )
        if snapshot.below is None:
            return
        for table, since in ((journal, journal.c.seq), (snapshots, snapshots.c.base)):
            start = f"{snapshot.stream}/"
            before = (table.c.session == name, since < snapshot.base)
            streams = connection.execute(
                sa.select(table.c.stream)
                .where(*before, table.c.stream.startswith(start, autoescape=True))
                .distinct()
            ).scalars()
            # What an execution left that was cancelled, undone or whose end could not be written.
            over = [each for each in streams if not each.removeprefix(start).startswith(snapshot.below)]
            for at in range(0, len(over), _AT_ONCE):
                chosen = table.c.stream.in_(over[at : at + _AT_ONCE])
                connection.execute(sa.delete(table).where(*before, chosen))

    def _extend(self, connection: sa.Connection, name: str, epoch: int, values: dict[str, Any]) -> None:
        now = self.store.now(connection)
        extended = connection.execute(
            sa.update(sessions)
            .where(sessions.c.name == name, sessions.c.epoch == epoch)
            .values(held_until=now + LEASE_S, written_at=now, **values)
        )
        if extended.rowcount:
            return
        row = connection.execute(sa.select(*_HELD).where(sessions.c.name == name)).first()
        if row is None:
            raise LeaseLost(
                f"session {name} was removed from the store meanwhile: nothing more is kept of it"
            )
        if row.holder is None:
            raise LeaseLost(
                f"session {name} was taken over by another process, which has left it by now: it goes on from"
                " there, and what is done here is kept no longer"
            )
        raise LeaseLost(
            f"session {name} was taken over by {_who(row.holder)} at {_when(row.held_since)}: it goes on"
            " there, and what is done here is kept no longer"
        )

    def _keep_blobs(self, connection: sa.Connection, name: str, content: dict[str, bytes]) -> None:
        if not content:
            return
        now = self.store.now(connection)
        there = set(
            connection.execute(sa.select(blobs.c.hash).where(blobs.c.hash.in_(list(content)))).scalars()
        )
        missing = [
            {"hash": key, "content": data, "used_at": now}
            for key, data in content.items()
            if key not in there
        ]
        if missing:
            self.store.insert_if_absent(connection, blobs, missing)
        # SQLite goes through the whole row for that, megabytes of a guest, too: now and then is enough.
        due = self.store.due(content, now, _KEEP_BLOBS_S / 2)
        if due:
            connection.execute(sa.update(blobs).where(blobs.c.hash.in_(due)).values(used_at=now))
        self.store.insert_if_absent(
            connection, references, [{"session": name, "hash": key} for key in content]
        )

    # ---- copies, and the end

    def copy(self, name: str, new_name: str, account: bytes | None) -> None:
        """Give a session a second name. ``account`` is the copy's. Both go on by themselves."""
        with self.store.transaction() as connection:
            kept = [column for column in sessions.c if column.name not in _NOT_COPIED]
            row = connection.execute(sa.select(*kept).where(sessions.c.name == name)).one()
            values = dict(row._mapping) | {"name": new_name, "account": account, "epoch": _first_epoch()}
            connection.execute(sa.insert(sessions).values(**values))
            for table in (journal, snapshots, references):
                others = [column for column in table.c if column.name != "session"]
                copied = sa.select(sa.literal(new_name), *others).where(table.c.session == name)
                connection.execute(
                    sa.insert(table).from_select(["session", *(column.name for column in others)], copied)
                )

    def delete(self, name: str) -> bool:
        """Forget a session; False where there was none. Raises SessionHeld where one is at work in it."""
        with self.store.transaction() as connection:
            now = self.store.now(connection)
            row = connection.execute(sa.select(*_HELD).where(sessions.c.name == name)).first()
            if row is None:
                return False
            self._check_free(name, row, now)
            below = sa.select(sessions.c.name).where(sessions.c.name.startswith(f"{name}/", autoescape=True))
            for other in connection.execute(below).scalars().all():
                if is_below(name, other):  # whoever is at work in one finds out by its next write
                    self._forget(connection, other)
            self._forget(connection, name)
            forget_budgets_of(connection, name)
            unused = blobs.c.hash.not_in(sa.select(references.c.hash))
            connection.execute(sa.delete(blobs).where(unused, blobs.c.used_at < now - _KEEP_BLOBS_S))
        return True

    @staticmethod
    def _forget(connection: sa.Connection, name: str) -> None:
        forget_shares(connection, name)
        connection.execute(sa.delete(sessions).where(sessions.c.name == name))
        for table in (journal, snapshots, references):
            connection.execute(sa.delete(table).where(table.c.session == name))


_ATTEMPTS: Final = 5
_AT_ONCE: Final = 500
_HELD = (sessions.c.epoch, sessions.c.holder, sessions.c.held_since, sessions.c.held_until, sessions.c.status)
_NOT_COPIED = ("name", "epoch", "holder", "held_since", "held_until", "account")


def _first_epoch() -> int:
    """Of a session that is made: a removed one of its name had others, and its holder may still live."""
    return secrets.randbelow(1 << 52)


def _who(holder: str | None) -> str:
    if holder is None:
        return "somebody"
    known = Holder.parse(holder)
    return "somebody" if known is None else str(known)


def _when(moment: float | None) -> str:
    if moment is None:
        return "an unknown time"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
