"""Associations that ended or were refused: written in batches, read by who looks after senders.

What is alike is counted in one row. Such a row is written anew each time, so that numbers are in
the order in which things last happened, and pages that are read by number stay whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from dicomnode.errors import Trouble
from dicomnode.logbook.tables import associations
from dicomnode.records import Visit, VisitState
from dicomnode.storage.database import Connection

__all__ = [
    "KEPT",
    "MOST",
    "Ended",
    "Group",
    "Search",
    "forget",
    "listed",
    "newest_of",
    "troubles",
    "write",
]

KEPT = timedelta(days=30)
MOST = 100_000  #: rows that are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """One row: an association, or several that are alike."""

    visit: Visit  #: of the last one
    at: datetime  #: when the first of them began
    ended_at: datetime  #: when the last of them ended
    count: int = 1
    id: int = 0  #: 0 before it was written


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Everything of one kind that went wrong with one caller."""

    last: Ended  #: the newest row
    count: int  #: associations


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Which rows are wanted; what is empty is not asked for."""

    ae: str = ""  #: part of either AE title, in upper or lower case
    address: str = ""  #: its beginning
    outcome: str = ""  #: a `VisitState`, or `trouble`: all in which something was wrong


def write(tx: Connection, rows: Sequence[Ended]) -> list[int]:
    """Write rows, those with a number in place of the row of that number; return their numbers.

    They are numbered in the order in which they ended.
    """
    old = [row.id for row in rows if row.id]
    if old:
        tx.execute(sa.delete(associations).where(associations.c.id.in_(old)))
    if not rows:
        return []
    new = sa.insert(associations).returning(associations.c.id, sort_by_parameter_order=True)
    in_order = sorted(range(len(rows)), key=lambda place: rows[place].ended_at)
    made = tx.execute(new, [_values(rows[place]) for place in in_order]).scalars()
    numbers = dict(zip(in_order, made, strict=True))
    return [numbers[place] for place in range(len(rows))]


def forget(tx: Connection, *, now: datetime) -> None:
    """Remove rows that are older than `KEPT`, and of more than `MOST` the oldest."""
    surplus = sa.select(associations.c.id).order_by(associations.c.id.desc()).offset(MOST).limit(1)
    last = tx.execute(surplus).scalar_one_or_none()
    if last is not None:
        tx.execute(sa.delete(associations).where(associations.c.id <= last))
    tx.execute(sa.delete(associations).where(associations.c.ended_at < now - KEPT))


def listed(
    tx: Connection, search: Search | None = None, *, before: int = 0, limit: int = 100
) -> list[Ended]:
    """Rows, the newest first; those before the row of a number."""
    wanted = sa.select(associations).order_by(associations.c.id.desc()).limit(limit)
    if before:
        wanted = wanted.where(associations.c.id < before)
    for condition in _conditions(search or Search()):
        wanted = wanted.where(condition)
    return [_ended(row) for row in tx.execute(wanted).mappings()]


def newest_of(tx: Connection, calling_ae: str, address: str, trouble: Trouble) -> Ended | None:
    """The newest row of a caller, exactly as it called, with this trouble."""
    wanted = sa.select(associations).where(
        associations.c.calling_ae == calling_ae,
        associations.c.address == address,
        associations.c.cause == trouble,
    )
    row = tx.execute(wanted.order_by(associations.c.id.desc()).limit(1)).mappings().first()
    return None if row is None else _ended(row)


def troubles(tx: Connection, *, since: datetime, limit: int = 50) -> list[Group]:
    """What went wrong since a time, grouped by caller and kind, the newest first."""
    alike: list[sa.ColumnElement[str]] = [
        *(associations.c[name] for name in ("calling_ae", "called_ae", "address", "cause")),
        sa.cast(associations.c.refused_contexts, sa.Text),
    ]
    last = sa.func.max(associations.c.id).label("last")
    groups = (
        sa.select(last, sa.func.sum(associations.c.count).label("total"))
        .where(associations.c.cause != "", associations.c.ended_at >= since)
        .group_by(*alike)
        .order_by(last.desc())
        .limit(limit)
        .subquery()
    )
    wanted = (
        sa.select(associations, groups.c.total)
        .join(groups, groups.c.last == associations.c.id)
        .order_by(associations.c.id.desc())
    )
    rows = tx.execute(wanted).mappings()
    return [Group(last=_ended(row), count=int(row["total"])) for row in rows]


def _conditions(search: Search) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if search.ae:
        found.append(
            associations.c.calling_ae.icontains(search.ae, autoescape=True)
            | associations.c.called_ae.icontains(search.ae, autoescape=True)
        )
    if search.address:
        found.append(associations.c.address.startswith(search.address, autoescape=True))
    if search.outcome == "trouble":
        found.append(associations.c.cause != "")
    elif search.outcome:
        found.append(associations.c.state == search.outcome)
    return found


def _values(row: Ended) -> dict[str, object]:
    visit = row.visit
    return {
        "at": row.at,
        "ended_at": row.ended_at,
        "calling_ae": visit.calling_ae,
        "called_ae": visit.called_ae,
        "address": visit.address[:64],
        "state": visit.state,
        "cause": visit.trouble or "",
        "reason": visit.words,
        "refused_contexts": {name: list(each) for name, each in visit.refused_contexts.items()},
        "stored": visit.stored,
        "refused": sum(visit.refusals.values()),
        "refusals": dict(visit.refusals),
        "count": row.count,
    }


def _ended(row: Mapping[Any, Any]) -> Ended:
    ended_at = row["ended_at"] or row["at"]
    visit = Visit(
        state=VisitState(row["state"]),
        address=row["address"],
        calling_ae=row["calling_ae"],
        called_ae=row["called_ae"],
        seconds=(ended_at - row["at"]).total_seconds() if row["count"] == 1 else 0.0,
        trouble=Trouble(row["cause"]) if row["cause"] else None,
        words=row["reason"],
        refused_contexts={name: tuple(each) for name, each in row["refused_contexts"].items()},
        stored=row["stored"],
        refusals=row["refusals"],
    )
    return Ended(visit=visit, at=row["at"], ended_at=ended_at, count=row["count"], id=row["id"])
