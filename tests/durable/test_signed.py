"""With a snapshot_key nobody who writes into the store can make a session believe what it did not write."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from rlm_wasm import Runtime, SnapshotCorrupt
from rlm_wasm.session_parts.signing import plain
from rlm_wasm.testing import InlineProvider

KEY = b"a key of sixteen"
PROGRAM = '(define a (syntax-e (llm-query #:instruction "one"))) (finish a)'


@pytest.fixture
async def url(tmp_path: Path) -> str:
    """A store with the session "s", whose journal has an answer."""
    made = f"sqlite:///{tmp_path / 'state.db'}"
    runtime = Runtime(InlineProvider(), store=made, durable=True, snapshot_key=KEY)
    async with runtime, runtime.session(name="s") as session:
        await session.load_context("a text")
        await session.execute(PROGRAM, request="r")
    return made


def change(url: str, statement: str, *values: object) -> None:
    """Somebody else writes into the store."""
    with contextlib.closing(
        sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    ) as database:
        database.execute(statement, values)


def read(url: str, statement: str) -> list[tuple[object, ...]]:
    """What stands there."""
    with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        return database.execute(statement).fetchall()


async def test_a_signed_session_goes_on_with_the_key_and_with_none(url: str) -> None:
    """A runtime without a key takes any, as of snapshots; its copy is signed as well."""
    async with Runtime("echo", store=url, durable=True, snapshot_key=KEY) as runtime:
        await runtime.copy("s", "t")
        for name in ("s", "t"):
            async with await runtime.resume(name) as session:
                assert (await session.execute("(list a context)")).value == "([one] a text)"
        assert (await runtime.look("t", whole=True)).history.calls() == []
    async with Runtime("echo", store=url, durable=True) as runtime, await runtime.resume("s") as session:
        assert (await session.execute("a")).value == "[one]"


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE rlm_journal SET payload = ?", "row . of the journal of session s is (forged|not signed)"),
        ("UPDATE rlm_sessions SET account = ?", "the account of session s is (forged|not signed)"),
        ("UPDATE rlm_sessions SET result = ?", "the result of session s is (forged|not signed)"),
    ],
    ids=["journal", "account", "result"],
)
@pytest.mark.parametrize("forged", ["altered", "unsigned", "another's"])
async def test_what_was_not_signed_by_the_key_is_refused(
    url: str, statement: str, says: str, forged: str
) -> None:
    """Altered, without a signature, or a signed one from another place; what stands there is left as it was."""
    column = statement.split("SET ")[1].split(" ")[0]
    table = statement.split(" ")[1]
    [(whole,), *_] = read(url, f"SELECT {column} FROM {table}")
    assert isinstance(whole, bytes)
    [(other,), *_] = read(
        url, "SELECT account FROM rlm_sessions" if column != "account" else "SELECT result FROM rlm_sessions"
    )
    value = {"altered": whole[:-1] + bytes([whole[-1] ^ 1]), "unsigned": plain(whole), "another's": other}[
        forged
    ]
    change(url, statement, value)
    async with Runtime("echo", store=url, durable=True, snapshot_key=KEY) as runtime:
        for _ in range(2):  # the lease is given back
            with pytest.raises(SnapshotCorrupt, match=says):
                await runtime.resume("s")
        with pytest.raises(SnapshotCorrupt, match=says):
            await runtime.look("s")
    assert read(url, f"SELECT {column} FROM {table}")[0] == (value,)


async def test_rows_that_change_their_places_are_refused(url: str) -> None:
    """Each is signed with its number and its session."""
    runtime = Runtime(InlineProvider(), store=url, durable=True, snapshot_key=KEY)
    async with runtime, runtime.session(name="u") as session:
        await session.execute(PROGRAM)
    change(url, "DELETE FROM rlm_journal WHERE session = 's'")
    change(url, "UPDATE rlm_journal SET session = 's' WHERE session = 'u'")
    async with Runtime("echo", store=url, durable=True, snapshot_key=KEY) as runtime:
        with pytest.raises(SnapshotCorrupt, match="of the journal of session s is forged"):
            await runtime.resume("s")


async def test_an_unsigned_session_is_refused_by_a_runtime_with_a_key(tmp_path: Path) -> None:
    """As an unsigned snapshot is."""
    url = f"sqlite:///{tmp_path / 'other.db'}"
    async with Runtime("echo", store=url, durable=True) as runtime, runtime.session(name="s") as session:
        await session.execute("(define x 1)")
    async with Runtime("echo", store=url, durable=True, snapshot_key=KEY) as runtime:
        with pytest.raises(SnapshotCorrupt, match="is not signed"):
            await runtime.resume("s")
