"""Rules that join several attributes: codes, names, pixels, graphics, the page of a document."""

import re
from collections.abc import Callable, Iterator, Mapping

from pydicom.uid import (
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from dicomnode.report.gate.values import Plain

__all__ = ["problems"]

_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")
_SHORT_CODE = 16  # characters of Code Value; a longer one is a Long Code Value


def problems(ds: Plain) -> Iterator[str]:
    """What does not fit together in one object."""
    yield from _names(ds)
    if ds.get("PatientIdentityRemoved", "") == "YES" and not ds.get("DeidentificationMethod"):
        yield "DeidentificationMethod is missing where the identity was removed (C.7.1.1)"
    if "LossyImageCompressionRatio" in ds and ds.get("LossyImageCompression") != "01":
        yield "LossyImageCompressionRatio of an image that is not compressed (C.7.6.1)"
    yield from _codes(ds, _schemes(ds))
    for rule in _RULES.get(ds["SOPClassUID"], ()):
        yield from rule(ds)


def _names(ds: Plain) -> Iterator[str]:
    """An object, its series and its study have three names, and the first two are well formed."""
    names = {word: str(ds[word]) for word in ("SOPInstanceUID", "SeriesInstanceUID")}
    if len({*names.values(), ds["StudyInstanceUID"]}) <= len(names):
        yield "SOPInstanceUID, SeriesInstanceUID and StudyInstanceUID are not all different"
    for keyword, name in names.items():
        if not _UID.fullmatch(name):
            yield f"{keyword} is no UID (PS3.5 section 9.1)"


# --- codes: PS3.3 Table 8.8-1 ---------------------------------------------------------------


def _schemes(ds: Plain) -> frozenset[str]:
    told = ds.get("CodingSchemeIdentificationSequence", [])
    return frozenset(item.get("CodingSchemeDesignator", "") for item in told)


def _codes(ds: Plain, known: frozenset[str]) -> Iterator[str]:
    for keyword, value in ds.items():
        if not keyword.endswith("Sequence"):
            continue
        for item in value:
            if keyword.endswith("CodeSequence"):
                yield from _code(item, known, keyword)
            yield from _codes(item, known)


def _code(item: Plain, known: frozenset[str], where: str) -> Iterator[str]:
    short, long = item.get("CodeValue", ""), item.get("LongCodeValue", "")
    scheme = item.get("CodingSchemeDesignator", "")
    if bool(short) == bool(long) or not scheme or not item.get("CodeMeaning"):
        yield f"{where} is not a whole code: value, scheme and meaning (8.8)"
    if len(short) > _SHORT_CODE or (long and len(long) <= _SHORT_CODE):
        yield f"{where} has a value of the wrong length for its attribute (8.8)"
    if scheme.startswith("99") and scheme not in known:
        yield f"{where} is of a private scheme that is not identified (C.12.1)"


# --- pixels ---------------------------------------------------------------------------------


def _pixel_length(ds: Plain) -> Iterator[str]:
    """Native pixel data, padded to an even length (PS3.5 section 8.1.1)."""
    values = ds["Rows"] * ds["Columns"] * ds["SamplesPerPixel"]
    bits = values * ds.get("NumberOfFrames", 1) * ds["BitsAllocated"]
    size = (bits + 7) // 8
    if len(ds["PixelData"]) != size + size % 2:
        yield "PixelData has not the length that its size says (PS3.5 section 8.1.1)"
    if not ds["HighBit"] + 1 == ds["BitsStored"] <= ds["BitsAllocated"]:
        yield "BitsAllocated, BitsStored and HighBit do not fit together (C.7.6.3)"


def _picture(ds: Plain) -> Iterator[str]:
    """A colour image that says where it comes from, or a page that comes from no image."""
    kind = "\\".join(ds["ImageType"])
    if kind not in ("DERIVED\\SECONDARY", "ORIGINAL\\SECONDARY"):
        yield "ImageType is not that of a secondary image (C.7.6.1)"
    if ds["PhotometricInterpretation"] != "RGB" or ds["SamplesPerPixel"] != 3:
        yield "PhotometricInterpretation is not that of a colour image (C.7.6.3)"
    if ds.get("PlanarConfiguration") != 0:
        yield "PlanarConfiguration is missing or not by pixel (C.7.6.3)"
    if "PatientOrientation" not in ds:
        yield "PatientOrientation is missing (C.7.6.1)"
    if "Laterality" not in ds and not ds.get("BodyPartExamined"):
        yield "Laterality is missing where the body part is unknown (C.7.3.1)"
    sources = ds.get("SourceImageSequence", [])
    named = [bool(item.get("PurposeOfReferenceCodeSequence")) for item in sources]
    if not all(named) or bool(named) != kind.startswith("DERIVED"):
        yield "SourceImageSequence does not say where the picture comes from (C.7.6.1)"
    if "WindowCenter" in ds or "WindowWidth" in ds:
        yield "WindowCenter has no meaning in a colour image (C.11.2)"


def _segments(ds: Plain) -> Iterator[str]:
    """Segments are counted from 1; each frame is of one that is there, and has a place."""
    numbers = [item["SegmentNumber"] for item in ds["SegmentSequence"]]
    if numbers != list(range(1, len(numbers) + 1)):
        yield "SegmentNumber does not count from 1 (C.8.20.4)"
    frames = ds["PerFrameFunctionalGroupsSequence"]
    if len(frames) != ds["NumberOfFrames"]:
        yield "PerFrameFunctionalGroupsSequence has not one item a frame (C.7.6.16)"
    for frame in frames:
        told = frame.get("SegmentIdentificationSequence", [])
        if len(told) != 1 or told[0].get("ReferencedSegmentNumber") not in numbers:
            yield "SegmentIdentificationSequence names no segment that is there (C.8.20.3.1)"
    if ds["SegmentationType"] == "BINARY" and ds["BitsAllocated"] != 1:
        yield "BitsAllocated of a binary segmentation is not 1 (C.8.20.2)"


# --- graphics: PS3.3 C.10.5, C.11.11 --------------------------------------------------------


def _graphics(ds: Plain) -> Iterator[str]:
    """What is drawn lies on layers that are there, over images that are named."""
    images = {
        image["ReferencedSOPInstanceUID"]
        for series in ds["ReferencedSeriesSequence"]
        for image in series.get("ReferencedImageSequence", [])
    }
    if not images:
        yield "ReferencedImageSequence names no image (C.11.11)"
    layers = {item["GraphicLayer"] for item in ds.get("GraphicLayerSequence", [])}
    notes = ds.get("GraphicAnnotationSequence", [])
    if any(note["GraphicLayer"] not in layers for note in notes):
        yield "GraphicLayer of an annotation is not defined (C.10.7)"
    for note in notes:
        for drawn in note.get("GraphicObjectSequence", []):
            yield from _drawn(drawn)
    areas = ds["DisplayedAreaSelectionSequence"]
    for item in (*notes, *areas):
        shown = item.get("ReferencedImageSequence", [])
        if any(image["ReferencedSOPInstanceUID"] not in images for image in shown):
            yield "graphics on an image that is not referenced (C.11.11)"
    spaced = ("PresentationPixelSpacing", "PresentationPixelAspectRatio")
    if not all(any(keyword in area for keyword in spaced) for area in areas):
        yield "PresentationPixelAspectRatio is missing (C.10.4)"


def _drawn(graphic: Plain) -> Iterator[str]:
    data = list(graphic["GraphicData"])
    if graphic["GraphicDimensions"] != 2 or len(data) != 2 * graphic["NumberOfGraphicPoints"]:
        yield "GraphicData has not the points that NumberOfGraphicPoints says (C.10.5)"
    closed = data[:2] == data[-2:]
    if graphic.get("GraphicFilled", "N") == "Y" and not closed:
        yield "GraphicData of a filled line is not closed (C.10.5)"


# --- a page: PS3.3 C.24.2 -------------------------------------------------------------------


def _page(ds: Plain) -> Iterator[str]:
    data, length = ds["EncapsulatedDocument"], ds["EncapsulatedDocumentLength"]
    if not data.startswith(b"%PDF-"):
        yield "EncapsulatedDocument is no PDF (C.24.2)"
    if len(data) - length not in (0, 1) or b"%%EOF" not in data[-16:]:
        yield "EncapsulatedDocument has not the length that is told (C.24.2)"


_Rule = Callable[[Plain], Iterator[str]]
_RULES: Mapping[str, tuple[_Rule, ...]] = {
    SecondaryCaptureImageStorage: (_pixel_length, _picture),
    SegmentationStorage: (_pixel_length, _segments),
    GrayscaleSoftcopyPresentationStateStorage: (_graphics,),
    EncapsulatedPDFStorage: (_page,),
}
