"""Bring results to one peer: one thread a peer, so that a slow one keeps only itself waiting."""

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from dicomnode.config.settings import DeliverSettings
from dicomnode.errors import DatabaseAway
from dicomnode.records import Delivery, Outcome, Peer, Verdict
from dicomnode.storage.database import Database
from dicomnode.storage.objects import ObjectStore
from dicomnode.worklist import outbox
from dicomnode.worklist.queue import backoff_s

__all__ = ["Courier", "Send"]

log = logging.getLogger(__name__)

_LOOK_S = 0.5  #: how often the outbox is looked at when nobody says that there is something
_DATABASE_WAIT_S = 2.0  #: between attempts while the database is away
_LEASE_S = 300.0  #: longest that a batch may take before another node may send it too

#: Send files to a peer, in order, and tell each outcome as it comes.
Send = Callable[[Sequence[Path], Peer, Callable[[Path, Outcome], None]], object]


class Courier:
    """Delivers what is owed to one peer, in order, until told to stop.

    `holder` names this node in leases: what it held when it was killed, it takes up again at once.
    """

    def __init__(
        self,
        peer: Peer,
        store: ObjectStore,
        database: Database,
        send: Send,
        settings: DeliverSettings,
        *,
        holder: str,
    ) -> None:
        self.peer = peer
        self._store = store
        self._database = database
        self._send = send
        self._settings = settings
        self._holder = holder
        self._failures = 0  #: associations that failed in a row
        self._wanted = threading.Event()

    def look(self) -> None:
        """There may be something to deliver; a peer that is away is not asked any sooner for it."""
        self._wanted.set()

    def run(self, stop: threading.Event) -> None:
        """Deliver until `stop`; a batch under way is finished."""
        wait_s = 0.0
        while not self._waited(wait_s, stop):
            try:
                wait_s = self.deliver_batch()
            except DatabaseAway as error:
                log.warning("courier.waiting", extra={"peer": self.peer.name, "error": str(error)})
                wait_s = _DATABASE_WAIT_S

    def _waited(self, wait_s: float, stop: threading.Event) -> bool:
        """Wait, when idle no longer than for the next result; True when it is time to stop."""
        if wait_s > _LOOK_S:
            return stop.wait(wait_s)
        self._wanted.wait(wait_s)
        self._wanted.clear()
        return stop.is_set()

    def deliver_batch(self) -> float:
        """Send what is due; return how many seconds to wait before the next look.

        Raises:
            DatabaseAway: what was sent but not written down is sent again later, under the same
                UID and with the same bytes.
        """
        with self._database.transaction() as tx:
            due = outbox.claim(
                tx,
                self.peer.name,
                self._holder,
                limit=self._settings.batch,
                lease_s=_LEASE_S,
                now=datetime.now(UTC),
            )
        if not due:
            return _LOOK_S
        return self._deliver(due)

    def _deliver(self, due: Sequence[Delivery]) -> float:
        by_path = {
            self._store.path_of_result(item.study_uid, item.sop_instance_uid): item for item in due
        }
        untried: dict[str, list[Delivery]] = defaultdict(list)  #: by the reason in words

        def tell(path: Path, outcome: Outcome) -> None:
            if outcome.verdict is Verdict.UNTRIED:
                untried[outcome.message].append(by_path[path])
            else:
                self._write_down(by_path[path], outcome)

        self._send(list(by_path), self.peer, tell)
        for message, items in untried.items():
            self._give_back(items, message)
        if sum(map(len, untried.values())) == len(due):
            return self._wait_for_peer(next(iter(untried)))
        self._failures = 0
        return 0.0

    def _write_down(self, item: Delivery, outcome: Outcome) -> None:
        with self._database.transaction() as tx:
            outbox.record(
                tx,
                item,
                outcome,
                retry_s=self._backoff_s(item.attempts + 1),
                give_up_after_s=self._settings.give_up_after_h * 3600,
                now=datetime.now(UTC),
            )
        stored = outcome.verdict is Verdict.STORED
        fields = {
            "job": item.job_id,
            "peer": self.peer.name,
            "sop_instance_uid": item.sop_instance_uid,
        }
        if outcome.status is not None:
            fields["status"] = f"0x{outcome.status:04X}"
        if not stored:
            fields["problem"] = outcome.message
        log.log(logging.INFO if stored else logging.WARNING, _EVENTS[outcome.verdict], extra=fields)

    def _give_back(self, untried: Sequence[Delivery], message: str) -> None:
        with self._database.transaction() as tx:
            outbox.give_back(
                tx,
                untried,
                message,
                give_up_after_s=self._settings.give_up_after_h * 3600,
                now=datetime.now(UTC),
            )

    def _wait_for_peer(self, message: str) -> float:
        self._failures += 1
        wait_s = self._backoff_s(self._failures)
        fields = {"peer": self.peer.name, "error": message, "retry_in_s": round(wait_s, 1)}
        log.warning("peer.away", extra=fields)
        return wait_s

    def _backoff_s(self, attempt: int) -> float:
        return backoff_s(
            attempt, first_s=self._settings.first_retry_s, longest_s=self._settings.longest_retry_s
        )


_EVENTS = {
    Verdict.STORED: "result.delivered",
    Verdict.LATER: "result.deferred",
    Verdict.NEVER: "result.refused",
}
