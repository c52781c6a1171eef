"""Images are answered while their study is still coming in, so that in the end few are left.

Nothing is owed for this work, and nothing is recorded: what the model said stays in its memory.
Where that is lost, the job asks again.
"""

import logging
from collections.abc import Callable, Iterable, Sequence, Set
from functools import partial
from time import monotonic
from typing import Protocol

from dicomnode.errors import DicomnodeError
from dicomnode.records import InstanceRef
from dicomnode.storage.database import Database
from dicomnode.worklist import recall, studies
from dicomnode.worklist.studies import Arriving

__all__ = ["Early", "Foresight", "Warm"]

log = logging.getLogger(__name__)

_AT_ONCE = 32  #: images that are looked at in one query
_A_PIECE_S = 0.03  #: images are answered so long before it is asked whether there is a job


class Foresight(Protocol):
    """What is needed of the thinking stages."""

    def warm(self, pipeline: str) -> None:
        """Have the pipeline's model in memory."""
        ...

    def models_of(self, pipeline: str) -> Sequence[str]:
        """The model that answers there, and its members, as `name@version`; none if unreadable."""
        ...

    def ahead(self, pipeline: str, image: InstanceRef) -> None:
        """Answer one image of a study that is not complete."""
        ...


class Early:
    """Answers images of waiting jobs, the oldest first; of the studies that are `mine`."""

    brief = True  #: were the job taken meanwhile, it would ask the same again

    def __init__(
        self, database: Database, foresight: Foresight, mine: Callable[[str], bool]
    ) -> None:
        self._database = database
        self._foresight = foresight
        self._mine = mine
        self._after = (0, "")  #: the last image that was looked at, and its pipeline

    def next(self) -> Callable[[], None] | None:
        """The next images, ready to be answered; None where all are that have come so far.

        Raises:
            DatabaseAway: the worklist cannot be asked.
        """
        while True:
            with self._database.reading() as tx:
                found = studies.arriving(tx, after=self._after, limit=_AT_ONCE)
                stopped = recall.stopped(tx)
            if wanted := [one for one in found if self._is_wanted(one, stopped.keys())]:
                return partial(self._answer_some, wanted)
            if len(found) < _AT_ONCE:
                return None
            self._after = found[-1].instance_id, found[-1].pipeline

    def _is_wanted(self, one: Arriving, stopped: Set[str]) -> bool:
        models = self._foresight.models_of(one.pipeline) if self._mine(one.image.study_uid) else ()
        return bool(models) and stopped.isdisjoint(models)

    def _answer_some(self, wanted: Sequence[Arriving]) -> None:
        """Answer the first, and as many more as a job that comes meanwhile would not notice."""
        until = monotonic() + _A_PIECE_S
        for one in wanted:
            self._after = one.instance_id, one.pipeline
            self._answer(one)
            if monotonic() >= until:
                return

    def _answer(self, one: Arriving) -> None:
        """Whatever goes wrong here goes wrong again when the job runs, and is told then."""
        try:
            self._foresight.ahead(one.pipeline, one.image)
            log.debug("image.answered", extra=_names(one))
        except DicomnodeError as error:
            log.info("image.skipped", extra=_names(one) | {"problem": str(error)})
        except Exception as error:  # whatever a model does with half a study
            log.exception("image.skipped", extra=_names(one) | {"error": type(error).__name__})


class Warm:
    """Loads the models of pipelines before the first study asks for them."""

    brief = False  #: a model that is measured for the first time takes a minute

    def __init__(self, foresight: Foresight, pipelines: Iterable[str]) -> None:
        self._foresight = foresight
        self._left = list(pipelines)

    def next(self) -> Callable[[], None] | None:
        """The next model, ready to be loaded."""
        return partial(self._load, self._left.pop(0)) if self._left else None

    def _load(self, pipeline: str) -> None:
        try:
            self._foresight.warm(pipeline)
        except DicomnodeError as error:  # each of its jobs will say so, where it is read
            log.warning("model.unusable", extra={"pipeline": pipeline, "problem": str(error)})
        except Exception as error:
            log.exception("model.unusable", extra={"error": type(error).__name__})


def _names(one: Arriving) -> dict[str, str]:
    return {"study_uid": one.image.study_uid, "pipeline": one.pipeline}
