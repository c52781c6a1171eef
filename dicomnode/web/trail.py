"""The audit trail, as pages and interface ask for it; that it was read is a line of it."""

from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, date, datetime, time
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import Depends, HTTPException, Query

from dicomnode.audit.events import Deed
from dicomnode.logbook import audit
from dicomnode.logbook.audit import Search
from dicomnode.web.access import Caller, note
from dicomnode.web.asked import Day
from dicomnode.web.site import Site

__all__ = ["Wanted", "every", "look"]

_AT_ONCE = 1000


def _wanted(
    user: Annotated[str, Query(max_length=64, description="Who did it.")] = "",
    action: Annotated[str, Query(max_length=32, description="What, such as study.seen.")] = "",
    study_uid: Annotated[str, Query(max_length=64, description="With which study.")] = "",
    since: Annotated[Day, Query(description="From this day on.")] = None,
    until: Annotated[Day, Query(description="Up to and with this day.")] = None,
    zone: Annotated[
        str, Query(max_length=64, description="Of the days; as Europe/Berlin.")
    ] = "UTC",
) -> Search:
    return Search(
        user=user.strip(),
        action=action.strip(),
        study_uid=study_uid.strip(),
        since=_moment(since, time.min, zone),
        until=_moment(until, time.max, zone),
    )


def _moment(day: date | None, clock: time, zone: str) -> datetime | None:
    """That time of a day, in a zone by its name."""
    if day is None:
        return None
    try:
        moment = datetime.combine(day, clock, ZoneInfo(zone))
        moment.astimezone(UTC)
    except (ValueError, OverflowError, OSError, ZoneInfoNotFoundError) as error:
        raise HTTPException(422, f"there is no {day} in the time zone {zone}") from error
    return moment


#: In a route: `wanted: Wanted`.
Wanted = Annotated[Search, Depends(_wanted)]


def look(
    here: Site, caller: Caller, wanted: Search, *, before: int = 0, limit: int = 100
) -> list[tuple[int, Deed]]:
    """Lines, newest first; the first of several looks is noted."""
    with here.database.transaction() as tx:
        found = audit.listed(tx, wanted, before=before, limit=limit)
        if not before:
            note(tx, here, caller, "audit.seen", detail=_words(wanted))
    return found


def every(here: Site, caller: Caller, wanted: Search) -> Iterator[tuple[int, Deed]]:
    """All lines that are wanted, in pieces: however many there are."""
    with here.database.transaction() as tx:
        note(tx, here, caller, "audit.exported", detail=_words(wanted))
    return _pieces(here, wanted)


def _pieces(here: Site, wanted: Search) -> Iterator[tuple[int, Deed]]:
    before = 0
    while True:
        with here.database.reading() as tx:
            piece = audit.listed(tx, wanted, before=before, limit=_AT_ONCE)
        if not piece:
            return
        yield from piece
        before = piece[-1][0]


def _words(wanted: Search) -> str:
    asked = {each.name: getattr(wanted, each.name) for each in fields(wanted)}
    return ", ".join(f"{name} {value}" for name, value in asked.items() if value)
