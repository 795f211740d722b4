"""The store: atomic, durable, shared by processes; checkpoints and kept completions.

With RLM_WASM_TEST_POSTGRESQL (a URL) every test runs against that server too.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import traceback
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from rlm_wasm import Runtime
from rlm_wasm.errors import StoreDamaged, StoreError, UsageError
from rlm_wasm.named_sessions import default_store_url
from rlm_wasm.providers import CachedProvider, CompletionRequest, ScriptedProvider
from rlm_wasm.store import connection, files, open_store

URLS = ["sqlite", "memory", *(["postgresql"] if os.environ.get("RLM_WASM_TEST_POSTGRESQL") else [])]


@pytest.fixture(params=URLS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of each kind."""
    return {
        "sqlite": f"sqlite:///{tmp_path / 'state.db'}",
        "memory": "sqlite://",
        "postgresql": os.environ.get("RLM_WASM_TEST_POSTGRESQL", ""),
    }[str(request.param)]


@pytest.fixture
def namespace() -> str:
    """One that no other test uses."""
    return uuid.uuid4().hex


async def test_checkpoints_are_kept_by_namespace_and_key(url: str, namespace: str) -> None:
    """The last value counts; other namespaces hold other things."""
    store = open_store(url)
    assert await store.get(namespace, "k") is None
    await store.put(namespace, "k", b"one", "1")
    await store.put(namespace, "k", b"two\0\xff", "2")
    await store.put(namespace, "a", b"", "")
    await store.put(namespace + "x", "k", b"other", "3")
    assert await store.get(namespace, "k") == b"two\0\xff"
    assert await store.get(namespace, "a") == b""
    assert await store.keys(namespace) == ["a", "k"]
    assert await store.delete(namespace, "a")
    assert not await store.delete(namespace, "a")
    await store.aclose()
    await store.aclose()
    with pytest.raises(StoreError, match="closed"):
        await store.get(namespace, "k")


async def test_concurrent_writes_of_one_key_never_clash(url: str, namespace: str) -> None:
    """One of them is the last."""
    store = open_store(url)
    await asyncio.gather(*(store.put(namespace, "k", str(i).encode(), "") for i in range(50)))
    value = await store.get(namespace, "k")
    assert value is not None
    assert 0 <= int(value) < 50
    await store.aclose()


async def test_two_processes_write_to_one_file_at_once(tmp_path: Path) -> None:
    """Nothing is lost and nobody fails."""
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    program = (
        "import asyncio, sys\n"
        "from rlm_wasm.store import files, open_store\n"
        "async def main():\n"
        "    store = open_store(sys.argv[1])\n"
        "    for i in range(100):\n"
        "        await store.put('n', f'{sys.argv[2]}-{i}', b'x' * 1000, '')\n"
        "    await store.aclose()\n"
        "asyncio.run(main())\n"
    )
    root = str(Path(__file__).parents[2])
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])),
    }
    both = [subprocess.Popen([sys.executable, "-c", program, url, name], env=environment) for name in "ab"]
    assert [process.wait(120) for process in both] == [0, 0]
    store = open_store(url)
    assert len(await store.keys("n")) == 200
    await store.aclose()


async def test_programs_checkpoint_across_runtimes(tmp_path: Path) -> None:
    """Any datum; reset does not forget it, another namespace does not see it."""
    url = f"sqlite:///{tmp_path / 'state.db'}"
    async with Runtime(provider="echo", store=url) as runtime, runtime.session() as session:
        await session.execute("""(checkpoint "k" (list 1/2 "é" 'sym #(1 2) (hash "a" 1)))""")
        await session.reset()
        assert (await session.execute('(equal? (restore "k") (restore "k"))')).value == "#t"
    async with Runtime(provider="echo", store=url) as runtime:
        result = await runtime.run('(finish (restore "k"))')
        assert result.value.startswith("(1/2 é sym #(1 2)")
        async with runtime.session(namespace="other") as session:
            assert (await session.execute('(restore "k")')).value == "#f"


