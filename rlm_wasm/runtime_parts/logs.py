"""Where run logs go: files, stores, callables, and pages that somebody watches."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from rlm_wasm.errors import UsageError
from rlm_wasm.runlog.stream import Reader

if TYPE_CHECKING:
    from rlm_wasm.runlog.file import FileLog
    from rlm_wasm.viewer.server import Viewer


class RunLogs:
    """Of one Runtime; ``log`` is its argument of that name. Raises UsageError for what is no log."""

    def __init__(self, log: Any) -> None:
        self._files: list[FileLog] = []
        self._stores: list[Any] = []
        """Opened for the log alone."""
        self._viewers: list[Viewer] = []
        given = log if isinstance(log, list | tuple) else () if log is None else (log,)
        self.readers: tuple[Reader, ...] = tuple(map(self._reader, given))

    def _reader(self, log: Any) -> Reader:
        if isinstance(log, os.PathLike) or (isinstance(log, str) and "://" not in log):
            from rlm_wasm.runlog.file import FileLog

            file = FileLog(os.fspath(log))
            self._files.append(file)
            return file
        if isinstance(log, str):
            from rlm_wasm.store import open_store

            log = open_store(log)
            self._stores.append(log)
        run_log = getattr(log, "run_log", None)
        if run_log is not None:
            kept: Reader = run_log()
            return kept
        if not callable(log):
            raise UsageError(
                f"log takes a path, a callable, or a store with room for runs, not {type(log).__name__}"
            )
        reader: Reader = log
        return reader

    def watch(self, viewer: Viewer, reader: Reader) -> None:
        """A page is served, which reads along from now on."""
        self._viewers.append(viewer)
        self.readers = (*self.readers, reader)

    @property
    def trouble(self) -> str | None:
        """Why a log ends early, where one does."""
        troubles = (getattr(reader, "trouble", None) for reader in self.readers)
        return next((trouble for trouble in troubles if trouble), None)

    async def aclose(self) -> None:
        """Write what is left, and end the pages."""
        for viewer in self._viewers:
            await viewer.aclose()
        for reader in self.readers:
            if hasattr(reader, "runs"):
                await reader.aclose()  # type: ignore[attr-defined]
        for file in self._files:
            file.close()
        for store in self._stores:
            await store.aclose()
