"""Steps that bring a worklist to where a test begins."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dicomnode.answers import Presence, Result, Score
from dicomnode.errors import Cause
from dicomnode.records import (
    Delivery,
    InstanceRef,
    Job,
    Outcome,
    ResultKind,
    State,
    Verdict,
)
from dicomnode.storage.database import Connection, Database
from dicomnode.worklist import arrivals, history, jobs, outbox, queue, studies
from dicomnode.worklist.arrivals import Arrival, Entry
from tests.factories import STUDY_UID, uid

__all__ = [
    "LONG",
    "MODEL",
    "NOW",
    "PIPELINE",
    "after",
    "claim",
    "delivered_job",
    "enter",
    "events",
    "failed_job",
    "held_job",
    "make_arrival",
    "make_ref",
    "make_results",
    "not_analysed_job",
    "owed",
    "ready_job",
    "refused_job",
    "reported_job",
    "running_job",
    "say",
    "study",
    "undelivered_job",
    "usual_jobs",
    "waiting_job",
]

NOW = datetime(2025, 1, 2, 3, 4, 5, 678900, UTC)
PIPELINE = "chest"
LONG = "chest-xray-adult-findings"  #: a pipeline with as long a name as people give
MODEL = "chest-model@1.0"


def after(seconds: float) -> datetime:
    """So many seconds after the test began."""
    return NOW + timedelta(seconds=seconds)


def make_ref(*parts: object, study_uid: str = STUDY_UID) -> InstanceRef:
    """The name of an object of the study."""
    return InstanceRef(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uid=uid(study_uid, *parts),
        series_uid=uid("series"),
        study_uid=study_uid,
    )


def make_arrival(number: int = 1, *, study_uid: str = STUDY_UID, **changes: Any) -> Arrival:
    """One image of the study, as kept on disk."""
    usual = Arrival(
        ref=make_ref("image", number, study_uid=study_uid),
        sha256=f"{number:064x}",
        calling_ae="MODALITY",
        received_at=NOW,
        patient_id="SYN-0001",
        accession_number="A0001",
        study_date="20250102",
        kind="modality CT, body part CHEST",
        own=False,
        pipelines={PIPELINE: 0},
    )
    return replace(usual, **changes)


def enter(tx: Connection, number: int = 1, *, now: datetime = NOW, **changes: Any) -> Entry:
    """Let one image come in."""
    (entry,) = arrivals.enter(tx, [make_arrival(number, received_at=now, **changes)], now=now)
    return entry


def waiting_job(tx: Connection, *, images: int = 1, **changes: Any) -> Job:
    """The newest job of a study of so many images."""
    for number in range(1, images + 1):
        enter(tx, number, **changes)
    study_uid = changes.get("study_uid", STUDY_UID)
    pipelines: Mapping[str, int] = changes.get("pipelines", {PIPELINE: 0})
    job = jobs.latest(tx, study_uid, next(iter(pipelines)))
    assert job is not None
    return job


def ready_job(tx: Connection, *, now: datetime = NOW, **changes: Any) -> Job:
    """A job that a worker may take."""
    job = waiting_job(tx, now=now, **changes)
    assert studies.close(tx, job, State.READY, now=now)
    return jobs.get(tx, job.id)


def running_job(tx: Connection, *, worker: str = "node/1", **changes: Any) -> Job:
    """A job that a worker holds for a minute."""
    ready = ready_job(tx, **changes)
    job = claim(tx, worker, now=changes.get("now", NOW))
    assert job is not None
    assert job.id == ready.id
    return job


def claim(tx: Connection, worker: str = "node/1", *, now: datetime = NOW) -> Job | None:
    """Take the next job for a minute."""
    return queue.claim(tx, worker, lease_s=60, now=now)


#: What a destination gets unless the pipeline says otherwise.
BOTH = frozenset({ResultKind.SC, ResultKind.SR})


def wanted(*peers: str) -> dict[str, frozenset[ResultKind]]:
    """Each of the peers gets both kinds."""
    return dict.fromkeys(peers, BOTH)


def make_results(job: Job) -> list[Result]:
    """A capture and a report, in the order in which they leave."""
    parts = (job.study_uid, job.pipeline, job.revision)
    return [
        Result(
            ref=make_ref(*parts, kind, study_uid=job.study_uid),
            kind=kind,
            part10=b"",
            summary={"nodule": Score(probability=0.75, presence=Presence.PRESENT)},
            model=MODEL,
        )
        for kind in (ResultKind.SC, ResultKind.SR)
    ]


def reported_job(tx: Connection, *, peers: Sequence[str] = ("pacs",), **changes: Any) -> Job:
    """A job whose two results are owed to each of the peers."""
    job = running_job(tx, **changes)
    queue.finish(tx, job, make_results(job), wanted(*peers), now=changes.get("now", NOW))
    return jobs.get(tx, job.id)


def delivered_job(tx: Connection, **changes: Any) -> Job:
    """A job whose results the peer has taken."""
    job = reported_job(tx, **changes)
    for delivery in outbox.of_job(tx, job.id):
        say(tx, delivery, Verdict.STORED, now=changes.get("now", NOW))
    return jobs.get(tx, job.id)


def failed_job(tx: Connection, **changes: Any) -> Job:
    """A job that could not be analysed."""
    job = running_job(tx, **changes)
    queue.fail(tx, job, "no pixels", now=changes.get("now", NOW))
    return jobs.get(tx, job.id)


def refused_job(tx: Connection, *, now: datetime = NOW, **changes: Any) -> Job:
    """A job of which too few images came: a worker is only to say so."""
    job = waiting_job(tx, now=now, **changes)
    studies.expect(tx, job.study_uid, 2)
    short = "1 of 2 images came"
    assert studies.close(tx, job, State.READY, now=now, reason=short, refused=Cause.INCOMPLETE)
    return jobs.get(tx, job.id)


def held_job(tx: Connection, **changes: Any) -> Job:
    """A job whose images disagree about the patient."""
    job = running_job(tx, **changes)
    queue.hold(tx, job, "PatientID, 2 values", now=changes.get("now", NOW))
    return jobs.get(tx, job.id)


def not_analysed_job(tx: Connection, **changes: Any) -> Job:
    """A job whose notices the peer has taken."""
    job = running_job(tx, **changes)
    now = changes.get("now", NOW)
    cause, words = Cause.VIEW, "the model is for frontal views"
    queue.finish(tx, job, make_results(job), wanted("pacs"), now=now, refused=cause, because=words)
    for delivery in outbox.of_job(tx, job.id):
        say(tx, delivery, Verdict.STORED, now=now)
    return jobs.get(tx, job.id)


def undelivered_job(tx: Connection, **changes: Any) -> Job:
    """A job of whose two results the peer refused the second."""
    job = reported_job(tx, **changes)
    capture, report = outbox.of_job(tx, job.id)
    say(tx, capture, Verdict.STORED, now=changes.get("now", NOW))
    say(tx, report, Verdict.NEVER, "0xA900: no SR here", now=changes.get("now", NOW))
    return jobs.get(tx, job.id)


def owed(
    tx: Connection,
    peer: str = "pacs",
    *,
    holder: str = "node",
    limit: int = 50,
    now: datetime = NOW,
) -> list[Delivery]:
    """Take for a minute what may leave now."""
    return outbox.claim(tx, peer, holder, limit=limit, lease_s=60, now=now)


def say(
    tx: Connection,
    delivery: Delivery,
    verdict: Verdict,
    message: str = "",
    *,
    now: datetime = NOW,
    retry_s: float = 10,
    give_up_after_s: float = 3600,
) -> None:
    """The peer says this of one result."""
    outcome = Outcome(
        sop_instance_uid=delivery.sop_instance_uid,
        verdict=verdict,
        status=None,
        message=message or str(verdict),
    )
    outbox.record(tx, delivery, outcome, retry_s=retry_s, give_up_after_s=give_up_after_s, now=now)


def events(tx: Connection, study_uid: str = STUDY_UID) -> list[str]:
    """What happened to a study, in order."""
    return [event.event for event in history.of_study(tx, study_uid)]


def study(number: int) -> str:
    """A UID as long as UIDs may be."""
    return f"1.2.840.113619.2.404.3.1074448704.467.1763680000.{number:015d}"


def usual_jobs(database: Database) -> None:
    """Jobs 1 to 5, one in each state that an operator often sees."""
    with database.transaction() as tx:
        delivered_job(tx, study_uid=study(1), images=2)
        undelivered_job(tx, study_uid=study(2))
        failed_job(tx, study_uid=study(3))
        reported_job(tx, study_uid=study(4), pipelines={LONG: 0})
        say(tx, owed(tx)[0], Verdict.LATER, "out of resources (0xA700)")
        studies.expect(tx, waiting_job(tx, study_uid=study(5)).study_uid, 412)
