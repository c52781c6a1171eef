"""Which images belong together, and when a study is complete."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

import sqlalchemy as sa

from dicomnode.records import DeliveryState, InstanceRef, Job, State
from dicomnode.storage.database import Connection, insert_new
from dicomnode.worklist import history
from dicomnode.worklist import jobs as _jobs
from dicomnode.worklist.jobs import move
from dicomnode.worklist.tables import deliveries, instances, jobs, matches, results, studies

__all__ = [
    "Arrival",
    "Completeness",
    "Entry",
    "Waiting",
    "close",
    "completeness",
    "enter",
    "expect",
    "note_conflict",
    "results_at",
    "waiting",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One kept object, as the worklist needs to know it."""

    ref: InstanceRef
    sha256: str  #: of the dataset as received
    calling_ae: str
    received_at: datetime  #: aware, UTC
    patient_id: str
    accession_number: str
    study_date: str
    kind: str  #: modality and body part, in words
    own: bool  #: made by a dicomnode: never analysed
    pipelines: Mapping[str, int]  #: those it matches, each with its priority


class Entry(Enum):
    """What became of an arrival."""

    NEW = auto()
    KNOWN = auto()  #: the same bytes were here
    CONFLICT = auto()  #: the same UID was here with other bytes
    UNMATCHED = auto()  #: new, the first of its study, and of no pipeline


def enter(tx: Connection, arrival: Arrival, *, now: datetime) -> Entry:
    """Note one object, and make or reopen the jobs that it concerns.

    A job that still waits, or that no worker has taken, counts the image in; one that was taken
    gets a new revision; one that a person cancelled stays cancelled.
    """
    uid = arrival.ref.sop_instance_uid
    own = arrival.own or _is_result(tx, uid)
    is_first = _touch_study(tx, arrival, own=own)
    instance_id = _insert(tx, arrival, own=own)
    if instance_id is None:
        return _known(tx, arrival, now=now)
    if is_first and not own and not arrival.pipelines:
        words = f"no pipeline matches the first image: {arrival.kind}"
        history.note(tx, arrival.ref.study_uid, "unmatched", now=now, detail=words)
        return Entry.UNMATCHED
    if own:
        return Entry.NEW
    for pipeline, priority in arrival.pipelines.items():
        tx.execute(sa.insert(matches).values(instance_id=instance_id, pipeline=pipeline))
        _concern(tx, arrival, pipeline, priority, now=now)
    return Entry.NEW


def _known(tx: Connection, arrival: Arrival, *, now: datetime) -> Entry:
    """The UID is here already: the same object, or a contradiction that a person must see."""
    uid, study_uid = arrival.ref.sop_instance_uid, arrival.ref.study_uid
    known = sa.select(instances.c.sha256, instances.c.study_uid)
    first = tx.execute(known.where(instances.c.sop_instance_uid == uid)).one()
    if first.sha256 == arrival.sha256:
        return Entry.KNOWN
    words = f"{uid} arrived again with other bytes"
    history.note(tx, study_uid, "conflict", now=now, detail=words)
    if first.study_uid != study_uid:
        words = f"image {uid} is also, with other bytes, in study {first.study_uid}"
        _hold(tx, arrival, words, now=now)
    return Entry.CONFLICT


def _hold(tx: Connection, arrival: Arrival, reason: str, *, now: datetime) -> None:
    """Let a study's jobs fail at once, for a person to look at, instead of saying nothing."""
    for pipeline, priority in arrival.pipelines.items():
        job = _jobs.latest(tx, arrival.ref.study_uid, pipeline)
        if job is None:
            _concern(tx, arrival, pipeline, priority, now=now)
            job = _jobs.latest(tx, arrival.ref.study_uid, pipeline)
        if job is not None and job.state is State.WAITING:
            values = {"reason": reason, "last_instance_id": 0}
            move(tx, job, State.FAILED, now=now, detail=reason, values=values)


def note_conflict(tx: Connection, study_uid: str, sop_instance_uid: str, *, now: datetime) -> None:
    """Record that other bytes came under a UID that is kept, and were refused."""
    known = sa.select(sa.exists().where(studies.c.study_uid == study_uid))
    if tx.execute(known).scalar_one():
        words = f"{sop_instance_uid} came again with other bytes, and was refused"
        history.note(tx, study_uid, "conflict", now=now, detail=words)


def _touch_study(tx: Connection, arrival: Arrival, *, own: bool) -> bool:
    """Make or update the study's row, and say whether it is new.

    The row's lock keeps `close` from looking meanwhile. A result of ours that comes back is no sign
    that the study's sender has more to send.
    """
    uid = arrival.ref.study_uid
    here: dict[str, object] = {"removed_at": None}
    seen = {
        "patient_id": arrival.patient_id,
        "accession_number": arrival.accession_number,
        "study_date": arrival.study_date,
        "last_received_at": arrival.received_at,
        "calling_ae": arrival.calling_ae,
    }
    update = sa.update(studies).where(studies.c.study_uid == uid)
    update = update.values(here if own else here | seen)
    if tx.execute(update).rowcount == 1:
        return False
    first = {"study_uid": uid, "first_received_at": arrival.received_at}
    if insert_new(tx, studies, first | seen) is not None:
        return True
    tx.execute(update)  # another node was quicker
    return False


