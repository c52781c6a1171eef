"""Find studies: by whose they are, when, from where, how far they are and what was found.

A million studies are not read. Each thing that is asked has an index; where one of them leaves few
studies, these are looked at. Where none does, what is asked for is frequent, and a page is full
after a stretch of the newest studies. Only what is frequent, and long ago, is looked for in all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from dicomnode.storage.database import Connection
from dicomnode.worklist.criteria import Asked, Wanted, asked_of
from dicomnode.worklist.tables import studies

__all__ = ["COUNTED", "Found", "Place", "search"]

COUNTED = 5000  #: so many are counted exactly
_STRETCH = 10_000
_ESTIMATED = 100_000


class Place(NamedTuple):
    """A study's place among those found, which are in order of these, the greatest first."""

    study_date: str  #: counts only where a date is asked
    last_received_at: datetime
    study_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One page of what was found."""

    study_uids: tuple[str, ...]  #: newest first
    next: Place | None  #: behind which the next page begins; None: there is no more
    count: int  #: of all pages
    exact: bool  #: else there are at least so many


def search(tx: Connection, wanted: Wanted, *, after: Place | None = None, limit: int = 50) -> Found:
    """The studies that are wanted, from behind a place on: the last received first, or where a date
    is asked, those of the last day.

    What comes in meanwhile stands before the first page: no later page shows a study twice.
    """
    asked = list(asked_of(tx, wanted))
    order = _ORDER if wanted.date_from or wanted.date_to else _ORDER[1:]
    rarest, count = _rarest(tx, asked, COUNTED)
    if count <= COUNTED:
        return _among(tx, asked, rarest, order, after, limit, few=True)
    found = _newest(tx, asked, order, after, limit)
    if found is None:
        rarest, _ = _rarest(tx, asked, _ESTIMATED) if len(asked) > 1 else (0, count)
        return _among(tx, asked, rarest, order, after, limit, few=False)
    return found


_ORDER = (studies.c.study_date, studies.c.last_received_at, studies.c.study_uid)
_Order = tuple[sa.ColumnElement[Any], ...]


def _among(
    tx: Connection,
    asked: list[Asked],
    rarest: int,
    order: _Order,
    after: Place | None,
    limit: int,
    *,
    few: bool,
) -> Found:
    """Of the studies for which the rarest holds, those for which the rest does: all of them."""
    rest = [each.holds for number, each in enumerate(asked) if number != rarest]
    mine = sa.select(*_ORDER).where(asked[rarest].finds, *rest)
    found = mine.offset(0).subquery()  # a planner must not go along the order in search of them
    wanted = _in_order(sa.select(found), tuple(found.c[column.name] for column in order), after)
    rows = tx.execute(wanted.limit(limit + 1)).all()
    if after is None and len(rows) <= limit:
        count = len(rows)
    elif few or len(asked) > 1:
        count = _count(tx, mine, COUNTED)
    else:
        count = COUNTED + 1  # as was counted to come here
    return _page(rows, limit, count=min(count, COUNTED), exact=count <= COUNTED)


def _newest(
    tx: Connection, asked: list[Asked], order: _Order, after: Place | None, limit: int
) -> Found | None:
    """Look at a stretch of studies in order; None where that does not fill the page."""
    mine = sa.select(*_ORDER)
    lead = next((each for each in asked if each.along is not None), None)
    if lead is not None:
        mine = mine.where(lead.finds)
    holds = [each.holds for each in asked if each is not lead]

    def stretch(behind: Place | None, length: int) -> tuple[sa.Select[Any], bool]:
        if not holds:
            return _in_order(mine, order, behind), True
        return _stretch(tx, mine, order, behind, length)

    part, is_rest = stretch(after, _STRETCH)
    rows = tx.execute(part.where(*holds).limit(limit + 1)).all()
    if len(rows) <= limit and not is_rest:
        return None
    count, is_all = COUNTED + 1, False  # of what alone is asked
    if len(asked) != 1:
        top, is_all = stretch(None, COUNTED)
        count = _count(tx, top.where(*holds), COUNTED)
    exact = is_all and count <= COUNTED
    count = max(min(count, COUNTED), min(len(rows), limit))
    return _page(rows, limit, count=count, exact=exact)


def _stretch(
    tx: Connection, mine: sa.Select[Any], order: _Order, after: Place | None, length: int
) -> tuple[sa.Select[Any], bool]:
    """So many studies as are looked at, in order; and are there no others behind them?"""
    ordered = _in_order(mine, order, after)
    end = tx.execute(ordered.offset(length).limit(1)).one_or_none()  # along an index, no further
    if end is None:
        return ordered, True
    return ordered.where(sa.not_(_is_before(Place(*end), order))), False


def _in_order(which: sa.Select[Any], order: _Order, after: Place | None) -> sa.Select[Any]:
    if after is not None:
        which = which.where(_is_before(after, order))
    return which.order_by(*(column.desc() for column in order))


def _is_before(place: Place, order: _Order) -> sa.ColumnElement[bool]:
    values = place[-len(order) :]
    there = [sa.literal(value, column.type) for value, column in zip(values, order, strict=True)]
    return sa.tuple_(*order) < sa.tuple_(*there)


def _page(rows: Sequence[Any], limit: int, *, count: int, exact: bool) -> Found:
    places = [Place(*row) for row in rows[:limit]]
    return Found(
        study_uids=tuple(place.study_uid for place in places),
        next=places[-1] if len(rows) > limit else None,
        count=count,
        exact=exact,
    )


def _rarest(tx: Connection, asked: list[Asked], at_most: int) -> tuple[int, int]:
    """Which of them leaves the fewest studies, and how many at most; many if nothing is asked."""
    counts = [_count(tx, each.most, at_most) for each in asked]
    count = min(counts, default=at_most + 1)
    return (counts.index(count) if counts else 0), count


def _count(tx: Connection, uids: sa.Select[Any] | sa.CompoundSelect[Any], at_most: int) -> int:
    """How many there are; one more than `at_most` where there are more than that."""
    some = uids.limit(at_most + 1).subquery()
    count: int = tx.execute(sa.select(sa.func.count()).select_from(some)).scalar_one()
    return count
