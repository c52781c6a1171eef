"""Associations we ask for: timeouts, and words for what went wrong; C-ECHO and C-FIND.

Storing over an association is the work of `deliver/sender.py`.
"""

import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ssl import SSLContext

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.events import EventHandlerType
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.transport import AddressInformation, AssociationSocket

from dicomnode.dicom.sop_classes import VERIFICATION
from dicomnode.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicomnode.errors import PeerAway, PeerRefused
from dicomnode.records import Peer

__all__ = ["Connection", "EchoAnswer", "associate", "count_instances", "echo", "make_ae"]

_STUDY_ROOT_FIND = UID("1.2.840.10008.5.1.4.1.2.2.1")

#: Words for an A-ASSOCIATE-RJ by source and reason (PS3.8 Table 9-21).
_REJECTED: Mapping[tuple[int | None, int | None], str] = {
    (1, 1): "gave no reason",
    (1, 2): "does not know the application context",
    (1, 3): "does not know our AE title, {ours}",
    (1, 7): "does not answer to the AE title {theirs}",
    (2, 1): "gave no reason",
    (2, 2): "does not know this version of the protocol",
    (3, 1): "is busy",
    (3, 2): "has reached its limit of associations",
}
_QUICK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux
_PENDING = (0xFF00, 0xFF01)  # PS3.4 Table C.4-1


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoAnswer:
    """Whether a peer hears us, and how long that took."""

    ok: bool
    seconds: float
    message: str  #: in words


class Connection(AssociationSocket):
    """As pynetdicom has it; there a socket whose peer is gone is left open for the collector.

    What comes is acknowledged at once: a peer that answers in two writes, as DCMTK does, would wait
    40 ms between them for an acknowledgement that our system would like to send with some data.
    """

    def recv(self, nr_bytes: int) -> bytearray:
        """Read so many bytes; less where the connection ends."""
        self._acknowledge_at_once()
        return super().recv(nr_bytes)

    def send(self, bytestream: bytes) -> None:
        """Send bytes; the system forgets with them that it is to acknowledge at once."""
        super().send(bytestream)
        self._acknowledge_at_once()

    def _acknowledge_at_once(self) -> None:
        if _QUICK is not None and self.socket is not None:
            with suppress(OSError):
                self.socket.setsockopt(socket.IPPROTO_TCP, _QUICK, 1)

    def _shutdown_socket(self) -> None:
        super()._shutdown_socket()
        if self.socket is not None:
            self.socket.close()


class _AE(AE):
    def _create_socket(
        self,
        assoc: Association,
        address: AddressInformation,
        tls_args: tuple[SSLContext, str] | None,
    ) -> AssociationSocket:
        connection = Connection(assoc, address=address)
        connection.tls_args = tls_args
        return connection


def make_ae(ae_title: str, timeout_s: float) -> AE:
    """An AE under our name that waits `timeout_s` for a connection and for each answer.

    A file is sent as it lies on disk, never decoded, and no dataset is written to a log.
    """
    _config.STORE_SEND_CHUNKED_DATASET = True
    _config.LOG_HANDLER_LEVEL = "none"
    ae = _AE(ae_title)
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = timeout_s
    ae.network_timeout = None  # the socket's own timeout is set when it opens
    return ae


@contextmanager
def associate(
    peer: Peer,
    our_title: str,
    contexts: Sequence[PresentationContext],
    *,
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
    handlers: Sequence[EventHandlerType] = (),
) -> Iterator[Association]:
    """An association for as long as the block runs: released at its end, aborted by an error.

    `roles` are those we want to play (PS3.7 D.3.3.4); `handlers` serve what the peer requests.

    Raises PeerAway where there is none, PeerRefused where the peer accepts none of the contexts.
    """
    association = _open(peer, our_title, contexts, roles, handlers)
    whole = False
    try:
        yield association
        whole = True
    except RuntimeError as error:
        if association.is_established:
            raise
        raise PeerAway(f"{peer.ae_title} hung up") from error  # pynetdicom's way to say it
    finally:
        _end(association, whole=whole)


def _end(association: Association, *, whole: bool) -> None:
    """Release an association, or abort it where its work was broken off; no socket stays open."""
    try:
        if not whole:
            association.abort()
        elif association.is_established:
            association.release()
    finally:
        _close(association)


