"""The two datasets of Storage Commitment: who asks for which instances, and what is answered.

Action Information and Event Information of the Push Model (PS3.4 Tables J.3-1 and J.3-2). Reading
is our own and bounded: these bytes come from a network, and a list may name 50,000 instances.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Any

from pydicom import Dataset

from dicomnode.dicom.coding import ITEM, ITEM_END, LONG_VRS, SEQUENCE_END, UNDEFINED
from dicomnode.dicom.sop_classes import encoding_of
from dicomnode.dicom.uids import is_uid
from dicomnode.errors import Unreadable

__all__ = [
    "EVERYTHING_KEPT",
    "FAILURES_EXIST",
    "PUSH_MODEL_INSTANCE",
    "REASONS",
    "REQUEST_COMMITMENT",
    "CommitmentReport",
    "CommitmentRequest",
    "Reference",
    "encode_report",
    "encode_request",
    "read_report",
    "read_request",
]

PUSH_MODEL_INSTANCE = "1.2.840.10008.1.20.1.1"  #: the well-known SOP instance (PS3.4 J.3.5)
REQUEST_COMMITMENT = 1  #: Action Type ID (PS3.4 Table J.3-1)
EVERYTHING_KEPT = 1  #: Event Type ID (PS3.4 Table J.3-2)
FAILURES_EXIST = 2  #: Event Type ID

#: Failure Reason (0008,1197) in words (PS3.4 section J.3.3.1.2, PS3.3 C.14.1.1).
REASONS: Mapping[int, str] = {
    0x0110: "processing failure",
    0x0112: "no such object instance",
    0x0119: "class and instance conflict",
    0x0122: "SOP class not supported",
    0x0131: "duplicate transaction UID",
    0x0213: "resource limitation",
}

_LONGEST_BYTES = 8 * 1024 * 1024  #: of a dataset, inflated
_MOST_ELEMENTS = 500_000  #: with items and delimiters; half a second of work
_DEEPEST = 8  #: sequences inside sequences; the standard has one
_TRANSACTION = 0x00081195
_CLASS, _INSTANCE, _REASON = 0x00081150, 0x00081155, 0x00081197
_REFERENCED, _FAILED = 0x00081199, 0x00081198
_WANTED = frozenset({_TRANSACTION, _CLASS, _INSTANCE, _REASON, _REFERENCED, _FAILED})


@dataclass(frozen=True, slots=True)
class Reference:
    """One instance that is asked or spoken about."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRequest:
    """The Action Information of an N-ACTION."""

    transaction_uid: str
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentReport:
    """The Event Information of an N-EVENT-REPORT."""

    transaction_uid: str
    kept: tuple[Reference, ...]
    failed: tuple[tuple[Reference, int], ...]  #: each with its Failure Reason

    @property
    def event_type_id(self) -> int:
        """Which of the two events this is."""
        return FAILURES_EXIST if self.failed else EVERYTHING_KEPT


def read_request(data: bytes, transfer_syntax_uid: str) -> CommitmentRequest:
    """Read an Action Information.

    Raises:
        Unreadable: it is none, has no Transaction UID, or names no instance.
    """
    found = _read(data, transfer_syntax_uid)
    references = tuple(_reference(item) for item in _items(found, _REFERENCED))
    if not references:
        raise Unreadable("a request for storage commitment names no instance")
    return CommitmentRequest(transaction_uid=_transaction(found), references=references)


def read_report(data: bytes, transfer_syntax_uid: str) -> CommitmentReport:
    """Read an Event Information; its lists decide, whichever event it came as.

    Raises:
        Unreadable: it is none, or has no Transaction UID.
    """
    found = _read(data, transfer_syntax_uid)
    failed = _items(found, _FAILED)
    return CommitmentReport(
        transaction_uid=_transaction(found),
        kept=tuple(_reference(item) for item in _items(found, _REFERENCED)),
        failed=tuple((_reference(item), _reason(item)) for item in failed),
    )


def encode_request(request: CommitmentRequest) -> Dataset:
    """The Action Information as a dataset."""
    dataset = Dataset()
    dataset.TransactionUID = request.transaction_uid
    dataset.ReferencedSOPSequence = [_item(reference) for reference in request.references]
    return dataset


def encode_report(report: CommitmentReport) -> Dataset:
    """The Event Information as a dataset; a list that would be empty is left out."""
    dataset = Dataset()
    dataset.TransactionUID = report.transaction_uid
    if report.failed:
        dataset.FailedSOPSequence = [_item(*failure) for failure in report.failed]
    if report.kept:
        dataset.ReferencedSOPSequence = [_item(reference) for reference in report.kept]
    return dataset


