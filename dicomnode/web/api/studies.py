"""Studies: searched, a page at a time or all as CSV."""

from collections.abc import Iterable, Iterator
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from dicomnode.web import studies
from dicomnode.web.access import Viewer
from dicomnode.web.site import Here
from dicomnode.web.spreadsheet import as_csv
from dicomnode.web.studies import Asked
from dicomnode.worklist.rows import StudyRow

__all__ = ["Studies", "router"]

router = APIRouter(prefix="/api", tags=["Studies"])


class Studies(BaseModel):
    """One page of the studies that were found."""

    studies: list[StudyRow] = Field(description="Last received first; by study date if asked for.")
    next: str | None = Field(description="Ask again with `after` set to it; null: the last page.")
    count: int = Field(description="Studies found, of all pages.")
    exact: bool = Field(description="If false, there are at least `count`.")


@router.get("/studies", summary="Search the worklist")
def search(
    here: Here,
    caller: Viewer,
    wanted: Asked,
    after: Annotated[str, Query(max_length=400, description="`next` of the page before.")] = "",
    limit: Annotated[int, Query(ge=1, le=500, description="Most studies of a page.")] = 50,
) -> Studies:
    """Studies for which all that is asked holds. No page shows a study that one before it showed.

    A search for a patient, an accession number or a text is noted in the audit trail.
    """
    found = studies.look(here, caller, wanted, after=after, limit=limit)
    return Studies(
        studies=found.studies, next=found.next or None, count=found.count, exact=found.exact
    )


@router.get("/studies.csv", summary="Export the worklist", response_class=StreamingResponse)
def export(here: Here, caller: Viewer, wanted: Asked) -> StreamingResponse:
    """All that is found, a line for each study and job of it; noted in the audit trail."""
    found = studies.every(here, caller, wanted)
    return as_csv("studies.csv", studies.COLUMNS, _lines(found))


def _lines(found: Iterable[StudyRow]) -> Iterator[list[object]]:
    for study in found:
        for job in study.jobs or (None,):
            yield studies.as_line(study, job)
