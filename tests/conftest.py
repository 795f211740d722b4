"""What tests share: runtimes with providers that do what the test says."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator

import pytest

# Tests never touch the user's cache; one folder for the run, so that the guest is compiled once.
os.environ.setdefault("RLM_WASM_CACHE", tempfile.mkdtemp(prefix="rlm-wasm-cache-"))

from doubles import Answers, Gate
from rlm_wasm import Runtime


@pytest.fixture
def gate() -> Gate:
    """A provider whose answers wait for the test."""
    return Gate()


@pytest.fixture
def answers() -> Answers:
    """A provider that answers at once."""
    return Answers()


@pytest.fixture
async def runtime(answers: Answers) -> AsyncIterator[Runtime]:
    """A runtime whose provider answers at once."""
    async with Runtime(provider=answers) as made:
        yield made


@pytest.fixture
async def gated(gate: Gate) -> AsyncIterator[Runtime]:
    """A runtime whose provider waits for the test."""
    async with Runtime(provider=gate) as made:
        yield made
