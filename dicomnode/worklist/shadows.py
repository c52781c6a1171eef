"""What candidates say of the studies that a model answered: kept beside its results, never sent.

A row begins as an attempt, so that a candidate that kills its worker is asked a few times and no
more; it is an answer once it says how many seconds that took.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from dicomnode.answers import Score
from dicomnode.errors import Cause
from dicomnode.records import Job, State
from dicomnode.storage.database import Connection, insert_new
from dicomnode.worklist import jobs as _jobs
from dicomnode.worklist.results import scores_of
from dicomnode.worklist.tables import jobs, results, shadows, studies

__all__ = ["Answer", "Opinion", "Pair", "begin", "keep", "of_jobs", "pairs", "without"]

_ATTEMPTS = 3
_LOST_AFTER = timedelta(minutes=15)  #: an attempt that is so old came to nothing

#: The job's own model has said what it has to say.
_SAID = (State.REPORTED, State.DELIVERED, State.UNDELIVERED, State.NOT_ANALYSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one model said of one job's images."""

    model: str  #: as `name@version`
    summary: Mapping[str, Score]  #: by label; empty where it gave no answer
    refused: Cause | None = None  #: why it gave none
    because: str = ""  #: in words


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One job's answer, and a candidate's."""

    job_id: int
    primary: Answer
    candidate: Answer
    seconds: float  #: that the candidate took


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What a candidate said of one job, or that it was asked."""

    job_id: int
    said: Answer
    asked_at: datetime
    seconds: float | None  #: that it took; none where there is no answer


def without(tx: Connection, pipeline: str, model: str, *, since: datetime, now: datetime) -> int:
    """The oldest job whose images this candidate, `name@version`, is still to be asked about.

    0 where there is none: those that were ready before `since` are left alone, and those of which
    images are missing or removed.
    """
    here = (shadows.c.job_id == jobs.c.id) & (shadows.c.model == model)
    settled = (
        shadows.c.seconds.is_not(None)
        | (shadows.c.attempts >= _ATTEMPTS)
        | (shadows.c.begun_at > now - _LOST_AFTER)
    )
    wanted = (
        sa.select(jobs.c.id)
        .select_from(jobs.join(studies))
        .where(
            jobs.c.state.in_([str(state) for state in _SAID]),
            jobs.c.updated_at >= since,  # follows from the next, and has an index with the state
            jobs.c.ready_at >= since,
            jobs.c.pipeline.concat("") == pipeline,  # whose index would lead through all its jobs
            jobs.c.refused.is_(None) | (jobs.c.refused != Cause.INCOMPLETE),
            studies.c.removed_at.is_(None),
            ~sa.exists().where(here, settled),
        )
        .order_by(jobs.c.id)
        .limit(1)
    )
    return tx.execute(wanted).scalar_one_or_none() or 0


def begin(tx: Connection, job_id: int, model: str, *, now: datetime) -> Job | None:
    """Count an attempt to ask a candidate; None where another worker was quicker."""
    row = {"job_id": job_id, "model": model, "attempts": 1, "begun_at": now}
    nothing: dict[str, object] = {"summary": {}, "because": ""}
    if not insert_new(tx, shadows, [row | nothing], shadows.c.job_id):
        lost = shadows.c.seconds.is_(None) & (shadows.c.begun_at <= now - _LOST_AFTER)
        again = {"attempts": shadows.c.attempts + 1, "begun_at": now}
        if (
            tx.execute(sa.update(shadows).where(_one(job_id, model), lost).values(again)).rowcount
            != 1
        ):
            return None
    return _jobs.get(tx, job_id)


def keep(tx: Connection, job_id: int, said: Answer, *, seconds: float) -> None:
    """Write down what a candidate said, or why it said nothing."""
    row = {
        "seconds": seconds,
        "summary": {label: asdict(score) for label, score in said.summary.items()},
        "refused": said.refused,
        "because": said.because,
    }
    tx.execute(sa.update(shadows).where(_one(job_id, said.model)).values(row))


def of_jobs(tx: Connection, job_ids: Collection[int]) -> list[Opinion]:
    """What candidates were asked about these jobs, in the order in which they were."""
    mine = sa.select(shadows).where(shadows.c.job_id.in_(job_ids)).order_by(shadows.c.begun_at)
    return [
        Opinion(
            job_id=row["job_id"],
            said=_answer(row["model"], row["refused"], row["because"], row["summary"]),
            asked_at=row["begun_at"],
            seconds=row["seconds"],
        )
        for row in tx.execute(mine).mappings()
    ]


def pairs(tx: Connection, pipeline: str) -> list[Pair]:
    """What a pipeline's jobs were answered, and what candidates said, by candidate and by job.

    A job whose own model gave no answer has the reason.
    """
    rows = tx.execute(
        sa.select(
            shadows,
            jobs.c.refused.label("job_refused"),
            jobs.c.because.label("job_because"),
        )
        .select_from(shadows.join(jobs))
        .where(jobs.c.pipeline == pipeline, shadows.c.seconds.is_not(None))
        .order_by(shadows.c.model, shadows.c.job_id)
    ).mappings()
    own = _own_answers(tx, pipeline)
    return [
        Pair(
            job_id=row["job_id"],
            primary=own.get(row["job_id"]) or _answer("", row["job_refused"], row["job_because"]),
            candidate=_answer(row["model"], row["refused"], row["because"], row["summary"]),
            seconds=row["seconds"],
        )
        for row in rows
    ]


def _own_answers(tx: Connection, pipeline: str) -> dict[int, Answer]:
    """What the results of a pipeline's jobs say: each job's first one of a model that speaks."""
    mine = sa.select(results.c.job_id, results.c.model, results.c.summary)
    mine = mine.select_from(results.join(jobs, jobs.c.id == results.c.job_id))
    mine = mine.where(
        jobs.c.pipeline == pipeline,
        sa.exists().where(shadows.c.job_id == results.c.job_id),
    )
    found: dict[int, Answer] = {}
    for row in tx.execute(mine.order_by(results.c.id)):
        if row.summary:
            found.setdefault(row.job_id, _answer(row.model, None, "", row.summary))
    return found


def _answer(
    model: str,
    refused: str | None,
    because: str,
    summary: Mapping[str, Mapping[str, object]] | None = None,
) -> Answer:
    cause = Cause(refused) if refused else None
    return Answer(model=model, summary=scores_of(summary or {}), refused=cause, because=because)


def _one(job_id: int, model: str) -> sa.ColumnElement[bool]:
    return (shadows.c.job_id == job_id) & (shadows.c.model == model)