async def test_completions_are_kept_across_providers_and_bounded(url: str) -> None:
    """The least recently used go first."""
    store = open_store(url)
    request = CompletionRequest(id=1, instruction=uuid.uuid4().hex, temperature=0)
    first = CachedProvider(ScriptedProvider(["answer"]), store.completions())
    assert not (await first.complete(request)).cached
    second = CachedProvider(ScriptedProvider([]), store.completions())
    kept = await second.complete(request)
    assert (kept.text, kept.cached) == ("answer", True)
    small = store.completions(max_bytes=25)
    for key in ("a" * 64, "b" * 64):
        await small.put(key, "x" * 10)
    assert await small.get("a" * 64) is not None
    await small.put("c" * 64, "x" * 10)
    assert [await small.get(k * 64) for k in "abc"] == ["x" * 10, None, "x" * 10]
    await small.put("d" * 64, "x" * 100)
    assert await small.get("d" * 64) is None
    await store.aclose()


@pytest.mark.parametrize("url", ["state.db", "nonsense://x", "sqlite:/x", "://"])
def test_what_is_no_database_url_is_a_usage_error(url: str) -> None:
    """It shows what was given."""
    with pytest.raises(UsageError):
        open_store(url)


def test_a_database_that_cannot_be_opened_is_a_store_error(tmp_path: Path) -> None:
    """A missing folder, and a file that is none; passwords are not shown."""
    with pytest.raises(StoreError, match="unable to open"):
        open_store(f"sqlite:///{tmp_path}/missing/state.db")
    content = "not a database " * 100
    (tmp_path / "text.db").write_text(content)
    with pytest.raises(
        StoreDamaged, match="not a database: put a copy of the store in its place, or move it"
    ):
        open_store(f"sqlite:///{tmp_path / 'text.db'}")
    assert (tmp_path / "text.db").read_text() == content


def test_a_store_that_another_process_has_locked_is_waited_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said what to do."""
    url = f"sqlite:///{tmp_path / 'state.db'}"
    open_store(url)
    monkeypatch.setattr(connection, "_BUSY_S", 0.01)
    tries, bring_up = [], connection.Database._bring_up

    def counted(self: connection.Database) -> None:
        tries.append(1)
        bring_up(self)

    monkeypatch.setattr(connection.Database, "_bring_up", counted)
    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"is locked: another process has been writing to it .*end that"):
            open_store(url)
        assert tries == [1]
    open_store(url)


async def test_pages_that_are_damaged_are_named_with_what_to_do(tmp_path: Path) -> None:
    """Nothing of the file is changed for that."""
    path = tmp_path / "state.db"
    store = open_store(f"sqlite:///{path}")
    for number in range(200):
        await store.put("n", f"k{number}", b"v" * 200, "1")
    await store.aclose()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StoreDamaged, match="malformed: put a copy of the store in its place"):
        await open_store(f"sqlite:///{path}").get("n", "k7")


def test_a_store_of_a_later_release_is_refused(tmp_path: Path) -> None:
    """Rather than misread."""
    path = tmp_path / "state.db"
    open_store(f"sqlite:///{path}")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE rlm_schema SET version = 99")
    with pytest.raises(StoreError, match="later release"):
        open_store(f"sqlite:///{path}")


async def test_a_store_that_fails_is_a_condition_in_the_program(tmp_path: Path) -> None:
    """Which it can handle; the session lives on."""
    path = tmp_path / "state.db"
    async with Runtime(provider="echo", store=f"sqlite:///{path}") as runtime, runtime.session() as session:
        await session.execute('(checkpoint "k" 1)')
        with sqlite3.connect(path) as connection:
            connection.execute("DROP TABLE rlm_checkpoints")
        result = await session.execute('(restore "k")')
        assert result.status == "error"
        assert result.error is not None
        assert "no such table" in result.error.message
        assert (await session.execute("(+ 1 1)")).value == "2"


# ---- who else may read and write it


@pytest.fixture
def umask() -> Iterator[None]:
    """The most generous one."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
