"""The worker: claim a job, analyse it, record the outcome, wait longer after each failure.

Runs in a process of its own, so that a crash of the model is a lost lease and nothing worse.
"""

import logging
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol

from dicomnode.config.settings import WorklistSettings
from dicomnode.errors import DatabaseAway, DicomnodeError, LeaseLost, StoreError
from dicomnode.log import working_on
from dicomnode.records import InstanceRef, Job, Result, ResultKind
from dicomnode.storage.database import Database
from dicomnode.storage.objects import ObjectStore
from dicomnode.worklist import jobs, outbox, queue

__all__ = ["Analysis", "Worker"]

log = logging.getLogger(__name__)

_LOOK_S = 0.25  #: how often the queue is looked at
_DATABASE_WAIT_S = 2.0  #: between attempts while the database is away


class Analysis(Protocol):
    """What the worker needs of the thinking stages."""

    def analyse(
        self, job: Job, images: Sequence[InstanceRef], supersedes: Sequence[InstanceRef]
    ) -> Sequence[Result]:
        """Classify the images and build the results, in the order in which they must leave."""
        ...

    def destinations(self, job: Job) -> Mapping[str, Collection[ResultKind]]:
        """Names of the peers that get results, each with the kinds that it gets."""
        ...


class Worker:
    """Takes jobs one after the other under its own name."""

    def __init__(
        self,
        name: str,
        database: Database,
        store: ObjectStore,
        analysis: Analysis,
        settings: WorklistSettings,
    ) -> None:
        self._name = name
        self._database = database
        self._store = store
        self._analysis = analysis
        self._settings = settings

    def run(self, stop: threading.Event) -> None:
        """Work until `stop`; a job under way is finished first."""
        while not stop.is_set():
            try:
                if not self.work_once():
                    stop.wait(_LOOK_S)
            except DatabaseAway as error:
                log.warning("worker.waiting", extra={"error": str(error)})
                stop.wait(_DATABASE_WAIT_S)

    def work_once(self) -> bool:
        """Claim one job and see it through; False when there was none.

        Raises:
            DatabaseAway: the job, if one was claimed, comes back when its lease runs out.
        """
        with self._database.transaction() as tx:
            job = queue.claim(tx, self._name, lease_s=self._settings.lease_s, now=datetime.now(UTC))
        if job is None:
            return False
        with working_on(job.id), self._alive(job):
            try:
                self._see_through(job)
            except LeaseLost:
                log.warning("job.lost", extra={"worker": self._name})
        return True

    def _see_through(self, job: Job) -> None:
        started = time.monotonic()
        log.info("job.started", extra={"study_uid": job.study_uid, "attempt": job.attempts})
        try:
            results = self._make_results(job)
            with self._database.transaction() as tx:
                wanted = self._analysis.destinations(job)
                queue.finish(tx, job, results, wanted, now=datetime.now(UTC))
        except (DatabaseAway, LeaseLost):
            raise
        except StoreError as error:  # the disk's trouble is not the job's: it waits
            self._later(job, str(error))
        except DicomnodeError as error:
            self._failed(job, str(error), may_help=error.retry)
        except Exception as error:  # whatever a model does, the job gets an end
            log.exception("job.crashed", extra={"error": type(error).__name__})
            self._failed(job, f"unexpected {type(error).__name__}; see the log", may_help=True)
        else:
            seconds = round(time.monotonic() - started, 3)
            log.info("job.reported", extra={"seconds": seconds, "count": len(results)})

    def _make_results(self, job: Job) -> Sequence[Result]:
        """Analyse, and have every result durably on disk before the worklist names it."""
        with self._database.reading() as tx:
            images = jobs.images(tx, job)
            supersedes = outbox.reports_before(tx, job)
        results = self._analysis.analyse(job, images, supersedes)
        for result in results:
            self._store.keep_result(job.study_uid, result.ref.sop_instance_uid, result.part10)
        return results

    def _failed(self, job: Job, reason: str, *, may_help: bool) -> None:
        if may_help and job.attempts < self._settings.attempts:
            self._later(job, reason)
            return
        with self._database.transaction() as tx:
            queue.fail(tx, job, reason, now=datetime.now(UTC))
        log.error("job.failed", extra={"problem": reason, "attempts": job.attempts})

    def _later(self, job: Job, reason: str) -> None:
        wait_s = queue.backoff_s(
            job.attempts,
            first_s=self._settings.first_retry_s,
            longest_s=self._settings.longest_retry_s,
        )
        with self._database.transaction() as tx:
            queue.later(tx, job, reason, wait_s=wait_s, now=datetime.now(UTC))
        log.warning("job.deferred", extra={"problem": reason, "retry_in_s": round(wait_s, 1)})

    @contextmanager
    def _alive(self, job: Job) -> Iterator[None]:
        """Renew the lease in the background while the block runs."""
        done = threading.Event()

        def beat() -> None:
            while not done.wait(self._settings.lease_s / 3):
                try:
                    with self._database.transaction() as tx:
                        queue.renew(tx, job, lease_s=self._settings.lease_s, now=datetime.now(UTC))
                except LeaseLost:
                    return
                except DatabaseAway as error:
                    log.warning("worker.waiting", extra={"error": str(error)})

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
