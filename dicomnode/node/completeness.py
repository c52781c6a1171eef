"""Find the studies that are complete, and let their jobs go on.

A study counts as complete when no association brings it, nothing came for the pipeline's quiet
time, and, where the sending peer answers C-FIND, all the images that it has are here.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from dicomnode.config.pipelines import CompleteSettings, PipelineSettings
from dicomnode.errors import DatabaseAway, DicomnodeError
from dicomnode.node.arrivals import Arrivals
from dicomnode.records import Peer, State
from dicomnode.storage.database import Database
from dicomnode.worklist import studies
from dicomnode.worklist.studies import Completeness, Waiting

__all__ = ["CompletenessCheck", "Pending", "StudyCounts"]

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
        counts: "StudyCounts",
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
        expected = self._counts.expected(item, since_last, pipeline.complete)
        if isinstance(expected, Pending):
            return
        self._decide(item, expected, quiet_for_s, pipeline.complete)

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


class Pending:
    """The peer has been asked, and has not answered yet."""


@dataclass(frozen=True, slots=True)
class _Asked:
    received: int  #: images here when the peer was asked
    at: datetime
    answer: Future[int | None]
    failures: int  #: times in a row that the peer did not answer


class StudyCounts:
    """How many images the sending peer says a study has; asked in the background (C-FIND).

    A peer that cannot tell, or does not answer several times, leaves the quiet time to decide.
    """

    GIVE_UP_AFTER = 3  #: failures in a row

    def __init__(
        self,
        peers: Mapping[str, Peer],
        count: Callable[[Peer, str], int | None],
        database: Database,
    ) -> None:
        self._by_ae_title = {peer.ae_title: peer for peer in peers.values() if peer.answers_find}
        self._count = count
        self._database = database
        self._asked: dict[str, _Asked] = {}
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="count")

    def expected(
        self, item: Waiting, since_last: float, rules: CompleteSettings
    ) -> int | Pending | None:
        """The number of images, None where nobody can tell, Pending while the peer is asked."""
        peer = self._by_ae_title.get(item.calling_ae)
        if peer is None:
            return None
        asked = self._asked.get(item.job.study_uid)
        if asked is None or asked.received != item.job.received:
            self._ask(item, peer, failures=0)
            return Pending()
        if not asked.answer.done():
            return Pending()
        return self._read(item, peer, asked, rules)

    def _read(
        self, item: Waiting, peer: Peer, asked: _Asked, rules: CompleteSettings
    ) -> int | Pending | None:
        may_ask = (datetime.now(UTC) - asked.at).total_seconds() >= rules.quiet_s
        if (error := asked.answer.exception()) is None:
            expected = asked.answer.result()
            if expected is not None and item.job.received < expected and may_ask:
                self._ask(item, peer, failures=0)  # this answer still counts, now
            return expected
        failures = asked.failures + (not isinstance(error, DatabaseAway))
        if failures >= self.GIVE_UP_AFTER:
            return None  # each failure was logged when it happened
        if may_ask:
            self._ask(item, peer, failures=failures)
        return Pending()

    def _ask(self, item: Waiting, peer: Peer, *, failures: int) -> None:
        answer = self._pool.submit(self._answer, peer, item.job.study_uid)
        at = datetime.now(UTC)
        self._asked[item.job.study_uid] = _Asked(item.job.received, at, answer, failures)

    def _answer(self, peer: Peer, study_uid: str) -> int | None:
        """Ask; the peer counts the results that it has from us, so they are taken off."""
        try:
            number = self._count(peer, study_uid)
        except DicomnodeError as error:
            log.warning("count.failed", extra={"peer": peer.name, "error": str(error)})
            raise
        if number is None:
            return None
        with self._database.transaction() as tx:
            expected = max(0, number - studies.results_at(tx, study_uid, peer.name))
            studies.expect(tx, study_uid, expected)
        return expected

    def keep_only(self, study_uids: set[str]) -> None:
        """Forget what was asked about studies that no longer wait."""
        self._asked = {uid: asked for uid, asked in self._asked.items() if uid in study_uids}

    def close(self) -> None:
        """Ask no more; a question that is under way ends by its own time limit."""
        self._pool.shutdown(wait=False, cancel_futures=True)
