"""What jobs made: which objects, by which model, and what has been recalled of them."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from dicomnode.records import InstanceRef, Job, Presence, ResultKind, Score
from dicomnode.storage.database import Connection
from dicomnode.worklist.tables import jobs, results

__all__ = ["REPORTS", "are_recalled", "exist_for", "of_job", "reports_before"]

#: Kinds that are Structured Reports, and name their predecessors.
REPORTS = (ResultKind.SR, ResultKind.SR3D, ResultKind.TEXT)


def exist_for(tx: Connection, job: Job) -> bool:
    """Were results ever made for this job?"""
    return bool(tx.execute(sa.select(sa.exists().where(results.c.job_id == job.id))).scalar_one())


def are_recalled(tx: Connection, job: Job) -> bool:
    """Were results of this job recalled?"""
    gone = (results.c.job_id == job.id) & results.c.withdrawn_at.is_not(None)
    return bool(tx.execute(sa.select(sa.exists().where(gone))).scalar_one())


def of_job(tx: Connection, job_id: int) -> list[tuple[InstanceRef, dict[str, Score]]]:
    """A job's results, each with its scores by label, in the order in which they leave."""
    rows = tx.execute(
        sa.select(*_REF, results.c.summary).where(results.c.job_id == job_id).order_by(results.c.id)
    )
    return [(_ref(row), _scores(row["summary"])) for row in rows.mappings()]


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
    return [_ref(row) for row in rows.mappings()]


_REF = (
    results.c.sop_class_uid,
    results.c.sop_instance_uid,
    results.c.series_uid,
    results.c.study_uid,
)


def _scores(summary: Mapping[str, Mapping[str, Any]]) -> dict[str, Score]:
    return {
        label: Score(probability=said["probability"], presence=Presence(said["presence"]))
        for label, said in summary.items()
    }


def _ref(row: sa.RowMapping) -> InstanceRef:
    return InstanceRef(**{column.name: row[column.name] for column in _REF})
