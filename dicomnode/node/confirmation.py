"""Ask one peer to confirm that it keeps what it was sent (Storage Commitment, as SCU)."""

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from dicomnode.config.settings import DeliverSettings
from dicomnode.dicom.commitment import CommitmentRequest, Reference
from dicomnode.errors import DatabaseAway, PeerAway, PeerRefused
from dicomnode.records import Peer
from dicomnode.storage.database import Database
from dicomnode.worklist import commitments
from dicomnode.worklist.queue import backoff_s

__all__ = ["Confirmations"]

log = logging.getLogger(__name__)

_LOOK_S = 2.0  #: how often is looked for what was delivered and not asked about
_ASK_AGAIN_AFTER = timedelta(hours=1)  #: when no report came
_LONGEST_WAIT_S = 3600.0  #: before a peer that did not take the question is asked again
_DATABASE_WAIT_S = 2.0
_AT_ONCE = 500  #: results in one question


class Confirmations:
    """One thread that asks one peer; what the peer reports is taken by its `CommitmentDesk`."""

    def __init__(
        self,
        peer: Peer,
        database: Database,
        ask: Callable[[Peer, CommitmentRequest], None],
        settings: DeliverSettings,
    ) -> None:
        self.peer = peer
        self._database = database
        self._ask = ask
        self._settings = settings
        self._failures = 0  #: in a row

    def run(self, stop: threading.Event) -> None:
        """Ask until `stop`."""
        wait_s = 0.0
        while not stop.wait(wait_s):
            try:
                wait_s = self.ask_once()
            except DatabaseAway as error:
                fields = {"peer": self.peer.name, "error": str(error)}
                log.warning("confirmation.waiting", extra=fields)
                wait_s = _DATABASE_WAIT_S

    def ask_once(self) -> float:
        """Ask about what is due; return how many seconds to wait before the next look.

        Raises:
            DatabaseAway: what was asked is asked again later.
        """
        request = self._open()
        if request is None:
            return _LOOK_S
        try:
            self._ask(self.peer, request)
        except (PeerAway, PeerRefused) as error:
            with self._database.transaction() as tx:
                commitments.unask(tx, request.transaction_uid)
            return self._wait(str(error))
        self._failures = 0
        fields = {"peer": self.peer.name, "count": len(request.references)}
        log.info("confirmation.asked", extra=fields)
        return 0.0

    def _open(self) -> CommitmentRequest | None:
        """Write down the next question."""
        now = datetime.now(UTC)
        transaction_uid = f"2.25.{uuid4().int}"
        with self._database.transaction() as tx:
            sent = commitments.ask(
                tx,
                self.peer.name,
                transaction_uid,
                owed_since=now - timedelta(hours=self._settings.give_up_after_h),
                asked_before=now - _ASK_AGAIN_AFTER,
                limit=_AT_ONCE,
                now=now,
            )
        if not sent:
            return None
        if unheard := sum(item.again for item in sent):
            fields = {"peer": self.peer.name, "count": unheard}
            log.warning("confirmation.missing", extra=fields)
        references = tuple(Reference(item.sop_class_uid, item.sop_instance_uid) for item in sent)
        return CommitmentRequest(transaction_uid=transaction_uid, references=references)

    def _wait(self, problem: str) -> float:
        self._failures += 1
        wait_s = backoff_s(
            self._failures, first_s=self._settings.first_retry_s, longest_s=_LONGEST_WAIT_S
        )
        fields = {"peer": self.peer.name, "error": problem, "retry_in_s": round(wait_s, 1)}
        log.warning("confirmation.waiting", extra=fields)
        return wait_s
