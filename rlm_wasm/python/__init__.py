"""Python for the guest: where py-exec, py-eval, py-set! and py-call go.

``wasi``  CPython inside WebAssembly: isolated as the Scheme guest is (the default)
``host``  this very process: trusted and NOT isolated; for the embedder's own programs only
``off``   nothing
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from rlm_wasm.capabilities.workspace import Workspace
from rlm_wasm.errors import CapabilityDenied, UsageError
from rlm_wasm.lazy import lazily, loaded_beside
from rlm_wasm.limits import Limits

if TYPE_CHECKING:
    from pathlib import Path

    from rlm_wasm.capabilities.python import PythonBackend
    from rlm_wasm.python import session_python as session_python
    from rlm_wasm.python.place import FamilyPlace
else:
    session_python = lazily("rlm_wasm.python.session_python")

__all__ = ["KINDS", "PythonKind", "opened_backend", "python_backend", "python_kind", "session_python"]

PythonKind = Literal["wasi", "host", "off"]
KINDS: tuple[PythonKind, ...] = get_args(PythonKind)


def python_kind(kind: str) -> PythonKind:
    """One of ``KINDS``. Raises UsageError for another word."""
    if kind not in KINDS:
        *words, last = (f'"{word}"' for word in KINDS)
        raise UsageError(f"python must be {', '.join(words)} or {last}, got {kind!r}")
    return kind


async def opened_backend(kind: PythonKind, **options: Any) -> PythonBackend:
    """As ``python_backend``, where an event loop runs: what it needs is loaded beside that."""
    if kind != "off":
        await loaded_beside(f"{__name__}.{kind}")
    return python_backend(kind, **options)


def python_backend(
    kind: PythonKind,
    *,
    limits: Limits,
    workspace: Workspace,
    folder: Path | None = None,
    place: FamilyPlace | None = None,
) -> PythonBackend:
    """A back end for one session.

    ``workspace`` is what the isolated back end sees of files; ``folder`` is where the other one, which is
    not confined at all, starts. ``place`` is shared by a session and its children. Raises CapabilityDenied
    for "off".
    """
    if kind == "off":
        raise CapabilityDenied('Python is off in this runtime (python="wasi" turns it on)')
    if kind == "wasi":
        from rlm_wasm.python.wasi import WasiPython

        return WasiPython(limits=limits, workspace=workspace, place=place)
    from rlm_wasm.python.host import HostPython

    return HostPython(limits=limits, workspace=folder)
