"""Who came and what became of it, as pages and interface ask for it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

from fastapi import Depends, Query

from dicomnode.logbook import associations
from dicomnode.logbook.associations import Ended, Search
from dicomnode.web.doctor import Advice, Place, advise
from dicomnode.web.site import Site

__all__ = ["Seen", "Wanted", "look", "troubles"]

_LATELY = timedelta(hours=24)

Outcome = Literal["", "trouble", "released", "aborted", "lost", "rejected", "no-request"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An association, or several that are alike, and what to do about them."""

    row: Ended
    count: int
    advice: Advice | None


def _wanted(
    ae: Annotated[str, Query(max_length=64, description="Part of either AE title.")] = "",
    address: Annotated[str, Query(max_length=64, description="Beginning of the address.")] = "",
    outcome: Annotated[
        Outcome, Query(description="How it ended; trouble: all in which something was wrong.")
    ] = "",
) -> Search:
    return Search(ae=ae.strip(), address=address.strip(), outcome=outcome)


#: In a route: `wanted: Wanted`.
Wanted = Annotated[Search, Depends(_wanted)]


def look(here: Site, wanted: Search, *, before: int = 0, limit: int = 100) -> list[Seen]:
    """Rows, the newest first."""
    place = _place(here)
    with here.database.reading() as tx:
        rows = associations.listed(tx, wanted, before=before, limit=limit)
    return [Seen(row=row, count=row.count, advice=advise(row.visit, place)) for row in rows]


def troubles(here: Site) -> list[Seen]:
    """What went wrong in the last 24 hours, one of each kind and caller, the newest first."""
    place = _place(here)
    with here.database.reading() as tx:
        groups = associations.troubles(tx, since=here.now() - _LATELY)
    seen = [
        Seen(row=each.last, count=each.count, advice=advise(each.last.visit, place))
        for each in groups
    ]
    return [each for each in seen if each.advice is not None and not each.advice.harmless]


def _place(here: Site) -> Place:
    settings = here.settings()
    return Place(ae_title=settings.node.receive.ae_title, peers=settings.peers)
