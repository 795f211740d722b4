"""The one owner of where a workspace path may lead: everything that opens a granted file opens it here.

Python's ``open``, images, ``load_context(path=…)`` and library folders all read through ``Workspace``.
Each step of a path is opened by itself, relative to the folder above it and without following symbolic
links, and what is looked at is the open file, never a name a second time. So "..", absolute paths, links,
devices and races between a check and a use all end here, with the same answer for everybody.

The rule for links: none is followed, wherever it leads. Only the granted folder itself may be given by
one; it is resolved once, when it is granted.
"""

from __future__ import annotations

import base64
import errno
import itertools
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from rlm_wasm.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

MAX_FILE_BYTES = 64 << 20
"""Bytes that one file may have."""
MAX_WRITTEN_BYTES = 1 << 30
"""Bytes that a session may write in all, unless told otherwise."""
MIN_CHARGE_BYTES = 4096
"""What a written file or a new folder counts at the least: a disk has only so many of them."""

MAX_PATH = 4096
"""Characters of a path. Each step is opened by itself, so that the system's own limit does not hold."""
MAX_STEPS = 100
"""Folders in one another: those who clear the workspace away afterwards often do it by recursion."""
MAX_LISTED = 50_000
"""Names that a folder is listed with: to sort more of them keeps all other threads of the process waiting."""
_PIECE_BYTES = 3 << 18
_PIECE_CHARACTERS = 4 << 18
"""What is encoded or decoded in one call."""

_HAS_OPENAT = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
_FOLDER = (
    os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
)
_OUTSIDE = "outside of the workspace"
_LINK = "a symbolic link, which may lead outside of the workspace: links are not followed"
_NO_FILE = "no regular file"
_NO_NAME = "no name of a file"
_NO_BASE64 = "what is to be written is no base64"

_T = TypeVar("_T")


class _Quota:
    """What a session and its children have written."""

    __slots__ = ("lock", "written_bytes")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.written_bytes = 0