def _item(reference: Reference, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    if reason is not None:
        item.FailureReason = reason
    return item


# --- reading --------------------------------------------------------------------------------

_Elements = dict[int, Any]  #: a value's bytes, or a sequence's list of items, by tag


def _transaction(found: _Elements) -> str:
    return _uid(found, _TRANSACTION, "Transaction UID")


def _reference(item: _Elements) -> Reference:
    return Reference(
        _uid(item, _CLASS, "Referenced SOP Class UID"),
        _uid(item, _INSTANCE, "Referenced SOP Instance UID"),
    )


def _uid(found: _Elements, tag: int, name: str) -> str:
    value = found.get(tag, b"")
    text = value.decode("ascii", "replace").strip("\x00 ") if isinstance(value, bytes) else ""
    if not is_uid(text):
        raise Unreadable(f"the {name} is missing, or is not a UID")
    return text


def _reason(item: _Elements) -> int:
    value = item.get(_REASON)
    return value if isinstance(value, int) else 0x0110


def _items(found: _Elements, tag: int) -> list[_Elements]:
    value = found.get(tag, [])
    return value if isinstance(value, list) else []


def _read(data: bytes, transfer_syntax_uid: str) -> _Elements:
    encoding = encoding_of(transfer_syntax_uid)
    if encoding.deflated:
        data = _inflate(data)
    if len(data) > _LONGEST_BYTES:
        raise Unreadable("a list of instances is too long")
    mark = "<" if encoding.little_endian else ">"
    return _Reader(data, mark, explicit=not encoding.implicit_vr).read()


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        return inflater.decompress(data, _LONGEST_BYTES + 1)
    except zlib.error as error:
        raise Unreadable("the dataset is not deflated, as its transfer syntax says") from error


class _Reader:
    """Reads a dataset that is a list of instances; passes over everything else."""

    def __init__(self, data: bytes, mark: str, *, explicit: bool) -> None:
        self._data = data
        self._at = 0
        self._left = _MOST_ELEMENTS
        self._explicit = explicit
        self._tag = Struct(mark + "HH").unpack_from
        self._short = Struct(mark + "H").unpack_from
        self._long = Struct(mark + "I").unpack_from

    def read(self) -> _Elements:
        """The whole dataset."""
        return self._elements(len(self._data), 0, defined=True)

    def _elements(self, end: int, depth: int, *, defined: bool) -> _Elements:
        """Elements up to `end`, or to an item's delimiter."""
        found: _Elements = {}
        value: bytes | int | list[_Elements]
        while self._at < end:
            tag, vr, length = self._header(end)
            if tag == ITEM_END and not defined:
                return found
            if length == UNDEFINED or vr == b"SQ" or tag in (_REFERENCED, _FAILED):
                value = self._sequence(length, end, depth + 1)
            else:
                value = self._value(tag, length, end)
            if tag in _WANTED:
                found[tag] = value
        if not defined:
            raise Unreadable("an item has no end")
        return found

    def _value(self, tag: int, length: int, end: int) -> bytes | int:
        start = self._at
        self._at += length
        if self._at > end:
            raise Unreadable("an element reaches past the end of what holds it")
        if tag == _REASON and length == 2:
            return int(self._short(self._data, start)[0])
        return self._data[start : self._at] if tag in _WANTED else b""

    def _sequence(self, length: int, outer: int, depth: int) -> list[_Elements]:
        if depth > _DEEPEST:
            raise Unreadable(f"sequences are nested more than {_DEEPEST} deep")
        end = self._end(length, outer)
        items: list[_Elements] = []
        while self._at < end:
            tag, _, size = self._header(end)
            if tag == SEQUENCE_END and length == UNDEFINED:
                return items
            if tag != ITEM:
                raise Unreadable("a sequence holds something that is not an item")
            defined = size != UNDEFINED
            items.append(self._elements(self._end(size, end), depth, defined=defined))
        if length == UNDEFINED:
            raise Unreadable("a sequence has no end")
        return items

    def _end(self, length: int, outer: int) -> int:
        """Where something of this length ends, inside what holds it."""
        if length == UNDEFINED:
            return outer
        if self._at + length > outer:
            raise Unreadable("an element reaches past the end of what holds it")
        return self._at + length

    def _header(self, end: int) -> tuple[int, bytes, int]:
        """Tag, VR where one is written, and length of the next element or item."""
        self._left -= 1
        if self._left < 0:
            raise Unreadable(f"the dataset has more than {_MOST_ELEMENTS} elements")
        data, at = self._data, self._at
        if at + 8 > end:
            raise Unreadable("the dataset ends in the middle of an element")
        group, number = self._tag(data, at)
        vr = data[at + 4 : at + 6] if self._explicit and group != 0xFFFE else b""
        self._at = at + (12 if vr in LONG_VRS else 8)
        if self._at > end:
            raise Unreadable("the dataset ends in the middle of an element")
        if vr in LONG_VRS or not vr:
            length = self._long(data, self._at - 4)[0]
        else:
            length = self._short(data, at + 6)[0]
        return group << 16 | number, vr, length
