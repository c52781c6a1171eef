"""The frozen nouns that travel from room to room. No behaviour beyond reading themselves.

What a model says of a study, and what is made of that, has nouns of its own: `answers.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from dicomnode.errors import Cause, Trouble

__all__ = [
    "Association",
    "CommitmentMessage",
    "Delivery",
    "DeliveryState",
    "InstanceRef",
    "Job",
    "Outcome",
    "Peer",
    "ResultKind",
    "State",
    "StoreRequest",
    "Verdict",
    "Visit",
    "VisitState",
    "WithdrawalReason",
]


# --- the journey of a job -------------------------------------------------------------------


class State(StrEnum):
    """Where a job stands; `worklist/states.py` holds the table of moves."""

    WAITING = "waiting"  #: images are still coming in
    READY = "ready"  #: the study is complete (or marked partial), a worker may take it
    RUNNING = "running"  #: a worker holds a lease on it
    REPORTED = "reported"  #: results are on disk and owed to peers
    DELIVERED = "delivered"  #: every destination has every result
    NOT_ANALYSED = "not-analysed"  #: it could not be, and every destination was told why
    WITHDRAWN = "withdrawn"  #: its results were recalled, and every destination was told
    INCOMPLETE = "incomplete"  #: images stayed missing, and the pipeline says: do not process
    HELD = "held"  #: the images disagree about the patient; stays until someone acts
    FAILED = "failed"  #: no answer, nor a notice of that; stays until someone acts
    UNDELIVERED = "undelivered"  #: a destination will not take a result; stays until someone acts
    CANCELLED = "cancelled"  #: a person said no


class DeliveryState(StrEnum):
    """Where one result stands with one peer."""

    OWED = "owed"
    SENT = "sent"
    REFUSED = "refused"
    CANCELLED = "cancelled"


class ResultKind(StrEnum):
    """What can be made of an answer, in the order in which it leaves: what is pointed at first."""

    SC = "sc"  #: Secondary Capture: the image with its heat map, and a panel beside it
    SEG = "seg"  #: Segmentation of the regions
    GSPS = "gsps"  #: Grayscale Softcopy Presentation State: the regions drawn on the image itself
    SR = "sr"  #: Comprehensive SR, TID 1500
    SR3D = "sr3d"  #: Comprehensive 3D SR, TID 1500 (IHE AIR)
    TEXT = "text"  #: Basic Text SR: the same in sentences
    PDF = "pdf"  #: Encapsulated PDF: the same as a page
    KO = "ko"  #: Key Object Selection: which images matter


class WithdrawalReason(StrEnum):
    """Why results are recalled (CID 7011, and 113038 and 113039 of IHE IOCM)."""

    QUALITY = "quality"  #: 113001, Rejected for Quality Reasons
    SAFETY = "safety"  #: 113037, Rejected for Patient Safety Reasons
    WORKLIST = "worklist"  #: 113038, Incorrect Modality Worklist Entry
    RETENTION = "retention"  #: 113039, Data Retention Policy Expired


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRef:
    """The name of one SOP instance (PS3.3 Table 10-11)."""

    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    study_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One revision of one study on its way through one pipeline."""

    id: int
    study_uid: str
    pipeline: str
    revision: int  #: 1, then one more for each time images came late
    state: State
    priority: int
    attempts: int  #: times the present step was started
    lease: str | None  #: which worker holds it
    received: int  #: instances of the study that are here, results of ours left out
    expected: int | None  #: instances the sending peer has of the study, where it told
    partial: bool  #: processed although images were missing
    reason: str  #: why it failed, waits, or is partial, in words
    ready_at: datetime | None  #: aware, UTC; when the study counted as complete
    not_before: datetime  #: aware, UTC; the queue leaves it alone until then
    updated_at: datetime  #: aware, UTC
    refused: Cause | None = None  #: it is not analysed: a notice says so in place of results
    because: str = ""  #: why it is refused or withdrawn, in words; `reason` may tell later troubles
    model: str = ""  #: that a person chose in place of the pipeline's


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One result owed to one peer."""

    id: int
    job_id: int
    study_uid: str
    sop_instance_uid: str  #: of the result
    kind: ResultKind
    peer: str  #: name of `peers/NAME.toml`
    state: DeliveryState
    attempts: int
    not_before: datetime  #: aware, UTC
    message: str  #: what the peer said last, in words
    asked: bool  #: was the peer asked to confirm that it keeps the result?
    confirmed_at: datetime | None  #: aware, UTC; when it did


class Verdict(StrEnum):
    """What became of one object sent to a peer."""

    STORED = "stored"  #: 0x0000 or a warning 0xBxxx
    LATER = "later"  #: may succeed later: out of resources, no answer, hung up on
    NEVER = "never"  #: will not succeed: 0xA9xx, 0xC0xx, no presentation context
    UNTRIED = "untried"  #: not sent at all: no association, or what goes before it has to wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a peer said of one object (PS3.4 Table B.2-1)."""

    sop_instance_uid: str
    verdict: Verdict
    status: int | None  #: DIMSE status; None when there was no answer
    message: str  #: in words, fit for a log


