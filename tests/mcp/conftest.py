"""Clients in memory: the SDK's own, in both protocol eras."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from mcp import Client

from rlm_wasm import Runtime
from rlm_wasm.mcp import make_server

Connect = Callable[..., contextlib.AbstractAsyncContextManager[Client]]


@contextlib.asynccontextmanager
async def _connected(
    provider: Any = "extractive",
    *,
    mode: str = "legacy",
    session: str | None = None,
    client: Any = None,
    **options: Any,
) -> AsyncIterator[Client]:
    options.setdefault("python", "off")
    async with (
        Runtime(provider, **options) as runtime,
        Client(make_server(runtime, session=session), mode=mode, **(client or {})) as connected,
    ):
        yield connected


@pytest.fixture
def connect() -> Connect:
    """``async with connect(provider, mode=…) as client``: a server over a runtime of its own."""
    return _connected


@pytest.fixture(params=["legacy", "2026-07-28"])
def mode(request: pytest.FixtureRequest) -> str:
    """Both eras of the protocol."""
    return str(request.param)


@pytest.fixture
def text_of() -> Callable[[Any], str]:
    """All text of a tool's answer."""
    return lambda result: "".join(block.text for block in result.content)
