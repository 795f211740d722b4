"""What tests share: runtimes with providers that do what the test says."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import settings

# Tests never touch the user's cache; one folder for the run, so that the guest is compiled once.
os.environ.setdefault("RLM_WASM_CACHE", tempfile.mkdtemp(prefix="rlm-wasm-cache-"))
os.environ.setdefault("RLM_WASM_CONFIG", os.devnull)

from rlm_wasm import Runtime
from rlm_wasm.sandbox import memories
from rlm_wasm.testing import GatedProvider, InlineProvider, bracketed

pytest_plugins = ["pytester"]

# No example has a deadline: how long one takes is the machine's affair, and what else runs there.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Where a store of the test's own is, that processes can share."""
    return f"sqlite:///{tmp_path / 'state.db'}"


@pytest.fixture
def gate() -> GatedProvider:
    """A provider whose answers wait for the test."""
    return GatedProvider(bracketed)


@pytest.fixture
def answers() -> InlineProvider:
    """A provider that answers at once."""
    return InlineProvider()


@pytest.fixture
async def runtime(answers: InlineProvider) -> AsyncIterator[Runtime]:
    """A runtime whose provider answers at once."""
    async with Runtime(provider=answers) as made:
        yield made


@pytest.fixture
async def gated(gate: GatedProvider) -> AsyncIterator[Runtime]:
    """A runtime whose provider waits for the test."""
    async with Runtime(provider=gate) as made:
        yield made


@pytest.fixture(params=["mapping", "copying"])
def each_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Memories are captured and made again by mapping, where the system can, also small ones; and by copying."""
    way: str = request.param
    if way == "copying":
        monkeypatch.setattr(memories, "_chosen", memories.Copying())
    elif not isinstance(memories.memories(), memories.Mapping):
        pytest.skip("this system maps no memories")
    else:
        monkeypatch.setattr(memories, "MAPPED_FROM", 2)
    return way
