"""Budgets that sessions share, and the result of an execution that was asked for by an id."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Sessions that are there share no budget."""
    op.add_column("rlm_sessions", sa.Column("request", sa.String(255)))
    op.add_column("rlm_sessions", sa.Column("result", sa.LargeBinary))
    kinds = ("calls", "tokens", "nanousd")
    op.create_table(
        "rlm_budgets",
        sa.Column("name", sa.String(255), primary_key=True),
        *(
            sa.Column(f"{what}_{kind}", sa.BigInteger, nullable=what == "most", server_default=default)
            for kind in kinds
            for what, default in (("most", None), ("lent", "0"), ("used", "0"))
        ),
        sa.Column("most_places", sa.BigInteger),
        sa.Column("lent_places", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("holders", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("wanted_at", sa.Float, nullable=False, server_default="0"),
    )
    op.create_table(
        "rlm_shares",
        sa.Column("budget", sa.String(255), primary_key=True),
        sa.Column("session", sa.String(255), primary_key=True, index=True),
        *(
            sa.Column(f"{what}_{kind}", sa.BigInteger, nullable=False)
            for kind in kinds
            for what in ("lent", "used")
        ),
        sa.Column("lent_places", sa.BigInteger, nullable=False),
        sa.Column("open", sa.Boolean, nullable=False, index=True),
    )
    op.execute("INSERT INTO rlm_schema (version) VALUES (3)")
