"""Is the page alive, and is the node ready? For whoever starts and watches processes."""

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from dicomnode.errors import DatabaseAway
from dicomnode.logbook import standing
from dicomnode.storage.database import Database
from dicomnode.web.access import Anyone
from dicomnode.web.monitoring.gauges import ALIVE
from dicomnode.web.site import Here, Site

__all__ = ["Live", "Ready", "live", "ready", "router"]

router = APIRouter(prefix="/health", tags=["Monitoring"])


class Live(BaseModel):
    """The page's process answers."""

    status: Literal["live"] = "live"


class Ready(BaseModel):
    """Can the node do its work?"""

    ready: bool
    problems: list[str] = Field(description="What is not as it should be; empty where it is ready.")


@router.get("/live", summary="Does the page answer?")
def live(_: Anyone) -> Live:
    """200 where the page's process answers; it asks nothing of database or node."""
    return Live()


@router.get("/ready", responses={503: {"model": Ready}}, summary="Is the node ready?")
def ready(here: Here, _: Anyone, response: Response) -> Ready:
    """Database, node and disk; 503 where one of them is not as it should be."""
    problems = list(_problems(here))
    if problems:
        response.status_code = 503
    return Ready(ready=not problems, problems=problems)


def _problems(here: Site) -> Iterator[str]:
    if (trouble := _of_node(here.database, here.now())) is not None:
        yield trouble
    if not here.store.has_room(here.settings().node.storage.low_water_mark_bytes):
        yield "the disk is nearly full"


def _of_node(database: Database, now: datetime) -> str | None:
    try:
        with database.reading() as tx:
            seen = (node.seen_at for node in standing.nodes_known(tx))
            fresh = any(now - each < ALIVE for each in seen)
    except DatabaseAway:
        return "the database does not answer"
    return None if fresh else "the node was not heard of lately"
