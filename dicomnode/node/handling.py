"""One claimed job, seen through: analysed, its results kept and then recorded, whatever happens."""

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from dicomnode.answers import Result
from dicomnode.config.settings import WorklistSettings
from dicomnode.errors import (
    Cause,
    DatabaseAway,
    DicomnodeError,
    LeaseLost,
    NotAnalysable,
    PatientsDiffer,
    ReportError,
    StoreError,
)
from dicomnode.records import InstanceRef, Job, ResultKind
from dicomnode.storage.database import Connection, Database
from dicomnode.storage.objects import ObjectStore
from dicomnode.worklist import jobs, queue, recall, results

__all__ = ["Analysis", "Case", "Handling", "read_case"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A job and what is kept of its study."""

    job: Job
    images: Sequence[InstanceRef]  #: the job's, in order of arrival
    study: Sequence[InstanceRef]  #: all of the study, whatever its pipeline
    supersedes: Sequence[InstanceRef]  #: reports of an earlier revision


class Analysis(Protocol):
    """What the worker needs of the thinking stages; results in the order in which they leave."""

    def models(self, job: Job) -> Sequence[str]:
        """The model that answers, and its members, as `name@version`; none if it is unreadable."""
        ...

    def analyse(self, case: Case) -> Sequence[Result]:
        """Classify the images and build the results."""
        ...

    def refuse(self, case: Case, cause: Cause, detail: str) -> Sequence[Result]:
        """Build the notices that say that there are no results, and why."""
        ...

    def destinations(self, job: Job) -> Mapping[str, Collection[ResultKind]]:
        """Names of the peers that get results, each with the kinds that it gets."""
        ...

    def destinations_of_notices(self, job: Job) -> Mapping[str, Collection[ResultKind]]:
        """The same for notices; empty where nobody wants any."""
        ...


def read_case(tx: Connection, job: Job) -> Case:
    """A job with its images, in one view of the worklist."""
    return Case(
        job=job,
        images=jobs.images(tx, job),
        study=jobs.study_images(tx, job.study_uid),
        supersedes=results.reports_before(tx, job),
    )


class Handling:
    """Sees jobs through, several at once; `recorded` is told when there is something to deliver."""

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        analysis: Analysis,
        settings: WorklistSettings,
        recorded: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._store = store
        self._analysis = analysis
        self._settings = settings
        self._recorded = recorded

    def see_through(self, job: Job) -> None:
        """Bring a job that was just claimed to the end of its step.

        Raises:
            DatabaseAway: the job comes back when its lease runs out.
            LeaseLost: it is another's, and nothing was recorded.
        """
        started = time.monotonic()
        log.info("job.started", extra={"study_uid": job.study_uid, "attempt": job.attempts})
        try:
            refused = self._analyse(job) if job.refused is None else (job.refused, job.because)
            if refused is not None:
                self._refuse(job, *refused)
        except PatientsDiffer as error:
            with self._database.transaction() as tx:
                queue.hold(tx, job, str(error), now=datetime.now(UTC))
            log.error("job.held", extra={"problem": str(error)})
        except StoreError as error:  # the disk's trouble is not the job's: it waits
            self._later(job, str(error))
        log.info("job.ended", extra={"seconds": round(time.monotonic() - started, 3)})

    def _analyse(self, job: Job) -> tuple[Cause, str] | None:
        """See the job through; or why it gets no answer, in words, if it is not tried again."""
        try:
            with self._database.reading() as tx:
                recall.demand_standing(tx, self._analysis.models(job))
                case = read_case(tx, job)
            self._finish(case, self._analysis.analyse(case))
        except (DatabaseAway, LeaseLost, PatientsDiffer, StoreError):
            raise
        except NotAnalysable as error:
            return error.cause, str(error)
        except ReportError as error:
            self._fail(job, str(error))
            return None
        except DicomnodeError as error:
            problem, may_help = str(error), error.retry
        except Exception as error:  # whatever a model does, the job gets an end
            log.exception("job.crashed", extra={"error": type(error).__name__})
            problem, may_help = f"unexpected {type(error).__name__}; see the log", True
        else:
            return None
        if not may_help or job.attempts >= self._settings.attempts:
            return Cause.MODEL_FAILED, problem
        self._later(job, problem)
        return None

    def _refuse(self, job: Job, cause: Cause, detail: str) -> None:
        """Say in the place of the results that there are none; where that cannot be, it failed."""
        try:
            if self._analysis.destinations_of_notices(job):
                with self._database.reading() as tx:
                    case = read_case(tx, job)
                self._finish(case, self._analysis.refuse(case, cause, detail), cause, detail)
            else:
                self._fail(job, detail)
        except (DatabaseAway, LeaseLost, PatientsDiffer, StoreError):
            raise
        except DicomnodeError as error:
            self._fail(job, detail, f"no notice could be made: {error}")
        except Exception as error:  # as above
            log.exception("job.crashed", extra={"error": type(error).__name__})
            self._fail(job, detail, f"no notice could be made: {type(error).__name__}")

    def _finish(
        self, case: Case, made: Sequence[Result], refused: Cause | None = None, because: str = ""
    ) -> None:
        """Have every result durably on disk, and then the worklist name them."""
        job, now = case.job, datetime.now(UTC)
        files = {result.ref.sop_instance_uid: result.part10 for result in made}
        self._store.keep_results(job.study_uid, files)
        to = self._analysis.destinations_of_notices if refused else self._analysis.destinations
        wanted = to(job)
        with self._database.transaction() as tx:
            queue.finish(tx, job, made, wanted, now=now, refused=refused, because=because)
        self._recorded()
        fields = {"count": len(made)} | ({"problem": because} if because else {})
        log.info("job.refused" if refused else "job.reported", extra=fields)

    def _fail(self, job: Job, *reasons: str) -> None:
        words = "; ".join(reasons)
        with self._database.transaction() as tx:
            queue.fail(tx, job, words, now=datetime.now(UTC))
        log.error("job.failed", extra={"problem": words, "attempts": job.attempts})

    def _later(self, job: Job, reason: str) -> None:
        wait_s = queue.backoff_s(
            job.attempts,
            first_s=self._settings.first_retry_s,
            longest_s=self._settings.longest_retry_s,
        )
        with self._database.transaction() as tx:
            queue.later(tx, job, reason, wait_s=wait_s, now=datetime.now(UTC))
        log.warning("job.deferred", extra={"problem": reason, "retry_in_s": round(wait_s, 1)})
