"""A durable session's piece of a budget that sessions of many processes share.

The session spends from its piece without asking anybody. Where the piece does not cover the next call, it
asks the store for a larger one; what it has not used for a moment, it gives back. How pieces are cut:
store/budgets.py.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final

from rlm_wasm.errors import LeaseLost, LimitExceeded, StoreDamaged, StoreError
from rlm_wasm.store.records import Piece, Report

if TYPE_CHECKING:
    from rlm_wasm.limits import SharedBudget
    from rlm_wasm.llm.budget import Budget, Need, Waiting
    from rlm_wasm.store.database import DatabaseStore
    from rlm_wasm.store.records import Amount

log = logging.getLogger("rlm_wasm.session_parts.lending")

IDLE_S: Final = 0.25
"""What was not used for so long is given back."""
LOOK_S: Final = 1.0
"""So often a session that has a piece looks whether others want some of it."""
LONGEST_WAIT_S: Final = 1.0
"""Between two tries of a session that gets nothing at present; the first waits are shorter."""
_FIRST_WAIT_S: Final = 0.02
_RECLAIM_AFTER: Final = 4
"""Tries, before pieces are looked for whose sessions are gone."""
_NOTHING: Final = Piece(calls=0, tokens=0, nanousd=0, places=0)


class Lender:
    """One session's. Made by Durable, when it knows the session's budget; ended by ``aclose``."""

    def __init__(
        self,
        store: DatabaseStore,
        shared: SharedBudget,
        session: str,
        epoch: int,
        budget: Budget,
        *,
        found: bool,
        before: Amount | None = None,
    ) -> None:
        """``found``: the session was in the store, and may have a piece already.

        ``before``: the budget is what was left of the session's own limits when it began sessions elsewhere,
        and so much was gone by then; None: it is the embedder's.
        """
        self._before = before
        self.bounds_tokens = shared.tokens is not None
        self.bounds_cost = shared.cost_usd is not None
        self._store = store
        self._shared = shared
        self._session = session
        self._epoch = epoch
        self._budget = budget
        self._piece = _NOTHING
        self._task: asyncio.Task[None] | None = None
        self._wake: asyncio.Event | None = None
        self._asked = False
        self.busy = False
        self._exchanged_at = 0.0
        self._has_piece = found
        self._closed = False
        self._ready: asyncio.Event | None = None
        """Until it is set the budget may not be in the store yet; None where it is."""
        budget.borrow_from(self)

    async def begin(self, made: Awaitable[None]) -> None:
        """The budget is made by this; until then nothing is lent. Raises StoreError."""
        self._ready = asyncio.Event()
        await made
        self._ready.set()
        self._has_piece = True

    # ---- for the Budget

    def covers(self, whole: Amount) -> bool:
        """Whether the piece is so large; where places are short, no more than everybody's are taken."""
        piece = self._piece
        if piece.fair is not None and whole.places > piece.fair and whole.places > 1:
            return False
        return piece.covers(whole)

    def ask(self) -> None:
        """Ask for more, soon."""
        self._asked = True
        self._go()

    def settled(self) -> None:
        """Nothing waits: after a moment what is not used is given back."""
        self._go()
        if self._wake is not None and self._budget.need().reserved.places == 0:
            self._wake.set()

    # ----

    def _go(self) -> None:
        if self._closed:
            return
        if self._task is None or self._task.done():
            self._wake = asyncio.Event()
            self._task = asyncio.get_running_loop().create_task(self._run())
        if self._asked and self._wake is not None:
            self._wake.set()

    async def _run(self) -> None:
        """Until nothing waits and nothing is held."""
        wake = self._wake
        assert wake is not None
        loop, tries = asyncio.get_running_loop(), 0
        while not self._closed:
            wake.clear()
            need = self._budget.need()
            if self._asked and need.first is not None:
                self._asked = False
                lent = await self._exchange(reclaims=tries % _RECLAIM_AFTER == _RECLAIM_AFTER - 1)
                if lent:
                    tries = 0
                    continue
                tries += 1
                longest = min(_FIRST_WAIT_S * 2**tries, LONGEST_WAIT_S)
                await self._sleep(wake, longest * random.uniform(0.5, 1.0))  # noqa: S311 - not in step with others
                self._asked = True
                continue
            self._asked = False
            await self._sleep(wake, IDLE_S if _is_idle(need) else LOOK_S)
            if self._asked or self._closed or wake.is_set():
                continue
            idle = _is_idle(self._budget.need())
            due = idle or loop.time() - self._exchanged_at >= LOOK_S
            if due and not await self._exchange(gives_back=idle):
                self._asked = True  # somebody waits, and others wanted what there was
            if idle and not self._asked and _is_idle(self._budget.need()):
                return

    @staticmethod
    async def _sleep(wake: asyncio.Event, seconds: float) -> None:
        try:
            await asyncio.wait_for(wake.wait(), seconds)
        except TimeoutError:
            return

    async def _exchange(self, *, gives_back: bool = False, reclaims: bool = False) -> bool:
        """One transaction with the store: whether the call that waits longest is covered, or refused, now."""
        self.busy = True
        try:
            if self._ready is not None:
                await self._ready.wait()
            return await self._exchanged(gives_back=gives_back, reclaims=reclaims)
        finally:
            self.busy = False

    async def _exchanged(self, *, gives_back: bool, reclaims: bool) -> bool:
        need = self._budget.need()
        report = Report(
            used=need.used,
            reserved=need.reserved,
            minimum=need.minimum,
            wish=need.wish,
            gives_back=gives_back or self._piece.wanted,
            reclaims=reclaims,
        )
        self._piece = _NOTHING  # until it is known what is left, nothing is begun
        try:
            piece = await self._store.run(
                lambda: self._store.budgets.exchange(self._shared.name, self._session, self._epoch, report)
            )
        except LeaseLost as error:
            log.debug("%s", error)  # the journal's writer tells it, and ends the execution
            return False
        except StoreDamaged as error:  # by waiting it does not become better
            log.warning("session %s gets nothing of the shared budget: %s", self._session, error)
            if need.first is not None:
                self._budget.not_lent(need.first, error)
            return True
        except StoreError as error:
            log.warning("session %s gets nothing of the shared budget at present: %s", self._session, error)
            return False
        self.busy = False  # what is told next may ask for more
        self._exchanged_at = asyncio.get_running_loop().time()
        self._has_piece = True
        self._piece = piece
        if piece.refused is not None and need.first is not None:
            self._budget.not_lent(need.first, self._limit(piece.refused, need.first))
            return True
        if need.first is None or self.covers(need.minimum):
            self._budget.lent()
            return True
        return False

    def _limit(self, refused: tuple[str, int, int], first: Waiting) -> LimitExceeded:
        kind, used, limit = refused
        asked: float = {"calls": 1, "tokens": first.worst.tokens, "nanousd": first.worst.usd or 0.0}[kind]
        gone, ceiling = (used / 1e9, limit / 1e9) if kind == "nanousd" else (used, limit)
        if self._before is not None:
            gone_before = getattr(self._before, kind) / (1e9 if kind == "nanousd" else 1)
            gone, ceiling = gone + gone_before, ceiling + gone_before
        kind = "cost_usd" if kind == "nanousd" else kind
        if self._before is not None:
            return LimitExceeded(kind, round(gone + asked, 6), round(ceiling, 6))
        return LimitExceeded(
            kind,
            round(gone + asked, 6),
            ceiling,
            f"limit exceeded: {kind} of the shared budget {self._shared.name} (used {gone:,},"
            f" asked for {asked:,}, limit {ceiling:,})",
        )

    async def aclose(self, *, suspended: bool) -> None:
        """Give back what is left. ``suspended``: only the places, as calls in flight may cost their worst."""
        if self._closed:
            return
        self._closed = True
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        if not self._has_piece:
            return
        need = self._budget.need()
        report = Report(
            used=need.used,
            reserved=need.used,
            minimum=need.used,
            wish=need.used,
            gives_back=not suspended,
            leaves=True,
        )
        try:
            await self._store.run(
                lambda: self._store.budgets.exchange(self._shared.name, self._session, self._epoch, report)
            )
        except StoreError as error:
            log.debug("session %s gives nothing back: %s", self._session, error)


def _is_idle(need: Need) -> bool:
    """Whether nothing waits and nothing is in flight."""
    return need.first is None and need.reserved.places == 0
