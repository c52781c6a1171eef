"""Encoded elements, sequences and items, whole or wrong on purpose, and the walk over them."""

from io import BytesIO

from pydicom.uid import ExplicitVRLittleEndian

from dicomnode.dicom.elements import read_identity
from dicomnode.records import InstanceRef
from tests.factories import encode, make_dataset

__all__ = [
    "EXPECTED",
    "HEADER_ONLY",
    "IN_ITEM",
    "ITEM_END",
    "MEBIBYTE",
    "SEQUENCE_END",
    "UNDEFINED",
    "element",
    "item",
    "walk",
]

MEBIBYTE = 1024 * 1024
EXPECTED = InstanceRef(
    sop_class_uid=make_dataset().SOPClassUID,
    sop_instance_uid=make_dataset().SOPInstanceUID,
    series_uid=make_dataset().SeriesInstanceUID,
    study_uid=make_dataset().StudyInstanceUID,
)
HEADER_ONLY = encode(make_dataset(PixelData=None))


def walk(
    data: bytes, syntax: str = ExplicitVRLittleEndian, limit: int = 64 * MEBIBYTE
) -> InstanceRef:
    return read_identity(BytesIO(data), 0, syntax, max_inflated_bytes=limit)


def element(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    """One element, Explicit VR Little Endian, with a length of 32 bits."""
    size = len(value) if length is None else length
    head = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little")
    return head + vr + b"\x00\x00" + size.to_bytes(4, "little") + value


def item(value: bytes = b"", length: int | None = None, tag: int = 0xFFFEE000) -> bytes:
    size = len(value) if length is None else length
    head = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little")
    return head + size.to_bytes(4, "little") + value


UNDEFINED = 0xFFFFFFFF
ITEM_END = item(tag=0xFFFEE00D)
SEQUENCE_END = item(tag=0xFFFEE0DD)
IN_ITEM = element(0x00409999, b"UT", b"")
