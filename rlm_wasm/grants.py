"""What a session is granted: the one record between what an embedder has and what a program may reach.

A Runtime makes one, a session may be given a narrower one, and a child of a ``#:recursive`` call gets
what ``for_child`` leaves. A session knows its Grants and never the Runtime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from rlm_wasm.capabilities.host_functions import HostFunction
from rlm_wasm.capabilities.libraries import LibraryFolders
from rlm_wasm.lazy_dataclass import dataclass, field, replace
from rlm_wasm.providers.base import Provider
from rlm_wasm.python import PythonKind
from rlm_wasm.runlog.stream import Reader
from rlm_wasm.sandbox.engine import Engine

if TYPE_CHECKING:
    from pathlib import Path

    from rlm_wasm.capabilities.checkpoints import CheckpointStore


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildGrants:
    """What children of ``#:recursive`` calls get of their parent's grants: as little as they need.

    A child's program was written by a model that has seen the data, so that it may be what the data's
    author wanted: it has no effects outside of its own sandbox unless the embedder says otherwise.
    """

    host_functions: tuple[str, ...] = ()
    """Names of the parent's host functions that a child may call."""
    checkpoints: bool = False
    """Whether a child may write checkpoints; it may always read them."""
    workspace_writable: bool = False
    """Whether a child's Python may write where its parent's may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grants:
    """What programs of a session may reach."""

    engine: Engine
    provider: Callable[[], Provider]
    """Made at the first call."""
    store: Callable[[], CheckpointStore]
    """Made at the first checkpoint."""
    model: str | None = None
    """Where the program names none."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Models by other names."""
    python: PythonKind = "wasi"
    workspace: Path | None = None
    workspace_writable: bool = True
    libraries: LibraryFolders = field(default_factory=lambda: LibraryFolders(()))
    host_functions: Mapping[str, HostFunction] = field(default_factory=dict)
    checkpoints_writable: bool = True
    child: ChildGrants = ChildGrants()
    log_readers: tuple[Reader, ...] = ()
    """Take the records of everything that happens."""

    def for_child(self) -> Grants:
        """What a child gets."""
        child = self.child
        return replace(
            self,
            host_functions={
                name: function
                for name, function in self.host_functions.items()
                if name in child.host_functions
            },
            checkpoints_writable=self.checkpoints_writable and child.checkpoints,
            workspace_writable=self.workspace_writable and child.workspace_writable,
        )
