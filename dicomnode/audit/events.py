"""What happened to messages of PS3.15 A.5.3, each with what the standard wants in it.

Deeds are what people did, by the page's names for them, such as `study.seen` (A.5.3.1, .2, .6,
.10 to .12). A name that nothing is known of is an access where it names a study, and else the use
of a restricted function: nothing is left out because it is new.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from dicomnode.audit import codes
from dicomnode.audit.message import Code, Message, Participant, Source, Subject

__all__ = ["Deed", "Party", "Transfer", "deed_message", "transfer_message"]

_MOST_WORDS = 4000  #: a message should fit into the 32768 bytes that receivers take (A.6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What somebody did, or a program: one line of the worklist's table `audit`."""

    at: datetime
    user: str  #: empty where nobody was logged in
    address: str  #: of the browser or script
    action: str  #: such as study.seen, peer.saved, login
    done: bool = True  #: else it was refused
    study_uid: str = ""
    patient_id: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """One end of a transfer."""

    ae_title: str
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Instances of one study that went from one application to another."""

    at: datetime  #: when the last of them had arrived
    sender: Party
    receiver: Party
    study_uid: str = ""  #: empty where it is not known: what is refused may not have been read
    patient_id: str = ""
    accession_number: str = ""
    sop_classes: Mapping[str, int] = field(default_factory=dict)  #: instances by SOP Class UID
    refused: str = ""  #: how the receiver refused them, in words; empty where it took them


def transfer_message(transfer: Transfer, source: Source) -> Message:
    """DICOM Instances Transferred (A.5.3.7): one study, its sender begins."""
    sender, receiver = transfer.sender, transfer.receiver
    return Message(
        event=codes.TRANSFERRED,
        action="C",
        at=transfer.at,
        outcome=8 if transfer.refused else 0,
        words=transfer.refused,
        participants=(
            Participant(
                user=sender.ae_title,
                requestor=True,
                roles=(codes.SOURCE,),
                also=f"AETITLES={sender.ae_title}",
                address=sender.address,
            ),
            Participant(
                user=receiver.ae_title,
                roles=(codes.DESTINATION,),
                also=f"AETITLES={receiver.ae_title}",
                address=receiver.address,
            ),
        ),
        source=source,
        subjects=(
            _study(transfer.study_uid, transfer.accession_number, transfer.sop_classes),
            _patient(transfer.patient_id),
        ),
    )


def deed_message(deed: Deed, source: Source) -> Message:
    """The message of what somebody did."""
    event, kind, action = _kind_of(deed)
    if event is codes.APPLICATION_ACTIVITY:
        title = source.id.partition("@")[0]
        app = Participant(user=source.id, roles=(codes.APPLICATION,), also=f"AETITLES={title}")
        participants: tuple[Participant, ...] = (app,)
    else:
        participants = _people(deed, source)
    return Message(
        event=event,
        types=(kind,) if kind else (),
        action=action,
        at=deed.at,
        outcome=0 if deed.done else 4,
        words=_words(deed, event),
        participants=participants,
        source=source,
        subjects=_subjects(deed, event, source),
    )


#: Of an action, or of the word before its point: event, its type, and what is done.
_KINDS: Mapping[str, tuple[Code, Code | None, str]] = {
    "node.started": (codes.APPLICATION_ACTIVITY, codes.START, "E"),
    "node.stopped": (codes.APPLICATION_ACTIVITY, codes.STOP, "E"),
    "login": (codes.AUTHENTICATION, codes.LOGIN, "E"),
    "logout": (codes.AUTHENTICATION, codes.LOGOUT, "E"),
    "user.role": (codes.SECURITY_ALERT, codes.SECURITY_ROLES, "E"),
    "user": (codes.SECURITY_ALERT, codes.USER_ATTRIBUTES, "E"),
    "key": (codes.SECURITY_ALERT, codes.USER_ATTRIBUTES, "E"),
    "peer": (codes.SECURITY_ALERT, codes.NETWORK_CONFIGURATION, "E"),
    "configuration": (codes.SECURITY_ALERT, codes.SOFTWARE_CONFIGURATION, "E"),
    "refused": (codes.SECURITY_ALERT, codes.RESTRICTED_FUNCTION, "E"),
    "audit": (codes.AUDIT_LOG_USED, None, "R"),
    "studies": (codes.QUERY, None, "E"),
}
#: Studies that are only looked at; whatever else is done with one changes something.
_LOOKS = ("study.seen", "picture", "pictures", "result", "report", "trial")


def _kind_of(deed: Deed) -> tuple[Code, Code | None, str]:
    room = deed.action.partition(".")[0]
    known = _KINDS.get(deed.action) or _KINDS.get(room)
    if known is not None:
        return known
    if deed.study_uid:
        looks = deed.action in _LOOKS or room in _LOOKS
        return codes.ACCESSED, None, "R" if looks else "U"
    return codes.SECURITY_ALERT, codes.RESTRICTED_FUNCTION, "E"


def _people(deed: Deed, source: Source) -> tuple[Participant, ...]:
    """Who did it, from where, and the node that let it happen."""
    who = deed.user or ("somebody" if deed.address else "the node's machine")
    person = Participant(user=who, requestor=True, address=deed.address)
    return person, Participant(user=source.id, roles=(codes.APPLICATION,))


def _words(deed: Deed, event: Code) -> str:
    """What happened, in the page's own words; what was searched for stands in the query."""
    searched = event is codes.QUERY
    return ": ".join(filter(None, (deed.action, "" if searched else deed.detail)))[:_MOST_WORDS]


def _subjects(deed: Deed, event: Code, source: Source) -> tuple[Subject, ...]:
    if event is codes.ACCESSED:
        return _study(deed.study_uid), _patient(deed.patient_id)
    if event is codes.AUDIT_LOG_USED:
        log = Subject(id="/audit", id_type=codes.URI, type=2, role=13, name="Security Audit Log")
        return (log,)
    if event is codes.QUERY:
        asked = deed.detail[:_MOST_WORDS] or "everything"
        return (
            Subject(id="worklist", id_type=codes.SEARCH_CRITERIA, type=2, role=24, query=asked),
        )
    if event is codes.SECURITY_ALERT:
        told = {"Alert Description": _words(deed, event)}
        node = Subject(id=source.id, id_type=codes.NODE_ID, type=2, role=13, details=told)
        return (node,)
    return ()


def _study(uid: str, accession: str = "", sop_classes: Mapping[str, int] | None = None) -> Subject:
    return Subject(
        id=uid or "unknown",
        id_type=codes.STUDY,
        type=2,
        role=3,
        accession=accession,
        sop_classes=sop_classes or {},
    )


def _patient(patient_id: str) -> Subject:
    """The worklist holds no names: the ID stands for it (A.5.1 wants one)."""
    return Subject(id=patient_id.strip() or "unknown", id_type=codes.PATIENT_NUMBER, type=1, role=1)