def _is_result(tx: Connection, uid: str) -> bool:
    return bool(
        tx.execute(sa.select(sa.exists().where(results.c.sop_instance_uid == uid))).scalar_one()
    )


def _insert(tx: Connection, arrival: Arrival, *, own: bool) -> int | None:
    row = {
        "sop_instance_uid": arrival.ref.sop_instance_uid,
        "sop_class_uid": arrival.ref.sop_class_uid,
        "series_uid": arrival.ref.series_uid,
        "study_uid": arrival.ref.study_uid,
        "sha256": arrival.sha256,
        "calling_ae": arrival.calling_ae,
        "own": own,
        "received_at": arrival.received_at,
    }
    instance_id: int | None = insert_new(tx, instances, row)
    return instance_id


def _concern(
    tx: Connection, arrival: Arrival, pipeline: str, priority: int, *, now: datetime
) -> None:
    job = _jobs.latest(tx, arrival.ref.study_uid, pipeline)
    if job is not None and job.state is not State.WAITING:
        job = _jobs.get(tx, job.id, lock=True)  # a worker may be taking it at this moment
    if job is not None and job.state in (State.WAITING, State.CANCELLED):
        return
    if job is not None and job.state in (State.READY, State.INCOMPLETE):
        reopened = {"last_instance_id": None, "ready_at": None, "partial": False, "reason": ""}
        move(tx, job, State.WAITING, now=now, detail="another image came", values=reopened)
        return
    revision = 1 if job is None else job.revision + 1
    row = {
        "study_uid": arrival.ref.study_uid,
        "pipeline": pipeline,
        "revision": revision,
        "state": State.WAITING,
        "priority": priority,
        "attempts": 0,
        "partial": False,
        "reason": "",
        "not_before": now,
        "created_at": now,
        "updated_at": now,
    }
    job_id = tx.execute(sa.insert(jobs).values(row).returning(jobs.c.id)).scalar_one()
    detail = "" if job is None else f"an image came after job {job.id}: revision {revision}"
    uid = arrival.ref.study_uid
    history.note(tx, uid, State.WAITING, now=now, job_id=job_id, detail=detail)


# --- complete or not ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A job whose images are still coming in."""

    job: Job
    calling_ae: str  #: who sent the last image
    last_received_at: datetime  #: aware, UTC


class Completeness(Enum):
    """What to do with a waiting job now."""

    WAIT = auto()
    COMPLETE = auto()
    PARTIAL = auto()  #: images are missing, and the time for them is over


def waiting(tx: Connection) -> list[Waiting]:
    """Every job that waits for images."""
    rows = tx.execute(
        _jobs.select_jobs(studies.c.calling_ae, studies.c.last_received_at)
        .where(jobs.c.state == State.WAITING)
        .order_by(jobs.c.id)
    )
    return [
        Waiting(
            job=_jobs.as_job(row),
            calling_ae=row["calling_ae"],
            last_received_at=row["last_received_at"],
        )
        for row in rows.mappings()
    ]


def completeness(
    *, received: int, expected: int | None, quiet_for_s: float, quiet_s: float, limit_s: float
) -> Completeness:
    """Is a study with no open association complete?

    `quiet_for_s` is the time since its last image or the release of its last association. Where
    the sending peer told how many images it has, they are waited for until `limit_s`.
    """
    if quiet_for_s < quiet_s:
        return Completeness.WAIT
    if expected is None or received >= expected:
        return Completeness.COMPLETE
    return Completeness.PARTIAL if quiet_for_s >= limit_s else Completeness.WAIT


def expect(tx: Connection, study_uid: str, expected: int) -> None:
    """Note how many images the sending peer has of a study."""
    mine = studies.c.study_uid == study_uid
    tx.execute(sa.update(studies).where(mine).values(expected=expected))


def results_at(tx: Connection, study_uid: str, peers: Collection[str]) -> int:
    """How many of our own results of a study stand at a PACS that has these names here: it counts
    them as the study's.
    """
    sent = (
        sa.select(sa.func.count(results.c.id.distinct()))
        .select_from(deliveries.join(results))
        .where(
            results.c.study_uid == study_uid,
            deliveries.c.peer.in_(peers),
            deliveries.c.state == DeliveryState.SENT,
        )
    )
    return int(tx.execute(sent).scalar_one())


def close(tx: Connection, job: Job, to: State, *, now: datetime, reason: str = "") -> bool:
    """Let a waiting job go on with the images that are here now, or end it.

    False where an image came since `job` was read: then it goes on waiting.
    """
    _jobs.lock_study(tx, job.study_uid)
    current = _jobs.get(tx, job.id, lock=True)
    if current.state is not State.WAITING or current.received != job.received:
        return False
    newest = sa.select(sa.func.max(instances.c.id)).where(instances.c.study_uid == job.study_uid)
    values = {
        "expected": current.expected,
        "last_instance_id": newest.scalar_subquery(),
        "ready_at": now,
        "partial": to is State.READY and bool(reason),
        "reason": reason,
    }
    move(tx, current, to, now=now, detail=reason or _tally(current), values=values)
    return True


def _tally(job: Job) -> str:
    return f"{job.received} of {job.expected}" if job.expected else f"images: {job.received}"
