"""What routes are asked for, as far as several of them are asked for the same."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Path, Query
from pydantic import BeforeValidator

__all__ = ["LARGEST", "Before", "Day", "Number", "query_of"]

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
