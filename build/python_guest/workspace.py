"""``open`` and the few functions of ``os`` that programs use, on the granted folder alone.

There is no file system in here. A file is read whole from the host, and written back whole when
it is closed; the host decides which paths are inside.
"""

import base64
import builtins
import io
import os

_ask = None


class _Writer(io.BytesIO):
    """A file that is sent to the host when it is closed."""

    def __init__(self, path, content, mode):
        super().__init__(content)
        self._path = path
        if "a" in mode:
            self.seek(0, io.SEEK_END)

    def close(self):
        if not self.closed:
            content = base64.b64encode(self.getvalue()).decode("ascii")
            super().close()
            _ask("write", self._path, content)


def _read(path):
    return base64.b64decode(_ask("read", path))


def open_file(
    file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None
):
    """The builtin's parameters. Raises what the builtin would."""
    if not isinstance(file, str | bytes | os.PathLike):
        raise TypeError("open(): only paths can be opened here")
    path = os.fspath(file)
    path = os.fsdecode(path) if isinstance(path, bytes) else path
    plain = set(mode)
    if not plain <= set("rwaxbt+") or len(plain & set("rwax")) != 1:
        raise ValueError(f"invalid mode: {mode!r}")
    if "b" in plain and encoding is not None:
        raise ValueError("binary mode doesn't take an encoding argument")
    if "r" in plain and "+" not in plain:
        raw = io.BytesIO(_read(path))
    else:
        if "x" in plain and _ask("stat", path) is not None:
            raise FileExistsError(f"[Errno 17] File exists: {path!r}")
        keep = b""
        if "r" in plain or "a" in plain:
            try:
                keep = _read(path)
            except FileNotFoundError:
                if "r" in plain:
                    raise
        else:
            _ask("write", path, "")
        raw = _Writer(path, keep, mode)
    if "b" in plain:
        raw.name = path
        return raw
    text = io.TextIOWrapper(raw, encoding=encoding or "utf-8", errors=errors, newline=newline)
    text.mode = mode
    return text


def listdir(path="."):
    """Names in a folder of the workspace."""
    return _ask("list", os.fspath(path))


def _stat(path):
    return _ask("stat", os.fspath(path))


def exists(path):
    """Whether there is such a file or folder in the workspace."""
    try:
        return _stat(path) is not None
    except (OSError, TypeError, ValueError):
        return False


def isfile(path):
    """Whether it is a file."""
    return exists(path) and _stat(path)["kind"] == "file"


def isdir(path):
    """Whether it is a folder."""
    return exists(path) and _stat(path)["kind"] == "folder"


def getsize(path):
    """Bytes."""
    status = _stat(path)
    if status is None:
        raise FileNotFoundError(f"[Errno 2] No such file or directory: {path!r}")
    return status["size"]


def remove(path):
    """Delete a file."""
    _ask("remove", os.fspath(path))


def makedirs(path, mode=0o777, exist_ok=False):
    """Make a folder and those above it."""
    _ask("mkdir", os.fspath(path), bool(exist_ok))


def install(ask):
    """Put these in the builtins' and os's places."""
    global _ask
    _ask = ask
    builtins.open = io.open = open_file
    os.listdir, os.remove, os.unlink, os.makedirs, os.mkdir = listdir, remove, remove, makedirs, makedirs
    os.path.exists, os.path.isfile, os.path.isdir, os.path.getsize = exists, isfile, isdir, getsize