def _open(
    peer: Peer,
    our_title: str,
    contexts: Sequence[PresentationContext],
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation],
    handlers: Sequence[EventHandlerType],
) -> Association:
    connected = threading.Event()

    def opened(event: evt.Event) -> None:
        """Requests leave at once, and a peer that stops reading is noticed."""
        connected.set()
        transport = event.assoc.dul.socket
        if transport is not None and transport.socket is not None:
            transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport.socket.settimeout(peer.timeout_s)

    if not peer.port:
        raise PeerAway(f"no port is configured for {peer.ae_title}, so nobody can call it")
    started = time.monotonic()
    try:
        association = make_ae(our_title, peer.timeout_s).associate(
            peer.host,
            peer.port,
            contexts=list(contexts),
            ae_title=peer.ae_title,
            ext_neg=list(roles),
            evt_handlers=[(evt.EVT_CONN_OPEN, opened), *handlers],
        )
    except (OSError, UnicodeError) as error:
        raise PeerAway(f"{peer.host} cannot be found: {_words(error)}") from error
    if association.is_established:
        return association
    _close(association)
    late = time.monotonic() - started >= peer.timeout_s
    if connected.is_set():
        raise _unassociated(peer, our_title, association, late=late)
    raise PeerAway(_unconnected(peer, late=late))


def _close(association: Association) -> None:
    """pynetdicom leaves the socket open where the peer hung up at the wrong moment."""
    transport = association.dul.socket
    if transport is not None and transport.socket is not None:
        transport.socket.close()


def _unconnected(peer: Peer, *, late: bool) -> str:
    """Why there is no connection; pynetdicom only logs it, so the system is asked once more."""
    place = peer.place
    if late:
        return f"{place} gave no answer within {peer.timeout_s:g} s; wrong address, or a firewall?"
    try:
        socket.create_connection((peer.host, peer.port), timeout=peer.timeout_s).close()
    except ConnectionRefusedError:
        return f"nothing listens on {place}: connection refused"
    except OSError as error:
        return f"{place} cannot be reached: {_words(error)}"
    return f"{place} could not be reached, and now can"


def _unassociated(
    peer: Peer, our_title: str, association: Association, *, late: bool
) -> PeerAway | PeerRefused:
    """Why a connection became no association."""
    answer = association.acceptor.primitive
    if association.is_rejected and answer is not None:
        why = _REJECTED.get((answer.result_source, answer.diagnostic), "gave an unknown reason")
        why = why.format(ours=our_title, theirs=peer.ae_title)
        return PeerAway(f"the peer rejected our association: it {why}")
    if association.rejected_contexts:
        return PeerRefused(f"{peer.ae_title} accepts none of the presentation contexts we offer")
    if late:
        return PeerAway(
            f"{peer.ae_title} did not answer our association request within {peer.timeout_s:g} s"
        )
    return PeerAway(f"{peer.ae_title} hung up on our association request; does it speak DICOM?")


def _words(error: OSError | UnicodeError) -> str:
    return getattr(error, "strerror", None) or str(error)


def echo(peer: Peer, our_title: str) -> EchoAnswer:
    """Ask a peer whether it hears us (C-ECHO, PS3.4 Annex A); never raises for what it answers."""
    started = time.monotonic()
    try:
        with associate(peer, our_title, [build_context(VERIFICATION)]) as association:
            status = association.send_c_echo().get("Status")
    except (PeerAway, PeerRefused) as error:
        ok, message = False, str(error)
    else:
        ok = status == 0x0000
        message = f"{peer.ae_title} {_answered(status)}"
    return EchoAnswer(ok=ok, seconds=time.monotonic() - started, message=message)


def _answered(status: int | None) -> str:
    if status is None:
        return "accepted our association and then did not answer"
    return "answers" if status == 0x0000 else f"answered with status 0x{status:04X}"


def count_instances(peer: Peer, our_title: str, study_uid: str) -> int | None:
    """How many instances the peer has of a study (C-FIND, PS3.4 C.6.2); None if it cannot tell.

    Raises PeerAway where it does not answer.
    """
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY"
    query.StudyInstanceUID = study_uid
    query.NumberOfStudyRelatedInstances = None
    counts: list[int | None] = []
    try:
        with associate(peer, our_title, [build_context(_STUDY_ROOT_FIND)]) as association:
            for status, answer in association.send_c_find(query, _STUDY_ROOT_FIND):
                if "Status" not in status:
                    raise PeerAway(f"{peer.ae_title} hung up on our C-FIND, or did not answer it")
                if status.Status in _PENDING and answer is not None:
                    counts.append(_count(answer, study_uid))
    except PeerRefused:
        return None
    return counts[0] if len(counts) == 1 else None


def _count(answer: Dataset, study_uid: str) -> int | None:
    try:
        if answer.StudyInstanceUID == study_uid:
            return int(answer.NumberOfStudyRelatedInstances)
    except (AttributeError, TypeError, ValueError):
        pass  # absent, empty or not a number
    return None
