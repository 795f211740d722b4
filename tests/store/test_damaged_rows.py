"""A store whose rows somebody else wrote, or the disk did: whoever reads them is told which column is wrong."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from rlm_wasm import InternalError, RlmError, Runtime, SharedBudget, StoreDamaged
from rlm_wasm.store.database import DatabaseStore
from rlm_wasm.store.runs import _tables as run_tables
from rlm_wasm.store.tables import metadata
from rlm_wasm.testing import GatedProvider, InlineProvider

COLUMNS = [
    column for tables in (metadata, run_tables) for table in tables.sorted_tables for column in table.c
]
JUNK: dict[type[Any], list[Any]] = {
    sa.Boolean: ["text", b"junk", 7, 0.5],
    sa.Integer: ["text", b"junk", 1.5, float("inf")],
    sa.Float: ["text", b"junk", float("inf")],
    sa.LargeBinary: ["text", 7, 1.5],
    sa.String: [b"junk", b"\xff\xfe"],
}
"""What SQLite keeps in a column of that type as it is."""
BUDGET = SharedBudget(name="b", calls=100, tokens=10**9, cost_usd=100.0, concurrency=10)


def _kind(column: sa.Column[Any]) -> type[Any]:
    return next(kind for kind in JUNK if isinstance(column.type.inner, kind))  # type: ignore[attr-defined]


@pytest.mark.parametrize("column", COLUMNS, ids=str)
def test_what_is_no_value_of_its_column_is_named_when_it_is_read(column: sa.Column[Any]) -> None:
    """By table and column, with what stands there."""
    engine = sa.create_engine("sqlite://")
    plain: dict[type[Any], Any] = {
        sa.Boolean: 0,
        sa.Integer: 1,
        sa.Float: 1.0,
        sa.LargeBinary: b"",
        sa.String: "",
    }
    table = column.table
    row = {each.name: plain[_kind(each)] for each in table.c}
    names = ", ".join(row)
    with engine.begin() as connection:
        table.create(connection)  # type: ignore[attr-defined]
        for junk in JUNK[_kind(column)]:
            values = {**row, column.name: junk}
            connection.exec_driver_sql(f"DELETE FROM {table}")
            try:
                connection.exec_driver_sql(
                    f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(values))})",
                    tuple(values.values()),
                )
            except sa.exc.IntegrityError:  # a number that is the row's own takes no other value
                assert column.primary_key
                continue
            with pytest.raises(StoreDamaged, match=rf"{table}\.{column.name} of a row is .* must be"):
                connection.execute(sa.select(column)).all()
    engine.dispose()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A store with the session "idle", and "middle", which has one answer and waits for the next."""
    path = tmp_path_factory.mktemp("store") / "whole.db"

    async def make() -> None:
        gate = GatedProvider(lambda request: f"<{request.instruction}>")
        runtime = Runtime(gate, store=f"sqlite:///{path}", durable=True, budget=BUDGET)
        async with runtime, runtime.session(name="idle") as idle:
            await idle.load_context("a text")
            await idle.execute('(define a 41) (checkpoint "k" (list 1 2))')
            middle = runtime.session(name="middle")
            running = asyncio.create_task(
                middle.execute(
                    '(define one (syntax-e (llm-query #:instruction "one")))'
                    ' (define two (syntax-e (llm-query #:instruction "two" #:recursive #t))) (list one two)'
                )
            )
            await gate.arrived(1)
            gate.release()
            await gate.arrived(1)
            await middle.flush()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(make())
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path.read_bytes()


async def _whatever_is_done(url: str) -> list[RlmError]:
    """Each thing that reads a store, and what it raised. What is no error of ours is none that anybody expects."""
    errors: list[RlmError] = []

    async def do(what: Callable[[], Awaitable[object]]) -> None:
        try:
            await what()
        except InternalError:
            raise
        except RlmError as error:
            errors.append(error)

    runtime = Runtime(InlineProvider(lambda _request: "x"), store=url, durable=True, budget=BUDGET)
    try:
        store = runtime.store
    except RlmError as error:
        return [error]

    async def resumed(name: str) -> None:
        async with await runtime.resume(name) as session:
            if session.suspended:
                await session.resume()
            await session.execute('(list (restore "k" 0) (llm-query #:instruction "more"))', timeout_s=5)
            session.state()

    async with runtime:
        assert isinstance(store, DatabaseStore)
        await do(store.sessions.list)
        await do(lambda: store.run(lambda: store.budgets.state("b")))
        for name in ("idle", "middle"):
            await do(lambda name=name: runtime.look(name))  # type: ignore[misc]
            await do(lambda name=name: runtime.copy(name, f"{name}-2"))  # type: ignore[misc]
            await do(lambda name=name: runtime.upgrade(name, dry_run=True))  # type: ignore[misc]
            await do(lambda name=name: resumed(name))  # type: ignore[misc]
    return errors


