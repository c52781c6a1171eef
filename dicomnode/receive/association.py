"""One association, from the first byte to the last, in one thread that waits where it has to.

The acceptor's half of the upper layer (PS3.8 section 9.2): an A-ASSOCIATE-RQ, then messages in
P-DATA until the A-RELEASE-RQ. What a message asks for is the business of `receive/services.py`.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from ssl import SSLContext

from dicomnode.config.settings import ReceiveSettings
from dicomnode.errors import ConnectionLost, ProtocolViolation, Trouble
from dicomnode.receive.desk import Desk
from dicomnode.receive.dimse import C_CANCEL, Command, read_command, response
from dicomnode.receive.negotiation import (
    ABORTED,
    RELEASED,
    Agreement,
    Proposal,
    Rejection,
    accept,
    message,
    read_proposal,
    rejected,
)
from dicomnode.receive.services import Request, Services
from dicomnode.receive.visit import visit_of
from dicomnode.receive.wire import ABORT, ASSOCIATE_RQ, P_DATA, RELEASE_RQ, Wire, nothing
from dicomnode.records import Association, Visit

__all__ = ["House", "StoreAssociation"]

log = logging.getLogger(__name__)

_LONGEST_GREETING_S = 30.0  #: from the connection to the A-ASSOCIATE-RQ (ARTIM, PS3.8 9.1.5)
_LONGEST_COMMAND_BYTES = 64 * 1024
_SLOWEST_BYTES_PER_S = 1000  #: of a message; a slower one is taken for dead
_COMMAND, _LAST = 1, 2  #: bits of the message control header (PS3.8 E.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What all associations of a receiver share."""

    settings: ReceiveSettings
    desk: Desk
    serve: Callable[[Association], Services]
    tls: SSLContext | None
    entered: Callable[["StoreAssociation"], None]  #: it was let in
    left: Callable[["StoreAssociation"], None]  #: its connection is closed


