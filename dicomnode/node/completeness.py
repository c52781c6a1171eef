"""Find the studies that are complete, and let their jobs go on.

A study counts as complete when no association brings it, nothing came for the pipeline's quiet
time, and, where the sending peer answers C-FIND, all the images that it has are here.
"""

import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dicomnode.config.current import Current
from dicomnode.config.pipelines import CompleteSettings, PipelineSettings
from dicomnode.errors import Cause
from dicomnode.node.arrivals import Arrivals
from dicomnode.node.counts import Pending, StudyCounts
from dicomnode.records import Job, State
from dicomnode.storage.database import Database
from dicomnode.worklist import studies
from dicomnode.worklist.studies import Completeness, Waiting

__all__ = ["CompletenessCheck"]

log = logging.getLogger(__name__)

#: An association that stays open and sends nothing more of a study holds it so many quiet times.
_HELD_QUIET_TIMES = 6
_AT_ONCE = 100  #: studies closed in one transaction
_LOOK_S = 0.5  #: between looks at what nobody says the end of: a peer's answer, an association


class CompletenessCheck:
    """One look at the jobs that wait for images; the registrar knows when one is worth it.

    `closed` is told the studies of which a job may go on.
    """

    def __init__(
        self,
        database: Database,
        current: Current,
        arrivals: Arrivals,
        counts: StudyCounts,
        horizon: Callable[[], datetime],
        closed: Callable[[Collection[str]], None] = lambda study_uids: None,
    ) -> None:
        self._closed = closed
        self._database = database
        self._current = current
        self._arrivals = arrivals
        self._counts = counts
        self._horizon = horizon

    def run(self) -> float:
        """Look at each waiting job that may be complete; after how many seconds to look again.

        Raises:
            DatabaseAway: the jobs that were not looked at are the next time.
        """
        known_until = min(self._horizon(), datetime.now(UTC))
        shortest = timedelta(seconds=min(self._quiet_times(), default=0.0))
        with self._database.reading() as tx:
            quiet = studies.waiting(tx, quiet_since=known_until - shortest)
            others = studies.first_received_after(tx, known_until - shortest)
        self._counts.keep_only({item.job.study_uid for item in quiet})
        looked = [self._look_at(item, known_until) for item in quiet]
        self._close([found for found in looked if isinstance(found, _End)])
        again_s = [found for found in looked if not isinstance(found, _End)]
        if others is not None:
            again_s.append((others + shortest - known_until).total_seconds())
        return min(again_s, default=_LOOK_S)

    def close(self) -> None:
        """Ask no peer any more."""
        self._counts.close()

    def _quiet_times(self) -> Iterator[float]:
        return (pipeline.complete.quiet_s for pipeline in self._current.pipelines.values())

    def _look_at(self, item: Waiting, known_until: datetime) -> "_End | float":
        """How the job's waiting ends now, or after how many seconds to look again."""
        pipeline = self._current.pipelines.get(item.job.pipeline)
        if pipeline is None:
            reason = f"pipeline {item.job.pipeline} is no longer configured"
            return _End(item.job, State.FAILED, reason)
        since_last = (known_until - item.last_received_at).total_seconds()
        if self._is_held(item, known_until, pipeline.complete):
            return _LOOK_S
        quiet_for_s = min(since_last, self._arrivals.released_for_s(item.job.study_uid))
        if quiet_for_s < pipeline.complete.quiet_s:
            return pipeline.complete.quiet_s - quiet_for_s
        expected = self._counts.expected(item, pipeline.complete)
        if isinstance(expected, Pending):
            return _LOOK_S
        if expected is None:
            expected = self._expected_by_us(item)
        return _decide(item.job, expected, quiet_for_s, pipeline) or _LOOK_S

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

    def _is_held(self, item: Waiting, known_until: datetime, rules: CompleteSettings) -> bool:
        since_last = (known_until - item.last_received_at).total_seconds()
        held = self._arrivals.is_open(item.job.study_uid)
        if rules.quiet_s == 0:
            held = held or not self._was_released_since(item, known_until)
        return held and since_last < rules.patience_s * _HELD_QUIET_TIMES

    def _was_released_since(self, item: Waiting, known_until: datetime) -> bool:
        """Has an association that brought the study ended after its last image came?

        An image may be in the worklist before we hear which association brought it; and one that
        ended after `known_until` may have brought images that are still in the inbox.
        """
        now = datetime.now(UTC)
        since_known = (now - known_until).total_seconds()
        since_last = (now - item.last_received_at).total_seconds()
        return since_known <= self._arrivals.released_for_s(item.job.study_uid) <= since_last

    def _close(self, ends: list["_End"]) -> None:
        """Let jobs go on, many in one transaction; in the order in which all take their studies."""
        ends = sorted(ends, key=lambda end: end.job.study_uid)
        while ends:
            now = datetime.now(UTC)
            with self._database.transaction() as tx:
                closed = [
                    end
                    for end in ends[:_AT_ONCE]
                    if studies.close(
                        tx, end.job, end.to, now=now, reason=end.reason, refused=end.refused
                    )
                ]
            if closed:
                self._closed({end.job.study_uid for end in closed})
            for end in closed:
                fields = {"job": end.job.id, "study_uid": end.job.study_uid, "state": str(end.to)}
                log.info("study.closed", extra=fields | {"received": end.job.received})
            ends = ends[_AT_ONCE:]


@dataclass(frozen=True, slots=True)
class _End:
    """How a job's waiting ends."""

    job: Job
    to: State
    reason: str
    refused: Cause | None = None


def _decide(
    job: Job, expected: int | None, quiet_for_s: float, pipeline: PipelineSettings
) -> _End | None:
    rules = pipeline.complete
    here = studies.completeness(
        received=job.received,
        expected=expected,
        quiet_for_s=quiet_for_s,
        quiet_s=rules.quiet_s,
        limit_s=rules.limit_s,
    )
    short = f"{job.received} of {expected} images came"
    if here is Completeness.COMPLETE:
        return _End(job, State.READY, "")
    if here is Completeness.WAIT:
        return None
    if rules.when_short == "process":
        return _End(job, State.READY, short)
    if pipeline.wanted_notices:
        return _End(job, State.READY, short, Cause.INCOMPLETE)
    return _End(job, State.INCOMPLETE, short)
