"""The store as a whole: checkpoints, kept completions and sessions, in one database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlm_wasm.store.checkpoints import DatabaseCheckpoints

if TYPE_CHECKING:
    from rlm_wasm.store.budgets import BudgetShares
    from rlm_wasm.store.completions import CompletionCache
    from rlm_wasm.store.durable import DurableSessions
    from rlm_wasm.store.runs import RunRepository, StoreLog
    from rlm_wasm.store.sessions import SessionRepository


class DatabaseStore(DatabaseCheckpoints):
    """Checkpoints by namespace and key; ``completions()`` is a cache for CachedProvider."""

    def completions(self, max_bytes: int = 1 << 30) -> CompletionCache:
        """A store for CachedProvider in this database."""
        from rlm_wasm.store.completions import CompletionCache

        return CompletionCache(self, max_bytes)

    @property
    def durable(self) -> DurableSessions:
        """Sessions with their journals, for whoever runs them."""
        from rlm_wasm.store.durable import DurableSessions

        return DurableSessions(self)

    @property
    def budgets(self) -> BudgetShares:
        """Budgets that sessions share, and who has which piece of them."""
        from rlm_wasm.store.budgets import BudgetShares

        return BudgetShares(self)

    @property
    def runs(self) -> RunRepository:
        """Logs of runs that are kept."""
        from rlm_wasm.store.runs import RunRepository

        return RunRepository(self)

    def run_log(self, *, max_age_s: float = 30 * 86_400.0, max_bytes: int = 1 << 30) -> StoreLog:
        """What keeps every run in this database, for ``Runtime(log=…)``.

        A run goes ``max_age_s`` seconds after its end, or where all of them have more than ``max_bytes``.
        """
        from rlm_wasm.store.runs import StoreLog

        return StoreLog(self, max_age_s=max_age_s, max_bytes=max_bytes)

    @property
    def sessions(self) -> SessionRepository:
        """Sessions that outlive their process."""
        from rlm_wasm.store.sessions import SessionRepository

        return SessionRepository(self)
