"""Where a viewer's records come from: this process, a file that grows, a store that others fill."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.runlog.events import Record, RunEnded, RunStarted, size_of
from rlm_wasm.runlog.reading import MAX_SHOWN, LogReader, opened_log
from rlm_wasm.runlog.rendering import when
from rlm_wasm.runlog.story import RunStory


class KeptRuns(Protocol):
    """What a store has: ``store.runs``."""

    async def list(self, *, limit: int | None) -> Sequence[Any]:
        """Runs with run, name, status and started_at, the newest first."""
        ...

    async def lines(self, run: str, after: int, max_lines: int | None) -> Sequence[str]:
        """Records of a run after so many."""
        ...


POLL_S: Final = 0.5
"""Seconds between two looks at a file or a store."""
BATCH: Final = 2_000
"""Records that are sent at once."""
MAX_RUNS: Final = 100
"""Runs of this process that are kept for showing."""
MAX_BYTES: Final = 512 << 20
"""Bytes of their records; the oldest runs go first."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A run that can be shown."""

    run: str
    label: str


class Source(Protocol):
    """What a viewer shows."""

    async def listed(self) -> list[Listed]:
        """The runs, the newest first."""
        ...

    def follow(self, run: str, after: int) -> AsyncIterator[list[Record]]:
        """A run's records after so many, then those that come, until its end."""
        ...

    @property
    def troubles(self) -> list[str]:
        """What is wrong with what was read."""
        ...


class _Held:
    """Runs in memory."""

    def __init__(self) -> None:
        self.runs: OrderedDict[str, list[Record]] = OrderedDict()
        self.stories: dict[str, RunStory] = {}
        self.changed = asyncio.Event()
        self.bytes = 0
        self._bytes_of: dict[str, int] = {}
        self._cut: dict[str, None] = {}

    @property
    def troubles(self) -> list[str]:
        """Runs of which not all is kept."""
        return [
            f"run {run[:8]} has more than {MAX_BYTES >> 20:,} MiB of records: what came after is not shown"
            for run in self._cut
        ]

    def add(self, record: Record) -> None:
        run = record.run
        self.stories.setdefault(run, _Head(run)).add(record)
        size = size_of(record)
        # One run may go on for ever, and what is shown of it is all that there is.
        if self._bytes_of.get(run, 0) + size > MAX_BYTES and not isinstance(record, RunEnded):
            self._cut[run] = None
            return
        self.runs.setdefault(run, []).append(record)
        self._bytes_of[run] = self._bytes_of.get(run, 0) + size
        self.bytes += size
        while len(self.runs) > 1 and (len(self.runs) > MAX_RUNS or self.bytes > MAX_BYTES):
            oldest, _ = self.runs.popitem(last=False)
            self.bytes -= self._bytes_of.pop(oldest)
            self._cut.pop(oldest, None)
            del self.stories[oldest]
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()

    def listed(self) -> list[Listed]:
        return [
            Listed(run, f"{story.name} · {story.status} · {when(story.first_at)} · {run[:8]}")
            for run, story in reversed(self.stories.items())
        ]

    async def follow(self, run: str, after: int) -> AsyncIterator[list[Record]]:
        while True:
            changed = self.changed
            records = self.runs.get(run, [])
            new = records[after : after + BATCH]
            after += len(new)
            if new:
                yield new
            if new and isinstance(new[-1], RunEnded):
                return
            if not new and records and isinstance(records[-1], RunEnded):
                return
            if not new:
                await changed.wait()
            await asyncio.sleep(0)


class _Head(RunStory):
    """Only what a list shows: a run's calls stand in its records already."""

    def add(self, record: Record) -> None:
        if isinstance(record, RunStarted | RunEnded):
            super().add(record)
        self.first_at = self.first_at or record.at
        self.last_at = record.at


class ProcessSource:
    """The runs of this process: a reader of their event streams."""

    def __init__(self) -> None:
        self._held = _Held()

    def __call__(self, record: Record) -> None:
        """Take one."""
        self._held.add(record)

    async def listed(self) -> list[Listed]:
        """The runs, the newest first."""
        return self._held.listed()

    def follow(self, run: str, after: int) -> AsyncIterator[list[Record]]:
        """A run's records, then those that come."""
        return self._held.follow(run, after)

    @property
    def troubles(self) -> list[str]:
        """Runs that are too long to be shown whole."""
        return self._held.troubles


class FileSource:
    """A log in a file, which another process may be writing. Raises UsageError where it cannot be read."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file, self.size = opened_log(self.path)
        self._held = _Held()
        self._rest = b""
        self._left = MAX_SHOWN
        self._lines = 0
        self._told: list[str] = []
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read what is there, and look for more from now on."""
        await self._read()
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while self._left > 0:
            await asyncio.sleep(POLL_S)
            with contextlib.suppress(OSError):
                await self._read()

    async def _read(self) -> None:
        while self._left > 0:
            data = await asyncio.to_thread(self._file.read, 1 << 20)
            if not data:
                return
            self._left -= len(data)
            whole, newline, rest = (self._rest + data).rpartition(b"\n")
            self._rest = rest
            if newline:
                reader = LogReader(whole.split(b"\n"))
                for record in reader:
                    self._held.add(record)
                self._told += [
                    f"line {self._lines + trouble.line:,}: {trouble.message}"
                    for trouble in reader.troubles
                    if trouble.line is not None
                ][: max(0, 100 - len(self._told))]
                self._lines += whole.count(b"\n") + 1
            await asyncio.sleep(0)

    async def listed(self) -> list[Listed]:
        """The runs, the newest first."""
        return self._held.listed()

    def follow(self, run: str, after: int) -> AsyncIterator[list[Record]]:
        """A run's records, then those that are appended."""
        return self._held.follow(run, after)

    @property
    def troubles(self) -> list[str]:
        """Lines that could not be read, and what is beyond the bound."""
        told = [*self._held.troubles, *self._told]
        if not self._held.runs:
            told.insert(0, f"{self.path} holds no record of a run so far")
        elif self._rest.strip():
            told.append("its last line is cut off, as a crash leaves it, or is being written")
        if self._left <= 0:
            told.insert(0, f"the log has {self.size:,} bytes; what is shown is of the first {MAX_SHOWN:,}")
        return told

    async def aclose(self) -> None:
        """Look no longer."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._file.close()


class StoreSource:
    """The runs of a store."""

    def __init__(self, runs: KeptRuns) -> None:
        self._runs = runs
        self._told: dict[str, list[str]] = {}

    async def listed(self) -> list[Listed]:
        """The runs, the newest first."""
        return [
            Listed(run.run, f"{run.name[:60]} · {run.status} · {when(run.started_at)} · {run.run[:8]}")
            for run in await self._runs.list(limit=MAX_RUNS)
        ]

    async def follow(self, run: str, after: int) -> AsyncIterator[list[Record]]:
        """A run's records, then those that another process adds."""
        while True:
            lines = await self._runs.lines(run, after, BATCH)
            after += len(lines)
            reader = LogReader(lines)
            records = list(reader)
            if lines:
                self._told[run] = [
                    *self._told.get(run, []),
                    *(str(trouble) for trouble in reader.troubles if trouble.line is not None),
                ][:100]
            if records:
                yield records
                if isinstance(records[-1], RunEnded):
                    return
            if len(lines) < BATCH:
                await asyncio.sleep(POLL_S)

    @property
    def troubles(self) -> list[str]:
        """Records that could not be read."""
        return [trouble for told in self._told.values() for trouble in told]
