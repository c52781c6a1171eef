"""From a URL to transactions: SQLite with its pragmas, Postgres with its pool.

What differs between the two databases is said here, and nowhere else.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, Dialect, Engine, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from dicomnode.errors import DatabaseAway

__all__ = [
    "Connection",
    "Database",
    "distinct",
    "insert_new",
    "one_at_a_time",
    "texts_between",
]

_BUSY_S = 30  #: how long SQLite waits for another writer; `?timeout=5` in the URL says otherwise

#: A Postgres server that lost its power or its cable is given up after about a minute.
_KEEPALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}


class Database:
    """One database, opened lazily; safe to share between threads.

    `url` is a SQLAlchemy URL (`sqlite:////folder/worklist.db`, `postgresql://user@host/name`);
    `password_file` holds the password in its first line and is read at each new connection's
    start, so that a changed password needs no restart.
    """

    def __init__(self, url: str, password_file: Path | None = None) -> None:
        self.url = make_url(url)
        self._engine = _engine(self.url, password_file)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Commit at the end of the block, roll back on any error.

        Raises:
            DatabaseAway: the database does not answer, or stayed locked.
        """
        with self._connect(dicomnode_begin="BEGIN IMMEDIATE") as tx:
            yield tx

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view, without keeping writers waiting.

        Raises:
            DatabaseAway: the database does not answer.
        """
        one_view: dict[str, Any] = {"dicomnode_begin": "BEGIN DEFERRED"}
        if self._engine.dialect.name == "postgresql":
            one_view = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with self._connect(**one_view) as tx:
            yield tx

    @contextmanager
    def _connect(self, **options: Any) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                connection.execution_options(**options)
                with connection.begin():
                    yield connection
        except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
            raise DatabaseAway(f"{self.name} does not answer: {_first_line(error)}") from error
        except sa.exc.DBAPIError as error:
            if not error.connection_invalidated and type(error) is not sa.exc.DatabaseError:
                raise
            raise DatabaseAway(f"{self.name} cannot be used: {_first_line(error)}") from error

    @property
    def name(self) -> str:
        """The URL without a password, fit for a log."""
        return self.url.render_as_string(hide_password=True)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def one_at_a_time(tx: Connection, what: str) -> None:
    """Wait until no other transaction is doing `what`; held until this transaction ends.

    SQLite has one writer anyway.
    """
    if tx.dialect.name == "postgresql":
        tx.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(what, 0))))


def insert_new(
    tx: Connection,
    table: sa.Table,
    rows: Sequence[Mapping[str, object]],
    *columns: sa.Column[Any],
) -> Sequence[sa.Row[Any]]:
    """Insert rows in order; return these columns of those that are new.

    A row with a key of which is there already is left out. Of two transactions that insert the same
    row at once, the second waits for the first.
    """
    if not rows:
        return []
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    new = insert(table).on_conflict_do_nothing().returning(*columns)
    return tx.execute(new, list(rows)).all()


def texts_between(
    tx: Connection, column: sa.ColumnElement[str], low: str, high: str
) -> sa.ColumnElement[bool]:
    """Texts from `low` on and before `high`, or that begin with `high`, in the order of their code
    points; by the column's index, which on Postgres is of `text_pattern_ops`.
    """
    end = high + "\U0010ffff"
    if tx.dialect.name == "postgresql":
        return column.bool_op("~>=~")(low) & column.bool_op("~<~")(end)
    return (column >= low) & (column < end)


def distinct(tx: Connection, column: sa.Column[str], *which: sa.ColumnElement[bool]) -> list[str]:
    """The values of a column, in order: from one to the next, by an index of the rows of `which`.

    However many rows have a value, it costs one step.
    """
    least = sa.select(sa.func.min(column).label("value")).where(*which)
    each = least.cte("each", recursive=True)
    following = sa.select(sa.func.min(column)).where(*which, column > each.c.value)
    every = each.union_all(sa.select(following.scalar_subquery()).where(each.c.value.is_not(None)))
    return list(tx.execute(sa.select(every.c.value).where(every.c.value.is_not(None))).scalars())


def _first_line(error: Exception) -> str:
    """The driver's own words: its first line names host and cause, never a row."""
    cause = getattr(error, "orig", None) or error
    return str(cause).strip().partition("\n")[0]


def _engine(url: URL, password_file: Path | None) -> Engine:
    if url.get_backend_name() == "sqlite":
        url = url.update_query_dict({"timeout": str(_BUSY_S)} | dict(url.query))
        engine = sa.create_engine(url, hide_parameters=True)
        event.listen(engine, "connect", _sqlite_connect)
        event.listen(engine, "begin", _sqlite_begin)
        return engine
    engine = sa.create_engine(
        url,
        hide_parameters=True,  # an error's text must not quote a patient's identity
        pool_pre_ping=True,
        pool_size=10,
        max_overflow=20,
        connect_args={"connect_timeout": 5, "application_name": "dicomnode"} | _KEEPALIVE,
    )
    if password_file is not None:
        file = password_file

        @event.listens_for(engine, "do_connect")
        def read_password(
            _dialect: Dialect,
            _record: ConnectionPoolEntry,
            _args: object,
            kwargs: dict[str, object],
        ) -> None:
            try:
                kwargs["password"] = file.read_text().partition("\n")[0].strip()
            except OSError as error:
                raise DatabaseAway(f"cannot read the password file {file}") from error

    return engine


def _sqlite_connect(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    """WAL lets readers read while one writes; FULL makes a commit survive a power cut."""
    connection.isolation_level = None  # we say BEGIN ourselves
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.cursor().execute(f"PRAGMA {pragma}")


def _sqlite_begin(connection: Connection) -> None:
    """A writer takes the write lock at once: it cannot lose it half way through."""
    options = connection.get_execution_options()
    connection.exec_driver_sql(options.get("dicomnode_begin", "BEGIN IMMEDIATE"))
