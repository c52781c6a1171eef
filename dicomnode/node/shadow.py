"""Shadow mode: candidates are asked about answered studies, and their answers are only kept.

Nothing of it is ever sent, and nothing that goes wrong here changes a job.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

from dicomnode.answers import Score
from dicomnode.errors import Cause, DatabaseAway, DicomnodeError, NotAnalysable, StoreError
from dicomnode.log import working_on
from dicomnode.node.handling import Case, read_case
from dicomnode.records import Job
from dicomnode.storage.database import Database
from dicomnode.worklist import recall, shadows
from dicomnode.worklist.shadows import Answer

__all__ = ["Opinions", "Shadows"]

log = logging.getLogger(__name__)

_OLDEST = timedelta(days=7)  #: a candidate that is new is asked about the last week
_REST_S = 5.0  #: until the next look after one that found nothing


class Opinions(Protocol):
    """What is needed of the thinking stages."""

    def tags_of(self, model: str) -> Sequence[str]:
        """A model by its folder's name, and its members, as `name@version`; none if unreadable."""
        ...

    def opinion(self, case: Case, candidate: str) -> Mapping[str, Score]:
        """What a candidate says of a job's images, by label."""
        ...


class Shadows:
    """Asks each pipeline's `candidates`, one study after the other."""

    brief = False  #: a job is begun beside it

    def __init__(
        self,
        database: Database,
        opinions: Opinions,
        candidates: Mapping[str, Sequence[str]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._opinions = opinions
        self._candidates = candidates
        self._clock = clock
        self._look_at = 0.0

    def next(self) -> Callable[[], None] | None:
        """The next study for a candidate, ready to be asked about; None where there is none now.

        Raises:
            DatabaseAway: the worklist cannot be asked.
        """
        if self._clock() < self._look_at:
            return None
        for pipeline, candidate, model in self._standing():
            if (job := self._begin(pipeline, model)) is not None:
                return partial(self._ask, job, candidate, model)
        self._look_at = self._clock() + _REST_S
        return None

    def _standing(self) -> Iterator[tuple[str, str, str]]:
        """Pipelines with their candidates, by folder and as `name@version`; none recalled."""
        if not any(self._candidates.values()):
            return
        with self._database.reading() as tx:
            stopped = recall.stopped(tx)
        for pipeline, candidates in self._candidates.items():
            for candidate in candidates:
                models = self._opinions.tags_of(candidate)
                if models and stopped.keys().isdisjoint(models):
                    yield pipeline, candidate, models[0]

    def _begin(self, pipeline: str, model: str) -> Job | None:
        now = datetime.now(UTC)
        with self._database.reading() as tx:
            job_id = shadows.without(tx, pipeline, model, since=now - _OLDEST, now=now)
        if not job_id:
            return None
        with self._database.transaction() as tx:
            return shadows.begin(tx, job_id, model, now=now)

    def _ask(self, job: Job, candidate: str, model: str) -> None:
        with working_on(job.id):
            started = time.monotonic()
            try:
                with self._database.reading() as tx:
                    case = read_case(tx, job)
                answer = Answer(model=model, summary=self._opinions.opinion(case, candidate))
            except DatabaseAway:
                raise
            except StoreError as error:  # the disk's trouble is not the candidate's: tried again
                log.warning("shadow.deferred", extra={"model": model, "error": str(error)})
                return
            except NotAnalysable as error:
                answer = Answer(model=model, summary={}, refused=error.cause, because=str(error))
            except DicomnodeError as error:
                answer = _broken(model, str(error))
            except Exception as error:  # whatever a candidate does, it does it once
                log.exception("shadow.crashed", extra={"model": model})
                answer = _broken(model, f"unexpected {type(error).__name__}; see the log")
            seconds = time.monotonic() - started
            with self._database.transaction() as tx:
                shadows.keep(tx, job.id, answer, seconds=seconds)
            fields: dict[str, object] = {"model": model, "seconds": round(seconds, 3)}
            fields |= {"problem": answer.because} if answer.because else {}
            log.info("shadow.kept", extra=fields)


def _broken(model: str, words: str) -> Answer:
    return Answer(model=model, summary={}, refused=Cause.MODEL_FAILED, because=words)
