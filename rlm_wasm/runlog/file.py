"""A run log in a file: one JSON object a line, written as it happens, so that a crash leaves what was."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from rlm_wasm.errors import UsageError
from rlm_wasm.runlog import events

log = logging.getLogger("rlm_wasm.runlog")


def line_of(record: events.Record) -> str:
    """The record as a line, without its end."""
    return json.dumps(events.plain(record), ensure_ascii=False, separators=(",", ":"), default=str)


class FileLog:
    """Appends records to a file that only its owner may read: prompts and answers stand in it in clear.

    A disk that is full ends the log, not the execution: ``trouble`` says so then. Raises UsageError where
    the file cannot be written from the beginning, or where what stands in it is no run log: a slip of the
    hand must not append to a program or a text.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.trouble: str | None = None
        if not os.fspath(path):
            raise UsageError("cannot write the log: the name of its file is empty")
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot write the log {path}: {_reason(error)}") from None
        self._open = True
        try:
            if self._is_something_else():
                raise UsageError(f"{path} is no run log, and is left as it is: name another file for the log")
            self._end_line()
        except OSError as error:
            self.close()
            raise UsageError(f"cannot write the log {path}: {_reason(error)}") from None
        except UsageError:
            self.close()
            raise

    def _is_something_else(self) -> bool:
        """Whether there is text that is no log's: a log's line begins as an object, also where it is cut."""
        try:
            size = os.lseek(self._file, 0, os.SEEK_END)
            start = os.pread(self._file, 4096, 0) if size else b""
        except OSError:  # a pipe, or a device
            return False
        start = start.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
        return bool(start) and not start.startswith(b"{")

    def _end_line(self) -> None:
        """What a crash left of a line is ended, so that it spoils no other."""
        try:
            size = os.lseek(self._file, 0, os.SEEK_END)
            cut = size > 0 and os.pread(self._file, 1, size - 1) != b"\n"
        except OSError:  # a pipe has no end
            return
        if cut:
            os.write(self._file, b"\n")

    def __call__(self, record: events.Record) -> None:
        """Write one."""
        if not self._open:
            return
        data = (line_of(record) + "\n").encode("utf-8", "backslashreplace")
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            self.trouble = f"the log {self.path} ends early: {_reason(error)}"
            log.warning("%s", self.trouble)
            self.close()

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self._open:
            self._open = False
            os.close(self._file)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
