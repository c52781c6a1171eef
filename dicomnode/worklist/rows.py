"""What one line of the worklist says of a study: whose it is, how far it got, what was found."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from dicomnode.errors import Cause
from dicomnode.records import State
from dicomnode.storage.database import Connection
from dicomnode.worklist import findings, history
from dicomnode.worklist.tables import instances, jobs, results, studies

__all__ = ["JobRow", "StudyRow", "is_newest", "last_image_at", "of_studies"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """The newest revision of a study in a pipeline."""

    id: int
    pipeline: str
    revision: int
    state: State
    priority: int
    partial: bool  #: processed although images were missing
    refused: Cause | None
    model: str  #: that answered, as name@version; empty where none did
    reason: str  #: why it failed, waits, or is partial, in words
    updated_at: datetime
    findings: dict[str, float]  #: what is present: probabilities by label, highest first
    seconds_to_result: float | None
    """From its last image until every destination had all, the first time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRow:
    """A study."""

    study_uid: str
    patient_id: str  #: empty where retention removed the images
    accession_number: str
    study_date: str  #: as in the images, YYYYMMDD
    calling_ae: str  #: who sent the last image
    images: int  #: that are here; results of ours left out
    expected: int | None  #: images that the sending peer has of it, where it told
    first_received_at: datetime
    last_received_at: datetime
    removed_at: datetime | None  #: when retention removed the images
    jobs: tuple[JobRow, ...]  #: in order of the pipelines


def of_studies(tx: Connection, study_uids: Sequence[str]) -> list[StudyRow]:
    """Rows of these studies, in this order."""
    images = _images(tx, study_uids)
    made = _jobs(tx, study_uids)
    names = [name for name in StudyRow.__dataclass_fields__ if name in studies.c]
    wanted = sa.select(*(studies.c[name] for name in names))
    rows = tx.execute(wanted.where(studies.c.study_uid.in_(study_uids))).mappings()
    found = {
        row["study_uid"]: StudyRow(
            **row,
            images=images.get(row["study_uid"], 0),
            jobs=tuple(made.get(row["study_uid"], ())),
        )
        for row in rows
    }
    return [found[uid] for uid in study_uids if uid in found]


def is_newest() -> sa.ColumnElement[bool]:
    """Is a row of `jobs` the newest revision of its study in its pipeline?

    It is asked row by row: a join would be planned for more rows than are looked at.
    """
    later = jobs.alias()
    same = (later.c.study_uid == jobs.c.study_uid) & (later.c.pipeline == jobs.c.pipeline)
    newer = sa.select(later.c.id).where(same, later.c.revision > jobs.c.revision).limit(1)
    return newer.correlate(jobs).scalar_subquery().is_(None)


def last_image_at() -> sa.ColumnElement[datetime]:
    """When the last image of a row of `jobs` came in; none where retention removed it."""
    last = instances.alias()
    return (
        sa.select(last.c.received_at)
        .where(last.c.id == jobs.c.last_instance_id)
        .correlate(jobs)
        .scalar_subquery()
    )


def _images(tx: Connection, study_uids: Sequence[str]) -> dict[str, int]:
    count = sa.select(instances.c.study_uid, sa.func.count()).group_by(instances.c.study_uid)
    which = instances.c.study_uid.in_(study_uids), instances.c.own.is_(False)
    return {row[0]: row[1] for row in tx.execute(count.where(*which))}


_JOB = ("id", "pipeline", "revision", "state", "priority", "partial", "refused", "reason")


def _jobs(tx: Connection, study_uids: Sequence[str]) -> dict[str, list[JobRow]]:
    """The newest revision in each pipeline."""
    columns = [jobs.c[name] for name in (*_JOB, "updated_at", "study_uid")]
    times = (
        last_image_at().label("last_image_at"),
        history.first_at(State.DELIVERED).label("delivered_at"),
    )
    wanted = sa.select(*columns, *times)
    mine = wanted.where(jobs.c.study_uid.in_(study_uids)).order_by(jobs.c.pipeline, jobs.c.revision)
    newest = {(row["study_uid"], row["pipeline"]): row for row in tx.execute(mine).mappings()}
    present = findings.of_jobs(tx, [row["id"] for row in newest.values()])
    spoke = _models(tx, [row["id"] for row in newest.values()])
    made: dict[str, list[JobRow]] = {}
    for (study_uid, _), row in newest.items():
        made.setdefault(study_uid, []).append(
            _job(row, present.get(row["id"], {}), spoke.get(row["id"], ""))
        )
    return made


def _models(tx: Connection, job_ids: Sequence[int]) -> dict[int, str]:
    """Which model answered, by job; a result that names none, such as a notice, is left out."""
    mine = results.c.job_id.in_(job_ids), results.c.model != ""
    rows = tx.execute(sa.select(results.c.job_id, results.c.model).where(*mine).distinct())
    return {row.job_id: row.model for row in rows}


def _job(row: sa.RowMapping, present: dict[str, float], model: str) -> JobRow:
    since, until = row["last_image_at"], row["delivered_at"]
    done = since is not None and until is not None
    known = {name: row[name] for name in (*_JOB, "updated_at")}
    known |= {"state": State(row["state"]), "refused": row["refused"] and Cause(row["refused"])}
    seconds = (until - since).total_seconds() if done else None
    return JobRow(**known, findings=present, model=model, seconds_to_result=seconds)
