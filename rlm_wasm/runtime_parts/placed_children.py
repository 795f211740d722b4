"""Runs sessions that work for others, in this process: a recursive call's child that was placed elsewhere.

An executor's processes each have one, and hand one another their children. So has every Runtime: it goes on
with what was placed by an executor's process, and places nothing by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from rlm_wasm.errors import SessionClosed
from rlm_wasm.grants import Grants
from rlm_wasm.lazy_dataclass import replace
from rlm_wasm.session import Session
from rlm_wasm.session_parts import placed, serving
from rlm_wasm.turns import in_turns

if TYPE_CHECKING:
    from rlm_wasm.execution.journal import Trouble
    from rlm_wasm.runtime_parts.opening import Opener
    from rlm_wasm.session_parts.placed import Told, Work
    from rlm_wasm.store.database import DatabaseStore


class ChildRunner:
    """Of one Runtime; an ``Elsewhere``."""

    places = False

    def __init__(self, opener: Callable[[], Opener], database: Callable[[], DatabaseStore]) -> None:
        self._opener = opener
        self._database = database
        self._running: dict[str, _Running] = {}

    async def run(self, parent: str, grants: Grants, work: Work) -> Told:
        """Do the work; where it is under way here, wait for what comes of that.

        Raises:
            SessionHeld: another process does it.
            StoreError: the store cannot be read or written.
            SnapshotError: what the store has of it cannot be used.
            SessionClosed: this process ended it.
        """
        while True:
            running = self._running.get(work.name)
            if running is None:
                running = self._running[work.name] = _Running(self._done(grants, work))
                running.task.add_done_callback(partial(self._over, work.name))
            await asyncio.wait([running.task])
            if running.task.cancelled():
                raise SessionClosed(f"session {work.name} was closed while it worked for another one")
            told = running.task.result()
            if told[0].status != "cancelled" or running.ended_by >= work.epoch:
                return told
            # A process that had the parent before has ended it; this one goes on with it.

    def _over(self, name: str, task: asyncio.Task[Told]) -> None:
        self._running.pop(name, None)
        if not task.cancelled() and task.exception() is not None:  # maybe nobody waits for it
            placed.log.info("session %s works no longer here: %s", name, task.exception())

    async def _done(self, grants: Grants, work: Work) -> Told:
        session = await self._opened(grants, work)
        running = self._running[work.name]
        try:
            if running.ended_by >= work.epoch:
                raise SessionClosed(f"session {work.name} was wanted no longer before it began")
            running.serves(session)
            return await session.serve(work)
        finally:
            await session.aclose()

    async def _opened(self, grants: Grants, work: Work) -> Session:
        database, opener = self._database(), self._opener()
        # What happens in it is told to its parent, and is in no log by itself.
        mute, notify = replace(grants, log_readers=()), _logged(work.name)
        taken = await database.run(
            lambda: opener.taken(database, work.name, mute, notify, make=True, family=work.family)
        )
        assert taken is not None
        opening = opener.opening(*taken, work.limits, work.namespace, work.resend, None, work.depth)
        session: Session = await in_turns(opening)
        return session

    async def end(self, parent: str, grants: Grants, work: Work) -> Told | None:
        """Leave it in its middle, and say what it took.

        Raises:
            SessionHeld: another process does it.
            StoreError: the store cannot be read or written.
            SnapshotError: what the store has of it cannot be used.
        """
        running = self._running.get(work.name)
        if running is not None:
            await running.stopped(work.epoch)
            if not running.task.cancelled() and running.task.exception() is None:
                return running.task.result()
        database, opener = self._database(), self._opener()
        taken = await database.run(
            lambda: opener.taken(
                database, work.name, grants, _logged(work.name), make=False, family=work.family
            )
        )
        if taken is None:
            return None
        durable, _ = taken
        try:
            kept, account, lost = durable.kept_reply, durable.account, await durable.lost()
        finally:
            await database.run(durable.give_back_here)
        if kept is not None:
            return placed.Reply.load(kept, work.name), ()
        reply = placed.Reply(status="cancelled")
        if account is not None:
            spent = account.budget
            reply = serving.spent_in(
                reply,
                replace(
                    spent,
                    lost_tokens=spent.lost_tokens + lost.tokens,
                    lost_usd=spent.lost_usd + lost.nanousd / 1e9,
                ),
            )
        return reply, ()


class _Running:
    """One that is under way."""

    def __init__(self, work: Coroutine[Any, Any, Told]) -> None:
        self.task = asyncio.get_running_loop().create_task(work)
        self.ended_by = -1
        """Which epoch of its parent's wants it no longer; negative: none."""
        self._session: Session | None = None

    def serves(self, session: Session) -> None:
        """By this session."""
        self._session = session

    async def stopped(self, epoch: int) -> None:
        """End it, for this epoch of its parent's; this returns when it has ended."""
        self.ended_by = max(self.ended_by, epoch)
        if self._session is not None:  # else it is being opened, and to cancel that would leave its lease
            await self._session.stop_serving()
        await asyncio.wait([self.task])


def _logged(name: str) -> Trouble:
    return lambda text: placed.log.warning("%s (%s)", text, name)
