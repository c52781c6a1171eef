"""A dataset becomes a finished object: checked, then encoded once as a whole file.

Encoded here and not by pydicom's writer, which settles the character set and the value
representation of every element anew: a report on 500 images has 30 000 of them. What it would
write for our results, byte for byte, is written in a tenth of the time.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydicom import DataElement, Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from dicomnode.answers import Result, Score
from dicomnode.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicomnode.errors import ReportError
from dicomnode.records import InstanceRef, ResultKind
from dicomnode.report.gate import check as gate
from dicomnode.report.gate import values

__all__ = ["encoded", "finished"]

_WORDS = {
    **dict.fromkeys(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"), "ascii"),
    **dict.fromkeys(("LO", "LT", "PN", "SH", "ST", "UC", "UT"), "utf-8"),
}
_NUMBERS = {"FD": "d", "FL": "f", "SL": "i", "SS": "h", "SV": "q", "UL": "I", "US": "H", "UV": "Q"}
_BYTES = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_SHORT_VALUE = 0xFFFE  # bytes, where a length has 16 bits and is even
_ITEM = b"\xfe\xff\x00\xe0"


def finished(
    ds: Dataset, header: Dataset, kind: ResultKind, summary: Mapping[str, Score], model: str = ""
) -> Result:
    """The object as it leaves; ReportError where the gate finds a fault in it.

    It has to speak of the patient and the study of `header`. `model` is the name and version of the
    model that spoke, as `name@version`; empty where none did.
    """
    gate.belongs(ds, header)
    gate.check(ds)
    ref = InstanceRef(
        sop_class_uid=str(ds.SOPClassUID),
        sop_instance_uid=str(ds.SOPInstanceUID),
        series_uid=str(ds.SeriesInstanceUID),
        study_uid=str(ds.StudyInstanceUID),
    )
    part10 = b"".join((b"\0" * 128, b"DICM", _meta(ref), *_pieces(ds)))  # pixels are copied once
    return Result(ref=ref, kind=kind, part10=part10, summary=summary, model=model)


def encoded(ds: Dataset) -> bytes:
    """A dataset in Explicit VR Little Endian, its text in UTF-8 (PS3.5 sections 7.1.2 and 7.5).

    Raises:
        ReportError: a value has no room in its element, or is of another kind than its VR.
    """
    return b"".join(_pieces(ds))


def _pieces(ds: Dataset) -> Iterator[bytes | memoryview]:
    for element in ds:
        yield from _element(element)


def _meta(ref: InstanceRef) -> bytes:
    """File Meta Information (PS3.10 section 7.1)."""
    meta = Dataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = UID(ref.sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(ref.sop_instance_uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    rest = encoded(meta)
    return struct.pack("<HH2sHL", 2, 0, b"UL", 4, len(rest)) + rest


def _element(element: DataElement) -> tuple[bytes, bytes | memoryview]:
    """Tag, VR and length; and the value."""
    tag, vr = element.tag, str(element.VR)
    try:
        value = _sequence(element.value) if vr == "SQ" else _value(vr, element.value)
    except (KeyError, TypeError, UnicodeError, ValueError, struct.error):
        raise ReportError(f"{element.keyword or tag} is no value of VR {vr}") from None
    if vr in EXPLICIT_VR_LENGTH_32:
        return struct.pack("<HH2s2xL", tag >> 16, tag & 0xFFFF, vr.encode(), len(value)), value
    if len(value) > _SHORT_VALUE:
        raise ReportError(f"{element.keyword or tag} has more bytes than VR {vr} has room for")
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), len(value)), value


def _sequence(items: Iterable[Dataset]) -> bytes:
    bodies = [encoded(item) for item in items]
    return b"".join(_ITEM + struct.pack("<L", len(body)) + body for body in bodies)


def _value(vr: str, value: Any) -> bytes | memoryview:
    """One value or many, padded to an even length (PS3.5 section 6.2)."""
    if value is None:
        return b""
    if vr in _BYTES:
        if not isinstance(value, bytes | memoryview):
            raise TypeError
        return bytes(value) + b"\0" if len(value) % 2 else value
    parts = values.parts(value)
    if vr in _NUMBERS:
        return struct.pack(f"<{len(parts)}{_NUMBERS[vr]}", *parts)
    if vr == "AT":
        return b"".join(struct.pack("<HH", tag >> 16, tag & 0xFFFF) for tag in parts)
    raw = "\\".join(values.text(part) for part in parts).encode(_WORDS[vr])
    return raw + (b"\0" if vr == "UI" else b" ") * (len(raw) % 2)
