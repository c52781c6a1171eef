"""Storage Commitment's other end: a PACS that is asked, and one that asks."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.dimse_messages import N_ACTION_RSP
from pynetdicom.dsutils import encode
from pynetdicom.presentation import build_context, build_role

from dicomnode.dicom.commitment import (
    PUSH_MODEL_INSTANCE,
    CommitmentReport,
    CommitmentRequest,
    Reference,
    encode_report,
    encode_request,
)
from dicomnode.dicom.network import associate
from dicomnode.dicom.sop_classes import STORAGE_COMMITMENT
from dicomnode.records import CommitmentMessage, Peer
from tests.factories import uid
from tests.pacs import FakePacs, pacs

__all__ = [
    "CommittingPacs",
    "committing_pacs",
    "encoded",
    "make_message",
    "make_report_message",
    "make_request",
    "send_report",
    "send_request",
]


def encoded(dataset: Dataset, transfer_syntax_uid: str = ImplicitVRLittleEndian) -> bytes:
    """A dataset as it travels."""
    syntax = UID(transfer_syntax_uid)
    data = encode(dataset, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
    assert data is not None
    return data


def make_request(*references: Reference, number: int = 1) -> CommitmentRequest:
    """A request about these instances."""
    return CommitmentRequest(transaction_uid=uid("transaction", number), references=references)


def make_message(request: CommitmentRequest, **changes: Any) -> CommitmentMessage:
    """The N-ACTION with which a request would come from the peer that `make_peer` makes."""
    usual: dict[str, Any] = {
        "kind": "request",
        "calling_ae": "MODALITY",
        "sop_instance_uid": PUSH_MODEL_INSTANCE,
        "type_id": 1,
        "transfer_syntax_uid": str(ImplicitVRLittleEndian),
        "dataset": encoded(encode_request(request)),
    }
    return CommitmentMessage(**usual | changes)


def make_report_message(report: CommitmentReport, **changes: Any) -> CommitmentMessage:
    """The N-EVENT-REPORT with which a report would come from PACS."""
    usual: dict[str, Any] = {
        "kind": "report",
        "calling_ae": "PACS",
        "sop_instance_uid": PUSH_MODEL_INSTANCE,
        "type_id": report.event_type_id,
        "transfer_syntax_uid": str(ImplicitVRLittleEndian),
        "dataset": encoded(encode_report(report)),
    }
    return CommitmentMessage(**usual | changes)


def send_request(node: Peer, ours: str, request: CommitmentRequest) -> int | None:
    """Ask a node to commit itself; return the status of its answer."""
    with associate(node, ours, [build_context(STORAGE_COMMITMENT)]) as association:
        status, _ = association.send_n_action(
            encode_request(request), 1, STORAGE_COMMITMENT, PUSH_MODEL_INSTANCE
        )
    found: int | None = status.get("Status")
    return found


def send_report(node: Peer, ours: str, report: CommitmentReport) -> int | None:
    """Report to a node on an association of its own; return the status of its answer."""
    roles = [build_role(STORAGE_COMMITMENT, scp_role=True)]
    contexts = [build_context(STORAGE_COMMITMENT)]
    with associate(node, ours, contexts, roles=roles) as association:
        status, _ = association.send_n_event_report(
            encode_report(report), report.event_type_id, STORAGE_COMMITMENT, PUSH_MODEL_INSTANCE
        )
    found: int | None = status.get("Status")
    return found


@dataclass
class CommittingPacs:
    """Writes down what it is asked and told, and reports what it is told to report."""

    pacs: FakePacs
    requests: list[Dataset] = field(default_factory=list)  #: Action Informations
    reports: list[tuple[int, Dataset]] = field(default_factory=list)  #: Event Type ID and content
    action_status: int = 0x0000
    hangs_up: bool = False  #: on requests
    report_statuses: list[int] = field(default_factory=list)  #: of the next reports; then 0x0000
    #: What it reports on the association of the request, where it does.
    at_once: Callable[[Dataset], CommitmentReport] | None = None

    @property
    def peer(self) -> Peer:
        """Where it listens."""
        return self.pacs.peer

    def on_action(self, event: evt.Event) -> tuple[int, None]:
        self.requests.append(event.action_information)
        if self.hangs_up:
            event.assoc.abort()
        return self.action_status, None

    def on_report(self, event: evt.Event) -> tuple[int, None]:
        self.reports.append((int(event.event_type or 0), event.event_information))
        return (self.report_statuses.pop(0) if self.report_statuses else 0x0000), None

    def on_sent(self, event: evt.Event) -> None:
        if isinstance(event.message, N_ACTION_RSP) and self.at_once is not None:
            report = self.at_once(self.requests[-1])
            threading.Thread(target=self._report, args=(event.assoc, report)).start()

    def _report(self, association: Any, report: CommitmentReport) -> None:
        association.send_n_event_report(
            encode_report(report), report.event_type_id, STORAGE_COMMITMENT, PUSH_MODEL_INSTANCE
        )


@contextmanager
def committing_pacs(**changes: Any) -> Iterator[CommittingPacs]:
    """A PACS that knows Storage Commitment, both sides of it."""
    context = build_context(STORAGE_COMMITMENT, [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
    context.scu_role = context.scp_role = True
    made: list[CommittingPacs] = []
    handlers: list[Any] = [
        (evt.EVT_N_ACTION, lambda event: made[0].on_action(event)),
        (evt.EVT_N_EVENT_REPORT, lambda event: made[0].on_report(event)),
        (evt.EVT_DIMSE_SENT, lambda event: made[0].on_sent(event)),
    ]
    with pacs(contexts=[context], handlers=handlers, **changes) as fake:
        made.append(CommittingPacs(fake))
        yield made[0]
