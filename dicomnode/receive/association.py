"""One association: its C-STOREs answered, its end told once.

pynetdicom speaks the upper layer, C-ECHO and release. Every C-STORE gets an answer here, also one
that pynetdicom would drop for its UIDs.
"""

import logging
import time
from typing import cast

from pynetdicom import evt
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association as DicomAssociation
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE, DimseServiceType
from pynetdicom.fsm import InvalidEventError, StateMachine
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext, build_context

from dicomnode.dicom.sop_classes import STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES, VERIFICATION
from dicomnode.dicom.uids import is_uid
from dicomnode.errors import Conflict, DicomnodeError, Mismatch
from dicomnode.receive.dataset import ReceivedDataset, StreamingDimse
from dicomnode.receive.desk import Desk
from dicomnode.receive.intake import Reception
from dicomnode.receive.status import SUCCESS, UNFORESEEN, Answer, answer_to
from dicomnode.records import Association, StoreRequest
from dicomnode.storage.objects import Kept

__all__ = ["StoreAssociation"]

log = logging.getLogger(__name__)


class StoreAssociation(DicomAssociation):
    """An association that stores."""

    def __init__(self, ae: ApplicationEntity, desk: Desk) -> None:
        super().__init__(ae, MODE_ACCEPTOR)
        self.name = "receive"
        self.dul.daemon = True  # a silent peer must not keep the process from ending
        self.dul.state_machine = _StateMachine(self.dul)
        self._streaming = StreamingDimse(self, self._begin_store)
        self.dimse = self._streaming
        self.record: Association | None = None  #: set when it was let in
        self._desk = desk
        self._stored = 0
        self._refused = 0
        self.bind(evt.EVT_REQUESTED, self._on_request)

    def run_reactor(self) -> None:
        """Serve until the end, and tell of the end once, whatever it was."""
        started = time.monotonic()
        try:
            super().run_reactor()
        finally:
            self._streaming.discard()
            if self.record:
                self._leave(self.record, time.monotonic() - started)

    def drop(self) -> None:
        """Close the connection without another word."""
        self.dul.kill_dul()
        if self.dul.socket is not None:
            self.dul.socket._shutdown_socket()

    def _begin_store(self, message: DIMSEMessage) -> Reception:
        """Open a reception for the C-STORE-RQ whose command has just arrived."""
        context = self._accepted_cx.get(message.context_id or 0)
        if context is None or self.record is None:
            raise Mismatch("the C-STORE came on a presentation context that was not accepted")
        command = message.command_set
        return self._desk.intake.begin(
            StoreRequest(
                association=self.record,
                sop_class_uid=str(command.get("AffectedSOPClassUID", "")),
                sop_instance_uid=str(command.get("AffectedSOPInstanceUID", "")),
                context_sop_class_uid=str(context.abstract_syntax),
                transfer_syntax_uid=str(context.transfer_syntax[0]),
            )
        )

    def _on_request(self, _: evt.Event) -> None:
        """Reject, or accept what was proposed as far as it can be stored."""
        asked = cast(A_ASSOCIATE, self.requestor.primitive)
        calling, called = asked.calling_ae_title.strip(), asked.called_ae_title.strip()
        address = str(getattr(self.requestor.address_info, "address", ""))
        answer = self._desk.admit(self, calling, called, address)
        if isinstance(answer, Association):
            self.record = answer
            self.acceptor.supported_contexts = _acceptable(
                asked.presentation_context_definition_list
            )
            return
        log.warning(
            "association.rejected",
            extra={
                "calling_ae": calling,
                "called_ae": called,
                "address": address,
                "problem": answer.words,
            },
        )
        self.acse.send_reject(answer.result, answer.source, answer.reason)
        self.kill()

    def _serve_request(self, msg: DimseServiceType, context_id: int) -> None:
        """C-STORE is answered here, whatever its UIDs; everything else by pynetdicom."""
        if not isinstance(msg, C_STORE) or msg.MessageIDBeingRespondedTo is not None:
            super()._serve_request(msg, context_id)
            return
        if context_id not in self._accepted_cx or msg.MessageID is None:
            self.abort()
            return
        answer = self._store(msg)
        response = C_STORE()
        response.MessageIDBeingRespondedTo = msg.MessageID
        response.AffectedSOPClassUID = msg.AffectedSOPClassUID
        response.AffectedSOPInstanceUID = msg.AffectedSOPInstanceUID
        response.Status = answer.status
        if answer.comment:
            response.ErrorComment = answer.comment  # type: ignore[assignment]  # annotated None
        self.dimse.send_msg(response, context_id)
        self.dul._idle_timer.restart()  # our own slow disk is not the sender's silence

    def _store(self, request: C_STORE) -> Answer:
        """Keep what came, tell the listener, and find the answer."""
        try:
            with cast(ReceivedDataset, request.DataSet).reception() as reception:
                kept = self._keep(reception)
            self._stored += 1
            if kept is Kept.BESIDE:
                log.warning("store.beside", extra=self._about(request))
        except DicomnodeError as error:
            self._refused += 1
            if error.retry and self.record:
                self._desk.listener.turned_away(self.record)
            log.warning("store.refused", extra=self._about(request) | {"problem": str(error)})
            return answer_to(error)
        except Exception:  # a sender is owed an answer, whatever broke here
            self._refused += 1
            log.exception("store.failed", extra=self._about(request))
            return UNFORESEEN
        return SUCCESS

    def _keep(self, reception: Reception) -> Kept:
        """Keep the object, and tell the listener what became of it."""
        record, uid = reception.request.association, reception.request.sop_instance_uid
        try:
            kept = reception.keep()
        except Conflict:
            self._desk.listener.conflict(record, reception.study_uid, uid)
            raise
        self._desk.listener.kept(record, reception.study_uid, uid)
        return kept

    def _about(self, request: C_STORE) -> dict[str, object]:
        """What a log line says of a C-STORE that went wrong."""
        uid = str(request.AffectedSOPInstanceUID)
        return {
            "association": self.record.id if self.record else None,
            "sop_instance_uid": uid if is_uid(uid) else "",
        }

    def _leave(self, record: Association, seconds: float) -> None:
        """Tell of the end."""
        log.info(
            "association.ended",
            extra={
                "association": record.id,
                "calling_ae": record.calling_ae,
                "address": record.address,
                "stored": self._stored,
                "refused": self._refused,
                "state": "released" if self.is_released else "aborted",
                "seconds": round(seconds, 3),
            },
        )
        try:
            self._desk.listener.ended(record)
        finally:
            self._desk.leave(record)


class _StateMachine(StateMachine):
    """An event that has no place in the table ends the association, not just its thread.

    It happens when an answer is ready after garbage has ended the association.
    """

    def do_action(self, event: str) -> None:
        try:
            super().do_action(event)
        except InvalidEventError:
            self.dul.kill_dul()


def _acceptable(proposed: list[PresentationContext]) -> list[PresentationContext]:
    """What can be stored of what is proposed; the sender's own order of syntaxes decides.

    A sender lists first how it has the object, and what need not be encoded again stays as it is.
    """
    syntaxes: dict[str, dict[str, None]] = {}
    for context in proposed:
        abstract = str(context.abstract_syntax)
        if abstract in STORAGE_SOP_CLASSES or abstract == VERIFICATION:
            known = (str(uid) for uid in context.transfer_syntax if uid in TRANSFER_SYNTAXES)
            syntaxes.setdefault(abstract, {}).update(dict.fromkeys(known))
    return [build_context(abstract, list(known)) for abstract, known in syntaxes.items() if known]
