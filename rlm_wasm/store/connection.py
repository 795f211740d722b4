"""The store over SQLAlchemy Core: one statement is one transaction, so that nothing is half written.

SQLAlchemy's calls block; they run on threads of the store's own, never on the event loop. Several
processes may use one database at once.
"""

from __future__ import annotations

import asyncio
import math
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable

from rlm_wasm.errors import StoreDamaged, StoreError, UsageError
from rlm_wasm.forking import renewed_in_child, undivided
from rlm_wasm.redaction import Secrets, address_without_credentials, is_secret, without_credentials
from rlm_wasm.store import files
from rlm_wasm.store.tables import SCHEMA_VERSION, metadata, schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

T = TypeVar("T")

_BUSY_S: Final = 30
"""How long SQLite waits for another process's transaction."""

_MAX_KEYS: Final = 10_000
"""Of texts and guests, when each was last said to be in use."""

_ALONE: Final = 0x726C6D
"""PostgreSQL's lock for whoever makes or changes the tables."""


class Database:
    """A database, and the threads on which its statements run."""

    def __init__(self, url: str) -> None:
        try:
            self.url = sa.engine.make_url(url)
            if self.url.drivername == "postgresql":
                self.url = self.url.set(drivername=_postgresql_driver())
            self._engine = sa.create_engine(self.url, **_options(self.url))
        except (ArgumentError, NoSuchModuleError) as error:
            address = address_without_credentials(url)
            raise UsageError(f"{address!r} is no database URL: {without_credentials(str(error))}") from None
        except ValueError:  # a port that is no number, and may be a piece of a password
            address = address_without_credentials(url)
            raise UsageError(
                f"{address!r} is no database URL: in a password, write / as %2F, @ as %40"
            ) from None
        except ModuleNotFoundError as error:
            raise UsageError(_driver_missing(url, error)) from None
        self._secrets = _secrets_of(self.url)
        if self.url.get_backend_name() == "sqlite":
            files.secure(self.url)
            sa.event.listen(self._engine, "connect", _prepare_sqlite)
        self._new_threads()
        renewed_in_child(self)
        self._closed = False
        self._done_at: dict[str, float] = {}
        self._file: tuple[int, int] | None = None
        """Which file a SQLite store is: one that is removed can be written all the same, for nobody."""
        try:
            self._make_tables()
            self._file = self._file_of()
        except BaseException:
            self._pool.shutdown(wait=False)
            self._engine.dispose()
            raise

    def _new_threads(self) -> None:
        # SQLite has one writer anyway; a server may serve several of our threads.
        workers = 1 if self.url.get_backend_name() == "sqlite" else 4
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="rlm-wasm store")

    def renew(self) -> None:
        """In a forked child: the threads did not come along, and the connections are the parent's.

        But for a database in memory, which is the child's own: each of both goes on with what there was.
        """
        self._new_threads()
        if not isinstance(self._engine.pool, sa.StaticPool):
            self._engine.dispose(close=False)

    # ---- the end

    async def aclose(self) -> None:
        """Finish what was begun and close the connections. Idempotent."""
        if not self._closed:
            self._closed = True
            await asyncio.get_running_loop().run_in_executor(None, self._pool.shutdown)
            self._engine.dispose()

    # ---- on the store's threads

    async def run(self, work: Callable[[], T]) -> T:
        """Do something blocking on a thread of the store's."""
        if self._closed:
            raise StoreError("the store is closed")
        task = asyncio.get_running_loop().run_in_executor(self._pool, self._mapped, work)
        # A write that was begun is finished also when nobody waits for it any longer.
        return await asyncio.shield(task)

    def run_now(self, work: Callable[[], T]) -> T:
        """The same for whoever cannot await: the calling thread waits. For what is quick."""
        if self._closed:
            raise StoreError("the store is closed")
        return self._pool.submit(self._mapped, work).result()

    def _make_tables(self) -> None:
        def make() -> None:
            began = time.monotonic()
            try:
                self._bring_up()
            except SQLAlchemyError:
                if time.monotonic() - began >= _BUSY_S:
                    raise  # it waited for another process already
                # Two processes that make the same table at once clash: the other one has made it now.
                self._bring_up()

        self._mapped(make)

    def _bring_up(self) -> None:
        """Make the tables where there are none, and bring older ones up; both are one transaction."""
        with self._engine.begin() as connection:
            self._alone(connection)
            version = None
            if connection.dialect.has_table(connection, schema.name):
                version = connection.execute(sa.select(sa.func.max(schema.c.version))).scalar()
            if version is None:
                for table in metadata.sorted_tables:
                    connection.execute(CreateTable(table, if_not_exists=True))
                    for index in table.indexes:
                        connection.execute(CreateIndex(index, if_not_exists=True))
                connection.execute(sa.insert(schema).values(version=SCHEMA_VERSION))
            elif version < 1:
                raise StoreDamaged(
                    f"the store {self._display_url()} is damaged: rlm_schema.version says {version}, and"
                    f" schemas are 1 to {SCHEMA_VERSION}. Put a copy of the store in its place"
                )
            elif version < SCHEMA_VERSION:
                from rlm_wasm.store.migrations import upgrade

                upgrade(connection, version)
            elif version > SCHEMA_VERSION:
                raise StoreError(
                    f"the store {self._display_url()} was made by a later release of rlm-wasm"
                    f" (schema {version}, this release knows {SCHEMA_VERSION}): use that one"
                )

    def _alone(self, connection: sa.Connection) -> None:
        """One process at a time from here to the end of the transaction; the others wait."""
        backend = self.url.get_backend_name()
        if backend == "sqlite" and self.url.query.get("mode") != "ro":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        elif backend == "postgresql":
            connection.execute(sa.text("select pg_advisory_xact_lock(:key)"), {"key": _ALONE})

    def transaction(self) -> AbstractContextManager[sa.Connection]:
        """A connection whose statements count together, or not at all."""
        return self._engine.begin()

    def insert_if_absent(
        self, connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]
    ) -> None:
        """Insert the rows whose keys are not there yet."""
        backend = self.url.get_backend_name()
        if backend in ("sqlite", "postgresql"):
            from sqlalchemy.dialects import postgresql, sqlite

            insert: Any = (sqlite if backend == "sqlite" else postgresql).insert(table)
            connection.execute(insert.on_conflict_do_nothing(), rows)
            return
        keys = [column.name for column in table.primary_key]
        for row in rows:
            where = sa.and_(*(table.c[key] == row[key] for key in keys))
            if connection.execute(sa.select(sa.func.count()).select_from(table).where(where)).scalar() == 0:
                connection.execute(sa.insert(table), row)

    def now(self, connection: sa.Connection) -> float:
        """Seconds since 1970 by the clock that all who use the store share: the server's, if there is one."""
        if self.url.get_backend_name() == "postgresql":
            return float(
                connection.execute(sa.text("select extract(epoch from clock_timestamp())")).scalar_one()
            )
        return time.time()

    def due(self, keys: Iterable[str], now: float, every_s: float) -> list[str]:
        """Those for which this process has not been told so within that time."""
        if len(self._done_at) > _MAX_KEYS:
            self._done_at.clear()
        found = [key for key in keys if now - self._done_at.get(key, -math.inf) >= every_s]
        self._done_at.update(dict.fromkeys(found, now))
        return found

    def upsert(self, table: sa.Table, key: dict[str, Any], row: dict[str, Any]) -> None:
        """Insert, or update where the key is there; one statement, so two processes never clash."""
        backend = self.url.get_backend_name()
        if backend in ("sqlite", "postgresql"):
            from sqlalchemy.dialects import postgresql, sqlite

            insert: Any = (sqlite if backend == "sqlite" else postgresql).insert(table)
            statement = insert.values(**key, **row)
            if row:
                statement = statement.on_conflict_do_update(index_elements=list(key), set_=row)
            else:
                statement = statement.on_conflict_do_nothing(index_elements=list(key))
            self.execute(statement)
            return
        where = sa.and_(*(table.c[name] == value for name, value in key.items()))
        with self._engine.begin() as connection:
            connection.execute(sa.delete(table).where(where))
            connection.execute(sa.insert(table).values(**key, **row))

    def execute(self, statement: sa.Executable) -> int:
        """Run a statement in a transaction of its own: how many rows it touched."""
        with self._engine.begin() as connection:
            done = connection.execute(statement)
            return int(getattr(done, "rowcount", 0))

    def in_transaction(self, work: Callable[[sa.Connection], T]) -> T:
        """Several statements as one transaction."""
        with self._engine.begin() as connection:
            return work(connection)

    def scalar(self, statement: sa.Select[Any]) -> Any:
        """The first column of the first row, or None."""
        with self._engine.connect() as connection:
            return connection.execute(statement).scalar()

    def rows(self, statement: sa.Select[Any]) -> list[Any]:
        """All rows."""
        with self._engine.connect() as connection:
            return list(connection.execute(statement))

    def _display_url(self) -> str:
        """The URL without what opens the store."""
        return without_credentials(self.url.render_as_string(hide_password=True))

    def _file_of(self) -> tuple[int, int] | None:
        """The file at a SQLite store's path; None where it has none, or there is none."""
        path = self.url.database
        if self.url.get_backend_name() != "sqlite" or not path or path.startswith((":memory:", "file:")):
            return None
        try:
            found = Path(path).stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _mapped(self, work: Callable[[], T]) -> T:
        """Run on the calling thread; the database's errors become StoreError, without what opens it."""
        if self._file not in (None, self._file_of()) and self.url.get_backend_name() == "sqlite":
            raise StoreError(
                f"the store {self._display_url()}: its file is gone, or is another one now: put it back, or"
                " end this process and begin anew"
            )
        try:
            with undivided():
                return work()
        except SQLAlchemyError as error:
            failure = error
        lines = str(getattr(failure, "orig", None) or failure).strip().splitlines()
        line = self._secrets.hidden_in(lines[0] if lines else type(failure).__name__)
        # Outside of the handler, so that a cause that repeats what opens the store is in no traceback.
        raise self._told(without_credentials(line)) from self._secrets.cause(failure)

    def _told(self, line: str) -> StoreError:
        """The error for what the driver says, with what to do where that is known."""
        if self.url.get_backend_name() == "sqlite":
            for said, kind, what in _SQLITE_SAYS:
                if said in line:
                    return kind(f"the store {self._display_url()}: {line}: {what}")
        return StoreError(f"the store {self._display_url()}: {line}")


