"""What routes are asked for, as far as several of them are asked for the same."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Annotated
from urllib.parse import urlencode

from fastapi import HTTPException, Path, Query, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BeforeValidator

__all__ = ["LARGEST", "Before", "Day", "Number", "demand_known", "query_of"]

LARGEST = 2**63 - 1  #: as far as every database counts

#: In a route: the number of a row, in its path.
Number = Annotated[int, Path(ge=1, le=LARGEST, description="Its number.")]

#: In a route: from where on older rows are wanted; 0: from the newest.
Before = Annotated[
    int,
    Query(
        ge=0, le=LARGEST, description="Only those before this number, such as `next` of a piece."
    ),
]

#: A day; forms send an empty one where none was chosen.
Day = Annotated[date | None, BeforeValidator(lambda text: text or None)]


def query_of(asked: Mapping[str, str]) -> str:
    """The query of an address that asks for this; what is empty is left out."""
    return urlencode({name: value for name, value in asked.items() if value})


def demand_known(request: Request) -> None:
    """A script that asks for what there is not would take all that there is for the answer.

    Pages are not so strict: people come by addresses that others made.
    """
    route = request.scope.get("route")
    if not isinstance(route, APIRoute) or not route.path.startswith("/api/"):
        return
    known = sorted(set(_parameters(route.dependant)))
    if not request.query_params.keys() <= set(known):
        here = f"it takes {', '.join(known)}" if known else "it takes none"
        raise HTTPException(422, f"the query has a parameter that is not known here; {here}")


def _parameters(asked: Dependant) -> Iterator[str]:
    yield from (each.alias for each in asked.query_params)
    for beneath in asked.dependencies:
        yield from _parameters(beneath)
