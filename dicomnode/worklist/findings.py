"""What is present, by each pipeline's newest answer that stands: what a search for findings finds.

It repeats what the results say, so that a million of them need not be read.
"""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from dicomnode.answers import Presence, Result
from dicomnode.records import Job
from dicomnode.storage.database import Connection
from dicomnode.worklist.tables import findings, jobs

__all__ = ["of_jobs", "record"]


def record(tx: Connection, job: Job, made: Sequence[Result]) -> None:
    """Note what results say is present, in place of what this revision and earlier ones said.

    `made` is empty where the job was not analysed, or what it said is withdrawn.
    """
    superseded = sa.select(jobs.c.id).where(
        jobs.c.study_uid == job.study_uid,
        jobs.c.pipeline == job.pipeline,
        jobs.c.revision <= job.revision,
    )
    tx.execute(sa.delete(findings).where(findings.c.job_id.in_(superseded)))
    scores = {label: score for result in made for label, score in result.summary.items()}
    rows = [
        {"job_id": job.id, "study_uid": job.study_uid}
        | {"label": label, "probability": score.probability}
        for label, score in scores.items()
        if score.presence is Presence.PRESENT
    ]
    if rows:
        tx.execute(sa.insert(findings), rows)


def of_jobs(tx: Connection, job_ids: Iterable[int]) -> dict[int, dict[str, float]]:
    """What is present by each job that found something: probabilities by label, highest first."""
    wanted = sa.select(findings.c.job_id, findings.c.label, findings.c.probability)
    mine = wanted.where(findings.c.job_id.in_(list(job_ids)))
    found: dict[int, dict[str, float]] = {}
    for job_id, label, probability in tx.execute(mine.order_by(findings.c.probability.desc())):
        found.setdefault(job_id, {})[label] = probability
    return found
