"""DIMSE command sets as bytes: requests in, responses out (PS3.7 section 6.3, annex E)."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from dicomnode.errors import ProtocolViolation

__all__ = [
    "C_CANCEL",
    "C_ECHO",
    "C_STORE",
    "N_ACTION",
    "N_EVENT_REPORT",
    "Command",
    "read_command",
    "response",
]

C_STORE = 0x0001
C_ECHO = 0x0030
N_EVENT_REPORT = 0x0100
N_ACTION = 0x0130
C_CANCEL = 0x0FFF

_ELEMENT = struct.Struct("<HHI")  # Implicit VR Little Endian, always (PS3.7 6.3.1)
_NO_DATASET = 0x0101
_LONGEST_UID = 64

_AFFECTED_CLASS, _REQUESTED_CLASS = 0x0002, 0x0003
_FIELD, _ID, _ANSWERED_ID, _DATASET_TYPE = 0x0100, 0x0110, 0x0120, 0x0800
_STATUS, _COMMENT = 0x0900, 0x0902
_AFFECTED_INSTANCE, _REQUESTED_INSTANCE = 0x1000, 0x1001
_EVENT_TYPE, _ACTION_TYPE = 0x1002, 0x1008

_TYPES = {N_EVENT_REPORT: _EVENT_TYPE, N_ACTION: _ACTION_TYPE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A request, or what else came with a command set."""

    kind: int  #: Command Field (0000,0100)
    message_id: int
    has_dataset: bool
    type_id: int  #: Event Type ID of N-EVENT-REPORT, Action Type ID of N-ACTION; else 0
    elements: Mapping[int, bytes] = field(repr=False)  #: by element number of group 0000

    @property
    def sop_class_uid(self) -> str:
        """Affected or, of N-ACTION, Requested SOP Class UID; empty where there is none."""
        return self._uid(_REQUESTED_CLASS if self.kind == N_ACTION else _AFFECTED_CLASS)

    @property
    def sop_instance_uid(self) -> str:
        """Affected or, of N-ACTION, Requested SOP Instance UID; empty where there is none."""
        return self._uid(_REQUESTED_INSTANCE if self.kind == N_ACTION else _AFFECTED_INSTANCE)

    def _uid(self, number: int) -> str:
        return self.elements.get(number, b"").rstrip(b"\x00 ").decode("ascii", "replace")


def read_command(data: bytes) -> Command:
    """Read a command set.

    Raises:
        ProtocolViolation: it is none, or holds no command and no message ID.
    """
    elements = {}
    at = 0
    while at < len(data):
        if len(data) - at < _ELEMENT.size:
            raise ProtocolViolation("a command set ends in the middle of an element")
        group, number, length = _ELEMENT.unpack_from(data, at)
        at += _ELEMENT.size
        if group != 0 or length > len(data) - at:
            raise ProtocolViolation("not a command set in Implicit VR Little Endian")
        elements[number] = data[at : at + length]
        at += length
    kind = _number(elements, _FIELD)
    type_of = _TYPES.get(kind, 0)
    return Command(
        kind=kind,
        message_id=0 if kind == C_CANCEL else _number(elements, _ID),
        has_dataset=_number(elements, _DATASET_TYPE) != _NO_DATASET,
        type_id=_number(elements, type_of) if type_of and type_of in elements else 0,
        elements=elements,
    )


def response(request: Command, status: int, comment: str = "") -> bytes:
    """The command set that answers a request (PS3.7 9.3.1.2, 9.3.5.2, 10.3.1.2, 10.3.5.2).

    UIDs are given back as they came; one that no UID can be so long as is left out.
    """
    affected = {
        _AFFECTED_CLASS: _REQUESTED_CLASS if request.kind == N_ACTION else _AFFECTED_CLASS,
        _AFFECTED_INSTANCE: (
            _REQUESTED_INSTANCE if request.kind == N_ACTION else _AFFECTED_INSTANCE
        ),
    }
    uids = {to: request.elements.get(number, b"") for to, number in affected.items()}
    elements = {
        **{number: uid for number, uid in uids.items() if 0 < len(uid) <= _LONGEST_UID},
        _FIELD: _us(request.kind | 0x8000),
        _ANSWERED_ID: _us(request.message_id),
        _DATASET_TYPE: _us(_NO_DATASET),
        _STATUS: _us(status),
    }
    if comment:
        elements[_COMMENT] = comment.encode("ascii") + b" " * (len(comment) % 2)
    if request.type_id:
        elements[_TYPES[request.kind]] = _us(request.type_id)
    encoded = b"".join(
        _ELEMENT.pack(0, number, len(value)) + value for number, value in sorted(elements.items())
    )
    return _ELEMENT.pack(0, 0, 4) + struct.pack("<I", len(encoded)) + encoded


def _us(number: int) -> bytes:
    return struct.pack("<H", number)


def _number(elements: Mapping[int, bytes], number: int) -> int:
    value = elements.get(number, b"")
    if len(value) != 2:
        raise ProtocolViolation("a command set lacks an element that every one has")
    return int.from_bytes(value, "little")
