"""A session that stands in for another one, elsewhere, to serve one of that one's recursive calls.

It has a name, a lease and a journal, as any durable session; its guest runs nothing. The loop that serves the
call, and the child in which the programs run, are below it, as they would be below the parent: so all of it
goes on in another process as any recursive call does. What comes of it is kept with the session.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from rlm_wasm.errors import (
    InternalError,
    LimitExceeded,
    ProviderError,
    SessionClosed,
    SnapshotError,
    StoreError,
    UsageError,
)
from rlm_wasm.execution.meter import FuelAccount
from rlm_wasm.session_parts.placed import Reply, Told, Work

if TYPE_CHECKING:
    from rlm_wasm.llm.budget import BudgetState
    from rlm_wasm.runlog import events
    from rlm_wasm.session_parts.children import Children
    from rlm_wasm.session_parts.durable import Durable
    from rlm_wasm.session_parts.parts import Parts

MAX_RECORDS = 100_000
"""For the parent's run log; what comes after them is left out."""


class Serving:
    """One call's work in one session."""

    def __init__(self, parts: Parts, durable: Durable, children: Children, work: Work) -> None:
        self._parts = parts
        self._durable = durable
        self._children = children
        self._work = work
        self._until = time.monotonic() + work.limits.timeout_s
        self._account = FuelAccount(work.limits.fuel)
        self._ran_before = 0
        """Fuel of programs that are not run again."""
        self._warnings: list[str] = []
        self._records: list[events.Record] = []

    # ---- for the child: see children.Told

    def time_left(self) -> float:
        """Seconds until the parent's execution is at its end."""
        return max(self._until - time.monotonic(), 0.001)

    def warn(self, text: str) -> None:
        """Tell the parent."""
        if len(self._warnings) < _MAX_WARNINGS and text not in self._warnings:
            self._warnings.append(text)

    def fuel_account(self) -> FuelAccount:
        """What the parent gave."""
        return self._account

    def ran_before(self, fuel: int) -> None:
        """Nobody else has counted that, unless the journal did it again."""
        self._ran_before += fuel
        if self._account.used < self._ran_before:
            self._account.stands_at(self._ran_before)

    # ----

    def known(self) -> Told | None:
        """What came of it, where it is over. Raises SnapshotCorrupt."""
        kept = self._durable.kept_reply
        return None if kept is None else (Reply.load(kept, self._work.name), ())

    async def done(self, ended: Callable[[], bool]) -> Told:
        """Do it, or go on with it, and keep what comes of it.

        ``ended``: whether the parent wants it no longer. Where this is cancelled then, it tells what was
        used, and the session stays in its middle.

        Raises:
            StoreError: it cannot be kept.
            SnapshotError: what the store has of it cannot be used.
            SessionClosed: the session was closed before it was over.
            InternalError: a defect of rlm-wasm.
        """
        parts, work = self._parts, self._work
        leave = parts.recorder.stream.subscribe(self._record) if work.logged else None
        if work.logged:
            parts.recorder.begin()
        parts.calls.budget.take_number(work.number)
        try:
            data = await self._durable.text_given(work.data) if work.data else ""
            request = replace(work.request, data=data, timeout_s=self.time_left())
            found = await self._children.recurse_here(self, request, parts.calls, work.deepest)
            reply = Reply(
                status="answered",
                text=found.text,
                model=found.model,
                prompt_tokens=found.prompt_tokens,
                completion_tokens=found.completion_tokens,
                cached_tokens=found.cached_tokens,
            )
        except (StoreError, SnapshotError, SessionClosed, InternalError):
            raise
        except Exception as error:
            if self._durable.writer.lost is not None:  # what it failed by is not the work's
                raise self._durable.writer.lost from error
            reply = _failed(error)
        except BaseException:
            if not ended():
                raise
            self._durable.ended()
            return self._with_what_was_used(Reply(status="cancelled")), self._records
        finally:
            if leave is not None:
                leave()
        reply = self._with_what_was_used(reply)
        self._durable.replies(reply.dump(), reply.status)
        return reply, self._records

    def _with_what_was_used(self, reply: Reply) -> Reply:
        return replace(
            spent_in(reply, self._parts.calls.budget.to_state()),
            fuel=self._account.used,
            entries=tuple(self._parts.log.entries()),
            warnings=tuple(self._warnings),
        )

    def _record(self, record: events.Record) -> None:
        if len(self._records) < MAX_RECORDS:
            self._records.append(record)


_MAX_WARNINGS = 100


def spent_in(reply: Reply, spent: BudgetState) -> Reply:
    """The reply of a session that has spent so much."""
    return replace(
        reply,
        usage=spent.session,
        provider=spent.session.provider,
        asked_for=spent.session.asked_for,
        lost_tokens=spent.lost_tokens,
        lost_usd=spent.lost_usd,
        last_number=spent.last_number,
    )


def _failed(error: Exception) -> Reply:
    """The reply of one that failed."""
    known = (ProviderError, UsageError)
    name = next((kind.__name__ for kind in known if isinstance(error, kind)), type(error).__name__)
    reply = Reply(status="failed", error=name, message=str(error)[:_MAX_MESSAGE])
    status = getattr(error, "status", None)
    if isinstance(error, LimitExceeded):
        return replace(reply, kind=error.kind, used=float(error.used), limit=float(error.limit))
    return replace(reply, http_status=status if type(status) is int else None)


_MAX_MESSAGE = 10_000
