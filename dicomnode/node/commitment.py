"""Work through what one AE said about storage commitment: its requests, and its reports to us.

The receivers have taken the messages and put them into the spool. A message stays there until it
is done with, so a killed node goes on where it was.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dicomnode.config.settings import DeliverSettings
from dicomnode.dicom.commitment import (
    REASONS,
    CommitmentReport,
    CommitmentRequest,
    read_report,
    read_request,
)
from dicomnode.errors import DatabaseAway, PeerAway, PeerRefused, StoreError, Unreadable
from dicomnode.records import CommitmentMessage, Peer
from dicomnode.storage.database import Database
from dicomnode.storage.spool import Spool, put_at
from dicomnode.worklist import commitments
from dicomnode.worklist.commitments import Report
from dicomnode.worklist.queue import backoff_s

__all__ = ["CommitmentDesk", "name_strangers"]

log = logging.getLogger(__name__)

_LOOK_S = 0.5  #: how often the spool is looked at
_GIVE_UP_AFTER = timedelta(hours=24)  #: who asks has asked again by then


class CommitmentDesk:
    """Serves the `peers` who share an AE title; the first that has a port is who reports go to.

    `horizon` tells until when everything that was received is in the worklist; a request is
    answered when that is behind it.
    """

    def __init__(
        self,
        peers: Sequence[Peer],
        spool: Spool,
        database: Database,
        report_on: Callable[[CommitmentRequest], CommitmentReport],
        send: Callable[[Peer, CommitmentReport], None],
        horizon: Callable[[], datetime],
        settings: DeliverSettings,
    ) -> None:
        self.peer = next((peer for peer in peers if peer.port), peers[0])
        self._names = [peer.name for peer in peers]
        self._spool = spool
        self._database = database
        self._report_on = report_on
        self._send = send
        self._horizon = horizon
        self._settings = settings
        self._failures = 0  #: in a row

    def run(self, stop: threading.Event) -> None:
        """Work until `stop`."""
        wait_s = 0.0
        while not stop.wait(wait_s):
            wait_s = self.work()

    def work(self) -> float:
        """Work through what waits; return how many seconds to wait before the next look."""
        refusal: Exception | None = None
        try:
            for path in self._spool.waiting(self.peer.ae_title):
                try:
                    if not self._work_through(path):
                        return _LOOK_S
                except (DatabaseAway, PeerAway, PeerRefused, StoreError) as error:
                    if datetime.now(UTC) - put_at(path) >= _GIVE_UP_AFTER:
                        self._drop(path, f"given up after {_GIVE_UP_AFTER}; last: {error}")
                    elif isinstance(error, PeerRefused):
                        refusal = error  # of this message; another may be welcome
                    else:
                        return self._wait(error)
        except StoreError as error:
            return self._wait(error)
        if refusal is not None:
            return self._wait(refusal)
        self._failures = 0
        return _LOOK_S

    def _work_through(self, path: Path) -> bool:
        """Do what one message asks for; False when it is too early for that."""
        try:
            message = self._spool.read(path)
            if message.kind == "report":
                self._take_report(message)
            elif self._horizon() < put_at(path):
                return False
            else:
                self._answer(message)
        except Unreadable as error:
            self._drop(path, str(error))
        else:
            self._spool.remove(path)
        return True

    def _answer(self, message: CommitmentMessage) -> None:
        request = read_request(message.dataset, message.transfer_syntax_uid)
        report = self._report_on(request)
        self._send(self.peer, report)
        fields = {"peer": self.peer.name, "count": len(report.kept), "refused": len(report.failed)}
        log.info("commitment.answered", extra=fields)

    def _take_report(self, message: CommitmentMessage) -> None:
        report = read_report(message.dataset, message.transfer_syntax_uid)
        with self._database.transaction() as tx:
            became = commitments.answer(
                tx,
                self._names,
                report.transaction_uid,
                [kept.sop_instance_uid for kept in report.kept],
                {failed.sop_instance_uid: _words(reason) for failed, reason in report.failed},
                retry_s=self._backoff_s,
                give_up_after_s=self._settings.give_up_after_h * 3600,
                now=datetime.now(UTC),
            )
        fields = {"peer": self.peer.name, "count": len(report.kept), "refused": len(report.failed)}
        well = became is Report.TAKEN and not report.failed
        log.log(logging.INFO if well else logging.WARNING, _EVENTS[became], extra=fields)

    def _drop(self, path: Path, problem: str) -> None:
        log.warning("commitment.dropped", extra={"peer": self.peer.name, "problem": problem})
        self._spool.remove(path)

    def _wait(self, error: Exception) -> float:
        self._failures += 1
        wait_s = self._backoff_s(self._failures)
        fields = {"peer": self.peer.name, "error": str(error), "retry_in_s": round(wait_s, 1)}
        log.warning("commitment.waiting", extra=fields)
        return wait_s

    def _backoff_s(self, attempt: int) -> float:
        return backoff_s(
            attempt, first_s=self._settings.first_retry_s, longest_s=self._settings.longest_retry_s
        )


def name_strangers(spool: Spool, peers: Iterable[Peer]) -> None:
    """Log who sent messages that wait, and is a peer no longer: nobody serves them."""
    for stranger in spool.callers() - {peer.ae_title for peer in peers}:
        problem = "messages about storage commitment wait in commitments/ for a peer of this title"
        log.warning("commitment.stranger", extra={"calling_ae": stranger, "problem": problem})


_EVENTS = {
    Report.TAKEN: "commitment.reported",
    Report.UNKNOWN: "commitment.unknown",
    Report.REPEATED: "commitment.repeated",
}


def _words(reason: int) -> str:
    return REASONS.get(reason, f"reason 0x{reason:04X}")
