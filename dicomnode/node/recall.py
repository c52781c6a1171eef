"""Recall a model: stop it, and tell every peer that has its results that they no longer stand.

Each job is one transaction, in which the objects that say so are made and kept as well: killed at
any moment, a job is recalled or it is not, and the next run goes on with those that are left.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from dicomnode.answers import Result
from dicomnode.config.load import Settings
from dicomnode.errors import StoreError
from dicomnode.records import (
    InstanceRef,
    Job,
    ResultKind,
    WithdrawalReason,
)
from dicomnode.report.request import Order
from dicomnode.storage.database import Connection, Database
from dicomnode.storage.objects import ObjectStore
from dicomnode.worklist import jobs, recall
from dicomnode.worklist.recall import Standing
from dicomnode.worklist.results import REPORTS

__all__ = ["Plan", "Recall"]

log = logging.getLogger(__name__)

#: Kinds that people read: what is withdrawn is said in them, too.
_READ = frozenset({ResultKind.SC, ResultKind.PDF, *REPORTS})

#: `report.withdrawal.make_withdrawal`
_Make = Callable[[Dataset, Sequence[InstanceRef], WithdrawalReason, Order], Sequence[Result]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the recall of one job means."""

    job: Job
    standing: Sequence[Standing]  #: what is withdrawn; empty where nothing was ever sent
    possible: bool  #: is there a stored result to copy patient and study from?

    @property
    def peers(self) -> list[str]:
        """Names of those that are told."""
        return sorted({peer for one in self.standing for peer in one.peers})


class Recall:
    """Recalls what one model answered. Works beside the running node."""

    def __init__(
        self, settings: Settings, database: Database, store: ObjectStore, make: _Make
    ) -> None:
        self._settings = settings
        self._database = database
        self._store = store
        self._make = make

    def plans(self, model: str) -> list[Plan]:
        """What there is to recall of a model, `name@version`, oldest first."""
        with self._database.reading() as tx:
            return [self._plan(tx, jobs.get(tx, job_id)) for job_id in recall.jobs_of(tx, model)]

    def stop(self, model: str, reason: WithdrawalReason) -> None:
        """Let no job end with results of this model from now on.

        Raises:
            DatabaseAway: nothing was stopped.
        """
        with self._database.transaction() as tx:
            recall.stop(tx, model, reason, now=datetime.now(UTC))
        log.warning("model.recalled", extra={"model": model})

    def carry_out(self, plan: Plan, model: str, reason: WithdrawalReason) -> bool:
        """Recall one job's results as they stand now; False where that cannot be.

        Raises:
            DatabaseAway: nothing was recalled.
            ReportError: what says that they are withdrawn cannot be made; nothing was recalled.
            StoreError: the disk did not give or take an object; nothing was recalled.
        """
        with self._database.transaction() as tx:
            jobs.lock_study(tx, plan.job.study_uid)
            job = jobs.get(tx, plan.job.id, lock=True)
            if not recall.jobs_of(tx, model, job.id):
                return True  # another was quicker
            recall.hold_back(tx, job)
            plan = self._plan(tx, job)
            if not plan.possible:
                return False
            made = self._objects(plan, reason)
            wanted = _wanted(plan.standing)
            now, words = datetime.now(UTC), f"recalled: {model}, {reason}"
            recall.withdraw(tx, job, made, wanted, words, now=now)
        log.warning("job.recalled", extra={"job": job.id, "model": model, "count": len(made)})
        return True

    def _plan(self, tx: Connection, job: Job) -> Plan:
        found = recall.standing(tx, job)
        return Plan(job=job, standing=found, possible=not found or self._source(found) is not None)

    def _source(self, found: Sequence[Standing]) -> Path | None:
        """The stored result that patient and study are copied from: a report where there is one."""
        for one in sorted(found, key=lambda one: one.kind not in REPORTS):
            path = self._store.path_of_result(one.ref.study_uid, one.ref.sop_instance_uid)
            if path.is_file():
                return path
        return None

    def _objects(self, plan: Plan, reason: WithdrawalReason) -> Sequence[Result]:
        """What says that the results are withdrawn, durably on disk."""
        path = self._source(plan.standing)
        if path is None:
            return ()
        refs = [one.ref for one in plan.standing]
        made = self._make(_read(path), refs, reason, self._order(plan))
        for result in made:
            uid = result.ref.sop_instance_uid
            self._store.keep_result(plan.job.study_uid, uid, result.part10)
        return made

    def _order(self, plan: Plan) -> Order:
        job = plan.job
        pipeline = self._settings.pipelines.get(job.pipeline)
        return Order(
            pipeline=job.pipeline,
            revision=job.revision,
            made_at=datetime.now(UTC).astimezone(),
            kinds=frozenset().union(*_wanted(plan.standing).values()),
            ae_title=self._settings.node.receive.ae_title,
            received=job.received,
            expected=job.expected,
            partial=job.partial,
            language=pipeline.language if pipeline else "en",
        )


def _wanted(found: Sequence[Standing]) -> Mapping[str, frozenset[ResultKind]]:
    """Who is told in what: all by a Key Object, and each in the kinds for people that it has."""
    told: dict[str, set[ResultKind]] = {}
    for one in found:
        for peer in one.peers:
            told.setdefault(peer, {ResultKind.KO}).update({one.kind} & _READ)
    return {peer: frozenset(kinds) for peer, kinds in told.items()}


def _read(path: Path) -> Dataset:
    try:
        return dcmread(path, stop_before_pixels=True)
    except OSError as error:
        raise StoreError(f"a stored result cannot be read: {error.strerror}") from error
    except (InvalidDicomError, EOFError, ValueError) as error:
        raise StoreError(f"a stored result is damaged ({type(error).__name__})") from error
