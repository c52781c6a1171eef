"""Find the studies that are complete, and let their jobs go on.

A study counts as complete when no association brings it, nothing came for the pipeline's quiet
time, and, where the sending peer answers C-FIND, all the images that it has are here.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from dicomnode.config.pipelines import CompleteSettings, PipelineSettings
from dicomnode.node.arrivals import Arrivals
from dicomnode.node.counts import Pending, StudyCounts
from dicomnode.records import State
from dicomnode.storage.database import Database
from dicomnode.worklist import studies
from dicomnode.worklist.studies import Completeness, Waiting

__all__ = ["CompletenessCheck"]

log = logging.getLogger(__name__)

#: An association that stays open and sends nothing more of a study holds it so many quiet times.
_HELD_QUIET_TIMES = 6


class CompletenessCheck:
    """One pass over all jobs that wait for images; called by a timer."""

    def __init__(
        self,
        database: Database,
        pipelines: Mapping[str, PipelineSettings],
        arrivals: Arrivals,
        counts: StudyCounts,
        horizon: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._pipelines = pipelines
        self._arrivals = arrivals
        self._counts = counts
        self._horizon = horizon
        self._running = threading.Lock()

    def run(self) -> None:
        """Look at each waiting job once.

        Raises:
            DatabaseAway: nothing was changed; the next pass looks again.
        """
        with self._running:
            known_until = min(self._horizon(), datetime.now(UTC))
            with self._database.reading() as tx:
                waiting = studies.waiting(tx)
            self._counts.keep_only({item.job.study_uid for item in waiting})
            for item in waiting:
                self._look_at(item, known_until)

    def close(self) -> None:
        """Ask no peer any more."""
        self._counts.close()

    def _look_at(self, item: Waiting, known_until: datetime) -> None:
        pipeline = self._pipelines.get(item.job.pipeline)
        if pipeline is None:
            self._close(item, State.FAILED, f"pipeline {item.job.pipeline} is no longer configured")
            return
        since_last = (known_until - item.last_received_at).total_seconds()
        quiet_for_s = min(since_last, self._arrivals.released_for_s(item.job.study_uid))
        if self._is_held(item, since_last, pipeline.complete) or (
            quiet_for_s < pipeline.complete.quiet_s
        ):
            return
        expected = self._counts.expected(item, pipeline.complete)
        if isinstance(expected, Pending):
            return
        if expected is None:
            expected = self._expected_by_us(item)
        self._decide(item, expected, quiet_for_s, pipeline.complete)

    def _expected_by_us(self, item: Waiting) -> int | None:
        """What came and what this node turned away; None where it took all that it was sent."""
        missing = self._arrivals.missing(item.job.study_uid)
        if not missing:
            return None
        expected = item.job.received + missing
        if item.job.expected != expected:
            with self._database.transaction() as tx:
                studies.expect(tx, item.job.study_uid, expected)
        return expected

    def _is_held(self, item: Waiting, since_last: float, rules: CompleteSettings) -> bool:
        held = self._arrivals.is_open(item.job.study_uid)
        return held and since_last < rules.quiet_s * _HELD_QUIET_TIMES

    def _decide(
        self, item: Waiting, expected: int | None, quiet_for_s: float, rules: CompleteSettings
    ) -> None:
        here = studies.completeness(
            received=item.job.received,
            expected=expected,
            quiet_for_s=quiet_for_s,
            quiet_s=rules.quiet_s,
            limit_s=rules.limit_s,
        )
        short = f"{item.job.received} of {expected} images came"
        if here is Completeness.COMPLETE:
            self._close(item, State.READY, "")
        elif here is Completeness.PARTIAL and rules.when_short == "process":
            self._close(item, State.READY, short)
        elif here is Completeness.PARTIAL:
            self._close(item, State.INCOMPLETE, short)

    def _close(self, item: Waiting, to: State, reason: str) -> None:
        with self._database.transaction() as tx:
            closed = studies.close(tx, item.job, to, now=datetime.now(UTC), reason=reason)
        if closed:
            fields = {"job": item.job.id, "study_uid": item.job.study_uid, "state": str(to)}
            log.info("study.closed", extra=fields | {"received": item.job.received})
