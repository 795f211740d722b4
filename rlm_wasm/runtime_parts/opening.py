"""Durable sessions, opened by their names: the lease, the guest that one stands on, the way back."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Collection, Generator
from dataclasses import replace
from typing import TYPE_CHECKING

from rlm_wasm.errors import RlmError
from rlm_wasm.execution.journal import Trouble
from rlm_wasm.grants import Grants
from rlm_wasm.limits import Limits, SharedBudget
from rlm_wasm.providers.info import info_of
from rlm_wasm.session import Registry, Session
from rlm_wasm.session_parts import state as states
from rlm_wasm.session_parts.durable import Durable, log
from rlm_wasm.turns import to_the_end

if TYPE_CHECKING:
    from rlm_wasm.store.database import DatabaseStore
    from rlm_wasm.store.sessions import SessionRepository


class Opener:
    """Opens sessions under these limits, which spend from ``budget`` where there is one."""

    def __init__(self, limits: Limits, registry: Registry, budget: SharedBudget | None) -> None:
        self._limits = limits
        self._registry = registry
        self._budget = budget
        self._budget_opened = False

    def taken(
        self,
        database: DatabaseStore,
        name: str,
        grants: Grants,
        notify: Trouble | None,
        *,
        make: bool,
        family: SharedBudget | None = None,
    ) -> tuple[Durable, Grants] | None:
        """The session's place, held by this process, and its grants; None where there is none. Blocks.

        Raises:
            SessionHeld: another process is at work in it.
            StoreError: the store cannot be read or written.
            SnapshotError: the guest that it stands on is not there.
        """
        if self._budget is not None and not self._budget_opened:
            database.budgets.open(self._budget)
            self._budget_opened = True
        durable = Durable.open(
            database.durable,
            name,
            make=make,
            provider=_shown(grants),
            trouble=notify if notify is not None else log.warning,
            shared=self._budget,
            family=family,
            key=self._registry.snapshot_key,
        )
        return None if durable is None else (durable, standing(durable, grants))

    async def taking(
        self, database: DatabaseStore, name: str, grants: Grants, notify: Trouble | None, *, make: bool
    ) -> tuple[Durable, Grants] | None:
        """As ``taken``, on a thread of the store's; what nobody waits for any longer is given back.

        Raises:
            SessionHeld: another process is at work in it.
            StoreError: the store cannot be read or written.
            SnapshotError: the guest that it stands on is not there.
        """
        work = database.run(lambda: self.taken(database, name, grants, notify, make=make))
        task = asyncio.ensure_future(work)
        try:
            return await to_the_end(task)
        except asyncio.CancelledError:
            taken = None if task.cancelled() or task.exception() is not None else task.result()
            if taken is not None:
                taken[0].give_back()
            raise

    def seen(
        self, database: DatabaseStore, name: str, grants: Grants, *, whole: bool = False
    ) -> tuple[Durable, Grants] | None:
        """The same without holding it, to be looked at. Blocks.

        Raises:
            StoreError: the store cannot be read.
            SnapshotError: what the store has of it cannot be used.
        """
        durable = Durable.look(database.durable, name, whole=whole, key=self._registry.snapshot_key)
        return None if durable is None else (durable, standing(durable, grants))

    def opening(
        self,
        durable: Durable,
        grants: Grants,
        limits: Limits | None,
        namespace: str | None,
        resend: Collection[str],
        until: int | None = None,
        depth: int = 0,
    ) -> Generator[None, None, Session]:
        """As ``opened``; what it returns is the session."""
        for session in self.opened(durable, grants, limits, namespace, resend, until, depth):
            if session is not None:
                return session
            yield
        raise AssertionError

    def opened(
        self,
        durable: Durable,
        grants: Grants,
        limits: Limits | None,
        namespace: str | None,
        resend: Collection[str],
        until: int | None = None,
        depth: int = 0,
    ) -> Generator[Session | None, None, None]:
        """None for a turn, at last the session; where it cannot be, the lease is given back."""
        session: Session | None = None
        namespace = durable.name if namespace is None else namespace  # whatever a snapshot says
        key = self._registry.snapshot_key
        try:
            account, snapshot = durable.account, durable.snapshot(key)
            own = account.limits if account is not None else None
            if own is None and snapshot is not None:
                own = states.state_of(snapshot).limits  # one that an earlier release saved
            tightened = self._limits.tightened_by(own if limits is None else limits)
            session = Session(
                grants,
                limits=tightened,
                namespace=namespace,
                registry=self._registry,
                snapshot=snapshot,
                resend=resend,
                durable=durable,
                depth=depth,
            )
            for _ in session.replayed(until):
                yield None
            durable.say_provider()
            durable.adopted()
        except BaseException:
            if session is not None:
                session.give_up()
            durable.give_back()
            raise
        yield session


def standing(durable: Durable, grants: Grants) -> Grants:
    """The same on the guest that the session stands on. Where there is none, the lease is given back."""
    try:
        engine = durable.engine(grants.engine)
        durable.keep_guest(engine)
    except BaseException:
        durable.give_back_here()
        raise
    return grants if engine is grants.engine else replace(grants, engine=engine)


def _shown(grants: Grants) -> str | None:
    """The provider and the model as people know them; None where there is none yet."""
    try:
        info = info_of(grants.provider())
    except RlmError:
        return None  # the program's first call says what is missing
    model = grants.model or info.default_model
    return info.name if model in (None, info.name) else f"{info.name} ({model})"


async def no_such_session(repository: SessionRepository, name: str) -> str:
    """What to say where nothing is saved under a name: with the near one."""
    names = [session.name for session in await repository.list()]
    near = difflib.get_close_matches(name, names, n=1)
    return f"there is no session {name}." + (f" Did you mean {near[0]}?" if near else "")
