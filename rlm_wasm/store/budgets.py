"""Budgets that sessions of many processes share, in the store: who has which piece of them.

A session asks for pieces (``BudgetShares.exchange``), spends what it has without asking anybody, and gives
back what it does not need. A piece is counted as the session's account is: "it may use so much since it
began". So it does not matter in which process a session goes on, and a process that dies loses nothing: the
session that goes on elsewhere has its account and its piece.

At every moment the pieces that are handed out are no more than the budget. No two transactions are in the
middle of one budget at once: each begins by writing its row.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from rlm_wasm.errors import LeaseLost, StoreDamaged
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.store.leases import is_free
from rlm_wasm.store.records import SHARED_KINDS, Amount, Piece, Report, is_below
from rlm_wasm.store.tables import budgets, sessions, shares

if TYPE_CHECKING:
    from rlm_wasm.limits import SharedBudget
    from rlm_wasm.store.connection import Database

_WANTED_S: Final = 3.0
"""For so long after somebody went away with nothing, others give back what they do not need."""
_SPENT: Final = ("calls", "tokens", "nanousd")
"""What is used for good; places are given back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """How a shared budget stands: of each kind the limit, what is handed out, and of that used for sure.

    Dollars in billionths. ``holders``: sessions that have places.
    """

    limits: dict[str, int | None]
    lent: dict[str, int]
    used: dict[str, int]
    holders: int


class BudgetShares:
    """The blocking half: call it on the store's threads (``Database.run``)."""

    def __init__(self, store: Database) -> None:
        self._store = store

    def open(self, budget: SharedBudget) -> None:
        """Make it, or give the one that is there these limits."""
        limits = {
            "most_calls": budget.calls,
            "most_tokens": budget.tokens,
            "most_nanousd": None if budget.cost_usd is None else math.floor(round(budget.cost_usd * 1e9, 3)),
            "most_places": budget.concurrency,
        }
        self._store.upsert(budgets, {"name": budget.name}, limits)

    def state(self, name: str) -> Shared | None:
        """How it stands; None where there is none of that name."""
        rows = self._store.rows(sa.select(budgets).where(budgets.c.name == name))
        if not rows:
            return None
        row = rows[0]._mapping
        return Shared(
            limits={kind: row[f"most_{kind}"] for kind in SHARED_KINDS},
            lent={kind: row[f"lent_{kind}"] for kind in SHARED_KINDS},
            used={kind: row[f"used_{kind}"] for kind in _SPENT},
            holders=row["holders"],
        )

    def lost(self, budget: str, session: str) -> Amount:
        """What a session has of it, and may have used since it said last what it did: it is gone."""
        here = (shares.c.budget == budget, shares.c.session == session)
        rows = self._store.rows(sa.select(shares).where(*here))
        if not rows:
            return Amount()
        share = _Share.from_row(rows[0]._mapping)
        return Amount(**{kind: max(share.lent[kind] - share.used[kind], 0) for kind in _SPENT})

    def exchange(self, budget: str, session: str, epoch: int, report: Report) -> Piece:
        """Say what was used, give back, ask for more: one transaction.

        Raises LeaseLost where another process has the session, StoreDamaged where the budget is gone, or
        cannot be right.
        """
        with self._store.transaction() as connection:
            whole = _Budget.locked(connection, budget)
            holds = connection.execute(sa.select(sessions.c.epoch).where(sessions.c.name == session)).scalar()
            if holds != epoch:
                raise LeaseLost(f"session {session} was taken over, or removed: no budget is lent to it here")
            mine = _Share.of(connection, budget, session, report)
            whole.settle(mine, report)
            now = self._store.now(connection)
            refused, short = None, False
            if report.asks:
                refused, short = whole.lend(mine, report)
                if short and refused is None and report.reclaims:
                    if _reclaim(connection, whole, mine, now):
                        refused, short = whole.lend(mine, report)
                    else:
                        _check_sums(connection, whole, mine)
            if short:
                # What is too little for the next call may be enough for another session's.
                whole.take_back(mine, report)
            if short and refused is None:
                whole.row["wanted_at"] = now
            if not (mine.is_new and report.leaves):
                mine.write(connection)
            whole.write(connection)
        wanted = now - whole.row["wanted_at"] < _WANTED_S
        return Piece(
            **{kind: None if whole.limit(kind) is None else mine.lent[kind] for kind in SHARED_KINDS},
            fair=whole.fair if wanted else None,
            wanted=wanted and not short,
            refused=refused,
        )


