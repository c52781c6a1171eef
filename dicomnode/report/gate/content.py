"""How the content of a Structured Report must be built: what may stand below what, and what it
points at. Where a rule is a viewer's and not the standard's, it says whose.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydicom.uid import (
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    KeyObjectSelectionDocumentStorage,
)

from dicomnode.report.gate.values import Plain

__all__ = ["problems"]

_SAID = "TEXT CODE DATETIME DATE TIME UIDREF PNAME"
_SHOWN = "COMPOSITE IMAGE CONTAINER"
_Relations = Mapping[tuple[str, str], frozenset[str]]


def _table(said: str, drawn: str) -> _Relations:
    """What may stand below what (PS3.3 A.35.x.3.1.2), as far as our reports need it."""
    facts = f"{said} COMPOSITE"
    rows = {
        ("CONTAINER", "CONTAINS"): f"{said} {_SHOWN} {drawn}",
        ("CONTAINER", "HAS OBS CONTEXT"): facts,
        ("TEXT", "HAS PROPERTIES"): f"{facts} IMAGE",
        ("TEXT", "INFERRED FROM"): f"{facts} IMAGE",
        ("CODE", "HAS PROPERTIES"): f"{facts} IMAGE",
        ("CODE", "INFERRED FROM"): f"{facts} IMAGE",
        ("IMAGE", "HAS ACQ CONTEXT"): said,
        ("CONTAINER", "HAS ACQ CONTEXT"): said,
        ("COMPOSITE", "HAS ACQ CONTEXT"): said,
        **{(kind, "HAS CONCEPT MOD"): "TEXT CODE" for kind in f"{said} {_SHOWN} {drawn}".split()},
    }
    if drawn:
        rows["SCOORD", "SELECTED FROM"] = "IMAGE"
    if "NUM" in said:
        rows["NUM", "HAS OBS CONTEXT"] = facts
        rows["NUM", "HAS PROPERTIES"] = rows["NUM", "INFERRED FROM"] = f"{facts} IMAGE {drawn}"
    return {pair: frozenset(targets.split()) for pair, targets in rows.items()}


_KEY_OBJECTS = {
    ("CONTAINER", "CONTAINS"): frozenset({"TEXT", "IMAGE", "COMPOSITE"}),
    ("CONTAINER", "HAS OBS CONTEXT"): frozenset({"TEXT", "CODE", "UIDREF", "PNAME"}),
    ("CONTAINER", "HAS CONCEPT MOD"): frozenset({"CODE"}),
}
_MEASURED = _table(f"{_SAID} NUM", "SCOORD")
_RELATIONS: Mapping[str, _Relations] = {
    BasicTextSRStorage: _table(_SAID, ""),
    ComprehensiveSRStorage: _MEASURED,
    Comprehensive3DSRStorage: _MEASURED,
    KeyObjectSelectionDocumentStorage: _KEY_OBJECTS,
}
#: What each value type must carry (PS3.3 Table C.17.3-7).
_CARRIES = {
    "CODE": "ConceptCodeSequence", "COMPOSITE": "ReferencedSOPSequence",
    "CONTAINER": "ContentSequence", "DATE": "Date", "DATETIME": "DateTime",
    "IMAGE": "ReferencedSOPSequence", "NUM": "MeasuredValueSequence", "PNAME": "PersonName",
    "SCOORD": "GraphicData", "TEXT": "TextValue", "TIME": "Time", "UIDREF": "UID",
}  # fmt: skip
_WITHOUT_NAME = ("COMPOSITE", "IMAGE")

_MEASUREMENT_REPORT = "126000"
_GROUP, _TRACKING_NAME, _TRACKING_UID = "125007", "112039", "112040"
_ROWS, _COLUMNS = "110910", "110911"
#: How many points a shape has, at least and at most (PS3.3 C.18.6.1.2).
_POINTS = {"CIRCLE": (2, 2), "ELLIPSE": (4, 4), "POINT": (1, 1), "POLYLINE": (2, 2**31)}


@dataclass(frozen=True, slots=True)
class _Item:
    """A content item, read once."""

    ds: Plain
    kind: str  #: its Value Type
    relation: str  #: to what it stands below
    name: str  #: Code Value of its Concept Name
    points_at: tuple[str, ...]  #: SOP Instance UIDs
    below: tuple["_Item", ...]


def problems(ds: Plain) -> Iterator[str]:
    """What is wrong with the content of a report; nothing for any other object."""
    relations = _RELATIONS.get(str(ds["SOPClassUID"]))
    if relations is None:
        return
    root = _read(ds)
    items = list(_with_all_below(root))
    broken = [*_template(root), *(fault for item in items for fault in _whole(item, relations))]
    yield from broken
    if not broken:  # what follows takes for granted that every item is whole
        yield from _references(root, items)
        if root.name == _MEASUREMENT_REPORT:
            yield from _groups(items)


def _read(ds: Plain) -> _Item:
    names = ds.get("ConceptNameCodeSequence", [])
    return _Item(
        ds=ds,
        kind=ds.get("ValueType", ""),
        relation=ds.get("RelationshipType", ""),
        name=names[0].get("CodeValue", "") if names else "",
        points_at=tuple(
            instance.get("ReferencedSOPInstanceUID", "")
            for instance in ds.get("ReferencedSOPSequence", [])
        ),
        below=tuple(_read(child) for child in ds.get("ContentSequence", [])),
    )


def _with_all_below(item: _Item) -> Iterator[_Item]:
    yield item
    for child in item.below:
        yield from _with_all_below(child)


def _template(root: _Item) -> Iterator[str]:
    """Orthanc draws nothing, and no validator complains, where the template is not named."""
    expected = {_MEASUREMENT_REPORT: "1500"}.get(root.name)
    if root.ds["SOPClassUID"] == KeyObjectSelectionDocumentStorage:
        expected = "2010"
    named = [
        item.get("TemplateIdentifier", "") for item in root.ds.get("ContentTemplateSequence", [])
    ]
    if expected and named != [expected]:
        yield "ContentTemplateSequence does not name the template of the root (C.18.8)"


def _whole(item: _Item, relations: _Relations) -> Iterator[str]:
    carries = _CARRIES.get(item.kind)
    if carries is None:
        yield "ValueType is none that our reports have (C.17.3)"
        return
    if not item.ds.get(carries):
        yield f"{carries} of {item.kind} is missing or empty (C.17.3)"
    if not item.ds.get("ConceptNameCodeSequence") and item.kind not in _WITHOUT_NAME:
        yield f"ConceptNameCodeSequence of {item.kind} is missing or empty (C.17.3)"
    if item.kind == "CONTAINER" and item.ds.get("ContinuityOfContent", "") != "SEPARATE":
        yield "ContinuityOfContent is not SEPARATE: viewers lose the names of what is in it"
    if item.kind == "SCOORD":
        yield from _shape(item)
    for child in item.below:
        if child.kind not in relations.get((item.kind, child.relation), ()):
            yield f"{child.kind or 'an item'} may not stand below {item.kind} as it does (A.35)"


def _shape(item: _Item) -> Iterator[str]:
    """Coordinates in pairs, as many as the shape has, on one image (PS3.3 C.18.6.1.2)."""
    data = list(item.ds.get("GraphicData", []))
    least, most = _POINTS.get(item.ds.get("GraphicType", ""), (1, 0))
    if len(data) % 2 or not least <= len(data) // 2 <= most:
        yield "GraphicData has not the points of its GraphicType (C.18.6.1.2)"
    elif least < most and data[:2] != data[-2:]:
        yield "GraphicData of an outline is not closed (C.18.6.1.2)"
    if [(child.kind, len(child.points_at)) for child in item.below] != [("IMAGE", 1)]:
        yield "SCOORD is not selected from one image (C.18.6)"


def _references(root: _Item, items: Sequence[_Item]) -> Iterator[str]:
    """Evidence names each instance that the content points at, all of this study.

    In a narrative it may name more: the images that the sentences are about.
    """
    studies = root.ds.get("CurrentRequestedProcedureEvidenceSequence", [])
    if any(study["StudyInstanceUID"] != root.ds["StudyInstanceUID"] for study in studies):
        yield "CurrentRequestedProcedureEvidenceSequence is of another study (C.17.2)"
    evidence = [
        instance["ReferencedSOPInstanceUID"]
        for study in studies
        for series in study["ReferencedSeriesSequence"]
        for instance in series.get("ReferencedSOPSequence", [])
    ]
    told, pointed_at = set(evidence), {uid for item in items for uid in item.points_at}
    narrative = root.name != _MEASUREMENT_REPORT and "VerificationFlag" in root.ds
    if told != pointed_at and not (narrative and pointed_at < told):
        yield "CurrentRequestedProcedureEvidenceSequence is not what the content points at (C.17.2)"
    if len(told) < len(evidence):
        yield "CurrentRequestedProcedureEvidenceSequence names an instance twice (C.17.2)"
    if root.ds["SOPInstanceUID"] in told:
        yield "the report points at itself (C.17.2)"


# --- the report of measurements: TID 1500, 1410, 1600 ---------------------------------------


def _groups(items: Sequence[_Item]) -> Iterator[str]:
    """OHIF shows no image at all where a group has no place, or no name of its own."""
    groups = [item for item in items if item.name == _GROUP]
    if not groups:
        yield "a report of measurements without a group: OHIF shows no image at all"
    sizes, tracked = _sizes(items), Counter[str]()
    for group in groups:
        named = {child.name: child for child in group.below}
        if not {_TRACKING_NAME, _TRACKING_UID} <= set(named):
            yield "a measurement group has no tracking identifier: OHIF shows no image at all"
            continue
        tracked[named[_TRACKING_UID].ds.get("UID", "")] += 1
        lines = [child for child in group.below if child.kind == "SCOORD"]
        if not lines:
            yield "a measurement group has no coordinates: OHIF shows no image at all"
        for line in lines:
            yield from _inside(line, sizes)
    if any(count > 1 for count in tracked.values()):
        yield "two measurement groups have the same tracking UID (TID 1410)"


def _sizes(items: Sequence[_Item]) -> dict[str, tuple[float, float]]:
    """Columns and rows of each image of the library, by SOP Instance UID."""
    found = {}
    for item in items:
        about = {child.name: child.ds for child in item.below} if item.kind == "IMAGE" else {}
        if _ROWS in about and _COLUMNS in about:
            columns, rows = (
                float(about[name]["MeasuredValueSequence"][0]["NumericValue"])
                for name in (_COLUMNS, _ROWS)
            )
            found[item.points_at[0]] = columns, rows
    return found


def _inside(line: _Item, sizes: Mapping[str, tuple[float, float]]) -> Iterator[str]:
    size = next(
        (sizes[uid] for image in line.below for uid in image.points_at if uid in sizes), None
    )
    if size is None:
        yield "an outline lies on an image that is not in the image library (TID 1600)"
        return
    places = line.ds.get("GraphicData", [])
    if any(not 0 <= place <= size[axis % 2] for axis, place in enumerate(places)):
        yield "an outline leaves its image (C.18.6.1.2)"
