"""Who may read and write a SQLite store: its owner alone, where we make it; and who could have written it.

What stands in a store is trusted: a kept session goes on with this user's provider, host functions and
workspace. So a file that another user could have written is refused. The mode of a file that was there
before is never changed: a message says how to.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rlm_wasm.errors import StoreError

if TYPE_CHECKING:
    import sqlalchemy as sa

log = logging.getLogger("rlm_wasm.store")

_BESIDE: Final = ("", "-wal", "-shm", "-journal")
"""The database and what SQLite puts beside it, which it gives the database's own mode."""


def secure(url: sa.URL) -> None:
    """Make the database's file, readable for nobody else, or look at the one that is there.

    Raises StoreError for one that another user could have written.
    """
    path = _path_of(url)
    if path is None or not hasattr(os, "geteuid"):  # Windows keeps a user's files by its folders' lists
        return
    if url.query.get("mode") != "ro":
        _make(path)
    user = os.geteuid()
    for suffix in _BESIDE:
        try:
            info = os.stat(f"{path}{suffix}")  # noqa: PTH116
        except OSError:
            continue  # what cannot be opened SQLite says in its own words
        _check(f"{path}{suffix}", info, user)


def _path_of(url: sa.URL) -> str | None:
    """The file, links followed, so that it is made where SQLite would make it; None where there is none."""
    name = url.database
    if not name or name == ":memory:" or url.query.get("mode") == "memory":
        return None
    return os.path.realpath(name.removeprefix("file:"))


def _make(path: str) -> None:
    with contextlib.suppress(OSError):
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(file, 0o600)  # whatever the process's umask takes away
        finally:
            os.close(file)


def _check(path: str, info: os.stat_result, user: int) -> None:
    name = Path(path).name
    problem = writable_by_others(info, user)
    if problem is not None:
        message = f"the store {path} is not to be trusted: {problem}"
        if user != 0 or info.st_mode & stat.S_IWOTH:
            raise StoreError(message)
        # The superuser often works on a volume that belongs to somebody else.
        log.warning("%s", message)
    elif info.st_mode & (stat.S_IWGRP | stat.S_IRGRP | stat.S_IROTH):
        may = "written by its group" if info.st_mode & stat.S_IWGRP else "read by other users"
        log.warning("the store %s can be %s: chmod 600 %s", path, may, name)


def writable_by_others(info: os.stat_result, user: int) -> str | None:
    """Why a file may be another user's work, and what to do about it; None where it is not."""
    if info.st_uid not in (user, 0):
        return (
            f"it belongs to user {info.st_uid}, and this process runs as {user}; take another store, or"
            " make the file yours by chown if you know what is in it"
        )
    if info.st_mode & stat.S_IWOTH:
        return "every user may write it; chmod 600 it if you know what is in it"
    return None