class _Share:
    """One session's row."""

    def __init__(self, budget: str, session: str, lent: dict[str, int], used: dict[str, int]) -> None:
        self.budget = budget
        self.session = session
        self.lent = lent
        self.used = used
        self.is_new = False

    @classmethod
    def of(cls, connection: sa.Connection, budget: str, session: str, report: Report) -> _Share:
        here = (shares.c.budget == budget, shares.c.session == session)
        row = connection.execute(sa.select(shares).where(*here)).first()
        if row is None:
            # What it used before is no part of this budget.
            used = {kind: getattr(report.used, kind) for kind in _SPENT}
            share = cls(budget, session, {**used, "places": 0}, used)
            share.is_new = True
            return share
        return cls.from_row(row._mapping)

    @classmethod
    def from_row(cls, row: Any) -> _Share:
        return cls(
            row["budget"],
            row["session"],
            {kind: row[f"lent_{kind}"] for kind in SHARED_KINDS},
            {kind: row[f"used_{kind}"] for kind in _SPENT},
        )

    def write(self, connection: sa.Connection) -> None:
        values: dict[str, Any] = {f"lent_{kind}": self.lent[kind] for kind in SHARED_KINDS}
        values |= {f"used_{kind}": self.used[kind] for kind in _SPENT}
        values["open"] = self.lent["places"] > 0 or any(self.lent[kind] > self.used[kind] for kind in _SPENT)
        if self.is_new:
            key = {"budget": self.budget, "session": self.session}
            connection.execute(sa.insert(shares).values(**key, **values))
        else:
            here = (shares.c.budget == self.budget, shares.c.session == self.session)
            connection.execute(sa.update(shares).where(*here).values(**values))


