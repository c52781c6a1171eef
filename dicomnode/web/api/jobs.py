"""Jobs, and what people do with them."""

from collections.abc import Callable, Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from dicomnode.errors import Cause, WrongStep
from dicomnode.records import Job, State
from dicomnode.web import acting
from dicomnode.web.access import Caller, Operator, Viewer, note_study
from dicomnode.web.acting import Done
from dicomnode.web.asked import LARGEST, Number
from dicomnode.web.site import Here, Site
from dicomnode.worklist import jobs

__all__ = ["Action", "Actions", "Became", "JobFacts", "Raise", "To", "facts_of", "router"]

router = APIRouter(prefix="/api", tags=["Jobs"])

_Priority = Annotated[int, Field(ge=-1_000_000, le=1_000_000)]


class JobFacts(BaseModel):
    """One revision of one study in one pipeline."""

    id: int
    study_uid: str
    pipeline: str
    revision: int
    state: State
    priority: int
    attempts: int
    received: int = Field(description="Objects of the study that are here.")
    expected: int | None = Field(description="As many as its sender has, where that told.")
    partial: bool = Field(description="Done although images were missing.")
    reason: str = Field(description="Why it failed, waits or is partial.")
    refused: Cause | None = Field(description="Why there is a notice in place of results.")
    because: str
    model: str = Field(description="That a person chose in place of the pipeline's; else empty.")
    ready_at: datetime | None
    updated_at: datetime


class Raise(BaseModel):
    """How soon a job is to be taken."""

    model_config = ConfigDict(extra="forbid")

    priority: _Priority | None = Field(
        None, description="The highest goes first; null: before all that wait now."
    )


class To(BaseModel):
    """Who is to be sent results again."""

    model_config = ConfigDict(extra="forbid")

    peer: str = Field("", max_length=64, description="Empty: all who get or had any of them.")


class Action(StrEnum):
    """What can be done with many jobs at once."""

    RETRY = "retry"
    CANCEL = "cancel"
    PRIORITY = "priority"
    RESEND = "resend"


class Actions(BaseModel):
    """One thing, and the jobs that it is to be done with."""

    model_config = ConfigDict(extra="forbid")

    action: Action
    jobs: list[Annotated[int, Field(ge=1, le=LARGEST)]] = Field(
        min_length=1, max_length=acting.MOST
    )
    peer: str = Field("", max_length=64, description="For resend: to whom; empty: to all.")
    priority: _Priority | None = Field(None, description="For priority, as for one job.")


class Became(BaseModel):
    """What became of one of them."""

    job_id: int
    study_uid: str
    done: bool
    words: str = Field(description="How it is now, or why nothing was done.")


@router.get("/jobs/{job_id}", summary="One job")
def read_job(here: Here, caller: Viewer, job_id: Number) -> JobFacts:
    """How far it is. Noted in the audit trail."""
    with here.database.transaction() as tx:
        job = jobs.get(tx, job_id)
        note_study(tx, here, caller, "study.seen", job.study_uid)
    return facts_of(job)


@router.post("/jobs/actions", summary="Do something with many jobs")
def act_on_jobs(here: Here, caller: Operator, wanted: Actions) -> list[Became]:
    """Each for itself; the answer says of each what was done, or why not."""
    do: dict[Action, Callable[[], list[Done]]] = {
        Action.RETRY: lambda: acting.retry(here, caller, wanted.jobs),
        Action.CANCEL: lambda: acting.cancel(here, caller, wanted.jobs),
        Action.PRIORITY: lambda: acting.raise_priority(here, caller, wanted.jobs, wanted.priority),
        Action.RESEND: lambda: acting.resend(here, caller, wanted.jobs, wanted.peer),
    }
    return [
        Became(job_id=each.job_id or 0, study_uid=each.study_uid, done=each.done, words=each.words)
        for each in do[wanted.action]()
    ]


@router.post("/jobs/{job_id}/retry", summary="Do a job again")
def retry_job(here: Here, caller: Operator, job_id: Number) -> JobFacts:
    """Again what failed, was held or not analysed; what a peer refused is sent again."""
    return _one(here, caller, job_id, acting.retry)


@router.post("/jobs/{job_id}/cancel", summary="Cancel a job")
def cancel_job(here: Here, caller: Operator, job_id: Number) -> JobFacts:
    """Nothing more is done or sent for it."""
    return _one(here, caller, job_id, acting.cancel)


@router.post("/jobs/{job_id}/priority", summary="Have a job done sooner, or later")
def raise_job(
    here: Here, caller: Operator, job_id: Number, wanted: Raise | None = None
) -> JobFacts:
    """Of a job that waits; without a number it comes before all others."""
    to = wanted.priority if wanted else None
    return _one(
        here, caller, job_id, lambda site, who, ids: acting.raise_priority(site, who, ids, to)
    )


@router.post("/jobs/{job_id}/resend", summary="Send a job's results again")
def resend_job(here: Here, caller: Operator, job_id: Number, wanted: To | None = None) -> JobFacts:
    """The same objects under the same UIDs: to one peer, or to all."""
    peer = wanted.peer if wanted else ""
    return _one(here, caller, job_id, lambda site, who, ids: acting.resend(site, who, ids, peer))


def facts_of(job: Job) -> JobFacts:
    """A job as the interface tells it."""
    return JobFacts.model_validate(job, from_attributes=True)


def _one(
    here: Site,
    caller: Caller,
    job_id: int,
    do: Callable[[Site, Caller, Iterable[int]], list[Done]],
) -> JobFacts:
    """Do it with one job.

    Raises:
        NotFound: there is no such job.
        WrongStep: it cannot be done; says why.
    """
    with here.database.reading() as tx:
        jobs.get(tx, job_id)
    (done,) = do(here, caller, [job_id])
    if not done.done or done.job_id is None:
        raise WrongStep(done.words)
    with here.database.reading() as tx:
        return facts_of(jobs.get(tx, done.job_id))
