"""Which images belong together, and when a study is complete."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

import sqlalchemy as sa

from dicomnode.config.pipelines import CompleteSettings
from dicomnode.errors import Cause
from dicomnode.records import DeliveryState, InstanceRef, Job, State
from dicomnode.storage.database import Connection
from dicomnode.worklist import jobs as _jobs
from dicomnode.worklist.jobs import move
from dicomnode.worklist.results import ref_of
from dicomnode.worklist.tables import deliveries, instances, jobs, matches, results, studies

__all__ = [
    "Arriving",
    "Completeness",
    "Waiting",
    "arriving",
    "close",
    "completeness",
    "expect",
    "first_received_after",
    "last_received",
    "results_at",
    "waiting",
    "waits_for",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A job whose images are still coming in."""

    job: Job
    calling_ae: str  #: who sent the last image
    last_received_at: datetime  #: aware, UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class Arriving:
    """An image of a job that waits for more."""

    instance_id: int  #: in order of arrival
    pipeline: str
    image: InstanceRef


class Completeness(Enum):
    """What to do with a waiting job now."""

    WAIT = auto()
    COMPLETE = auto()
    PARTIAL = auto()  #: images are missing, and the time for them is over


def waiting(tx: Connection, *, quiet_since: datetime | None = None) -> list[Waiting]:
    """The jobs that wait for images: all, or those that got none after a time."""
    wanted = _jobs.select_jobs(studies.c.calling_ae, studies.c.last_received_at)
    wanted = wanted.where(jobs.c.state == State.WAITING).order_by(jobs.c.id)
    if quiet_since is not None:
        wanted = wanted.where(studies.c.last_received_at <= quiet_since)
    rows = tx.execute(wanted)
    return [
        Waiting(
            job=_jobs.as_job(row),
            calling_ae=row["calling_ae"],
            last_received_at=row["last_received_at"],
        )
        for row in rows.mappings()
    ]


def arriving(tx: Connection, *, after: tuple[int, str] = (0, ""), limit: int) -> list[Arriving]:
    """Images of waiting jobs, in order of arrival, behind an image's number and its pipeline."""
    number, pipeline = after
    behind = (instances.c.id > number) | (
        (instances.c.id == number) & (matches.c.pipeline > pipeline)
    )
    its_job = (jobs.c.study_uid == instances.c.study_uid) & (jobs.c.pipeline == matches.c.pipeline)
    rows = tx.execute(
        sa.select(instances, matches.c.pipeline)
        .select_from(instances.join(matches).join(jobs, its_job))
        .where(jobs.c.state == State.WAITING, instances.c.id >= number, behind)
        .order_by(instances.c.id, matches.c.pipeline)
        .limit(limit)
    )
    return [
        Arriving(instance_id=row["id"], pipeline=row["pipeline"], image=ref_of(row))
        for row in rows.mappings()
    ]


def first_received_after(tx: Connection, then: datetime) -> datetime | None:
    """Of the studies with a waiting job, which got their last image after a time: the earliest."""
    last = sa.select(sa.func.min(studies.c.last_received_at)).select_from(jobs.join(studies))
    last = last.where(jobs.c.state == State.WAITING, studies.c.last_received_at > then)
    found: datetime | None = tx.execute(last).scalar_one()
    return found


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


def last_received(tx: Connection, study_uids: Collection[str]) -> dict[str, datetime]:
    """When each study got its last image; aware, UTC."""
    found = sa.select(studies.c.study_uid, studies.c.last_received_at)
    rows = tx.execute(found.where(studies.c.study_uid.in_(study_uids)))
    return {row.study_uid: row.last_received_at for row in rows}


def waits_for(job: Job, last_received_at: datetime, rules: CompleteSettings) -> str:
    """Such as "waits for 10 s quiet", or "12 of 20 images, waits until 14:05:00"."""
    if job.expected is None or job.received >= job.expected:
        return f"waits for {rules.quiet_s:g} s quiet"
    until = last_received_at + timedelta(seconds=rules.limit_s)
    return f"{job.received} of {job.expected} images, waits until {until.astimezone():%H:%M:%S}"


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


def close(
    tx: Connection,
    job: Job,
    to: State,
    *,
    now: datetime,
    reason: str = "",
    refused: Cause | None = None,
) -> bool:
    """Let a waiting job go on with the images that are here now, or end it.

    With `refused` it goes on to a notice that says so, and is not analysed. False where an image
    came since `job` was read: then it goes on waiting.
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
        "partial": to is State.READY and bool(reason) and refused is None,
        "reason": reason,
        "refused": refused,
        "because": reason if refused else "",
    }
    move(tx, current, to, now=now, detail=reason or _tally(current), values=values)
    return True


def _tally(job: Job) -> str:
    return f"{job.received} of {job.expected}" if job.expected else f"images: {job.received}"
