"""What people may do with jobs and studies, one or many: what was done, and what could not and why.

Each job is a transaction of its own, in which the history names who asked, and the audit trail too.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from dicomnode.config.pipelines import PipelineSettings
from dicomnode.errors import LeaseLost, NotFound, WrongStep
from dicomnode.records import Job, ResultKind
from dicomnode.storage.database import Connection
from dicomnode.web.access import Caller, note_study
from dicomnode.web.configuration.installed import installed_models
from dicomnode.web.site import Site
from dicomnode.worklist import by_hand, jobs, outbox, results

__all__ = ["MOST", "Done", "cancel", "in_words", "process", "raise_priority", "resend", "retry"]

MOST = 1000  #: jobs or studies at once

_Act = Callable[[Connection, Job], Job]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of one job or study that somebody wanted something of."""

    job_id: int | None  #: the job that does it; none where there is none
    study_uid: str  #: empty where there is no such job
    done: bool
    words: str  #: how the job is now; or why nothing was done


def retry(here: Site, caller: Caller, job_ids: Iterable[int]) -> list[Done]:
    """Do again what failed, was held back or not analysed; send again what a peer refused."""
    return _each(
        here,
        caller,
        "job.retried",
        job_ids,
        lambda tx, job: by_hand.retry(tx, job.id, now=here.now(), by=caller.name),
    )


def cancel(here: Site, caller: Caller, job_ids: Iterable[int]) -> list[Done]:
    """Do and send nothing more for these jobs."""
    return _each(
        here,
        caller,
        "job.cancelled",
        job_ids,
        lambda tx, job: by_hand.cancel(tx, job.id, now=here.now(), by=caller.name),
    )


def raise_priority(
    here: Site, caller: Caller, job_ids: Iterable[int], priority: int | None = None
) -> list[Done]:
    """Have these jobs taken before all that wait now; or give them this priority."""
    with here.database.reading() as tx:
        to = by_hand.next_place(tx) if priority is None else priority
    return _each(
        here,
        caller,
        "job.hurried",
        job_ids,
        lambda tx, job: by_hand.hurry(tx, job.id, to, now=here.now(), by=caller.name),
    )


def resend(here: Site, caller: Caller, job_ids: Iterable[int], peer: str = "") -> list[Done]:
    """Send the results of jobs once more: to one peer, or to all that get or had any of them."""

    def act(tx: Connection, job: Job) -> Job:
        to = _receivers(here, tx, job, peer)
        return by_hand.resend(tx, job.id, to, now=here.now(), by=caller.name)

    return _each(here, caller, "job.resent", job_ids, act, detail=f"to {peer}" if peer else "")


def process(
    here: Site, caller: Caller, study_uids: Iterable[str], pipeline: str, model: str = ""
) -> list[Done]:
    """Have studies done by a pipeline, whether they match its rules or not.

    Another model than the pipeline's may answer, this once; the results name the one that did.

    Raises:
        NotFound: there is no such pipeline, or no such model.
        WrongStep: the pipeline is turned off.
    """
    rules = _usable(here, pipeline)
    if model and model not in installed_models(here.settings().node.classify.models):
        raise NotFound(f"there is no model {model}")
    wish = _Wish(pipeline, rules.priority, "" if model == rules.model else model)
    return [_process(here, caller, uid, wish) for uid in dict.fromkeys(study_uids)]


def in_words(done: Collection[Done]) -> str:
    """All of it in a sentence, such as "3 done, 2 not"."""
    well = sum(each.done for each in done)
    return f"{well} done" + (f", {len(done) - well} not" if well < len(done) else "")


def _each(
    here: Site, caller: Caller, action: str, job_ids: Iterable[int], act: _Act, detail: str = ""
) -> list[Done]:
    return [_one(here, caller, action, job_id, act, detail) for job_id in dict.fromkeys(job_ids)]


def _one(here: Site, caller: Caller, action: str, job_id: int, act: _Act, detail: str) -> Done:
    study_uid = ""
    try:
        with here.database.transaction() as tx:
            job = jobs.get(tx, job_id)
            study_uid = job.study_uid
            now = act(tx, job)
            words = f"job {now.id} {detail}".strip()
            note_study(tx, here, caller, action, study_uid, words)
    except (LeaseLost, NotFound, WrongStep) as error:
        return Done(job_id=job_id, study_uid=study_uid, done=False, words=_plainly(error))
    return _done(now)


class _Wish(NamedTuple):
    """By what studies are to be done."""

    pipeline: str
    priority: int
    model: str  #: another than the pipeline's, or empty

    def __str__(self) -> str:
        return self.pipeline + (f" with {self.model}" if self.model else "")


def _process(here: Site, caller: Caller, study_uid: str, wish: _Wish) -> Done:
    try:
        with here.database.transaction() as tx:
            job = by_hand.process(
                tx,
                study_uid,
                wish.pipeline,
                priority=wish.priority,
                now=here.now(),
                by=caller.name,
                model=wish.model,
            )
            words = f"job {job.id} by {wish}"
            note_study(tx, here, caller, "study.processed", study_uid, words)
    except (LeaseLost, NotFound, WrongStep) as error:
        return Done(job_id=None, study_uid=study_uid, done=False, words=_plainly(error))
    return _done(job)


def _done(job: Job) -> Done:
    return Done(
        job_id=job.id, study_uid=job.study_uid, done=True, words=f"job {job.id} is {job.state}"
    )


def _plainly(error: Exception) -> str:
    """Without the command that a person at the page does not need."""
    return str(error).partition("; `dicomnode")[0]


def _usable(here: Site, pipeline: str) -> PipelineSettings:
    rules = here.settings().pipelines.get(pipeline)
    if rules is None:
        raise NotFound(f"there is no pipeline {pipeline}")
    if not rules.enabled:
        raise WrongStep(f"the pipeline {pipeline} is turned off (enabled = false)")
    return rules


def _receivers(
    here: Site, tx: Connection, job: Job, peer: str
) -> Mapping[str, Collection[ResultKind]]:
    """Who is sent something again, and which kinds beside those that each had already."""
    settings = here.settings()
    rules = settings.pipelines.get(job.pipeline)
    to: dict[str, Collection[ResultKind]] = {
        item.peer: () for item in outbox.of_job(tx, job.id) if item.peer in settings.peers
    }
    if rules is not None and not results.are_recalled(tx, job):
        to |= rules.wanted if job.refused is None else rules.wanted_notices
    if not peer:
        if not to:
            raise WrongStep(f"no peer is configured that gets results of job {job.id}")
        return to
    if peer not in settings.peers:
        raise NotFound(f"there is no peer {peer}")
    if peer not in to:
        raise WrongStep(f"{peer} is no destination of {job.pipeline}, and never had any of it")
    return {peer: to[peer]}