# --- who is at the other end ----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A remote AE: who may send to us, and where results go."""

    name: str  #: of `peers/NAME.toml`
    ae_title: str
    host: str
    port: int = 0  #: 0: none is known, so nobody calls it; it only sends to us
    may_send: bool = False  #: are its associations accepted?
    answers_find: bool = False  #: may we ask it how many images a study has (C-FIND)?
    storage_commitment: bool = False  #: is it asked to confirm that it keeps our results?
    timeout_s: float = 30.0  #: for connecting, and for each answer

    @property
    def place(self) -> str:
        """Where it is, for people: 10.0.0.7:104; the host alone where nobody calls it."""
        return f"{self.host}:{self.port}" if self.port else self.host


# --- what arrives ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Association:
    """Who is sending: one accepted association."""

    id: int  #: unique within the process
    calling_ae: str
    called_ae: str
    address: str


class VisitState(StrEnum):
    """How an association ended, or that there was none."""

    RELEASED = "released"
    ABORTED = "aborted"  #: by either side, or the connection broke
    LOST = "lost"  #: its receiver's process died
    REJECTED = "rejected"  #: an A-ASSOCIATE-RJ was the answer
    NO_REQUEST = "no-request"  #: a connection on which no A-ASSOCIATE-RQ came


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What came of one connection to us, for those who look after senders; nothing of patients."""

    state: VisitState
    address: str
    calling_ae: str = ""  #: empty where no A-ASSOCIATE-RQ was read
    called_ae: str = ""
    seconds: float = 0.0  #: that it lasted
    trouble: Trouble | None = None  #: what was wrong
    words: str = ""  #: the same, as it is logged
    refused_contexts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: ^ transfer syntaxes, by SOP Class UID; as the caller says them
    stored: int = 0  #: objects
    refusals: Mapping[str, int] = field(default_factory=dict)  #: of objects, by name of the error


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRequest:
    """One C-STORE-RQ, without its dataset (PS3.7 Table 9.3-1)."""

    association: Association
    sop_class_uid: str  #: Affected SOP Class UID of the command
    sop_instance_uid: str  #: Affected SOP Instance UID of the command
    context_sop_class_uid: str  #: abstract syntax of the presentation context it came on
    transfer_syntax_uid: str  #: of that presentation context


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentMessage:
    """One message of Storage Commitment that came in (PS3.4 Annex J), not read yet."""

    kind: Literal["request", "report"]  #: N-ACTION-RQ, or N-EVENT-REPORT-RQ
    calling_ae: str
    sop_instance_uid: str  #: Requested or Affected SOP Instance UID of the command
    type_id: int  #: Action Type ID, or Event Type ID
    transfer_syntax_uid: str  #: of the dataset
    dataset: bytes = field(repr=False)