class Workspace:
    """A granted folder, for one session. ``Workspace(None)`` is none: it has no file at all.

    Every method takes a path relative to the folder (or absolute, inside of it) and raises OSError as a
    file system would: FileNotFoundError for what is not there, PermissionError for what is not granted
    (outside, through a link, read-only), IsADirectoryError, and for the rest an OSError whose ``strerror``
    says what is wrong. Files are regular files of up to MAX_FILE_BYTES; nothing here waits for a pipe.
    """

    def __init__(
        self, root: str | Path | None, *, writable: bool = True, max_written_bytes: int = MAX_WRITTEN_BYTES
    ) -> None:
        """``max_written_bytes``: what may be written in all, overwritten files included (workspace_bytes).

        Raises UsageError where the platform has no way to open a file relative to a folder.
        """
        self._roots: tuple[str, ...] = ()
        if root is not None:
            if not _HAS_OPENAT:
                raise UsageError(
                    "this platform cannot open files relative to a folder (openat), "
                    "so no folder can be granted safely: leave the workspace and library folders out"
                )
            self._roots = tuple(dict.fromkeys((os.path.realpath(root), os.path.abspath(root))))  # noqa: PTH100
        self._writable = writable
        self._max_written_bytes = max_written_bytes
        self._quota = _Quota()

    @property
    def granted(self) -> bool:
        """Whether there is a folder."""
        return bool(self._roots)

    @property
    def root(self) -> Path | None:
        """The folder, for those that are not confined to it."""
        from pathlib import Path

        return Path(self._roots[0]) if self._roots else None

    @property
    def written_bytes(self) -> int:
        """What was charged to ``max_written_bytes`` so far."""
        return self._quota.written_bytes

    def narrowed(self, *, writable: bool) -> Workspace:
        """The same folder for a child: written to the same account, and writable only where this one is."""
        child = Workspace(None, writable=self._writable and writable)
        child._roots, child._quota = self._roots, self._quota
        child._max_written_bytes = self._max_written_bytes
        return child

    # ---- reading

    @contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        """A regular file, open for reading."""

        def act(folder: int, name: str) -> int:
            return _open(name, os.O_RDONLY, folder, path)

        with os.fdopen(self._in_folder(path, act), "rb") as file:
            yield file

    def read_bytes(self, path: str, max_bytes: int = MAX_FILE_BYTES) -> bytes:
        """A whole file. Raises OSError (EFBIG) beyond ``max_bytes``."""
        with self.open(path) as file:
            size = os.fstat(file.fileno()).st_size
            content = b"" if size > max_bytes else file.read(max_bytes + 1)  # it may grow meanwhile
        if size > max_bytes or len(content) > max_bytes:
            at_least = max(size, len(content))
            raise OSError(
                errno.EFBIG, f"too large: {at_least:,} bytes, {max_bytes:,} are the most", _shown(path)
            )
        return content

    def read_text(self, path: str, max_bytes: int = MAX_FILE_BYTES, *, errors: str = "strict") -> str:
        """A whole file of UTF-8. Raises UnicodeDecodeError where it is none and ``errors`` is "strict"."""
        return self.read_bytes(path, max_bytes).decode("utf-8", errors)

    # ---- what Python inside the sandbox asks for

    def serve(self, operation: str, arguments: list[Any]) -> Any:
        """read, write, stat, list, remove, mkdir: a path, and content as base64. Raises OSError."""
        path = arguments[0] if arguments else "."
        if operation == "read":
            return "".join(self._read_base64(path))
        if operation == "write":
            return self._write_base64(path, arguments[1])
        if operation == "stat":
            return self._stat(path)
        if operation == "list":
            return self._list(path)
        if operation == "remove":
            self._check_writable(path)
            return self._in_folder(path, lambda folder, name: os.unlink(name, dir_fd=folder))
        if operation == "mkdir":
            return self._mkdir(path, exist_ok=bool(arguments[1]))
        raise ValueError(f"no such operation: {operation}")

    def _read_base64(self, path: str) -> list[str]:
        """In pieces: while one call encodes or decodes megabytes, no other thread of the process runs."""
        content = memoryview(self.read_bytes(path))
        return [
            base64.b64encode(content[at : at + _PIECE_BYTES]).decode("ascii")
            for at in range(0, len(content), _PIECE_BYTES)
        ]

    def _write_base64(self, path: str, content: str) -> None:
        def decoded() -> Iterator[bytes]:
            for at in range(0, len(content), _PIECE_CHARACTERS):
                yield base64.b64decode(content[at : at + _PIECE_CHARACTERS], validate=True)

        # Looked through before the file is touched: one that is refused in its middle would be half written.
        if not content.isascii() or len(content) % 4 or "=" in content[:-2]:
            raise ValueError(_NO_BASE64)
        try:
            size = sum(map(len, decoded()))
        except ValueError:
            raise ValueError(_NO_BASE64) from None
        self._write(path, size, decoded())

    def write_bytes(self, path: str, content: bytes) -> None:
        """Replace a file's content, or make it. Raises OSError (EDQUOT) beyond ``max_written_bytes``."""
        self._write(path, len(content), (content,))

    def _write(self, path: str, size: int, pieces: Iterable[bytes]) -> None:
        self._check_writable(path)
        if size > MAX_FILE_BYTES:
            raise OSError(
                errno.EFBIG, f"too large: {size:,} bytes, {MAX_FILE_BYTES:,} are the most", _shown(path)
            )

        def act(folder: int, name: str) -> int:
            self._charge(size, path)
            return _open(name, os.O_WRONLY | os.O_CREAT, folder, path)

        with os.fdopen(self._in_folder(path, act), "wb") as file:
            file.truncate()  # only now: what was opened is known to be a regular file
            file.writelines(pieces)

    def _check_writable(self, path: str) -> None:
        if self.granted and not self._writable:
            raise PermissionError(errno.EACCES, "the workspace is read-only", _shown(path))

    def _charge(self, count: int, path: str) -> None:
        quota = self._quota
        with quota.lock:
            wanted = quota.written_bytes + max(count, MIN_CHARGE_BYTES)
            if wanted > self._max_written_bytes:
                reason = (
                    f"the session may write {self._max_written_bytes:,} bytes into the workspace "
                    f"(workspace_bytes) and has written {quota.written_bytes:,}"
                )
                raise OSError(getattr(errno, "EDQUOT", errno.ENOSPC), reason, _shown(path))
            quota.written_bytes = wanted

    def _stat(self, path: str) -> dict[str, Any] | None:
        if not self._steps(path):
            return {"kind": "folder", "size": 0}
        try:
            status = self._in_folder(
                path, lambda folder, name: os.stat(name, dir_fd=folder, follow_symlinks=False)
            )
        except (FileNotFoundError, NotADirectoryError):
            return None
        mode = status.st_mode
        kind = "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "other"
        return {"kind": kind, "size": status.st_size}

    def _list(self, path: str) -> list[str]:
        folder = self._open_folder(self._steps(path), path)
        try:
            with os.scandir(folder) as entries:
                names = [entry.name for entry in itertools.islice(entries, MAX_LISTED + 1)]
        finally:
            os.close(folder)
        if len(names) > MAX_LISTED:
            raise OSError(errno.EOVERFLOW, f"more than {MAX_LISTED:,} files are in one folder", _shown(path))
        return sorted(names)

    def _mkdir(self, path: str, *, exist_ok: bool) -> None:
        self._check_writable(path)
        steps = self._steps(path)
        folder = self._open_folder([], path)
        try:
            for depth, step in enumerate(steps, 1):
                self._charge(0, path)
                try:
                    os.mkdir(step, dir_fd=folder)
                except FileExistsError:
                    if depth == len(steps) and not exist_ok:
                        raise
                except OSError as error:
                    raise _explained(error, step, folder, path) from None
                if depth < len(steps):
                    folder = self._step_into(folder, step, path)
        finally:
            os.close(folder)

    # ---- the steps of a path

    def _steps(self, path: str) -> list[str]:
        if not self._roots:
            reason = "no such file or directory: no workspace was granted (--workspace DIR)"
            raise FileNotFoundError(errno.ENOENT, reason, _shown(path))
        if not isinstance(path, str) or "\0" in path:
            raise OSError(errno.EINVAL, _NO_NAME, _shown(path))
        if len(path) > MAX_PATH:
            raise OSError(errno.ENAMETOOLONG, f"{_NO_NAME} (too long)", _shown(path))
        try:
            os.fsencode(path)
        except UnicodeEncodeError:  # half a surrogate pair: no bytes stand for it
            raise OSError(errno.EINVAL, _NO_NAME, _shown(path)) from None
        inner = path
        if path.startswith("/"):
            root = next((root for root in self._roots if f"{path}/".startswith(f"{root}/")), None)
            if root is None:
                raise PermissionError(errno.EACCES, _OUTSIDE, _shown(path))
            inner = path[len(root) :]
        steps = [step for step in inner.split("/") if step not in ("", ".")]
        if len(steps) > MAX_STEPS:
            raise OSError(errno.ENAMETOOLONG, f"{_NO_NAME} (more than {MAX_STEPS} folders)", _shown(path))
        if ".." in steps:
            raise PermissionError(errno.EACCES, _OUTSIDE, _shown(path))
        return steps

    def _open_folder(self, steps: list[str], path: str) -> int:
        handle = os.open(self._roots[0], _FOLDER)
        for step in steps:
            try:
                deeper = self._step_into(handle, step, path)
            except BaseException:
                os.close(handle)
                raise
            handle = deeper
        return handle

    @staticmethod
    def _step_into(handle: int, step: str, path: str) -> int:
        """The folder of this name in an open one, which is closed; not, where this raises OSError."""
        try:
            deeper = os.open(step, _FOLDER, dir_fd=handle)
        except OSError as error:
            raise _explained(error, step, handle, path) from None
        os.close(handle)
        return deeper

    def _in_folder(self, path: str, act: Callable[[int, str], _T]) -> _T:
        steps = self._steps(path)
        if not steps:
            raise IsADirectoryError(errno.EISDIR, "is a directory", _shown(path))
        folder = self._open_folder(steps[:-1], path)
        try:
            return act(folder, steps[-1])
        except OSError as error:
            raise _explained(error, steps[-1], folder, path) from None
        finally:
            os.close(folder)


