"""Runs that are kept: their logs, a line a record, with a summary to list by and an index of their texts.

SQLite searches by FTS5, PostgreSQL by its own text search, any other database by LIKE. Old runs go when
they are older, or when all of them are larger, than is allowed; one that is under way is never touched.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex, CreateTable

from rlm_wasm.errors import StoreError, UsageError
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.runlog.events import CallEnded, Record, RunEnded, RunStarted, Text, plain
from rlm_wasm.runlog.file import log
from rlm_wasm.runlog.reading import LogReader
from rlm_wasm.runlog.story import RunFigures, RunStory, figures
from rlm_wasm.store.column_types import checked_table

if TYPE_CHECKING:
    from rlm_wasm.store.connection import Database

MAX_AGE_S: Final = 30 * 86_400.0
"""Seconds after which a run is forgotten, where nothing else is said."""
MAX_BYTES: Final = 1 << 30
"""Bytes of all runs together, the same."""

_tables: Final = sa.MetaData()
_runs: Final = checked_table(
    "rlm_runs",
    _tables,
    sa.Column("run", sa.String(32), primary_key=True),
    sa.Column("started_at", sa.Float, nullable=False, index=True),
    sa.Column("last_at", sa.Float, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("chapter", sa.Text, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("calls", sa.Integer, nullable=False),
    sa.Column("failed_calls", sa.Integer, nullable=False),
    sa.Column("tokens", sa.BigInteger, nullable=False),
    sa.Column("cost_usd", sa.Float, nullable=True),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("slowest_s", sa.Float, nullable=False),
    sa.Column("models", sa.Text, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
)
_records: Final = checked_table(
    "rlm_run_records",
    _tables,
    sa.Column("run", sa.String(32), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("line", sa.Text, nullable=False),
    sa.Column("words", sa.Text, nullable=False),
)
"""``words`` is what a search looks at: empty in SQLite, whose index has them."""

_INDEXED: Final = 100_000
"""Characters of a record's texts that a search finds."""
_FLUSH_S: Final = 0.05
"""Seconds after which what came is written at the latest."""
_MAX_WAITING: Final = 64 << 20
"""Bytes that may wait for the database; of a run that makes more the rest is not kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun(RunFigures):
    """What is known of a kept run without reading it."""

    bytes: int
    """That its records take."""


class RunRepository:
    """The runs in a store."""

    def __init__(self, store: Database) -> None:
        self._store = store
        self._made = False
        self._backend = store.url.get_backend_name()

    # ---- tables

    def _make(self) -> None:
        """On the store's thread, before anything else."""
        if self._made:
            return

        def make(connection: sa.Connection) -> None:
            for table in _tables.sorted_tables:
                connection.execute(CreateTable(table, if_not_exists=True))
                for index in table.indexes:
                    connection.execute(CreateIndex(index, if_not_exists=True))
            if self._backend == "sqlite":
                connection.exec_driver_sql(
                    "CREATE VIRTUAL TABLE IF NOT EXISTS rlm_run_words USING fts5(run UNINDEXED, words)"
                )
            elif self._backend == "postgresql":
                connection.exec_driver_sql(
                    "CREATE INDEX IF NOT EXISTS rlm_run_words ON rlm_run_records"
                    " USING gin (to_tsvector('simple', words))"
                )

        self._store.in_transaction(make)
        self._made = True

    async def _run(self, work: Callable[[sa.Connection], Any]) -> Any:
        def do() -> Any:
            self._make()
            return self._store.in_transaction(work)

        return await self._store.run(do)

    # ---- writing

    async def append(self, story: RunStory, first: int, records: list[Record], lines: list[str]) -> None:
        """Write records of one run, and its summary as it is now. Raises StoreError."""

        def write(connection: sa.Connection) -> None:
            texts = [_words(record) for record in records]
            kept = self._backend != "sqlite"
            connection.execute(
                sa.insert(_records),
                [
                    {"run": story.run, "number": first + i, "line": line, "words": texts[i] if kept else ""}
                    for i, line in enumerate(lines)
                ],
            )
            if not kept:
                rows = [(story.run, text) for text in texts if text]
                if rows:
                    connection.exec_driver_sql("INSERT INTO rlm_run_words (run, words) VALUES (?, ?)", rows)
            size = sum(len(line) for line in lines)
            known = connection.execute(sa.select(_runs.c.bytes).where(_runs.c.run == story.run)).scalar()
            row = {**_summary(story), "bytes": size + (known or 0)}
            if known is None:
                connection.execute(sa.insert(_runs).values(run=story.run, **row))
            else:
                connection.execute(sa.update(_runs).where(_runs.c.run == story.run).values(**row))

        await self._run(write)

    async def delete(self, runs: Iterable[str]) -> int:
        """Forget runs: how many there were of them."""
        names = list(runs)

        def forget(connection: sa.Connection) -> int:
            gone = 0
            for at in range(0, len(names), 500):
                part = names[at : at + 500]
                connection.execute(sa.delete(_records).where(_records.c.run.in_(part)))
                if self._backend == "sqlite":
                    words = sa.table("rlm_run_words", sa.column("run"))
                    connection.execute(sa.delete(words).where(words.c.run.in_(part)))
                gone += connection.execute(sa.delete(_runs).where(_runs.c.run.in_(part))).rowcount
            return gone

        return int(await self._run(forget)) if names else 0

    async def prune(self, *, max_age_s: float = MAX_AGE_S, max_bytes: int = MAX_BYTES) -> int:
        """Forget what is too old, and the oldest of what is too much: how many runs.

        A run without an end counts as under way for a day after its last record.
        """
        now, total, gone = time.time(), 0, []
        for stored in await self.list(limit=None):
            under_way = stored.status == "running" and now - stored.last_at < 86_400
            total += stored.bytes
            if not under_way and (now - stored.last_at > max_age_s or total > max_bytes):
                gone.append(stored.run)
                total -= stored.bytes
        return await self.delete(gone)

    # ---- reading

    async def list(
        self,
        *,
        model: str | None = None,
        failed: bool = False,
        slower_than_s: float | None = None,
        search: str | None = None,
        limit: int | None = 100,
    ) -> list[StoredRun]:
        """Kept runs, the newest first.

        ``failed``: that did not end well, or had a call that failed. ``slower_than_s``: that took longer,
        or had a call that did. ``search``: that have a text with all of these words in one place.

        Raises:
            StoreError: the database fails.
        """
        query = sa.select(_runs).order_by(_runs.c.started_at.desc(), _runs.c.run)
        if failed:
            query = query.where(
                sa.or_(_runs.c.status.in_(("error", "limit", "cancelled")), _runs.c.failed_calls > 0)
            )
        if slower_than_s is not None:
            query = query.where(sa.or_(_runs.c.seconds > slower_than_s, _runs.c.slowest_s > slower_than_s))
        if model is not None:
            query = query.where(_runs.c.models.contains(f"\n{model}\n", autoescape=True))
        if search is not None:
            query = self._with_words(query, search)
        if limit is not None:
            query = query.limit(limit)

        def read(connection: sa.Connection) -> list[Any]:
            return list(connection.execute(query))

        rows = await self._run(read)
        return [
            StoredRun(**{**row._mapping, "models": tuple(filter(None, row.models.split("\n")))})
            for row in rows
        ]

    def _with_words(self, query: sa.Select[Any], search: str) -> sa.Select[Any]:
        words = re.findall(r"\w+", search)
        if not words:
            return query
        if self._backend == "sqlite":
            asked = " ".join(f'"{word}"' for word in words)
            matching = sa.text("SELECT run FROM rlm_run_words WHERE rlm_run_words MATCH :asked").bindparams(
                asked=asked
            )
            return query.where(_runs.c.run.in_(matching.columns(sa.column("run", sa.String))))
        if self._backend == "postgresql":
            matches: sa.ColumnElement[bool] = sa.func.to_tsvector("simple", _records.c.words).op("@@")(
                sa.func.plainto_tsquery("simple", " ".join(words))
            )
        else:
            matches = sa.and_(*(_records.c.words.contains(word, autoescape=True) for word in words))
        return query.where(_runs.c.run.in_(sa.select(_records.c.run).where(matches)))

    async def find(self, run: str) -> str:
        """The whole id of a run, of which ``run`` is the beginning. Raises UsageError, StoreError."""
        if not re.fullmatch(r"[0-9a-f]{1,32}", run):
            raise UsageError(f"{run[:40]!r} is no run's id, which is made of the digits 0-9 and a-f")
        query = sa.select(_runs.c.run).where(_runs.c.run.like(f"{run}%")).limit(3)
        ids = await self._run(lambda connection: [row[0] for row in connection.execute(query)])
        if len(ids) > 1 and run not in ids:
            raise UsageError(f"several runs begin with {run}: {', '.join(ids)} …")
        if not ids:
            raise UsageError(f"there is no run {run} in this store: rlm-wasm log list shows those that are")
        return run if run in ids else str(ids[0])

    async def lines(self, run: str, after: int = 0, max_lines: int | None = None) -> Sequence[str]:
        """A run's records as lines of JSON, from the one after ``after`` on. Raises StoreError."""
        query = (
            sa.select(_records.c.line)
            .where(_records.c.run == run, _records.c.number > after)
            .order_by(_records.c.number)
        )
        if max_lines is not None:
            query = query.limit(max_lines)
        lines: Sequence[str] = await self._run(lambda connection: connection.scalars(query).all())
        return lines

    async def read(self, run: str) -> LogReader:
        """A run's records. Raises StoreError."""
        return LogReader(await self.lines(run))