HALF = "substr({0}, 1, length({0}) / 2)"
TURNED = "CAST(substr({0}, 1, 8) || 'x' || substr({0}, 10) AS BLOB)"


@pytest.mark.parametrize(
    ("column", "junk"),
    [
        ("rlm_sessions.snapshot", "X'0102'"),
        ("rlm_sessions.snapshot", f"CAST({HALF} AS BLOB)"),
        ("rlm_sessions.snapshot", "7"),
        ("rlm_sessions.account", f"CAST({HALF} AS BLOB)"),
        ("rlm_sessions.account", TURNED),
        ("rlm_sessions.holder", "'{{'"),
        ("rlm_sessions.base", "1000000"),
        ("rlm_sessions.epoch", "'first'"),
        ("rlm_journal.payload", "X''"),
        ("rlm_journal.payload", f"CAST({HALF} AS BLOB)"),
        ("rlm_journal.payload", TURNED),
        ("rlm_journal.stream", "'999.1'"),
        ("rlm_blobs.content", f"CAST({HALF} AS BLOB)"),
        ("rlm_blobs.hash", "'none'"),
        ("rlm_checkpoints.value", "X'ff'"),
        ("rlm_shares.lent_calls", "'many'"),
        ("rlm_budgets.lent_calls", "'many'"),
        ("rlm_schema.version", "-1"),
    ],
)
async def test_whatever_is_wrong_in_a_row_is_said(
    whole: bytes, tmp_path: Path, column: str, junk: str
) -> None:
    """By an error that names something, whoever meets it; and nothing of the rest is lost."""
    path = tmp_path / "state.db"
    path.write_bytes(whole)
    table, _, name = column.partition(".")
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE OR IGNORE {table} SET {name} = {junk.format(name)}")
    connection.close()
    for error in await _whatever_is_done(f"sqlite:///{path}"):
        assert len(str(error)) > 20, error
    with sqlite3.connect(path) as connection:
        kept = {each for (each,) in connection.execute("SELECT name FROM rlm_sessions")}
        assert kept >= {"idle", "middle"}
    connection.close()


async def test_a_store_that_is_whole_has_nothing_to_say(whole: bytes, tmp_path: Path) -> None:
    """All of these are done with the one that the others damage."""
    path = tmp_path / "state.db"
    path.write_bytes(whole)
    errors = await _whatever_is_done(f"sqlite:///{path}")
    assert [str(error) for error in errors if "middle" not in str(error)] == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            "lent_calls = 1000",
            "StoreDamaged: the shared budget b is damaged in the store: 999 calls are handed out",
        ),
        ("lent_calls = 'many'", "rlm_budgets.lent_calls of a row is the text 'many' and must be a whole"),
        ("name = 'another'", "StoreDamaged: the shared budget b is not in the store any more"),
    ],
)
async def test_a_budget_that_can_never_be_had_ends_the_call_that_waits_for_it(
    tmp_path: Path, change: str, says: str
) -> None:
    """Nobody will give back what nobody has, and a row does not mend itself."""
    path = tmp_path / "state.db"
    async with Runtime(InlineProvider(), store=f"sqlite:///{path}", durable=True, budget=BUDGET) as runtime:
        async with runtime.session(name="first") as first:
            assert (await first.execute('(llm-query #:instruction "one")')).ok
        with sqlite3.connect(path) as connection:
            connection.execute(f"UPDATE rlm_budgets SET {change}")
        connection.close()
        result = await runtime.session(name="second").execute('(llm-query #:instruction "one")')
    assert result.error is not None
    assert says in result.error.message
