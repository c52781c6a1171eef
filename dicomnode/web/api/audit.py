"""The audit trail."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from dicomnode.audit.events import Deed
from dicomnode.web import trail
from dicomnode.web.access import Administrator
from dicomnode.web.asked import Before
from dicomnode.web.site import Here
from dicomnode.web.spreadsheet import as_csv

__all__ = ["Line", "Lines", "router"]

router = APIRouter(prefix="/api", tags=["Audit trail"])


class Line(BaseModel):
    """What somebody did."""

    id: int
    at: datetime
    user: str = Field(description="Empty where nobody was logged in.")
    address: str = Field(description="Of the browser or script.")
    action: str = Field(examples=["study.seen"])
    done: bool = Field(description="Else it was refused.")
    study_uid: str
    patient_id: str
    detail: str


class Lines(BaseModel):
    """A piece of the trail."""

    lines: list[Line]
    next: int | None = Field(description="Send it as `before` for the lines that follow.")


@router.get("/audit")
def list_audit(
    here: Here,
    caller: Administrator,
    wanted: trail.Wanted,
    before: Before = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Lines:
    """Who did what, newest first."""
    found = trail.look(here, caller, wanted, before=before, limit=limit)
    return Lines(
        lines=[_line(number, deed) for number, deed in found],
        next=found[-1][0] if len(found) == limit else None,
    )


@router.get(
    "/audit.csv",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
def export_audit(here: Here, caller: Administrator, wanted: trail.Wanted) -> StreamingResponse:
    """The same as a table, whole."""
    lines = trail.every(here, caller, wanted)
    rows = (_row(number, deed) for number, deed in lines)
    return as_csv("audit.csv", list(Line.model_fields), rows)


def _line(number: int, deed: Deed) -> Line:
    return Line(id=number, **asdict(deed))


def _row(number: int, deed: Deed) -> list[object]:
    return list(_line(number, deed).model_dump(mode="json").values())
