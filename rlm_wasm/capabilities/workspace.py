"""The workspace: the one folder of files that a program may see, by relative paths, never outside.

Every step of a path is opened by itself, relative to the folder above it and without following
symbolic links; so "..", absolute paths, links and races between a check and a use all end here.
"""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path
from typing import Any

FILE_LIMIT = 64 << 20
"""Bytes that one file may have."""

_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


class Workspace:
    """A granted folder. ``writable`` says whether files in it may be changed."""

    def __init__(self, root: Path | None, *, writable: bool = True) -> None:
        self._root = root
        self._writable = writable

    def serve(self, operation: str, arguments: list[Any]) -> Any:
        """read, write, stat, list, remove or mkdir. Raises OSError, as a file system would."""
        path = arguments[0] if arguments else "."
        if not isinstance(path, str) or "\0" in path:
            raise ValueError("embedded null byte or no text in a path")
        if operation in ("write", "remove", "mkdir") and not self._writable:
            raise PermissionError(13, "the workspace is read-only", path)
        steps = self._steps(path)
        if operation == "read":
            return self._read(path, steps)
        if operation == "write":
            return self._write(path, steps, base64.b64decode(arguments[1]))
        if operation == "stat":
            return self._stat(steps)
        if operation == "list":
            return self._list(path, steps)
        if operation == "remove":
            return self._in_folder(path, steps, lambda folder, name: os.unlink(name, dir_fd=folder))
        if operation == "mkdir":
            return self._mkdir(path, steps, exist_ok=bool(arguments[1]))
        raise ValueError(f"no such operation: {operation}")

    def _steps(self, path: str) -> list[str]:
        if self._root is None:
            reason = "No such file or directory: no workspace was granted (--workspace DIR)"
            raise FileNotFoundError(2, reason, path)
        if path.startswith("/"):
            inside = f"{self._root}/"
            if not path.startswith(inside):
                raise PermissionError(13, "outside of the workspace", path)
            path = path[len(inside) :]
        steps = [step for step in path.split("/") if step not in ("", ".")]
        if ".." in steps:
            raise PermissionError(13, "outside of the workspace", path)
        return steps

    def _open_folder(self, steps: list[str]) -> int:
        assert self._root is not None
        handle = os.open(self._root, _FOLDER)
        for step in steps:
            try:
                deeper = os.open(step, _FOLDER, dir_fd=handle)
            finally:
                os.close(handle)
            handle = deeper
        return handle

    def _in_folder(self, path: str, steps: list[str], act: Any) -> Any:
        if not steps:
            raise IsADirectoryError(21, "Is a directory", path)
        folder = self._open_folder(steps[:-1])
        try:
            return act(folder, steps[-1])
        finally:
            os.close(folder)

    def _read(self, path: str, steps: list[str]) -> str:
        def act(folder: int, name: str) -> str:
            handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
            with os.fdopen(handle, "rb") as file:
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode):
                    raise IsADirectoryError(21, "Is no regular file", path)
                if found.st_size > FILE_LIMIT:
                    raise OSError(
                        27, f"File too large: {found.st_size} bytes, the limit is {FILE_LIMIT}", path
                    )
                return base64.b64encode(file.read(FILE_LIMIT)).decode("ascii")

        return str(self._in_folder(path, steps, act))

    def _write(self, path: str, steps: list[str], content: bytes) -> None:
        if len(content) > FILE_LIMIT:
            raise OSError(27, f"File too large: the limit is {FILE_LIMIT} bytes", path)

        def act(folder: int, name: str) -> None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
            with os.fdopen(os.open(name, flags, 0o666, dir_fd=folder), "wb") as file:
                file.write(content)

        self._in_folder(path, steps, act)

    def _stat(self, steps: list[str]) -> dict[str, Any] | None:
        try:
            if not steps:
                return {"kind": "folder", "size": 0}
            folder = self._open_folder(steps[:-1])
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            found = os.stat(steps[-1], dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        finally:
            os.close(folder)
        kind = "folder" if stat.S_ISDIR(found.st_mode) else "file" if stat.S_ISREG(found.st_mode) else "other"
        return {"kind": kind, "size": found.st_size}

    def _list(self, path: str, steps: list[str]) -> list[str]:
        folder = self._open_folder(steps)
        try:
            return sorted(os.listdir(folder))  # noqa: PTH208  a descriptor, no path
        finally:
            os.close(folder)

    def _mkdir(self, path: str, steps: list[str], *, exist_ok: bool) -> None:
        for depth in range(1, len(steps) + 1):
            folder = self._open_folder(steps[: depth - 1])
            try:
                os.mkdir(steps[depth - 1], dir_fd=folder)
            except FileExistsError:
                if depth == len(steps) and not exist_ok:
                    raise
            finally:
                os.close(folder)
