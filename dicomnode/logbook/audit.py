"""Who did what, and who looked at whose data: written down, read, never changed (PS3.15 A.5)."""

from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa

from dicomnode.audit.events import Deed
from dicomnode.errors import NotFound
from dicomnode.logbook.tables import audit
from dicomnode.storage.database import Connection, distinct

__all__ = ["Search", "actions", "listed", "note"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Which lines are wanted; what is empty is not asked for."""

    user: str = ""
    action: str = ""
    study_uid: str = ""
    since: datetime | None = None
    until: datetime | None = None  #: lines before it


def note(tx: Connection, deed: Deed) -> None:
    """Write a line."""
    tx.execute(sa.insert(audit).values(asdict(deed)))


def listed(
    tx: Connection, search: Search | None = None, *, before: int = 0, limit: int = 100
) -> list[tuple[int, Deed]]:
    """Lines with their numbers, newest first; those that follow the line of a number.

    Raises:
        NotFound: there is no line of this number.
    """
    wanted = sa.select(audit).order_by(audit.c.at.desc(), audit.c.id.desc()).limit(limit)
    if before:
        at = tx.scalar(sa.select(audit.c.at).where(audit.c.id == before))
        if at is None:
            raise NotFound("there is no such line in the audit trail; begin with the newest")
        wanted = wanted.where(audit.c.at <= at, (audit.c.at < at) | (audit.c.id < before))
    for condition in _conditions(search or Search()):
        wanted = wanted.where(condition)
    rows = [dict(row) for row in tx.execute(wanted).mappings()]
    return [(row.pop("id"), Deed(**row)) for row in rows]


def actions(tx: Connection) -> list[str]:
    """Every kind of action that there is a line of, in order."""
    return distinct(tx, audit.c.action)


def _conditions(search: Search) -> list[sa.ColumnElement[bool]]:
    found = [
        column == value.replace("\0", "")  # which Postgres refuses to compare
        for column, value in (
            (audit.c.user, search.user),
            (audit.c.action, search.action),
            (audit.c.study_uid, search.study_uid),
        )
        if value
    ]
    if search.since is not None:
        found.append(audit.c.at >= search.since)
    if search.until is not None:
        found.append(audit.c.at < search.until)
    return found
