"""Sessions that began on another guest go on with it: the store keeps it for them."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3

import pytest
from durable.test_durable_sessions import ASK, answered, crash

from rlm_wasm import Runtime
from rlm_wasm.errors import LeaseLost, SnapshotVersionError
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.testing import GatedProvider, InlineProvider, bracketed


@pytest.fixture(scope="module")
def other() -> Engine:
    """Another release's guest: this one's with a custom section, which has no meaning but another hash."""
    return Engine.of(Engine.shared().image() + b"\x00\x06\x05other")


async def test_an_execution_goes_on_with_the_guest_that_it_began_on(url: str, other: Engine) -> None:
    """To its end, and so do the executions after it; people are told, and the list says it."""
    gate = GatedProvider(bracketed)
    runtime = Runtime(gate, store=url, durable=True, engine=other)
    running = asyncio.create_task(runtime.session(name="work").execute(ASK))
    await answered(gate, running=running)
    await gate.arrived(1)
    await crash(runtime, url)
    with contextlib.suppress(LeaseLost):
        await running
    messages: list[str] = []
    answers = InlineProvider()
    async with Runtime(answers, store=url, durable=True) as runtime:
        [listed] = await runtime.store.sessions.list()  # type: ignore[attr-defined]
        assert listed.guest == other.image_hash != Engine.shared().image_hash
        async with await runtime.resume("work", notify=messages.append) as session:
            assert (await session.resume()).status == "finished"
            assert (await session.execute("a")).value == "[one]"
        assert [request.instruction for request in answers.requests] == ["two"]
        async with runtime.session(name="work") as session:
            assert (await session.execute("a")).value == "[one]"
    assert any("goes on with the guest that it began on" in message for message in messages)


async def test_a_guest_that_is_not_kept_is_named_with_what_to_do(url: str, other: Engine) -> None:
    """And the session stays as it is."""
    async with Runtime("echo", store=url, durable=True, engine=other) as runtime:
        await runtime.session(name="work").execute("(define x 1)")
    with contextlib.closing(
        sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    ) as database:
        database.execute("DELETE FROM rlm_blobs")
    async with Runtime("echo", store=url, durable=True) as runtime:
        for _ in range(2):
            with pytest.raises(
                SnapshotVersionError, match=r"does not keep that one.*rlm-wasm sessions rm work"
            ):
                await runtime.resume("work")
    async with (
        Runtime("echo", store=url, durable=True, engine=other) as runtime,
        await runtime.resume("work") as session,
    ):
        assert (await session.execute("x")).value == "1"


async def test_a_guest_is_kept_once_in_a_store(url: str) -> None:
    """However many sessions stand on it."""
    async with Runtime("echo", store=url, durable=True) as runtime:
        for number in range(3):
            await runtime.session(name=f"s{number}").execute("1")
    with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        assert database.execute("SELECT hash FROM rlm_blobs").fetchall() == [(Engine.shared().image_hash,)]
        assert database.execute("SELECT count(*) FROM rlm_references").fetchone() == (3,)
