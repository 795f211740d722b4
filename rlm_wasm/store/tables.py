"""The store's tables, as they are in this release.

A change here raises SCHEMA_VERSION and has a revision in ``migrations/versions`` that brings older stores
up; a test compares what the revisions make of an old store with these tables.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from rlm_wasm.store.column_types import checked_table

SCHEMA_VERSION: Final = 3

metadata = sa.MetaData()

schema = checked_table(
    "rlm_schema",
    metadata,
    sa.Column("version", sa.Integer, primary_key=True),
)
checkpoints = checked_table(
    "rlm_checkpoints",
    metadata,
    sa.Column("namespace", sa.String(255), primary_key=True),
    sa.Column("key", sa.String(1024), primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
    sa.Column("preview", sa.Text, nullable=False),
    sa.Column("written_at", sa.Float, nullable=False),
)
completions = checked_table(
    "rlm_completions",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("used_at", sa.Float, nullable=False, index=True),
)
sessions = checked_table(
    "rlm_sessions",
    metadata,
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("snapshot", sa.LargeBinary, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("made_at", sa.Float, nullable=False),
    sa.Column("written_at", sa.Float, nullable=False),
    # The rows of the journal from this number on come after the snapshot.
    sa.Column("base", sa.BigInteger, nullable=False, server_default="0"),
    # Whoever takes the lease counts the epoch up; every write says in which epoch it is made.
    sa.Column("epoch", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("holder", sa.Text),
    sa.Column("held_since", sa.Float),
    sa.Column("held_until", sa.Float),
    sa.Column("account", sa.LargeBinary),
    sa.Column("provider", sa.Text),
    sa.Column("guest", sa.String(64)),
    sa.Column("release", sa.String(64)),
    # By what id the last execution was asked for, and its Result when it is over.
    sa.Column("request", sa.String(255)),
    sa.Column("result", sa.LargeBinary),
)
journal = checked_table(
    "rlm_journal",
    metadata,
    sa.Column("session", sa.String(255), primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    # "" is the session itself, else which of its children.
    sa.Column("stream", sa.String(255), nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
)
# Snapshots beside the newest one of a session: its children's, and the one that its last execution began on.
snapshots = checked_table(
    "rlm_snapshots",
    metadata,
    sa.Column("session", sa.String(255), primary_key=True),
    sa.Column("stream", sa.String(255), primary_key=True),
    sa.Column("base", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("snapshot", sa.LargeBinary, nullable=False),
)
blobs = checked_table(
    "rlm_blobs",
    metadata,
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("used_at", sa.Float, nullable=False),
)
references = checked_table(
    "rlm_references",
    metadata,
    sa.Column("session", sa.String(255), primary_key=True),
    sa.Column("hash", sa.String(64), primary_key=True, index=True),
)
# What sessions may use together. Of each: the limit, what was handed out, and of that what is used for sure.
budgets = checked_table(
    "rlm_budgets",
    metadata,
    sa.Column("name", sa.String(255), primary_key=True),
    *(
        sa.Column(f"{what}_{kind}", sa.BigInteger, nullable=what == "most", server_default=default)
        for kind in ("calls", "tokens", "nanousd")
        for what, default in (("most", None), ("lent", "0"), ("used", "0"))
    ),
    sa.Column("most_places", sa.BigInteger),
    sa.Column("lent_places", sa.BigInteger, nullable=False, server_default="0"),
    # Sessions that have places, and when one last wanted what others hold.
    sa.Column("holders", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("wanted_at", sa.Float, nullable=False, server_default="0"),
)
# What one session has of it, counted like its account: it may use so much since it began.
shares = checked_table(
    "rlm_shares",
    metadata,
    sa.Column("budget", sa.String(255), primary_key=True),
    sa.Column("session", sa.String(255), primary_key=True, index=True),
    *(
        sa.Column(f"{what}_{kind}", sa.BigInteger, nullable=False)
        for kind in ("calls", "tokens", "nanousd")
        for what in ("lent", "used")
    ),
    sa.Column("lent_places", sa.BigInteger, nullable=False),
    # Whether it has more than it used.
    sa.Column("open", sa.Boolean, nullable=False, index=True),
)
