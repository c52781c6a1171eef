"""Bring a database to the tables that this version knows, by Alembic's migrations."""

from importlib.resources import files
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from dicomnode.logbook import tables as logbook
from dicomnode.people import tables as people
from dicomnode.storage.database import Database, one_at_a_time
from dicomnode.worklist import tables

__all__ = ["METADATA", "is_there", "upgrade"]

#: Of every room that keeps rows; one history of migrations makes the tables of all of them.
METADATA = (tables.metadata, people.metadata, logbook.metadata)


def is_there(database: Database) -> bool:
    """Has a node of this version made its tables here? Asks without creating so much as a file.

    Raises:
        DatabaseAway: the database does not answer.
    """
    file = Path(database.url.database or "")
    if database.url.get_backend_name() == "sqlite" and not file.is_file():
        return False
    with database.reading() as tx:
        known = {name for each in METADATA for name in each.tables}
        return known <= set(sa.inspect(tx).get_table_names())


def upgrade(database: Database, to: str = "head") -> None:
    """Create or update the tables, `to` the newest version; all of it happens, or nothing.

    Raises:
        DatabaseAway: the database does not answer.
    """
    config = Config()
    config.set_main_option("script_location", str(files("dicomnode.worklist") / "migrations"))
    config.set_main_option("path_separator", "os")
    with database.transaction() as tx:
        one_at_a_time(tx, "migrating")
        config.attributes["connection"] = tx
        command.upgrade(config, to)