def _summary(story: RunStory) -> dict[str, Any]:
    """The figures of a run as its row has them."""
    row = asdict(figures(story))
    del row["run"]
    row["name"] = row["name"][:1_000]
    row["models"] = "".join(f"\n{name}\n" for name in row["models"][:100])
    return row


def _words(record: Record) -> str:
    """The texts of a record that a search finds."""
    parts = [
        value.text
        for value in (getattr(record, name) for name in record.__dataclass_fields__)
        if isinstance(value, Text) and value.text
    ]
    if isinstance(record, RunStarted):
        parts.append(record.name)
    elif isinstance(record, CallEnded) and record.error:
        parts.append(record.error)
    elif isinstance(record, RunEnded) and record.error is not None:
        parts.append(record.error.message)
    text = "\n".join(parts)[:_INDEXED].replace("\0", " ")
    return text.encode("utf-8", "replace").decode()


class StoreLog:
    """Keeps every run that it is told of in a store. A reader for ``Runtime(log=…)``.

    Records are written in the background within a twentieth of a second, in their order. A database
    that fails ends the log, not the execution: ``trouble`` says so then.
    """

    def __init__(self, store: Database, *, max_age_s: float = MAX_AGE_S, max_bytes: int = MAX_BYTES) -> None:
        """``max_age_s`` seconds after its end, or where all have more than ``max_bytes``, a run goes."""
        self.runs = RunRepository(store)
        self.trouble: str | None = None
        self._max_age_s, self._max_bytes = max_age_s, max_bytes
        self._stories: dict[str, RunStory] = {}
        self._written: dict[str, int] = {}
        self._waiting: dict[str, tuple[list[Record], list[str]]] = {}
        self._bytes = 0
        self._dropped = 0
        self._task: asyncio.Task[None] | None = None

    def __call__(self, record: Record) -> None:
        """Take one."""
        if self.trouble is not None:
            return
        line = json.dumps(plain(record), ensure_ascii=False, separators=(",", ":"), default=str)
        # What no database takes in a text: NUL, and halves of surrogate pairs.
        line = line.encode("utf-8", "replace").decode()
        if self._bytes + len(line) > _MAX_WAITING:
            self._dropped += 1
            return
        self._bytes += len(line)
        story = self._stories.get(record.run)
        if story is None:
            story = self._stories[record.run] = RunStory(record.run)
        story.add(record)
        records, lines = self._waiting.setdefault(record.run, ([], []))
        records.append(record)
        lines.append(line)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._write_soon())

    async def _write_soon(self) -> None:
        await asyncio.sleep(_FLUSH_S)
        try:
            await self._write()
        finally:
            self._task = None
            if self._waiting and self.trouble is None:
                self._task = asyncio.get_running_loop().create_task(self._write_soon())

    async def _write(self) -> None:
        waiting, self._waiting = self._waiting, {}
        try:
            for run, (records, lines) in waiting.items():
                story, first = self._stories[run], self._written.get(run, 0) + 1
                self._written[run] = first + len(lines) - 1
                await self.runs.append(story, first, records, lines)
                self._bytes -= sum(map(len, lines))
                if (
                    story.ended is not None and run not in self._waiting
                ):  # else its end is still to be written
                    del self._stories[run], self._written[run]
                    await self.runs.prune(max_age_s=self._max_age_s, max_bytes=self._max_bytes)
        except StoreError as error:
            self.trouble = f"the log ends early: {error}"
            self._waiting.clear()
            log.warning("%s", self.trouble)

    async def aclose(self) -> None:
        """Write what waits. Idempotent."""
        while self._task is not None:
            await asyncio.shield(self._task)
        if self._waiting and self.trouble is None:
            await self._write()
        if self._dropped:
            log.warning("%s records of the log were not kept: the database is too slow", self._dropped)
