"""What each model has said here: since when, how many jobs have results of it, was it recalled?"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from dicomnode.records import WithdrawalReason
from dicomnode.storage.database import Connection, distinct
from dicomnode.worklist.tables import jobs, recalls, results

__all__ = ["LOOKED_AT", "Recalled", "Use", "recalled", "spoken", "uses"]

LOOKED_AT = 30_000  #: results of a model that are counted; a job has one or several


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What came of a model here. Notices are no results of it, though they may name it."""

    first_at: datetime | None  #: when its first result was made; none where there is none
    last_at: datetime | None
    jobs: int  #: with results of it, recalled ones too
    exact: bool  #: else there are at least so many


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """A model that gives no results any more."""

    model: str  #: as name@version
    reason: WithdrawalReason
    at: datetime


def spoken(tx: Connection) -> list[str]:
    """Every model that results name, as `name@version`, in order."""
    return [model for model in distinct(tx, results.c.model) if model]


def recalled(tx: Connection) -> dict[str, Recalled]:
    """The models that were recalled, and not reinstated, as `name@version`."""
    rows = tx.execute(sa.select(recalls.c.model, recalls.c.reason, recalls.c.at))
    return {
        row.model: Recalled(model=row.model, reason=WithdrawalReason(row.reason), at=row.at)
        for row in rows
    }


def uses(tx: Connection, models: Iterable[str]) -> dict[str, Use]:
    """What came of each of these models, `name@version`."""
    return {model: _use(tx, model) for model in models}


def _use(tx: Connection, model: str) -> Use:
    """Along the index of models: its first and last result, and a limited number of all."""
    mine = (
        sa.select(results.c.id, results.c.job_id, results.c.created_at)
        .select_from(results.join(jobs, jobs.c.id == results.c.job_id))
        .where(results.c.model == model, jobs.c.refused.is_(None))
    )
    some = mine.order_by(results.c.id).limit(LOOKED_AT).subquery()
    first_at, rows, known = tx.execute(
        sa.select(
            sa.func.min(some.c.created_at),
            sa.func.count(),
            sa.func.count(some.c.job_id.distinct()),
        )
    ).one()
    last = tx.execute(mine.order_by(results.c.id.desc()).limit(1)).one_or_none()
    return Use(
        first_at=first_at,
        last_at=last.created_at if last else None,
        jobs=known,
        exact=rows < LOOKED_AT,
    )
