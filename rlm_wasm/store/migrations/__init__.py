"""How older stores are brought up, by Alembic. Imported only where a store is an older one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from alembic import command
from alembic.config import Config

if TYPE_CHECKING:
    import sqlalchemy as sa

VERSION_TABLE: Final = "rlm_migrations"
"""Alembic's own table, under a name that no other application's has."""


def upgrade(connection: sa.Connection, version: int) -> None:
    """Bring a store of an earlier release up, in the connection's transaction.

    ``version`` is what its table rlm_schema says: a store of the first release knows no other.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["version_table"] = VERSION_TABLE
    if not connection.dialect.has_table(connection, VERSION_TABLE):
        command.stamp(config, f"{version:04}")
    command.upgrade(config, "head")
