"""Folders of Scheme libraries that ``import`` may read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rlm_wasm.capabilities.workspace import Workspace, refusal
from rlm_wasm.errors import CapabilityDenied, UsageError

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 4 << 20
"""Bytes that a library's file may have."""


class LibraryFolders:
    """Scheme libraries that ``import`` may read: each folder is a read-only Workspace.

    So a folder may be given by a link (as /usr/share/chibi may be), but no link inside of it is followed.
    """

    def __init__(self, folders: Sequence[str | Path]) -> None:
        """Raises UsageError for what is no folder."""
        self._folders: list[Workspace] = []
        for folder in folders:
            if not os.path.isdir(folder):
                raise UsageError(f"the library folder {folder} does not exist")
            self._folders.append(Workspace(folder, writable=False))

    def read(self, arguments: list[Any]) -> str | bool:
        """The text of a file by its relative path; False where no folder has it.

        Raises CapabilityDenied for a file that is there and must not be read.
        """
        name = arguments[0]
        if not isinstance(name, str):
            return False
        refused: OSError | None = None
        for folder in self._folders:
            try:
                return folder.read_text(name, MAX_BYTES, errors="replace").removeprefix("\ufeff")
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                refused = refused or error
        if refused is not None:
            raise CapabilityDenied(f"a library's file {refusal(refused)}")
        return False
