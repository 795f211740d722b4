"""The store as a whole: checkpoints, kept completions and sessions, in one database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlm_wasm.store.checkpoints import DatabaseCheckpoints

if TYPE_CHECKING:
    from rlm_wasm.store.completions import CompletionCache
    from rlm_wasm.store.durable import DurableSessions
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
    def sessions(self) -> SessionRepository:
        """Sessions that outlive their process."""
        from rlm_wasm.store.sessions import SessionRepository

        return SessionRepository(self)
