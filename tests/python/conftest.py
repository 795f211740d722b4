"""One compiled component for all tests of Python; a back end each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from rlm_wasm import Limits
from rlm_wasm.capabilities.python import PythonBackend, PythonReply
from rlm_wasm.capabilities.workspace import Workspace
from rlm_wasm.python import python_backend, python_kind

FUEL = 20_000_000_000
Make = Callable[..., PythonBackend]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """A factory: make(kind, limits=…, workspace=…)."""
    made: list[PythonBackend] = []

    def build(
        kind: str = "wasi", *, limits: Limits | None = None, workspace: Path | None = None
    ) -> PythonBackend:
        backend = python_backend(
            python_kind(kind), limits=limits or Limits(), workspace=Workspace(workspace), folder=workspace
        )
        assert backend is not None
        made.append(backend)
        return backend

    yield build
    for backend in made:
        await backend.aclose()


@pytest.fixture
async def python(make: Make) -> PythonBackend:
    """The isolated back end."""
    return make("wasi")


@pytest.fixture(params=["wasi", "host"])
async def either(request: pytest.FixtureRequest, make: Make) -> PythonBackend:
    """Both back ends: their semantics are the same."""
    return make(request.param)


async def run(
    backend: PythonBackend, operation: str, *arguments: Any, fuel: int = FUEL, timeout_s: float = 60.0
) -> PythonReply:
    """A call with generous limits."""
    return await backend.run(operation, list(arguments), fuel=fuel, timeout_s=timeout_s)
