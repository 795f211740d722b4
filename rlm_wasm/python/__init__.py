"""Python for the guest: where py-exec, py-eval, py-set! and py-call go.

``wasi``  CPython inside WebAssembly: isolated as the Scheme guest is (the default)
``host``  this very process: trusted and NOT isolated; for the embedder's own programs only
``off``   nothing
"""

from __future__ import annotations

from pathlib import Path

from rlm_wasm.capabilities.python import PythonBackend
from rlm_wasm.capabilities.workspace import Workspace
from rlm_wasm.errors import UsageError
from rlm_wasm.limits import Limits

__all__ = ["resolve"]


def resolve(
    kind: str, *, limits: Limits, workspace: Workspace | Path | None, writable: bool = True
) -> PythonBackend | None:
    """A back end for one session; None for "off". Raises UsageError for an unknown kind.

    ``workspace`` is the session's own, which counts what it writes, or a folder to make one of; then
    ``writable`` False means that its files can be read only ("wasi"; "host" is not confined at all).
    """
    if not isinstance(workspace, Workspace):
        workspace = Workspace(workspace, writable=writable)
    if kind == "off":
        return None
    if kind == "wasi":
        from rlm_wasm.python.wasi import WasiPython

        return WasiPython(limits=limits, workspace=workspace)
    if kind == "host":
        from rlm_wasm.python.host import HostPython

        return HostPython(limits=limits, workspace=workspace.root)
    raise UsageError(f'python must be "wasi", "host" or "off", got {kind!r}')