class StoreAssociation:
    """A connection that may become an association; `run` serves it to its end."""

    def __init__(self, wire: Wire, address: str, house: House) -> None:
        self.address = address
        self._wire = wire
        self._house = house
        self._record: Association | None = None  #: set when it was let in
        self._services: Services | None = None
        self._agreement = Agreement(contexts={}, pdu=b"", refused={})
        self._proposal: Proposal | None = None  #: set when it was read
        self._rejection: Rejection | None = None
        self._trouble: Trouble | None = None  #: why it ended
        self._max_pdu_bytes = 0  #: that the caller takes
        self._why_dropped = ""
        self._command = bytearray()  #: what came of a command
        self._command_read: Command | None = None
        self._request: Request | None = None  #: whose dataset is coming
        self._context_id = 0  #: of the message that is coming
        self._message_since = 0.0
        self._message_bytes = 0

    def run(self) -> None:
        """Serve until the end, and tell of the end once, whatever it was."""
        started = time.monotonic()
        problem, last_words = "", b""
        try:
            self._open()
            if self._record is not None:
                self._serve()
                last_words = RELEASED
        except ConnectionLost as error:
            problem = self._why_dropped or str(error)
            self._trouble = Trouble.STOPPING if self._why_dropped else error.trouble
            last_words = ABORTED if self._why_dropped else b""
        except ProtocolViolation as error:
            problem, last_words, self._trouble = str(error), ABORTED, error.trouble
        except Exception:  # a fault of ours ends one association, never the receiver
            log.exception("association.failed", extra={"address": self.address})
            problem, last_words, self._trouble = "an unforeseen error", ABORTED, Trouble.FAULT
        finally:
            self._end(problem, last_words, started)

    def drop(self, why: str) -> None:
        """Abort it, from another thread."""
        self._why_dropped = why
        self._wire.stop_reading()

    def hang_up(self) -> None:
        """Close its connection without another word, from another thread."""
        self._wire.hang_up()

    # --- begin and end --------------------------------------------------------------------

    def _open(self) -> None:
        """Take the A-ASSOCIATE-RQ and answer it."""
        settings = self._house.settings
        self._wire.patience_s = min(settings.idle_timeout_s, _LONGEST_GREETING_S)
        if self._house.tls is not None:
            self._wire.secure(self._house.tls)
        kind, length = self._wire.next_pdu()
        if kind != ASSOCIATE_RQ:
            raise ProtocolViolation("the first PDU is no A-ASSOCIATE-RQ", Trouble.NO_DICOM)
        proposal = read_proposal(self._wire.content(length))
        if isinstance(proposal, Proposal):
            self._proposal = proposal
            answer = self._admit(proposal)
        else:
            answer = proposal
        self._rejection = answer
        self._wire.patience_s = settings.idle_timeout_s
        if answer is not None:
            fields = {"address": self.address, "problem": answer.words}
            if self._proposal is not None:
                fields |= {
                    "calling_ae": self._proposal.calling_ae,
                    "called_ae": self._proposal.called_ae,
                }
            log.warning("association.rejected", extra=fields)
            self._wire.part(rejected(answer))

    def _admit(self, proposal: Proposal) -> Rejection | None:
        """Ask the desk; whom it lets in is accepted."""
        answer = self._house.desk.admit(
            proposal.calling_ae, proposal.called_ae, self.address, stores=proposal.stores
        )
        if isinstance(answer, Rejection):
            return answer
        self._record = answer.association
        self._services = self._house.serve(answer.association)
        self._house.entered(self)
        self._max_pdu_bytes = proposal.max_pdu_bytes
        self._agreement = accept(
            proposal,
            may_store=answer.may_store,
            max_pdu_bytes=self._house.settings.max_pdu_bytes,
        )
        self._wire.send(self._agreement.pdu)
        return None

    def _end(self, problem: str, last_words: bytes, started: float) -> None:
        """Drop what came by half, tell of the end, close; the peer of a release hears it first."""
        if self._request is not None:
            self._request.discard()
        try:
            if last_words == RELEASED:
                self._wire.send(RELEASED)
        except ConnectionLost:
            problem = "the caller hung up before its release was answered"
            self._trouble = Trouble.HUNG_UP
        seconds = round(time.monotonic() - started, 3)
        try:
            self._house.desk.visited(self._visit(problem, seconds))
            if self._record is not None and self._services is not None:
                self._tell_end(self._record, self._services, problem, seconds)
            elif problem and self._wire.heard:
                fields = {"address": self.address, "problem": problem}
                log.warning("connection.refused", extra=fields)
        finally:
            self._wire.part(b"" if last_words == RELEASED else last_words)
            self._house.left(self)

    def _tell_end(
        self, record: Association, services: Services, problem: str, seconds: float
    ) -> None:
        fields: dict[str, object] = {
            "association": record.id,
            "calling_ae": record.calling_ae,
            "address": record.address,
            "stored": services.stored,
            "refused": services.refused,
            "state": "aborted" if problem else "released",
            "seconds": seconds,
        }
        if problem:
            fields["problem"] = problem
        log.log(logging.WARNING if problem else logging.INFO, "association.ended", extra=fields)
        self._house.desk.ended(record)

    def _visit(self, problem: str, seconds: float) -> Visit:
        return visit_of(
            self.address,
            self._proposal,
            self._rejection,
            self._agreement,
            self._services,
            self._trouble if problem else None,
            problem,
            seconds,
        )

    # --- messages -------------------------------------------------------------------------

    def _serve(self) -> None:
        """Take PDUs until the release (Sta6, PS3.8 Table 9-10)."""
        while True:
            if self._why_dropped:
                raise ConnectionLost(self._why_dropped)
            kind, length = self._wire.next_pdu()
            if kind == P_DATA and length:
                self._take_data(length)
            elif kind == RELEASE_RQ and not self._message_since:
                self._wire.content(length)
                return
            elif kind == ABORT:
                raise ConnectionLost("the caller aborted", Trouble.ABORTED)
            else:
                raise ProtocolViolation("a PDU came that has no place there")

    def _take_data(self, length: int) -> None:
        """One P-DATA: its presentation data values, one by one."""
        while length:
            if length < 6:
                raise ProtocolViolation("a P-DATA ends in the middle of a header")
            context_id, control, size = self._wire.pdv_header()
            length -= 6 + size
            if length < 0:
                raise ProtocolViolation("a presentation data value reaches past its PDU")
            if not self._message_since:
                self._message_since, self._message_bytes = time.monotonic(), 0
                self._context_id = context_id
            elif context_id != self._context_id:
                raise ProtocolViolation("the fragments of a message name different contexts")
            self._message_bytes += size
            if control & _COMMAND:
                self._take_command(size, last=bool(control & _LAST))
            else:
                self._take_dataset(size, last=bool(control & _LAST))
        if self._message_since:
            self._check_pace(time.monotonic() - self._message_since)

    def _check_pace(self, seconds: float) -> None:
        """Who drips a message, byte by byte, may not keep its place."""
        patience_s = self._wire.patience_s
        if seconds > patience_s + self._message_bytes / _SLOWEST_BYTES_PER_S:
            words = f"less than {_SLOWEST_BYTES_PER_S} bytes came in a second"
            raise ConnectionLost(words, Trouble.SLOW)

    def _take_command(self, size: int, *, last: bool) -> None:
        if self._request is not None:
            raise ProtocolViolation("a command came in the middle of a dataset")
        if len(self._command) + size > _LONGEST_COMMAND_BYTES:
            raise ProtocolViolation("a command set is too long")
        for piece in self._wire.pieces(size):
            self._command += piece
        if last:
            self._begin(read_command(bytes(self._command)))
            self._command.clear()

    def _begin(self, command: Command) -> None:
        """A command is complete: answer it, or wait for its dataset."""
        context = self._agreement.contexts.get(self._context_id)
        if context is None or self._services is None:
            raise ProtocolViolation("a message came on a presentation context not accepted")
        if command.kind == C_CANCEL:
            self._message_since = 0.0  # nothing takes long enough to be cancelled
            return
        self._command_read = command
        self._request = self._services.begin(command, context)
        self._wire.before_refill = self._request.flush
        if not command.has_dataset:
            self._answer(command, self._request)

    def _take_dataset(self, size: int, *, last: bool) -> None:
        request, command = self._request, self._command_read
        if request is None or command is None:
            raise ProtocolViolation("a dataset came without a command")
        for piece in self._wire.pieces(size):
            request.write(piece)
        if last:
            self._answer(command, request)

    def _answer(self, command: Command, request: Request) -> None:
        """Do what was asked, and say how it went."""
        answer = request.finish()
        encoded = response(command, answer.status, answer.comment)
        self._wire.send(message(self._context_id, encoded, self._max_pdu_bytes))
        request.discard()  # what is left of it on the disk; nobody waits for that
        self._request, self._message_since = None, 0.0
        self._wire.before_refill = nothing
