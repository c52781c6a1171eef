"""What tables are declared with: kinds of columns that both databases keep alike, and names."""

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

__all__ = ["ID", "NAME", "STATE", "UID", "UTCDateTime", "Words", "new_metadata"]

UID = sa.String(64)
STATE = sa.String(16)  #: a word of an enumeration
NAME = sa.String(64)
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def new_metadata() -> sa.MetaData:
    """For the tables of one room; their keys and indexes get the names that migrations use."""
    return sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class UTCDateTime(sa.types.TypeDecorator[datetime]):
    """An aware datetime, in UTC on both databases (SQLite would drop the zone)."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times; store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without zone reached the database")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give back UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Words(sa.types.TypeDecorator[str]):
    """Text from outside, of any length, without what Postgres cannot keep."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Leave out NUL, and put ? for what is not Unicode."""
        if value is None:
            return None
        return value.replace("\0", "").encode(errors="replace").decode()
