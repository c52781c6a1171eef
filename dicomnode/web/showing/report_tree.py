"""A Structured Report as a tree to be read: names and values, codes, and what is referred to.

Reads the content tree of any SR document (PS3.3 C.17.3), of whatever template. Shows nothing: a
template does.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.uid import UID

from dicomnode.dicom.attributes import text

__all__ = ["Node", "Reference", "read_tree"]

_DEEPEST = 64  #: as the receiver takes it
_MOST_ITEMS = 5000  #: of one document; what is behind is not shown

_SAID = {
    "TEXT": "TextValue",
    "DATETIME": "DateTime",
    "DATE": "Date",
    "TIME": "Time",
    "UIDREF": "UID",
    "PNAME": "PersonName",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An object that a content item points at."""

    sop_instance_uid: str
    kind: str  #: name of its SOP class
    frames: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One content item."""

    name: str  #: meaning of its Concept Name; empty where it has none
    kind: str  #: Value Type; empty where it points at another content item
    value: str = ""  #: in words
    percent: float | None = None  #: of a number that is a percentage, 0..100
    code: str = ""  #: of the name and of the value, for those who want to know
    references: tuple[Reference, ...] = ()
    children: tuple["Node", ...] = ()


def read_tree(document: Dataset) -> Node:
    """The root of a document's content, with all below it."""
    return _node(document, iter(range(_MOST_ITEMS)), 0)


def _node(item: Dataset, left: Iterator[int], depth: int) -> Node:
    kind = text(item, "ValueType")
    below = item.get("ContentSequence") or [] if depth < _DEEPEST else []
    return Node(
        name=_meaning(item, "ConceptNameCodeSequence"),
        kind=kind,
        value=_value(item, kind),
        percent=_percent(item),
        code=_codes(item),
        references=tuple(_references(item)),
        children=tuple(
            _node(child, left, depth + 1) for child, _ in zip(below, left, strict=False)
        ),
    )


def _value(item: Dataset, kind: str) -> str:
    match kind:
        case "CODE":
            return _meaning(item, "ConceptCodeSequence")
        case "NUM":
            return _measured(item) or _meaning(item, "NumericValueQualifierCodeSequence")
        case "SCOORD" | "SCOORD3D":
            size = 3 if kind == "SCOORD3D" else 2
            points = _count(item, "GraphicData") // size
            return f"{text(item, 'GraphicType').lower()}, {points} point{'s' * (points != 1)}"
        case "TCOORD":
            return text(item, "TemporalRangeType").lower()
        case "":
            places = text(item, "ReferencedContentItemIdentifier").replace("\\", ".")
            return f"see item {places}" if places else ""
        case _:
            return text(item, _SAID[kind]) if kind in _SAID else ""


def _measured(item: Dataset) -> str:
    """The number with its unit; the unit 1 says nothing."""
    said = []
    for measured in item.get("MeasuredValueSequence") or []:
        unit = _code(measured, "MeasurementUnitsCodeSequence")
        words = {"%": " %", "1": ""}.get(unit, f" {_meaning(measured, _UNITS)}")
        said.append(text(measured, "NumericValue") + words)
    return ", ".join(said)


_UNITS = "MeasurementUnitsCodeSequence"


def _percent(item: Dataset) -> float | None:
    for measured in item.get("MeasuredValueSequence") or []:
        if _code(measured, _UNITS) == "%":
            try:
                return min(max(float(text(measured, "NumericValue")), 0.0), 100.0)
            except ValueError:
                return None
    return None


def _references(item: Dataset) -> Iterator[Reference]:
    for ref in item.get("ReferencedSOPSequence") or []:
        frames = text(ref, "ReferencedFrameNumber").split("\\")
        yield Reference(
            sop_instance_uid=text(ref, "ReferencedSOPInstanceUID"),
            kind=UID(text(ref, "ReferencedSOPClassUID")).name,
            frames=tuple(int(number) for number in frames if number.isdecimal()),
        )


def _codes(item: Dataset) -> str:
    """Such as "(363698007, SCT) = (39607008, SCT)"."""
    found = [_coded(item, name) for name in ("ConceptNameCodeSequence", "ConceptCodeSequence")]
    return " = ".join(code for code in found if code)


def _coded(item: Dataset, sequence: str) -> str:
    for code in item.get(sequence) or []:
        return f"({_value_of(code)}, {text(code, 'CodingSchemeDesignator')})"
    return ""


def _code(item: Dataset, sequence: str) -> str:
    for code in item.get(sequence) or []:
        return _value_of(code)
    return ""


def _value_of(code: Dataset) -> str:
    """PS3.3 8.8: a code stands in one of three attributes."""
    keywords = ("CodeValue", "LongCodeValue", "URNCodeValue")
    return next((found for keyword in keywords if (found := text(code, keyword))), "")


def _meaning(item: Dataset, sequence: str) -> str:
    for code in item.get(sequence) or []:
        return text(code, "CodeMeaning")
    return ""


def _count(item: Dataset, keyword: str) -> int:
    found = item.get(keyword)
    return len(found) if isinstance(found, list | tuple) or hasattr(found, "__len__") else 0
