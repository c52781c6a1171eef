"""The worklist's tables through time (Alembic); `upgrade` brings a database up to date."""
