"""The store's tables. A change here raises SCHEMA_VERSION and says how older ones are brought up."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

SCHEMA_VERSION: Final = 1

metadata = sa.MetaData()

schema = sa.Table(
    "rlm_schema",
    metadata,
    sa.Column("version", sa.Integer, primary_key=True),
)
checkpoints = sa.Table(
    "rlm_checkpoints",
    metadata,
    sa.Column("namespace", sa.String(255), primary_key=True),
    sa.Column("key", sa.String(1024), primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
    sa.Column("preview", sa.Text, nullable=False),
    sa.Column("written_at", sa.Float, nullable=False),
)
completions = sa.Table(
    "rlm_completions",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("used_at", sa.Float, nullable=False, index=True),
)
sessions = sa.Table(
    "rlm_sessions",
    metadata,
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("snapshot", sa.LargeBinary, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("made_at", sa.Float, nullable=False),
    sa.Column("written_at", sa.Float, nullable=False),
)
