"""The first release's tables: checkpoints, completions, sessions. Their stores are stamped with it."""

from __future__ import annotations

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Nothing: the release that made the store made its tables."""
