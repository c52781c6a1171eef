"""The configuration as a whole: whether it is right and in force, and its history."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from dicomnode.config.load import digest_of, read
from dicomnode.config.proposal import mistakes_of, seen
from dicomnode.web.access import Administrator
from dicomnode.web.api.mistakes import Route, Wrong, wrong
from dicomnode.web.asked import Before, Number
from dicomnode.web.configuration import changing
from dicomnode.web.site import Here

__all__ = ["Saved", "State", "Version", "router"]

router = APIRouter(prefix="/api", tags=["Configuration"], route_class=Route)


class State(BaseModel):
    """Whether the files are right, and in force."""

    digest: str = Field(description="Of all files as they are.")
    mistakes: list[Wrong]
    running: bool = Field(description="Was a node seen within the last minute?")
    in_force: bool = Field(description="Has the node taken over the files as they are?")
    restart: list[str] = Field(description="Keys that were changed and count after a restart.")


class Version(BaseModel):
    """A configuration that was in force."""

    id: int
    at: datetime
    user: str = Field(description="Empty: by hand, in the files.")
    note: str
    digest: str
    changed: list[str] = Field(description="Files that are others than in the version before.")
    difference: str = Field(description="From the version before, as a unified diff.")


class Saved(BaseModel):
    """What was changed."""

    files: list[str]
    difference: str = Field(description="As a unified diff.")


@router.get("/configuration")
def read_state(here: Here, _: Administrator) -> State:
    """Whether the files are right, and in force."""
    texts = read(here.config)
    standing = changing.standing_of(here, texts)
    return State(
        digest=digest_of(texts),
        mistakes=[wrong(each) for each in mistakes_of(here.config, texts)],
        running=standing.running,
        in_force=standing.in_force,
        restart=list(standing.node.restart) if standing.node else [],
    )


@router.get("/configuration/history")
def list_versions(
    here: Here,
    _: Administrator,
    before: Before = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> list[Version]:
    """Every configuration that was in force, newest first."""
    versions, _more = changing.history(here, before=before, limit=limit)
    return [_version(each) for each in versions]


@router.post("/configuration/rollback/{number}")
def roll_back(here: Here, caller: Administrator, number: Number) -> Saved:
    """Make the files what they were in a version."""
    texts = read(here.config)
    changes = changing.going_back(texts, changing.version(here, number).files)
    proposal = changing.save(
        here,
        caller,
        changes,
        seen(texts, changes),
        words=f"back to version {number}",
        action="configuration.rolled-back",
    )
    return Saved(files=sorted(proposal.changes), difference=proposal.difference)


def _version(one: changing.Version) -> Version:
    return Version(
        id=one.id,
        at=one.at,
        user=one.user,
        note=one.note,
        digest=one.digest,
        changed=list(one.changed),
        difference=one.difference,
    )
