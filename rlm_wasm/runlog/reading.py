"""Records from a log, line by line, whatever stands there: what cannot be read is said, the rest is given."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, BinaryIO, Final

from rlm_wasm.errors import UsageError
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.records import structure
from rlm_wasm.runlog.events import BY_TYPE, VERSION, Record, RunStarted, Text

MAX_LINE: Final = 64 << 20
"""Bytes of a line that is read; a longer one is skipped, and said to be."""
MAX_SHOWN: Final = 256 << 20
"""Bytes of a log that are read where all of it is to be shown at once."""
MAX_TROUBLES: Final = 10
"""Troubles that are told one by one."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with a log: a sentence for people, which names the line."""

    message: str
    line: int | None = None

    def __str__(self) -> str:
        return self.message if self.line is None else f"line {self.line:,}: {self.message}"


_TEXTS: Final = {
    kind.TYPE: [f.name for f in fields(kind) if "Text" in str(f.type)] for kind in BY_TYPE.values()
}
_NAMES: Final = {kind.TYPE: {f.name for f in fields(kind)} for kind in BY_TYPE.values()}


def record_of(value: Any) -> Record:
    """A record of what ``plain`` gave. Fields that this release does not know are left out.

    Raises UsageError for what is no record.
    """
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise UsageError("this is no record of a run log")
    kind = BY_TYPE.get(value["type"])
    if kind is None:
        raise UsageError(f"a record of a type that this release does not know: {value['type'][:60]!r}")
    known = _NAMES[kind.TYPE]
    taken = {name: content for name, content in value.items() if name in known}
    for name in _TEXTS[kind.TYPE]:
        if isinstance(taken.get(name), str):
            taken[name] = {"text": taken[name]}
    record: Record = structure(kind, taken, f"a record {kind.TYPE}")
    return record


class LogReader:
    """Reads lines into records; what it could not read stands in ``troubles`` afterwards.

    ``lines`` are without their ends, or with them; None stands for one that was too long.
    """

    def __init__(self, lines: Iterable[bytes | str | None]) -> None:
        self._lines = lines
        self.troubles: list[Trouble] = []
        self.more_troubles = 0
        """Beyond MAX_TROUBLES."""
        self.read = 0
        """Records."""

    def _trouble(self, message: str, line: int | None) -> None:
        if len(self.troubles) < MAX_TROUBLES:
            self.troubles.append(Trouble(message, line))
        else:
            self.more_troubles += 1

    def __iter__(self) -> Iterator[Record]:
        number = 0
        for number, line in enumerate(self._lines, 1):
            if line is None:
                self._trouble(f"it has more than {MAX_LINE:,} bytes, and is left out", number)
                continue
            text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
            if number == 1:
                text = text.removeprefix("\ufeff")  # as editors and shells of Windows put it there
            if not text.strip():
                continue
            try:
                record = record_of(json.loads(text))
            except UsageError as error:
                self._trouble(f"{error}; it is left out", number)
                continue
            except (ValueError, RecursionError):
                cut = text.startswith("{") and not text.rstrip().endswith("}")
                what = "it is cut off, as a crash leaves it" if cut else "it is no JSON"
                self._trouble(f"{what}, and is left out", number)
                continue
            if isinstance(record, RunStarted) and record.version > VERSION:
                self._trouble(
                    f"this log is of a later version ({record.version}; this release knows {VERSION}):"
                    " what is understood of it is shown",
                    number,
                )
            self.read += 1
            yield record
        if not self.read:
            what = "it is empty" if not number else f"it holds no record of a run in {number:,} lines"
            self.troubles.insert(0, Trouble(f"this is no run log: {what}"))

    @property
    def told(self) -> list[str]:
        """The troubles as sentences."""
        more = [f"and {self.more_troubles:,} more lines like these"] if self.more_troubles else []
        return [*map(str, self.troubles), *more]


def lines_of(file: BinaryIO, max_bytes: int | None = None) -> Iterator[bytes | None]:
    """A file's lines, each bounded; ``max_bytes`` of it at the most."""
    left = max_bytes
    while left is None or left > 0:
        line = file.readline(MAX_LINE + 1)
        if not line:
            return
        if left is not None:
            left -= len(line)
        if len(line) <= MAX_LINE:
            yield line
            continue
        yield None
        while line and not line.endswith(b"\n") and (left is None or left > 0):
            line = file.readline(MAX_LINE)
            if left is not None:
                left -= len(line)


def opened_log(path: Path) -> tuple[BinaryIO, int]:
    """The file of a log, and its size in bytes. Raises UsageError where it cannot be read."""
    try:
        return path.open("rb"), path.stat().st_size
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the log {path}: {getattr(error, 'strerror', None) or error}") from None


class LogFile:
    """A log in a file. Raises UsageError where it cannot be read."""

    def __init__(self, path: str | Path, max_bytes: int | None = MAX_SHOWN) -> None:
        self.path = Path(path)
        self._file, self.size = opened_log(self.path)
        self._max_bytes = max_bytes
        self._reader = LogReader(lines_of(self._file, max_bytes))

    def __iter__(self) -> Iterator[Record]:
        try:
            yield from self._reader
        except OSError as error:
            raise UsageError(f"cannot read the log {self.path}: {error.strerror or error}") from None
        finally:
            self._file.close()

    @property
    def read(self) -> int:
        """Records that it has given."""
        return self._reader.read

    @property
    def told(self) -> list[str]:
        """What is wrong with it, once it has been read."""
        messages = self._reader.told
        if self._max_bytes is not None and self.size > self._max_bytes:
            messages.insert(
                0, f"the log has {self.size:,} bytes; what is shown is of the first {self._max_bytes:,}"
            )
        return messages


def whole_text(text: Text) -> str:
    """For people: the text, with a mark where it is only the beginning."""
    if text.length is None:
        return text.text
    return f"{text.text}\n… [{text.length:,} characters in all, sha256 {(text.sha256 or '?')[:16]}…]"
