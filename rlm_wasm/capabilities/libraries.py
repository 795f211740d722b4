"""Folders of Scheme libraries that ``import`` may read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlm_wasm.errors import UsageError


class LibraryFolders:
    """Scheme libraries that ``import`` may read: these folders, read-only, never outside them."""

    _MOST_BYTES = 4 << 20

    def __init__(self, folders: Sequence[str | Path]) -> None:
        self._folders = [Path(folder).resolve() for folder in folders]
        for folder in self._folders:
            if not folder.is_dir():
                raise UsageError(f"the library folder {folder} does not exist")

    def read(self, arguments: list[Any]) -> str | bool:
        """The text of a file by its relative path; False where there is none."""
        name = arguments[0]
        if not isinstance(name, str) or "\0" in name:
            return False
        for folder in self._folders:
            path = (folder / name).resolve()
            if path.is_relative_to(folder) and path.is_file() and path.stat().st_size <= self._MOST_BYTES:
                return path.read_text(encoding="utf-8", errors="replace")
        return False
