"""Ask the sending peer how many images it has of a study, in the background (C-FIND)."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from dicomnode.config.current import Current
from dicomnode.config.pipelines import CompleteSettings
from dicomnode.errors import DatabaseAway, DicomnodeError
from dicomnode.records import Peer
from dicomnode.storage.database import Database
from dicomnode.worklist import studies
from dicomnode.worklist.studies import Waiting

__all__ = ["Pending", "StudyCounts"]

log = logging.getLogger(__name__)


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
    `answered` is called when an answer is there, or none will come.
    """

    GIVE_UP_AFTER = 3  #: failures in a row

    def __init__(
        self,
        current: Current,
        count: Callable[[Peer, str], int | None],
        database: Database,
        answered: Callable[[], None] = lambda: None,
    ) -> None:
        self._current = current
        self._count = count
        self._database = database
        self._answered = answered
        self._asked: dict[str, _Asked] = {}
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="count")

    def expected(self, item: Waiting, rules: CompleteSettings) -> int | Pending | None:
        """The number of images, None where nobody can tell, Pending while the peer is asked."""
        peer = self._asked_of(item.calling_ae)
        if peer is None:
            return None
        asked = self._asked.get(item.job.study_uid)
        if asked is None or asked.received != item.job.received:
            self._ask(item, peer, failures=0)
            return Pending()
        if not asked.answer.done():
            return Pending()
        return self._read(item, peer, asked, rules)

    def _asked_of(self, calling_ae: str) -> Peer | None:
        """Who is asked about what came under this AE title."""
        peers = self._current.peers.values()
        return {peer.ae_title: peer for peer in peers if peer.answers_find}.get(calling_ae)

    def _read(
        self, item: Waiting, peer: Peer, asked: _Asked, rules: CompleteSettings
    ) -> int | Pending | None:
        may_ask = (datetime.now(UTC) - asked.at).total_seconds() >= rules.patience_s
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
        answer.add_done_callback(lambda _: self._answered())
        at = datetime.now(UTC)
        self._asked[item.job.study_uid] = _Asked(item.job.received, at, answer, failures)

    def _answer(self, peer: Peer, study_uid: str) -> int | None:
        """Ask; the peer counts the results that it has from us, so they are taken off.

        A PACS that sends under one AE title and stores under another is two peers on one host.
        """
        try:
            number = self._count(peer, study_uid)
        except DicomnodeError as error:
            log.warning("count.failed", extra={"peer": peer.name, "error": str(error)})
            raise
        if number is None:
            return None
        same = [other.name for other in self._current.peers.values() if other.host == peer.host]
        with self._database.transaction() as tx:
            expected = max(0, number - studies.results_at(tx, study_uid, same))
            studies.expect(tx, study_uid, expected)
        return expected

    def keep_only(self, study_uids: set[str]) -> None:
        """Forget what was asked about studies that no longer wait."""
        self._asked = {uid: asked for uid, asked in self._asked.items() if uid in study_uids}

    def close(self) -> None:
        """Ask no more; a question that is under way ends by its own time limit."""
        self._pool.shutdown(wait=False, cancel_futures=True)
