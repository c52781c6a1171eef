"""An audit message as nouns (PS3.15 A.5.1), and as XML.

What comes from outside, such as a patient's ID, may hold anything: it is escaped, and characters
that XML 1.0 cannot hold are shown as U+FFFD.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from xml.etree import ElementTree as ET  # only to write: nothing from outside is parsed here

__all__ = ["Code", "Message", "Participant", "Source", "Subject", "as_xml"]

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SPACES = re.compile(r"[ \t\n\r]+")


@dataclass(frozen=True, slots=True)
class Code:
    """A coded value; its meaning is the standard's own."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """A person or program that had a part in it."""

    user: str  #: name of the user, AE title, or number of the process
    requestor: bool = False  #: began it
    roles: tuple[Code, ...] = ()
    also: str = ""  #: AlternativeUserID
    address: str = ""  #: IP address or name of its machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What it was done to, such as a study or a patient."""

    id: str
    id_type: Code
    type: int  #: ParticipantObjectTypeCode: 1 person, 2 system object
    role: int  #: ParticipantObjectTypeCodeRole
    name: str = ""
    query: str = ""  #: in place of a name
    details: Mapping[str, str] = field(default_factory=dict)
    accession: str = ""
    sop_classes: Mapping[str, int] = field(default_factory=dict)  #: instances by SOP Class UID


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Who reports it."""

    id: str  #: AE title @ machine
    site: str = ""  #: within the enterprise


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One event."""

    event: Code
    types: tuple[Code, ...] = ()
    action: str  #: C, R, U, D or E
    at: datetime  #: aware
    outcome: int = 0  #: 0 done, 4 minor failure, 8 serious failure
    words: str = ""  #: what the outcome was
    participants: tuple[Participant, ...]
    source: Source
    subjects: tuple[Subject, ...] = ()


def as_xml(message: Message) -> str:
    """The AuditMessage on one line, without an XML declaration (the schema of PS3.15 A.5.1)."""
    root = ET.Element("AuditMessage")
    _event(root, message)
    for participant in message.participants:
        _participant(root, participant)
    _source(root, message.source)
    for subject in message.subjects:
        _subject(root, subject)
    return ET.tostring(root, encoding="unicode").replace("\n", "&#10;").replace("\r", "&#13;")


def _event(root: ET.Element, message: Message) -> None:
    at = message.at.astimezone(UTC).isoformat(timespec="milliseconds")
    event = _child(
        root,
        "EventIdentification",
        EventActionCode=message.action,
        EventDateTime=at.replace("+00:00", "Z"),
        EventOutcomeIndicator=str(message.outcome),
    )
    _coded(event, "EventID", message.event)
    for kind in message.types:
        _coded(event, "EventTypeCode", kind)
    if message.words:
        _child(event, "EventOutcomeDescription").text = _clean(message.words)


def _participant(root: ET.Element, participant: Participant) -> None:
    place = {}
    if participant.address:
        kind = "2" if _is_ip(participant.address) else "1"
        place = {
            "NetworkAccessPointID": _token(participant.address),
            "NetworkAccessPointTypeCode": kind,
        }
    also = {"AlternativeUserID": participant.also} if participant.also else {}
    made = _child(
        root,
        "ActiveParticipant",
        UserID=participant.user,
        **also,
        UserIsRequestor="true" if participant.requestor else "false",
        **place,
    )
    for role in participant.roles:
        _coded(made, "RoleIDCode", role)


def _source(root: ET.Element, source: Source) -> None:
    site = {"AuditEnterpriseSiteID": _token(source.site)} if source.site else {}
    made = _child(root, "AuditSourceIdentification", **site, AuditSourceID=_token(source.id))
    made.append(ET.Element("AuditSourceTypeCode", {"csd-code": "4"}))  # an application server


def _subject(root: ET.Element, subject: Subject) -> None:
    made = _child(
        root,
        "ParticipantObjectIdentification",
        ParticipantObjectID=_token(subject.id),
        ParticipantObjectTypeCode=str(subject.type),
        ParticipantObjectTypeCodeRole=str(subject.role),
    )
    _coded(made, "ParticipantObjectIDTypeCode", subject.id_type)
    if subject.query:
        _child(made, "ParticipantObjectQuery").text = _base64(subject.query)
    else:
        _child(made, "ParticipantObjectName").text = _token(subject.name or subject.id)
    for name, value in subject.details.items():
        _child(made, "ParticipantObjectDetail", type=name, value=_base64(value))
    described = list(_described(subject))
    if described:
        _child(made, "ParticipantObjectDescription").extend(described)


def _described(subject: Subject) -> Iterator[ET.Element]:
    if subject.accession:
        yield ET.Element("Accession", {"Number": _token(subject.accession)})
    for uid, count in sorted(subject.sop_classes.items()):
        yield ET.Element("SOPClass", {"UID": _token(uid), "NumberOfInstances": str(count)})


def _coded(parent: ET.Element, name: str, code: Code) -> None:
    values = {"csd-code": code.value, "codeSystemName": code.scheme, "originalText": code.meaning}
    parent.append(ET.Element(name, values))


def _child(parent: ET.Element, tag: str, /, **attributes: str) -> ET.Element:
    return ET.SubElement(parent, tag, {key: _clean(text) for key, text in attributes.items()})


def _clean(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _token(text: str) -> str:
    """xsd:token has no line breaks, and single spaces between words."""
    return _SPACES.sub(" ", _clean(text)).strip(" ")


def _base64(text: str) -> str:
    return base64.b64encode(text.encode(errors="replace")).decode()


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
