"""The schema of audit messages (PS3.15 A.5.1, RELAX NG) as a checker of XML that we made."""

import base64
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from xml.etree import ElementTree as ET

__all__ = ["parse", "problems"]


def parse(text: str) -> ET.Element:
    """The message, after it was held against the schema."""
    assert "<!" not in text, "no declarations: a parser of ours need not mind entities"
    root = ET.fromstring(text)  # noqa: S314  # made by ourselves, and see above
    assert problems(root) == []
    return root


def problems(root: ET.Element) -> list[str]:
    """What is not as the schema says; empty for a message in order."""
    return _check(root, "AuditMessage")


def _token(text: str) -> bool:
    return re.fullmatch(r"\S+( \S+)*", text) is not None and "\n" not in text


def _text(text: str) -> bool:
    return True


def _nothing(text: str) -> bool:
    return not text


def _integer(text: str) -> bool:
    return text.isdecimal()


def _one_of(*values: str) -> Callable[[str], bool]:
    return lambda text: text in values


def _upto(most: int) -> Callable[[str], bool]:
    return _one_of(*map(str, range(1, most + 1)))


def _base64(text: str) -> bool:
    return base64.b64encode(base64.b64decode(text, validate=True)).decode() == text


def _date_time(text: str) -> bool:
    return datetime.fromisoformat(text).tzinfo is not None and "T" in text


_BOOLEAN = _one_of("true", "false", "1", "0")
_CODED = {"csd-code": _token, "codeSystemName": _token, "displayName?": _token}
_CODED |= {"originalText": _token}

#: Of each element its attributes; a name that ends in ? may be missing.
_ATTRIBUTES: Mapping[str, Mapping[str, Callable[[str], bool]]] = {
    "AuditMessage": {},
    "EventIdentification": {
        "EventActionCode?": _one_of(*"CRUDE"),
        "EventDateTime": _date_time,
        "EventOutcomeIndicator": _one_of("0", "4", "8", "12"),
    },
    "EventID": _CODED,
    "EventTypeCode": _CODED,
    "EventOutcomeDescription": {},
    "ActiveParticipant": {
        "UserID": _text,
        "AlternativeUserID?": _text,
        "UserName?": _text,
        "UserIsRequestor": _BOOLEAN,
        "NetworkAccessPointID?": _token,
        "NetworkAccessPointTypeCode?": _upto(5),
    },
    "RoleIDCode": _CODED,
    "AuditSourceIdentification": {"AuditEnterpriseSiteID?": _token, "AuditSourceID": _token},
    "AuditSourceTypeCode": {
        "csd-code": _token,
        "codeSystemName?": _token,
        "displayName?": _token,
        "originalText?": _token,
    },
    "ParticipantObjectIdentification": {
        "ParticipantObjectID": _token,
        "ParticipantObjectTypeCode?": _upto(4),
        "ParticipantObjectTypeCodeRole?": _upto(26),
        "ParticipantObjectDataLifeCycle?": _upto(15),
        "ParticipantObjectSensitivity?": _token,
    },
    "ParticipantObjectIDTypeCode": _CODED,
    "ParticipantObjectName": {},
    "ParticipantObjectQuery": {},
    "ParticipantObjectDetail": {"type": _token, "value": _base64},
    "ParticipantObjectDescription": {},
    "MPPS": {"UID": _token},
    "Accession": {"Number": _token},
    "SOPClass": {"UID?": _token, "NumberOfInstances": _integer},
    "Instance": {"UID": _token},
}

#: Of each element its children in order, as a regular expression over their names.
_CHILDREN = {
    "AuditMessage": (
        "(EventIdentification )(ActiveParticipant )+(AuditSourceIdentification )"
        "(ParticipantObjectIdentification )*"
    ),
    "EventIdentification": "(EventID )(EventTypeCode )*(EventOutcomeDescription )?",
    "ActiveParticipant": "(RoleIDCode )*",
    "AuditSourceIdentification": "(AuditSourceTypeCode )*",
    "ParticipantObjectIdentification": (
        "(ParticipantObjectIDTypeCode )(ParticipantObjectName |ParticipantObjectQuery )"
        "(ParticipantObjectDetail )*(ParticipantObjectDescription )*"
    ),
    "ParticipantObjectDescription": "(MPPS )*(Accession )*(SOPClass )*",
    "SOPClass": "(Instance )*",
}

_TEXTS: Mapping[str, Callable[[str], bool]] = {
    "EventOutcomeDescription": _text,
    "ParticipantObjectName": _token,
    "ParticipantObjectQuery": _base64,
}


def _check(element: ET.Element, name: str) -> list[str]:
    found = [] if element.tag == name else [f"{element.tag} where {name} should be"]
    rules = _ATTRIBUTES.get(element.tag)
    if rules is None:
        return [*found, f"there is no element {element.tag}"]
    known = {key.rstrip("?"): right for key, right in rules.items()}
    for key, value in element.attrib.items():
        if key not in known or not known[key](value):
            found.append(f"{element.tag}: {key}={value!r}")
    needed = {key for key in rules if key[-1] != "?"}
    found += [f"{element.tag} lacks {key}" for key in sorted(needed - element.attrib.keys())]
    names = "".join(f"{child.tag} " for child in element)
    if not re.fullmatch(_CHILDREN.get(element.tag, ""), names):
        found.append(f"{element.tag} holds {names}")
    if not _TEXTS.get(element.tag, _nothing)(element.text or ""):
        found.append(f"{element.tag} says {element.text!r}")
    return found + [trouble for child in element for trouble in _check(child, child.tag)]
