"""The cache of compiled modules: a ``.cwasm`` that another user could have written is never loaded.

Loading such a file is running its native code. So the folder and the file are each opened once, looked at
by their open descriptor, and what is loaded is that descriptor: they must belong to this user, and nobody
else may be able to write them. Where that is not so there is no cache, ``problem`` says why, and nothing
is changed: no mode of a folder or file that was found is ever altered.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from rlm_wasm.errors import UntrustedFile

if TYPE_CHECKING:
    from pathlib import Path

_T = TypeVar("_T")

_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_HAS_OWNERS = hasattr(os, "getuid")
"""On Windows a file has no owner and mode of this kind; the user's own folder is closed by its ACL."""


def cache_dir() -> str:
    """Where compiled code is kept: RLM_WASM_CACHE, or the user's cache folder."""
    given = os.environ.get("RLM_WASM_CACHE")
    if given:
        return given
    home = os.environ.get("HOME", "")
    if sys.platform == "linux" and os.path.isabs(home):
        # As platformdirs has it, which takes longer to import than a program to run.
        base = os.environ.get("XDG_CACHE_HOME", "")
        return os.path.join(base if os.path.isabs(base) else os.path.join(home, ".cache"), "rlm-wasm")
    import platformdirs

    return platformdirs.user_cache_dir("rlm-wasm")


class CompiledCache:
    """A folder of compiled modules, made with mode 0700 if it is not there.

    ``problem`` is empty, or says why the folder is not used: then everything is compiled at each start.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = os.fspath(folder or cache_dir())
        self.problem = ""
        try:
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            os.close(self._open_folder())
        except UntrustedFile as refused:
            self.problem = str(refused)
        except OSError as error:
            self.problem = f"{self.folder} cannot be used: {error.strerror or error}"

    def load(
        self,
        name: str,
        *,
        from_file: Callable[[str], _T | None],
        compile_module: Callable[[], _T],
        serialize: Callable[[_T], bytes | bytearray],
    ) -> tuple[_T, bool]:
        """The module of this file name, and whether it was cached; else compile it and keep it.

        ``from_file`` is wasmtime's ``deserialize_file``: what comes from a file is mapped, so that processes
        share its pages. None (another CPU, a damaged file) means: compile again.
        """
        if self.problem:
            return compile_module(), False
        cached = self._from_cache(name, from_file)
        if cached is not None:
            return cached, True
        compiled = compile_module()
        try:
            write_atomically(os.path.join(self.folder, name), serialize(compiled))
        except OSError:
            return compiled, False  # a full disk: it works without
        return self._from_cache(name, from_file) or compiled, False

    def check(self, name: str) -> str:
        """Why this file would not be loaded; empty where it would, or is not there."""
        try:
            os.close(self._open_file(name))
        except FileNotFoundError:
            return ""
        except (UntrustedFile, OSError) as error:
            return str(error)
        return ""

    def _from_cache(self, name: str, from_file: Callable[[str], _T | None]) -> _T | None:
        try:
            handle = self._open_file(name)
        except (UntrustedFile, OSError):
            return None
        try:
            return from_file(_path_of(handle, os.path.join(self.folder, name)))
        finally:
            os.close(handle)

    def _open_file(self, name: str) -> int:
        """A descriptor of the file, once it is known that only this user can have written it."""
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        flags |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        if not _HAS_OWNERS:
            return os.open(os.path.join(self.folder, name), flags)
        folder = self._open_folder()
        try:
            handle = os.open(name, flags, dir_fd=folder)
        finally:
            os.close(folder)
        return _trusted(handle, os.path.join(self.folder, name), stat.S_ISREG)

    def _open_folder(self) -> int:
        if not _HAS_OWNERS:
            return os.open(os.devnull, os.O_RDONLY)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        return _trusted(os.open(self.folder, flags), self.folder, stat.S_ISDIR)


def _trusted(handle: int, name: str, of_kind: Callable[[int], bool]) -> int:
    status = os.fstat(handle)
    problem = ""
    if not of_kind(status.st_mode):
        problem = "is of another kind"
    elif status.st_uid != os.geteuid():
        problem = f"belongs to another user (uid {status.st_uid}, this is {os.geteuid()})"
    elif status.st_mode & _OTHERS_MAY_WRITE:
        problem = f"can be written by others (mode {stat.S_IMODE(status.st_mode):03o}; chmod go-w closes it)"
    if problem:
        os.close(handle)
        raise UntrustedFile(f"{name} {problem}")
    return handle


def _path_of(handle: int, path: str) -> str:
    """A name of what the descriptor stands for: the very file that was looked at, whatever its path is."""
    if sys.platform == "linux":
        return f"/proc/self/fd/{handle}"
    if sys.platform != "win32" and os.path.isdir("/dev/fd"):
        return f"/dev/fd/{handle}"
    return path


def write_atomically(path: str, content: bytes | bytearray) -> None:
    """Write so that a reader sees all of it or nothing; only this user can read it. Raises OSError."""
    import tempfile  # for what happens once

    folder, own_name = os.path.split(path)
    handle, name = tempfile.mkstemp(dir=folder, prefix=own_name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise
