"""Regions to Grayscale Softcopy Presentation State: drawn on the image itself, by the viewer.

One object a frame: the grey scale of a presentation state holds for all that it refers to, and
frames seldom share theirs. None where nothing is present: a state without a mark would look like an
image that was cleared; that nothing was found is said in words by the report. None for a colour
image: the class for those (PS3.3 A.33.2) is one that few viewers draw, and the Secondary Capture
shows its regions.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from pydicom import Dataset
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage

from dicomnode.answers import Finding, FrameRef, Region
from dicomnode.records import ResultKind
from dicomnode.report import identity, references, wording
from dicomnode.report.marks.labels import Box, around, placed
from dicomnode.report.reading import value
from dicomnode.report.request import Making, Order

__all__ = ["presentation_states"]

_LAYER = "AI UNVERIFIED"  # CS: capital letters
_YELLOW = [60377, 30113, 53690]  # CIELab, PS3.3 C.10.7.1.1
_MODALITY_LUT = ("ModalityLUTSequence", "RescaleIntercept", "RescaleSlope", "RescaleType")
_VOI_LUT = ("VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction")


def presentation_states(making: Making) -> Iterator[tuple[Dataset, None]]:
    """One state for each grey frame with a present finding (PS3.3 section A.33.1)."""
    frames: dict[FrameRef, list[Finding]] = {}
    for finding in wording.by_weight(making.prediction.findings):
        if wording.to_mark(finding) and _is_grey(making, finding.frame):
            frames.setdefault(finding.frame, []).append(finding)
    for number, (frame, findings) in enumerate(frames.items(), 1):
        yield _state(making, frame, findings, number), None


def _is_grey(making: Making, frame: FrameRef) -> bool:
    interpretation = value(making.source.header(frame.image), "PhotometricInterpretation")
    return interpretation in ("", "MONOCHROME1", "MONOCHROME2")


def _state(making: Making, frame: FrameRef, findings: Sequence[Finding], number: int) -> Dataset:
    prediction, order = making.prediction, making.order
    header = making.source.header(frame.image)
    ds = identity.copied(making.patient)
    ds.SOPClassUID = GrayscaleSoftcopyPresentationStateStorage
    ds.SOPInstanceUID = making.uid(ResultKind.GSPS, str(number))
    ds.Modality = "PR"
    series_uid = making.uid(ResultKind.GSPS, "series")
    identity.add_series(ds, prediction, order, series_uid, "AI marks", "3")
    identity.add_body_part(ds, header)
    identity.add_equipment(ds, header, prediction.model, order)
    ds.InstanceNumber = number
    _add_identification(ds, findings, order)
    _add_reference(ds, frame)
    _add_appearance(ds, making.source.appearance(frame), frame)
    _add_layer(ds, order)
    mind = [*wording.cautions(prediction.model, order.words), wording.partial(order)]
    ds.GraphicAnnotationSequence = list(_annotations(findings, frame, order, mind))
    return ds


def _add_identification(ds: Dataset, findings: Sequence[Finding], order: Order) -> None:
    """Presentation State Identification module (PS3.3 Table C.11.10-1)."""
    ds.ContentLabel = _LAYER
    said = order.words.listed(_named(finding, order) for finding in findings)
    ds.ContentDescription = said[:64]
    ds.ContentCreatorName = ""
    ds.PresentationCreationDate, ds.PresentationCreationTime = ds.SeriesDate, ds.SeriesTime


def _add_reference(ds: Dataset, frame: FrameRef) -> None:
    """Presentation State Relationship module: this frame and no other (PS3.3 Table C.11.11-1b)."""
    ds.ReferencedSeriesSequence = references.by_series([frame.image], "ReferencedImageSequence")
    ds.ReferencedSeriesSequence[0].ReferencedImageSequence = [references.frame(frame)]


def _add_appearance(ds: Dataset, look: Dataset, frame: FrameRef) -> None:
    """Modality LUT, Softcopy VOI LUT, Presentation LUT and Displayed Area modules.

    The whole frame, grey as the picture of the Secondary Capture has it.
    """
    ds.update(_some(look, _MODALITY_LUT))
    if window := _some(look, _VOI_LUT):
        ds.SoftcopyVOILUTSequence = [window]
    ds.PresentationLUTShape = look.PresentationLUTShape
    area = Dataset()
    area.DisplayedAreaTopLeftHandCorner = [1, 1]
    area.DisplayedAreaBottomRightHandCorner = [frame.columns, frame.rows]
    area.PresentationSizeMode = "SCALE TO FIT"
    area.PresentationPixelAspectRatio = look.PixelAspectRatio
    ds.DisplayedAreaSelectionSequence = [area]


def _some(look: Dataset, keywords: Sequence[str]) -> Dataset:
    some = Dataset()
    for keyword in keywords:
        if keyword in look:
            some.add(look[keyword])
    return some


def _add_layer(ds: Dataset, order: Order) -> None:
    layer = Dataset()
    layer.GraphicLayer = _LAYER
    layer.GraphicLayerOrder = 1
    layer.GraphicLayerRecommendedDisplayCIELabValue = _YELLOW
    layer.GraphicLayerDescription = order.words.say("caution")[:64]
    ds.GraphicLayerSequence = [layer]


# --- what is drawn: PS3.3 C.10.5 ------------------------------------------------------------


def _annotations(
    findings: Sequence[Finding], frame: FrameRef, order: Order, mind: Sequence[str]
) -> Iterator[Dataset]:
    """What to mind in the corner, with what has no place; then each region under its own name."""
    drawn = {finding.label: _lines(finding.regions) for finding in findings}
    nowhere = [_named(finding, order) for finding in findings if not drawn[finding.label]]
    boxes: list[Box] = []
    corner = Box(left=0, top=0, right=0, bottom=0)
    yield _annotation([text for text in (*mind, *nowhere) if text], corner, boxes, frame)
    for finding in findings:
        text = _named(finding, order)
        for region in drawn[finding.label]:
            yield _annotation([text], around(region), boxes, frame, region)
            text = wording.name(finding, order.words)  # the probability is the finding's: said once


def _named(finding: Finding, order: Order) -> str:
    probability = wording.percent(finding.probability, order.words)
    return f"{wording.counted(finding, order.words)} {probability}"


def _lines(regions: Sequence[Region]) -> list[Region]:
    """What can be drawn as a line round something."""
    return [region for region in regions if len(region.outline) > 2]


def _annotation(
    text: Sequence[str],
    near: Box,
    taken: list[Box],
    frame: FrameRef,
    region: Region | None = None,
) -> Dataset:
    """Words with the line that they are about; the words' place is taken from then on."""
    box = placed(text, near, taken, rows=frame.rows, columns=frame.columns)
    taken.append(box)
    words = Dataset()
    words.BoundingBoxAnnotationUnits = "PIXEL"
    words.UnformattedTextValue = "\r\n".join(text)
    words.BoundingBoxTopLeftHandCorner = [box.left, box.top]
    words.BoundingBoxBottomRightHandCorner = [box.right, box.bottom]
    words.BoundingBoxTextHorizontalJustification = "LEFT"
    item = Dataset()
    item.ReferencedImageSequence = [references.frame(frame)]
    item.GraphicLayer = _LAYER
    item.TextObjectSequence = [words]
    if region:
        item.GraphicObjectSequence = [_line(region, frame)]
    return item


def _line(region: Region, frame: FrameRef) -> Dataset:
    """A closed line in (column, row) of the frame's pixels, within the frame."""
    points = np.asarray(region.outline, dtype=np.float32)
    points = np.clip(points, 0, [frame.columns, frame.rows])
    if not np.array_equal(points[0], points[-1]):
        points = np.vstack([points, points[:1]])
    item = Dataset()
    item.GraphicAnnotationUnits = "PIXEL"
    item.GraphicDimensions = 2
    item.NumberOfGraphicPoints = len(points)
    item.GraphicData = [float(number) for number in points.reshape(-1)]
    item.GraphicType = "POLYLINE"
    item.GraphicFilled = "N"
    return item
