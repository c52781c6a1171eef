"""What jobs made: which objects, by which model, and what has been recalled of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from dicomnode.answers import Presence, Score
from dicomnode.errors import NotFound
from dicomnode.records import (
    DeliveryState,
    InstanceRef,
    Job,
    ResultKind,
)
from dicomnode.storage.database import Connection
from dicomnode.worklist.tables import deliveries, jobs, results

__all__ = [
    "REPORTS",
    "Made",
    "are_recalled",
    "exist_for",
    "has_any",
    "listed",
    "made",
    "of_job",
    "ref_of",
    "reports_before",
    "scores_of",
]

#: Kinds that are Structured Reports, and name their predecessors.
REPORTS = (ResultKind.SR, ResultKind.SR3D, ResultKind.TEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One result, and where it went."""

    job_id: int
    ref: InstanceRef
    kind: ResultKind
    model: str  #: as `name@version`; empty where no model speaks, or it was not written down
    made_at: datetime  #: aware, UTC
    withdrawn_at: datetime | None  #: when it was recalled
    peers: Mapping[str, DeliveryState]  #: where it stands with each, by name


def listed(tx: Connection, *, study_uid: str = "", model: str = "", limit: int = 100) -> list[Made]:
    """Results, the newest first; of one study, or of one model, `name@version`."""
    wanted = sa.select(results).order_by(results.c.id.desc()).limit(limit)
    if study_uid:
        wanted = wanted.where(results.c.study_uid == study_uid)
    if model:
        wanted = wanted.where(results.c.model == model)
    return _made(tx, wanted)


def made(tx: Connection, sop_instance_uid: str) -> Made:
    """The result with this UID.

    Raises:
        NotFound: there is none.
    """
    wanted = sa.select(results).where(results.c.sop_instance_uid == sop_instance_uid)
    for found in _made(tx, wanted):
        return found
    raise NotFound("there is no such result")


def _made(tx: Connection, wanted: sa.Select[Any]) -> list[Made]:
    rows = tx.execute(wanted).mappings().all()
    went: dict[int, dict[str, DeliveryState]] = {row["id"]: {} for row in rows}
    sent = sa.select(deliveries.c.result_id, deliveries.c.peer, deliveries.c.state)
    for result_id, peer, state in tx.execute(sent.where(deliveries.c.result_id.in_(went))):
        went[result_id][peer] = DeliveryState(state)
    return [
        Made(
            job_id=row["job_id"],
            ref=ref_of(row),
            kind=ResultKind(row["kind"]),
            model=row["model"],
            made_at=row["created_at"],
            withdrawn_at=row["withdrawn_at"],
            peers=went[row["id"]],
        )
        for row in rows
    ]


def exist_for(tx: Connection, job: Job) -> bool:
    """Were results ever made for this job?"""
    return bool(tx.execute(sa.select(sa.exists().where(results.c.job_id == job.id))).scalar_one())


def has_any(job_id: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    """The same of the jobs of another statement."""
    return sa.exists().where(results.c.job_id == job_id)


def are_recalled(tx: Connection, job: Job) -> bool:
    """Were results of this job recalled?"""
    gone = (results.c.job_id == job.id) & results.c.withdrawn_at.is_not(None)
    return bool(tx.execute(sa.select(sa.exists().where(gone))).scalar_one())


def of_job(tx: Connection, job_id: int) -> list[tuple[InstanceRef, dict[str, Score]]]:
    """A job's results, each with its scores by label, in the order in which they leave."""
    rows = tx.execute(
        sa.select(*_REF, results.c.summary).where(results.c.job_id == job_id).order_by(results.c.id)
    )
    return [(ref_of(row), scores_of(row["summary"])) for row in rows.mappings()]


def reports_before(tx: Connection, job: Job) -> list[InstanceRef]:
    """The reports that this revision supersedes: those of the newest earlier one that has any, in
    the order of their kinds. A notice is one, and so is what says that a report was recalled.
    """
    report = results.c.kind.in_(REPORTS) & results.c.withdrawn_at.is_(None)
    earlier = (
        sa.select(sa.func.max(jobs.c.revision))
        .select_from(jobs.join(results, results.c.job_id == jobs.c.id))
        .where(
            jobs.c.study_uid == job.study_uid,
            jobs.c.pipeline == job.pipeline,
            jobs.c.revision < job.revision,
            report,
        )
    )
    rows = tx.execute(
        sa.select(*_REF)
        .join(jobs, jobs.c.id == results.c.job_id)
        .where(
            jobs.c.study_uid == job.study_uid,
            jobs.c.pipeline == job.pipeline,
            jobs.c.revision == earlier.scalar_subquery(),
            report,
        )
        .order_by(results.c.id)
    )
    return [ref_of(row) for row in rows.mappings()]


_REF = (
    results.c.sop_class_uid,
    results.c.sop_instance_uid,
    results.c.series_uid,
    results.c.study_uid,
)


def scores_of(summary: Mapping[str, Mapping[str, Any]]) -> dict[str, Score]:
    """By label, as a row of `results` or of `shadows` holds them."""
    return {
        label: Score(
            probability=said["probability"],
            presence=Presence(said["presence"]),
            at_least=said.get("at_least", False),  # rows of before there were grades
            threshold=said.get("threshold"),
            calibrated=said.get("calibrated"),
        )
        for label, said in summary.items()
    }


def ref_of(row: sa.RowMapping) -> InstanceRef:
    """The object that a row of `results`, or of `instances`, is about."""
    return InstanceRef(**{column.name: row[column.name] for column in _REF})
