"""Stores of earlier releases are brought up, all of it or nothing, and what stands in them goes on."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from rlm_wasm import Runtime
from rlm_wasm.errors import SnapshotVersionError
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.store import open_store
from rlm_wasm.store.tables import SCHEMA_VERSION, metadata
from rlm_wasm.testing import EchoProvider

GOLDEN = Path(__file__).parent / "golden"
RELEASES = sorted(path.stem for path in GOLDEN.glob("release-*.sql"))


@pytest.fixture(params=RELEASES)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store as an earlier release left it, with the sessions "idle" and "middle"."""
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as connection:
        connection.executescript((GOLDEN / f"{request.param}.sql").read_text(encoding="utf-8"))
    connection.close()
    return f"sqlite:///{path}"


def shape(url: str) -> dict[str, dict[str, tuple[str, bool]]]:
    """The tables of rlm-wasm, their columns' types, and whether they may be empty."""
    engine = sa.create_engine(url)
    inspector = sa.inspect(engine)
    tables = {
        table: {
            column["name"]: (str(column["type"]), bool(column["nullable"]))
            for column in inspector.get_columns(table)
        }
        for table in inspector.get_table_names()
        if table in metadata.tables
    }
    engine.dispose()
    return tables


async def test_an_older_store_gets_the_tables_of_this_release(old: str, tmp_path: Path) -> None:
    """The same as a new one has; a second opening finds nothing to do."""
    for _ in range(2):
        await open_store(old).aclose()
    new = f"sqlite:///{tmp_path / 'new.db'}"
    await open_store(new).aclose()
    assert shape(old) == shape(new)
    with sqlite3.connect(old.removeprefix("sqlite:///")) as connection:
        assert connection.execute("SELECT max(version) FROM rlm_schema").fetchone() == (SCHEMA_VERSION,)
    connection.close()


async def test_what_stands_in_an_older_store_goes_on(old: str) -> None:
    """Checkpoints and completions always; sessions on their guest, and else they say what to do."""
    async with Runtime(EchoProvider(), store=old, durable=True) as runtime:
        assert [session.name for session in await runtime.store.sessions.list()] == ["middle", "idle"]  # type: ignore[attr-defined]
        assert await runtime.store.keys("idle") == ["k"]
        assert await runtime.store.completions().get("a" * 64) == "an answer"  # type: ignore[attr-defined]
        said = None
        try:
            async with runtime.session(name="idle") as session:
                result = await session.execute('(list (twice (add1 x)) context (restore "k"))')
                assert result.value == "(84 a text (1 two))"
            async with await runtime.resume("middle") as session:
                assert (await session.resume()).value == "paid"
        except SnapshotVersionError as error:
            said = str(error)
        if said is not None:
            with sqlite3.connect(old.removeprefix("sqlite:///")) as connection:
                [kept] = connection.execute(
                    "SELECT length(snapshot) FROM rlm_sessions WHERE name = 'idle'"
                ).fetchone()
            connection.close()
            assert kept, "what cannot be used is left as it was"
            assert Engine.shared().image_hash[:12] in said
            assert "rlm-wasm sessions" in said


def test_two_that_open_an_older_store_at_once_bring_it_up_once(old: str) -> None:
    """Neither fails."""

    def opened(_number: int) -> None:
        asyncio.run(open_store(old).aclose())

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(opened, range(4)))


async def test_an_upgrade_that_fails_changes_nothing(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its next try finds the store as it was."""
    from alembic import op

    before, create = shape(old), op.create_table

    def failing(name: str, *columns: sa.Column[object]) -> None:
        if name == "rlm_shares":
            raise RuntimeError("the power is gone")
        create(name, *columns)

    monkeypatch.setattr(op, "create_table", failing)
    with pytest.raises(RuntimeError, match="the power is gone"):
        open_store(old)
    assert shape(old) == before
    monkeypatch.undo()
    await open_store(old).aclose()
    assert shape(old) != before