class _Budget:
    """The budget's row, in the middle of a transaction that has it alone."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.row = row

    @classmethod
    def locked(cls, connection: sa.Connection, name: str) -> _Budget:
        here = budgets.c.name == name
        # Writing comes first: PostgreSQL locks the row by it, SQLite the file.
        connection.execute(sa.update(budgets).where(here).values(name=name))
        row = connection.execute(sa.select(budgets).where(here)).first()
        if row is None:
            raise StoreDamaged(f"the shared budget {name} is not in the store any more")
        return cls(dict(row._mapping))

    def write(self, connection: sa.Connection) -> None:
        name = self.row["name"]
        values = {key: value for key, value in self.row.items() if key != "name"}
        connection.execute(sa.update(budgets).where(budgets.c.name == name).values(**values))

    def limit(self, kind: str) -> int | None:
        value: int | None = self.row[f"most_{kind}"]
        return value

    def left(self, kind: str) -> int | None:
        limit = self.limit(kind)
        return None if limit is None else limit - int(self.row[f"lent_{kind}"])

    @property
    def fair(self) -> int | None:
        limit = self.limit("places")
        return None if limit is None else max(limit // max(self.row["holders"], 1), 1)

    def change(self, share: _Share, kind: str, lent: int) -> None:
        """From now on the share has so much of it."""
        before = share.lent[kind]
        self.row[f"lent_{kind}"] += lent - before
        share.lent[kind] = lent
        if kind == "places":
            self.row["holders"] += (lent > 0) - (before > 0)

    def uses(self, share: _Share, kind: str, used: int) -> None:
        """So much of it is gone."""
        self.row[f"used_{kind}"] += used - share.used[kind]
        share.used[kind] = used

    def settle(self, share: _Share, report: Report) -> None:
        """Take down what the session used, and take back what it gives."""
        for kind in _SPENT:
            self.uses(share, kind, getattr(report.used, kind))
        for kind in SHARED_KINDS:  # an answer may have been longer than anybody could know
            self.change(share, kind, max(getattr(report.reserved, kind), share.lent[kind]))
        if report.gives_back:
            self.take_back(share, report)
        if report.leaves:
            self.change(share, "places", 0)

    def take_back(self, share: _Share, report: Report) -> None:
        """All that the session's calls in flight cannot need."""
        for kind in SHARED_KINDS:
            self.change(share, kind, getattr(report.reserved, kind))

    def lend(self, share: _Share, report: Report) -> tuple[tuple[str, int, int] | None, bool]:
        """Hand out the next call's, and a part of what is left; or what refuses, and whether it is short."""
        for kind in _SPENT:
            limit = self.limit(kind)
            alone = self.row[f"used_{kind}"] + getattr(report.minimum, kind) - getattr(report.reserved, kind)
            if limit is not None and alone > limit:
                return (kind, self.row[f"used_{kind}"], limit), True
        gains = {kind: max(getattr(report.minimum, kind) - share.lent[kind], 0) for kind in SHARED_KINDS}
        for kind in SHARED_KINDS:
            left = self.left(kind)
            if left is not None and gains[kind] > left:
                return None, True
        others = 2 * max(self.row["holders"], 1)
        for kind in SHARED_KINDS:
            self.change(share, kind, share.lent[kind] + gains[kind])
            left = self.left(kind)
            more = max(getattr(report.wish, kind) - share.lent[kind], 0)
            if left is not None:
                more = min(more, left // others)
            self.change(share, kind, share.lent[kind] + more)
        return None, False


def _reclaim(connection: sa.Connection, whole: _Budget, mine: _Share, now: float) -> bool:
    """Take back places that nobody uses; what else such a session had may be used: that counts as used."""
    held = (sessions.c.holder, sessions.c.held_until)
    found = connection.execute(
        sa.select(shares, *held)
        .join(sessions, sessions.c.name == shares.c.session, isouter=True)
        .where(shares.c.budget == mine.budget, shares.c.session != mine.session, shares.c.open)
    ).all()
    changed = False
    for row in found:
        columns = row._mapping
        if not is_free(columns["holder"], columns["held_until"], now):
            continue
        share = _Share.from_row(columns)
        whole.change(share, "places", 0)
        for kind in _SPENT:
            whole.uses(share, kind, share.lent[kind])
        share.write(connection)
        changed = True
    return changed


def _check_sums(connection: sa.Connection, whole: _Budget, mine: _Share) -> None:
    """What is handed out and not used stands with some session: else somebody waits for it for ever.

    Raises StoreDamaged.
    """
    columns = [
        sa.func.coalesce(sa.func.sum(shares.c[f"{what}_{kind}"]), 0).label(f"{what}_{kind}")
        for what, kinds in (("lent", SHARED_KINDS), ("used", _SPENT))
        for kind in kinds
    ]
    others = connection.execute(
        sa.select(*columns).where(shares.c.budget == mine.budget, shares.c.session != mine.session)
    ).one()
    for kind in SHARED_KINDS:
        out = whole.row[f"lent_{kind}"] - (whole.row[f"used_{kind}"] if kind in _SPENT else 0)
        held = mine.lent[kind] + int(others._mapping[f"lent_{kind}"])
        if kind in _SPENT:
            held -= mine.used[kind] + int(others._mapping[f"used_{kind}"])
        if out != held:
            raise StoreDamaged(
                f"the shared budget {mine.budget} is damaged in the store: {out:,} {kind} are handed out and"
                f" not used, and its sessions have {held:,}. Correct rlm_budgets.lent_{kind}, or take a"
                " budget of another name"
            )


def forget_shares(connection: sa.Connection, session: str) -> None:
    """The session is removed: its places are free, and what it had of budgets counts as used."""
    for budget in (
        connection.execute(sa.select(shares.c.budget).where(shares.c.session == session)).scalars().all()
    ):
        whole = _Budget.locked(connection, budget)
        here = (shares.c.budget == budget, shares.c.session == session)
        row = connection.execute(sa.select(shares).where(*here)).first()
        if row is None:
            continue
        share = _Share.from_row(row._mapping)
        whole.change(share, "places", 0)
        for kind in _SPENT:
            whole.uses(share, kind, share.lent[kind])
        whole.write(connection)
        connection.execute(sa.delete(shares).where(*here))


def forget_budget(connection: sa.Connection, name: str) -> None:
    """Nobody shares it any longer."""
    connection.execute(sa.delete(shares).where(shares.c.budget == name))
    connection.execute(sa.delete(budgets).where(budgets.c.name == name))


def forget_budgets_of(connection: sa.Connection, session: str) -> None:
    """Forget those that a session shared with sessions that it began elsewhere."""
    named = budgets.c.name.startswith(f"{session}/", autoescape=True)
    for budget in connection.execute(sa.select(budgets.c.name).where(named)).scalars().all():
        if is_below(session, budget):
            forget_budget(connection, budget)
