"""What a message asks for: C-STORE, C-ECHO, and Storage Commitment's two halves (PS3.4).

A `Request` takes its dataset as it comes, and finds the answer when all of it is here.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Literal, Protocol

from dicomnode.dicom.sop_classes import STORAGE_COMMITMENT, VERIFICATION
from dicomnode.dicom.uids import is_uid
from dicomnode.errors import Conflict, DicomnodeError, Mismatch, ProtocolViolation, Unreadable
from dicomnode.receive import commitment
from dicomnode.receive.desk import Desk
from dicomnode.receive.dimse import C_ECHO, C_STORE, N_ACTION, N_EVENT_REPORT, Command
from dicomnode.receive.intake import Intake, Reception
from dicomnode.receive.negotiation import Context
from dicomnode.receive.status import SUCCESS, UNFORESEEN, Answer, answer_to, reason_of
from dicomnode.records import Association, CommitmentMessage, StoreRequest
from dicomnode.storage.incoming import Kept
from dicomnode.storage.spool import Spool

__all__ = ["Request", "Services"]

log = logging.getLogger(__name__)

_MOST_REFUSALS_LOGGED = 20  #: of one association; the line of its end counts them all
_LONGEST_BEYOND_BYTES = 16 * 1024 * 1024  #: passed over of an object that is refused anyway
_LONGEST_COMMITMENT_BYTES = 8 * 1024 * 1024  #: of the list of instances; about 50,000
_COMMITMENTS: Mapping[int, Literal["request", "report"]] = {
    N_ACTION: "request",
    N_EVENT_REPORT: "report",
}


class Request(Protocol):
    """One request whose dataset is coming."""

    def write(self, piece: memoryview) -> None:
        """Take the next bytes; they are good until `flush`."""

    def flush(self) -> None:
        """The bytes given to `write` go away now."""

    def finish(self) -> Answer:
        """All is here: do what was asked."""

    def discard(self) -> None:
        """Forget it; does nothing to what was kept. May be called twice."""


class Services:
    """The services of one association, and the count of what it stored."""

    def __init__(self, record: Association, desk: Desk, intake: Intake, spool: Spool) -> None:
        self.record = record
        self.stored = 0
        self.refused = 0
        self.refusals: Counter[str] = Counter()  #: the same by why, as `reason_of` names it
        self._desk = desk
        self._intake = intake
        self._spool = spool

    def begin(self, command: Command, context: Context) -> Request:
        """A request by its command.

        Raises:
            ProtocolViolation: a command that was never agreed on.
        """
        if command.kind == C_STORE:
            return _Store(self, command, context)
        if command.kind == C_ECHO and context.abstract_syntax == VERIFICATION:
            return _Echo()
        if context.abstract_syntax == STORAGE_COMMITMENT and command.kind in _COMMITMENTS:
            return _Commitment(self.record, self._spool, command, context)
        raise ProtocolViolation("a command came that its presentation context does not know")

    def open(self, request: StoreRequest) -> Reception:
        """Open a reception for an object."""
        return self._intake.begin(request)

    @property
    def most_bytes(self) -> int:
        """As many of an object are read before its association is aborted."""
        return self._intake.max_object_bytes + _LONGEST_BEYOND_BYTES

    def keep(self, reception: Reception) -> Answer:
        """Keep an object, tell the desk what became of it, and find the answer."""
        uid = reception.request.sop_instance_uid
        try:
            kept = reception.keep()
        except Conflict:
            self._desk.conflict(self.record, reception.study_uid, uid)
            raise
        self._desk.kept(self.record, reception.study_uid, uid)
        self.stored += 1
        if kept is Kept.BESIDE:
            log.warning("store.beside", extra=self._about(uid))
        return SUCCESS

    def refuse(self, uid: str, error: Exception) -> Answer:
        """Count and log an object that is not kept, and find the answer."""
        self.refused += 1
        self.refusals[reason_of(error)] += 1
        known = isinstance(error, DicomnodeError)
        if self.refused <= _MOST_REFUSALS_LOGGED:
            log.log(
                logging.WARNING if known else logging.ERROR,
                "store.refused" if known else "store.failed",
                exc_info=None if known else error,
                extra=self._about(uid) | ({"problem": str(error)} if known else {}),
            )
        if not isinstance(error, DicomnodeError):
            return UNFORESEEN
        if error.retry:
            self._desk.turned_away(self.record)
        return answer_to(error)

    def _about(self, uid: str) -> dict[str, object]:
        """What a log line says of a C-STORE that went wrong."""
        named = uid if is_uid(uid) else ""
        return {
            "association": self.record.id,
            "calling_ae": self.record.calling_ae,
            "address": self.record.address,
            "sop_instance_uid": named,
        }


class _Echo:
    """C-ECHO (PS3.4 annex A)."""

    def write(self, piece: memoryview) -> None:
        raise ProtocolViolation("a C-ECHO came with a dataset")

    def flush(self) -> None:
        pass

    def finish(self) -> Answer:
        return SUCCESS

    def discard(self) -> None:
        pass


class _Store:
    """C-STORE (PS3.4 annex B). An error is kept until the sender waits for the answer."""

    def __init__(self, services: Services, command: Command, context: Context) -> None:
        self._services = services
        self._uid = command.sop_instance_uid
        self._reception: Reception | None = None
        self._error: Exception | None = None
        self._count = 0
        request = StoreRequest(
            association=services.record,
            sop_class_uid=command.sop_class_uid,
            sop_instance_uid=self._uid,
            context_sop_class_uid=context.abstract_syntax,
            transfer_syntax_uid=context.transfer_syntax,
        )
        try:
            if not command.has_dataset:
                raise Unreadable("the C-STORE has no dataset")
            if context.abstract_syntax in (VERIFICATION, STORAGE_COMMITMENT):
                raise Mismatch("the C-STORE came on a presentation context that stores nothing")
            self._reception = services.open(request)
        except Exception as error:  # noqa: BLE001  # told, and logged, when the answer is due
            self._error = error

    def write(self, piece: memoryview) -> None:
        self._count += len(piece)
        if self._count > self._services.most_bytes:
            raise ProtocolViolation("an object goes on beyond all limits")
        if self._reception is not None and self._error is None:
            self._guarded(self._reception.write, piece)

    def flush(self) -> None:
        if self._reception is not None and self._error is None:
            self._guarded(self._reception.flush)

    def finish(self) -> Answer:
        try:
            if self._error is not None:
                raise self._error
            if self._reception is None:
                raise Unreadable("the C-STORE has no dataset")
            return self._services.keep(self._reception)
        except Exception as error:  # noqa: BLE001  # a sender is owed an answer, whatever broke
            self.discard()
            return self._services.refuse(self._uid, error)

    def discard(self) -> None:
        if self._reception is not None:
            self._reception.discard()

    def _guarded(self, step: Callable[..., None], *pieces: memoryview) -> None:
        try:
            step(*pieces)
        except Exception as error:  # noqa: BLE001  # see __init__
            self._error = error
            self.discard()


class _Commitment:
    """N-ACTION that asks us to answer for instances, or N-EVENT-REPORT that answers us."""

    def __init__(
        self, record: Association, spool: Spool, command: Command, context: Context
    ) -> None:
        self._record = record
        self._spool = spool
        self._command = command
        self._context = context
        self._dataset = bytearray()

    def write(self, piece: memoryview) -> None:
        if len(self._dataset) + len(piece) > _LONGEST_COMMITMENT_BYTES:
            raise ProtocolViolation("a list of instances is too long")
        self._dataset += piece

    def flush(self) -> None:
        pass

    def finish(self) -> Answer:
        message = CommitmentMessage(
            kind=_COMMITMENTS[self._command.kind],
            calling_ae=self._record.calling_ae,
            sop_instance_uid=self._command.sop_instance_uid,
            type_id=self._command.type_id,
            transfer_syntax_uid=self._context.transfer_syntax,
            dataset=bytes(self._dataset),
        )
        return Answer(commitment.take(self._spool, message), "")

    def discard(self) -> None:
        self._dataset.clear()