async def test_the_files_of_a_store_are_the_user_s_alone(tmp_path: Path) -> None:
    """Those that SQLite makes beside the database, too; also through a link to a file that is not there."""
    (tmp_path / "link.db").symlink_to(tmp_path / "far.db")
    for name in ("state.db", "link.db"):
        store = open_store(f"sqlite:///{tmp_path / name}")
        await store.put("n", "k", b"v", "v")
        made = {
            path.name: stat.S_IMODE(path.stat().st_mode)
            for path in tmp_path.iterdir()
            if not path.is_symlink()
        }
        assert {"state.db", "state.db-wal", "state.db-shm"} <= set(made) or "far.db-wal" in made
        assert set(made.values()) == {0o600}
        await store.aclose()


def test_a_umask_that_takes_everything_away_hinders_nobody(tmp_path: Path) -> None:
    """The mode does not depend on it."""
    before = os.umask(0o777)
    try:
        files.secure(sa.make_url(f"sqlite:///{tmp_path / 'state.db'}"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "state.db").stat().st_mode) == 0o600


def test_the_default_store_s_folder_is_the_user_s_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is made; the mode of one that is there stays."""
    monkeypatch.delenv("RLM_WASM_STORE", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    folder = tmp_path / "rlm-wasm"
    assert default_store_url() == f"sqlite:///{folder / 'state.db'}"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o750)
    default_store_url()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_a_store_that_every_user_may_write_is_refused(tmp_path: Path, suffix: str) -> None:
    """With the command that mends it; its mode stays as it is."""
    path = tmp_path / f"state.db{suffix}"
    path.touch()
    path.chmod(0o666)
    with pytest.raises(StoreError, match="every user may write it; chmod 600"):
        open_store(f"sqlite:///{tmp_path / 'state.db'}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o666


@pytest.mark.parametrize(
    ("owner", "user", "refused"), [(7, 7, False), (0, 7, False), (8, 7, True), (8, 0, True)]
)
def test_a_store_of_another_user_is_not_trusted(owner: int, user: int, refused: bool) -> None:
    """The superuser's is."""
    info = os.stat_result((stat.S_IFREG | 0o600, 0, 0, 1, owner, owner, 0, 0, 0, 0))
    assert (files.writable_by_others(info, user) is not None) == refused


def test_a_store_that_others_may_read_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With the command that mends it; its mode is the user's affair."""
    path = tmp_path / "state.db"
    path.touch()
    path.chmod(0o644)
    files.secure(sa.make_url(f"sqlite:///{path}"))
    assert "can be read by other users: chmod 600 state.db" in caplog.text
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


# ---- what opens it


@pytest.mark.parametrize(
    "url",
    [
        "hunter2@db",
        "me:hunter2@db/x",
        "postgresql//me:hunter2@db/x",
        "nosuch://me:hunter2@db/x",
        "nosuch://me:hunt/er2@db/x",
        "postgresql+psycopg://me:hun/hunter2@db/x",
        "nosuch://db/x?password=hunter2",
    ],
)
def test_no_error_of_a_store_holds_a_password(url: str) -> None:
    """Not even where the URL is none."""
    with pytest.raises((UsageError, StoreError)) as caught:
        open_store(url)
    assert "hunter2" not in str(caught.value)
    assert "er2" not in str(caught.value)


def test_a_driver_that_repeats_the_password_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by the message, nor with the statement's values."""
    store = open_store(f"sqlite:///{tmp_path / 'state.db'}")
    url = sa.make_url("postgresql://me:hunter2@db/x?sslpassword=hunter3")
    monkeypatch.setattr(store, "url", url)
    monkeypatch.setattr(store, "_secrets", connection._secrets_of(url))

    def fail() -> None:
        raise OperationalError("insert", {"value": "hunter4"}, Exception("no: password=hunter2 hunter3"))

    with pytest.raises(StoreError) as caught:
        store._mapped(fail)
    assert str(caught.value) == "the store postgresql://***@db/x?sslpassword=***: no: password=*** ***"
    assert "hunter" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_a_driver_s_error_that_tells_nothing_stands_below_ours(tmp_path: Path) -> None:
    """Whoever looks for the reason finds it in the traceback."""
    store = open_store(f"sqlite:///{tmp_path / 'state.db'}")

    def fail() -> None:
        raise OperationalError("insert", {}, Exception("disk I/O error"))

    with pytest.raises(StoreError, match="disk I/O error") as caught:
        store._mapped(fail)
    assert isinstance(caught.value.__cause__, OperationalError)
