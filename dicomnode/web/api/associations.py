"""Associations that ended or were refused."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from dicomnode.errors import Trouble
from dicomnode.records import VisitState
from dicomnode.web.access import Viewer
from dicomnode.web.asked import Before
from dicomnode.web.associations import Seen, Wanted, look, troubles
from dicomnode.web.site import Here

__all__ = ["AssociationRow", "AssociationRows", "Proposed", "router"]

router = APIRouter(prefix="/api", tags=["Associations"])


class Proposed(BaseModel):
    """What was proposed and not accepted of one SOP Class."""

    sop_class_uid: str
    transfer_syntax_uids: list[str]


class AssociationRow(BaseModel):
    """An association, or several that are alike."""

    id: int
    first_at: datetime = Field(description="When the first of them began.")
    ended_at: datetime = Field(description="When the last of them ended.")
    count: int = Field(description="How many they are.")
    calling_ae: str = Field(description="Empty where no request was read, or there were many.")
    called_ae: str
    address: str
    state: VisitState
    trouble: Trouble | None = Field(description="What was wrong.")
    log: str = Field(description="The same, as it is logged.")
    refused_contexts: list[Proposed]
    stored: int
    refusals: dict[str, int] = Field(description="Objects that were refused, by why.")
    reason: str = Field(description="What was wrong, in words; names are between backticks.")
    fix: str = Field(description="What would help.")
    mended: bool = Field(description="It would go well by now.")


class AssociationRows(BaseModel):
    """A piece of the list."""

    associations: list[AssociationRow]
    next: int | None = Field(description="Send it as `before` for those that follow.")


@router.get("/associations")
def list_associations(
    here: Here,
    caller: Viewer,
    wanted: Wanted,
    before: Before = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> AssociationRows:
    """Who came and what became of it, newest first; of a month, and at most 100,000."""
    found = look(here, wanted, before=before, limit=limit)
    return AssociationRows(
        associations=[_row(each) for each in found],
        next=found[-1].row.id if len(found) == limit else None,
    )


@router.get("/associations/troubles")
def list_troubles(here: Here, caller: Viewer) -> list[AssociationRow]:
    """What went wrong in the last 24 hours, one of each kind and caller."""
    return [_row(each) for each in troubles(here)]


def _row(seen: Seen) -> AssociationRow:
    visit, advice = seen.row.visit, seen.advice
    return AssociationRow(
        id=seen.row.id,
        first_at=seen.row.at,
        ended_at=seen.row.ended_at,
        count=seen.count,
        calling_ae=visit.calling_ae,
        called_ae=visit.called_ae,
        address=visit.address,
        state=visit.state,
        trouble=visit.trouble,
        log=visit.words,
        refused_contexts=[
            Proposed(sop_class_uid=name, transfer_syntax_uids=list(each))
            for name, each in visit.refused_contexts.items()
        ],
        stored=visit.stored,
        refusals=dict(visit.refusals),
        reason=advice.reason if advice else "",
        fix=advice.fix if advice else "",
        mended=advice.mended if advice else False,
    )
