"""The messages of Storage Commitment that we send: N-ACTION and N-EVENT-REPORT (PS3.4 Annex J)."""

import threading
from collections.abc import Callable, Mapping
from typing import cast

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.presentation import build_context, build_role

from dicomnode.dicom.commitment import (
    PUSH_MODEL_INSTANCE,
    REQUEST_COMMITMENT,
    CommitmentReport,
    CommitmentRequest,
    encode_report,
    encode_request,
)
from dicomnode.dicom.network import associate
from dicomnode.dicom.sop_classes import STORAGE_COMMITMENT
from dicomnode.errors import PeerAway, PeerRefused
from dicomnode.records import CommitmentMessage, Peer

__all__ = ["ask", "report"]

_CONTEXT = build_context(STORAGE_COMMITMENT, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
_LATER: Mapping[int, str] = {0x0110: "processing failure", 0x0213: "resource limitation"}


def ask(
    peer: Peer,
    our_title: str,
    request: CommitmentRequest,
    *,
    on_report: Callable[[CommitmentMessage], int],
    wait_s: float,
) -> None:
    """Ask a peer to commit itself to keep instances; its report may come later, or at once.

    What comes on this association, within `wait_s` seconds, is handed to `on_report`, and answered
    with the status that it returns.

    Raises:
        PeerAway: there is no association, or no answer.
        PeerRefused: it does not offer the service, or will not take this request.
    """
    reported = threading.Event()

    def take(event: evt.Event) -> tuple[int, Dataset | None]:
        status = on_report(_message(event, peer))
        reported.set()
        return status, None

    handlers = [(evt.EVT_N_EVENT_REPORT, take)]
    with associate(peer, our_title, [_CONTEXT], handlers=handlers) as association:
        status, _ = association.send_n_action(
            encode_request(request), REQUEST_COMMITMENT, STORAGE_COMMITMENT, PUSH_MODEL_INSTANCE
        )
        _check(status, peer, "our request for storage commitment")
        reported.wait(wait_s)


def report(peer: Peer, our_title: str, answer: CommitmentReport) -> None:
    """Tell a peer what we commit ourselves to keep, on an association of its own.

    Raises:
        PeerAway: there is no association, or no answer, or it wants the report later.
        PeerRefused: it does not offer the service, or will not take this report.
    """
    roles = [build_role(STORAGE_COMMITMENT, scp_role=True)]
    with associate(peer, our_title, [_CONTEXT], roles=roles) as association:
        status, _ = association.send_n_event_report(
            encode_report(answer), answer.event_type_id, STORAGE_COMMITMENT, PUSH_MODEL_INSTANCE
        )
        _check(status, peer, "our report on storage commitment")


def _check(status: Dataset, peer: Peer, what: str) -> None:
    code = status.get("Status")
    if code is None:
        raise PeerAway(f"{peer.ae_title} did not answer {what}, or hung up on it")
    if code in _LATER:
        raise PeerAway(f"{peer.ae_title} answered {what} with 0x{code:04X}, {_LATER[code]}")
    if code != 0x0000:
        raise PeerRefused(f"{peer.ae_title} answered {what} with 0x{code:04X}")


def _message(event: evt.Event, peer: Peer) -> CommitmentMessage:
    """A report as it came, not read yet."""
    request = cast(N_EVENT_REPORT, event.request)
    information = request.EventInformation
    return CommitmentMessage(
        kind="report",
        calling_ae=peer.ae_title,
        sop_instance_uid=str(request.AffectedSOPInstanceUID or ""),
        type_id=request.EventTypeID or 0,
        transfer_syntax_uid=str(event.context.transfer_syntax),
        dataset=information.getvalue() if information else b"",
    )