def _secrets_of(url: sa.URL) -> Secrets:
    """What a driver may repeat in its errors: the password, and those of the query."""
    named = [value for name, values in url.normalized_query.items() if is_secret(name) for value in values]
    return Secrets(*filter(None, (url.password, *named)), shortest=1)


_SQLITE_SAYS: Final = (
    ("is locked", StoreError, f"another process has been writing to it for {_BUSY_S} s: end that one"),
    ("is full", StoreError, "there is no room on its disk"),
    ("readonly database", StoreError, "this process may not write to its file, or to its folder"),
    ("not a database", StoreDamaged, "put a copy of the store in its place, or move it away for a new one"),
    ("malformed", StoreDamaged, "put a copy of the store in its place, or move it away for a new one"),
)


def _options(url: sa.URL) -> dict[str, Any]:
    if url.get_backend_name() != "sqlite":
        return {"pool_pre_ping": True, "hide_parameters": True}
    options: dict[str, Any] = {
        "hide_parameters": True,
        "connect_args": {"check_same_thread": False, "timeout": _BUSY_S},
    }
    if not url.database or url.database == ":memory:":
        # Every connection to memory is a database of its own: keep to one.
        options["poolclass"] = sa.StaticPool
    return options


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """Readers never wait for a writer, and a crash of the machine loses no more than the last write."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _postgresql_driver() -> str:
    """The driver: psycopg where it is installed; else SQLAlchemy's own default, psycopg2."""
    import importlib.util

    return "postgresql+psycopg" if importlib.util.find_spec("psycopg") else "postgresql+psycopg2"


def _driver_missing(url: str, error: ModuleNotFoundError) -> str:
    hint = "; for PostgreSQL: pip install 'psycopg[binary]'" if url.startswith("postgresql") else ""
    return f"the driver {error.name} for this store is not installed{hint}"
