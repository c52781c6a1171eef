"""Bring a database to the tables that this version knows, by Alembic's migrations."""

from importlib.resources import files

from alembic import command
from alembic.config import Config

from dicomnode.storage.database import Database, one_at_a_time

__all__ = ["upgrade"]


def upgrade(database: Database) -> None:
    """Create or update the tables; all of it happens, or nothing.

    Raises:
        DatabaseAway: the database does not answer.
    """
    config = Config()
    config.set_main_option("script_location", str(files("dicomnode.worklist") / "migrations"))
    config.set_main_option("path_separator", "os")
    with database.transaction() as tx:
        one_at_a_time(tx, "migrating")
        config.attributes["connection"] = tx
        command.upgrade(config, "head")