def _open(name: str, flags: int, folder: int, path: str) -> int:
    """A descriptor of a regular file. O_NONBLOCK: opening a pipe or a device must not wait for anybody."""
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    handle = os.open(name, flags, 0o666, dir_fd=folder)
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "is a directory", _shown(path))
        if not stat.S_ISREG(mode):
            raise PermissionError(errno.EACCES, _NO_FILE, _shown(path))
    except BaseException:
        os.close(handle)
        raise
    return handle


def _explained(error: OSError, step: str, folder: int, path: str) -> OSError:
    """The refusal in words that do not depend on the platform. It only words, it grants nothing."""
    number, reason = error.errno or errno.EIO, error.strerror or str(error)
    if number in (errno.ELOOP, errno.ENOTDIR, getattr(errno, "EMLINK", errno.ELOOP)):
        try:
            link = stat.S_ISLNK(os.stat(step, dir_fd=folder, follow_symlinks=False).st_mode)
        except OSError:
            link = False
        if link or number == errno.ELOOP:
            number, reason = errno.EACCES, _LINK
    elif number in (errno.ENXIO, errno.EOPNOTSUPP, errno.ENODEV):  # a socket; a pipe that nobody reads
        number, reason = errno.EACCES, _NO_FILE
    elif number == errno.ENOENT:
        reason = "no such file or directory"
    elif number == errno.ENAMETOOLONG:
        reason = f"{_NO_NAME} (too long)"
    return OSError(number, reason, _shown(path))


def _shown(path: Any) -> str:
    text = path if isinstance(path, str) else repr(path)
    return text if len(text) <= 200 else f"{text[:200]}…"


def refusal(error: OSError) -> str:
    """What an OSError of a Workspace says, without its number: for messages to people and models."""
    return f"{error.filename!r}: {error.strerror}" if error.filename is not None else str(error)
