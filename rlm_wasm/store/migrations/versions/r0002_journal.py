"""The journal, leases, contexts by hash."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Sessions that are there keep their snapshots: nobody holds them, and nothing comes after those."""
    for column in (
        sa.Column("base", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("epoch", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("holder", sa.Text),
        sa.Column("held_since", sa.Float),
        sa.Column("held_until", sa.Float),
        sa.Column("account", sa.LargeBinary),
        sa.Column("provider", sa.Text),
        sa.Column("guest", sa.String(64)),
        sa.Column("release", sa.String(64)),
    ):
        op.add_column("rlm_sessions", column)
    op.create_table(
        "rlm_journal",
        sa.Column("session", sa.String(255), primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("stream", sa.String(255), nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "rlm_snapshots",
        sa.Column("session", sa.String(255), primary_key=True),
        sa.Column("stream", sa.String(255), primary_key=True),
        sa.Column("base", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("snapshot", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "rlm_blobs",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("used_at", sa.Float, nullable=False),
    )
    op.create_table(
        "rlm_references",
        sa.Column("session", sa.String(255), primary_key=True),
        sa.Column("hash", sa.String(64), primary_key=True, index=True),
    )
    op.execute("INSERT INTO rlm_schema (version) VALUES (2)")
