"""A session that rests until it has done what its executions left to do."""

from __future__ import annotations

import asyncio

from rlm_wasm import Session


async def rested(session: Session) -> None:
    """Give the event loop its turns until there is nothing left to do."""
    for _ in range(10_000):
        if not session._scheduler.guest.is_unsettled:
            return
        await asyncio.sleep(0)
    raise AssertionError("the session does not settle")
