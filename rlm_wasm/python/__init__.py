"""Python for the guest: where py-exec, py-eval, py-set! and py-call go.

``wasi``  CPython inside WebAssembly: isolated as the Scheme guest is (the default)
``host``  this very process: trusted and NOT isolated; for the embedder's own programs only
``off``   nothing
"""

from __future__ import annotations

from pathlib import Path

from rlm_wasm.capabilities.python import PythonBackend
from rlm_wasm.capabilities.workspace import Workspace
from rlm_wasm.errors import CapabilityDenied, UsageError
from rlm_wasm.limits import Limits
from rlm_wasm.python.place import FamilyPlace

__all__ = ["python_backend"]


def python_backend(
    kind: str,
    *,
    limits: Limits,
    workspace: Workspace,
    folder: Path | None = None,
    place: FamilyPlace | None = None,
) -> PythonBackend:
    """A back end for one session.

    ``workspace`` is what the isolated back end sees of files; ``folder`` is where the other one, which is
    not confined at all, starts. ``place`` is shared by a session and its children. Raises CapabilityDenied
    for "off", UsageError for an unknown kind.
    """
    if kind == "off":
        raise CapabilityDenied('Python is off in this runtime (python="wasi" turns it on)')
    if kind == "wasi":
        from rlm_wasm.python.wasi import WasiPython

        return WasiPython(limits=limits, workspace=workspace, place=place)
    if kind == "host":
        from rlm_wasm.python.host import HostPython

        return HostPython(limits=limits, workspace=folder)
    raise UsageError(f'python must be "wasi", "host" or "off", got {kind!r}')
