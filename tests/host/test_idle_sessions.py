"""A session that nothing runs in stays usable, however long other sessions work meanwhile."""

from __future__ import annotations

from rlm_wasm import Runtime
from rlm_wasm.sandbox import engine


async def test_a_snapshot_of_a_session_that_was_idle_for_long_is_taken() -> None:
    """The epoch belongs to all guests: it moves on past the deadline of this one's last slice."""
    async with Runtime("extractive", python="off") as runtime, runtime.session() as session:
        await session.execute("(define x 1)")
        for _ in range(10_000):
            engine.increment_epoch(runtime.engine.engine_pointer)
        fork = await session.fork()
        for of_both in (session, fork):
            assert (await of_both.execute("x")).value == "1"
            assert of_both.state()["used"]["memory_bytes"] > 0
        await fork.aclose()
