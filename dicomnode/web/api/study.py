"""One study, whole; and given to a pipeline."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from dicomnode.answers import Presence
from dicomnode.errors import WrongStep
from dicomnode.records import DeliveryState, ResultKind
from dicomnode.storage.database import Connection
from dicomnode.web import acting, study
from dicomnode.web.access import Operator, Viewer, note
from dicomnode.web.acting import Done
from dicomnode.web.api.jobs import JobFacts, facts_of
from dicomnode.web.described import Described
from dicomnode.web.site import Here
from dicomnode.web.story import Moment
from dicomnode.web.study import JobView
from dicomnode.web.uids import InPath
from dicomnode.worklist import dossier, jobs
from dicomnode.worklist.dossier import Study

__all__ = [
    "FindingFacts",
    "ImageFacts",
    "Order",
    "ResultFacts",
    "WholeJob",
    "WholeStudy",
    "router",
]

router = APIRouter(prefix="/api", tags=["Studies"])

_MOST_IMAGES = 1000


class FindingFacts(BaseModel):
    """What is said of one label."""

    label: str
    probability: float
    presence: Presence
    threshold: float | None = Field(description="Null where it was not written down.")
    calibrated: bool | None


class ResultFacts(BaseModel):
    """One object that a job made."""

    sop_instance_uid: str
    sop_class_uid: str
    kind: ResultKind
    model: str = Field(description="As name@version; empty where no model speaks.")
    made_at: datetime
    withdrawn_at: datetime | None = Field(description="When it was recalled.")
    peers: dict[str, DeliveryState] = Field(description="Where it stands with each peer.")


class WholeJob(JobFacts):
    """A job with what came of it."""

    spoke: str = Field(description="The model that answered, or is to, as far as is known.")
    confirmed: bool = Field(description="All peers that were asked say that they keep its results.")
    waits_for: str
    findings: list[FindingFacts]
    results: list[ResultFacts]


class ImageFacts(BaseModel):
    """One object that was received."""

    sop_instance_uid: str
    sop_class_uid: str
    series_uid: str
    calling_ae: str
    received_at: datetime
    own: bool = Field(description="One of our own results that came back.")


class WholeStudy(BaseModel):
    """A study with its jobs, newest first, and its story."""

    study: Study
    described: Described = Field(description="As an image of each series has it.")
    jobs: list[WholeJob]
    images: list[ImageFacts] = Field(description=f"At most the first {_MOST_IMAGES}.")
    story: list[Moment]


class Order(BaseModel):
    """By what a study is to be done."""

    model_config = ConfigDict(extra="forbid")

    pipeline: str = Field(max_length=64)
    model: str = Field(
        "",
        max_length=200,
        description="Another model than the pipeline's, this once; empty: its own.",
    )


@router.get("/studies/{study_uid}", summary="One study")
def read_study(here: Here, caller: Viewer, study_uid: InPath) -> WholeStudy:
    """Whose it is, its images, its jobs with what they said, and all that happened.

    Noted in the audit trail.
    """
    with here.database.transaction() as tx:
        view = study.read(here, tx, study_uid)
        images = dossier.images(tx, study_uid, limit=_MOST_IMAGES)
        whose = view.study.patient_id
        note(tx, here, caller, "study.seen", study_uid=study_uid, patient_id=whose)
    return WholeStudy(
        study=view.study,
        described=view.described,
        jobs=[_whole(each) for each in view.jobs],
        images=[
            ImageFacts(
                sop_instance_uid=image.ref.sop_instance_uid,
                sop_class_uid=image.ref.sop_class_uid,
                series_uid=image.ref.series_uid,
                calling_ae=image.calling_ae,
                received_at=image.received_at,
                own=image.own,
            )
            for image in images
        ],
        story=list(view.story),
    )


@router.post("/studies/{study_uid}/process", summary="Have a study done by a pipeline")
def process_study(here: Here, caller: Operator, study_uid: InPath, order: Order) -> JobFacts:
    """Whether it matches the pipeline's rules or not; what is there is superseded by a revision."""
    with here.database.reading() as tx:
        dossier.get(tx, study_uid)
    (done,) = acting.process(here, caller, [study_uid], order.pipeline, order.model)
    with here.database.reading() as tx:
        return _job(tx, done)


def _job(tx: Connection, done: Done) -> JobFacts:
    if not done.done or done.job_id is None:
        raise WrongStep(done.words)
    return facts_of(jobs.get(tx, done.job_id))


def _whole(each: JobView) -> WholeJob:
    return WholeJob(
        **facts_of(each.job).model_dump(),
        spoke=each.model,
        confirmed=each.confirmed,
        waits_for=each.waits,
        findings=[
            FindingFacts(
                label=label,
                probability=score.probability,
                presence=score.presence,
                threshold=score.threshold,
                calibrated=score.calibrated,
            )
            for label, score in each.findings.items()
        ],
        results=[
            ResultFacts(
                sop_instance_uid=made.ref.sop_instance_uid,
                sop_class_uid=made.ref.sop_class_uid,
                kind=made.kind,
                model=made.model,
                made_at=made.made_at,
                withdrawn_at=made.withdrawn_at,
                peers=dict(made.peers),
            )
            for made in each.results
        ],
    )
