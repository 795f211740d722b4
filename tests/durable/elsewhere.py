"""A place for children of recursive calls that is in the same process: other runtimes on the same store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rlm_wasm import Runtime, SessionHeld
from rlm_wasm.errors import LeaseLost, SessionClosed
from rlm_wasm.grants import Grants
from rlm_wasm.session_parts.placed import Told, Work


class Others:
    """Each child runs in the next of these runtimes; where one is gone, in another."""

    places = True

    def __init__(self, *runtimes: Runtime) -> None:
        self.runtimes = list(runtimes)
        self.works: list[Work] = []
        """In the order in which they were sent."""
        self.ended: list[str] = []
        self.lose: Callable[[Work], bool] = lambda _work: False
        """Whether what comes of a work is lost on its way."""

    async def run(self, parent: str, grants: Grants, work: Work) -> Told:
        """See Elsewhere."""
        self.works.append(work)
        told = await self._asked(parent, work, end=False)
        assert told is not None
        if self.lose(work):
            await asyncio.Event().wait()
        return told

    async def end(self, parent: str, grants: Grants, work: Work) -> Told | None:
        """See Elsewhere."""
        self.ended.append(work.name)
        return await self._asked(parent, work, end=True)

    async def _asked(self, parent: str, work: Work, *, end: bool) -> Told | None:
        place = work.number
        for _ in range(100_000):
            runtime = self.runtimes[place % len(self.runtimes)]
            try:
                # As in an actor: what nobody waits for any longer goes on there.
                return await asyncio.shield(runtime.serve_child(parent, work, end=end))
            except (SessionHeld, SessionClosed, LeaseLost):
                place += 1
                await asyncio.sleep(0)
        raise AssertionError(f"nobody serves {work.name}")
