"""What outlives a process: checkpoints, kept completions and sessions, in any SQLAlchemy database.

    async with Runtime(store="sqlite:///state.db") as runtime: ...

A SQLite file is the embedded default; PostgreSQL works by its URL. Importing this package is cheap:
SQLAlchemy is imported when a store is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlm_wasm.errors import UsageError
from rlm_wasm.redaction import address_without_credentials

if TYPE_CHECKING:
    from rlm_wasm.store.database import DatabaseStore

__all__ = ["open_store"]


def open_store(url: str) -> DatabaseStore:
    """Open a store, making its tables if need be.

    Raises:
        UsageError: it is no database URL, or its driver is not installed.
        StoreError: the database cannot be reached, or was made by a later release.
    """
    if "://" not in url:
        raise UsageError(
            f"a store is a database URL such as sqlite:///state.db, got {address_without_credentials(url)!r}"
        )
    from rlm_wasm.store.database import DatabaseStore

    return DatabaseStore(url)
