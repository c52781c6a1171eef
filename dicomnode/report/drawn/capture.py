"""Prediction and frame to Secondary Capture: the frame with its heat map, a panel beside it."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import DataElement, Dataset, config
from pydicom.uid import SecondaryCaptureImageStorage

from dicomnode.answers import (
    Finding,
    Form,
    FrameRef,
    Prediction,
    Presence,
)
from dicomnode.errors import ReportError
from dicomnode.report import codes, identity, places, references, wording
from dicomnode.report.drawn.overlay import Pixels, overlay
from dicomnode.report.drawn.panel import panel, placard_sheet
from dicomnode.report.drawn.placard import Placard
from dicomnode.report.reading import value
from dicomnode.report.request import Making, Order, Source

__all__ = ["captures", "overlaid", "placard_capture", "subjects"]

_LARGEST_SIDE = 65535  # Rows and Columns are US
_LARGEST_ASPECT = 4.0  # of a pixel; beyond, what the header says is taken for a mistake
#: What a picture shows that is of no finding, in English.
_NOTHING = {
    Form.FINDINGS: "no finding above its threshold",
    Form.CLASSES: "no class is clear",
    Form.GRADES: "no grade is clear",
}
_SQUARE = 0.01  # how far from 1 an aspect may be without the eye minding


def subjects(prediction: Prediction) -> list[Finding | None]:
    """What pictures are made of: each present finding; None alone stands for nothing found."""
    ranked = wording.by_weight(prediction.findings)
    present = [finding for finding in ranked if finding.presence is Presence.PRESENT]
    return [*present] or [None]


def captures(making: Making) -> Iterator[tuple[Dataset, Finding | None]]:
    """One picture of each subject, without file meta information (PS3.3 section A.8.1)."""
    for number, subject in enumerate(subjects(making.prediction), 1):
        yield _capture(making, subject, number), subject


def placard_capture(
    header: Dataset, placard: Placard, order: Order, *, uid: str, series_uid: str
) -> Dataset:
    """A page in the place of a picture.

    It shows no image and names none as its source: nobody shall take it for one.
    """
    ds = _new(header, header, uid)
    identity.add_series(ds, placard, order, series_uid, placard.series, "0")
    identity.add_equipment(ds, header, placard.model, order)
    ds.ImageType = ["ORIGINAL", "SECONDARY"]  # derived from no image (PS3.3 C.7.6.1.1.2)
    ds.ContentDate, ds.ContentTime = ds.SeriesDate, ds.SeriesTime
    ds.PatientOrientation = ""
    ds.BurnedInAnnotation = "NO"  # all that is drawn is our own
    identity.put(ds, "ImageComments", placard.warning)
    sheet = placard_sheet(placard, order)
    sheet.draw(_add_pixels(ds, sheet.rows, sheet.columns))
    return ds


def overlaid(source: Source, frame: FrameRef, subject: Finding | None) -> Pixels:
    """A frame with heat and regions of a finding, its pixels square.

    Raises:
        ReportError: the frame, its display and its heat map differ in size.
    """
    shown = _shown(source, frame, subject)
    picture = np.empty(shown.shape, dtype=np.uint8)
    _copy(picture, shown, subject)
    wide, high = _square_size(source.header(frame.image), frame)
    if (high, wide) == (frame.rows, frame.columns):
        return picture
    return np.asarray(Image.fromarray(picture).resize((wide, high), Image.Resampling.BILINEAR))


def _capture(making: Making, subject: Finding | None, number: int) -> Dataset:
    source, prediction, order = making.source, making.prediction, making.order
    frame = places.pictured(subject, prediction)
    header = source.header(frame.image)
    ds = _new(making.patient, header, making.uid("sc", str(number)))
    identity.add_series(ds, prediction, order, making.uid("sc", "series"), "AI result", "0")
    identity.add_equipment(ds, header, prediction.model, order)
    ds.InstanceNumber = number
    _add_image(ds, header, prediction, order, subject)
    wide, high = _square_size(header, frame)
    unscaled = (high, wide) == (frame.rows, frame.columns)
    _add_references(ds, frame, unscaled)
    where = places.caption(subject, prediction, source, order.words)
    beside = panel(prediction, order, subject, high, where)
    picture = _add_pixels(ds, max(high, beside.rows), wide + beside.columns)
    beside.draw(picture[:, wide:])
    picture[high:, :wide] = 0
    if unscaled:
        _copy(picture[:high, :wide], _shown(source, frame, subject), subject)
    else:
        picture[:high, :wide] = overlaid(source, frame, subject)
    return ds


def _new(patient: Dataset, header: Dataset, uid: str) -> Dataset:
    """What every capture has, whatever it shows."""
    ds = identity.copied(patient)
    ds.SOPClassUID = SecondaryCaptureImageStorage
    ds.SOPInstanceUID = uid
    # The source's modality, if it is an image: with OT, OHIF lays a cine bar over the picture.
    modality = value(header, "Modality") if value(header, "Rows") else ""
    ds.Modality = "OT" if "\\" in modality else modality or "OT"
    ds.ConversionType = "WSD"
    identity.add_body_part(ds, header)
    return ds


def _add_image(
    ds: Dataset, header: Dataset, prediction: Prediction, order: Order, subject: Finding | None
) -> None:
    """General Image module; what the source says of its pixels is true of ours."""
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.ContentDate, ds.ContentTime = ds.SeriesDate, ds.SeriesTime
    identity.add_orientation(ds, header)
    identity.add_side(ds, header)
    for keyword in ("BurnedInAnnotation", "RecognizableVisualFeatures"):
        if (found := value(header, keyword)) in ("YES", "NO"):
            identity.put(ds, keyword, found)
    identity.add_compression(ds, header)
    shown = subject.label if subject else _NOTHING[prediction.form]
    model = prediction.model
    heat = "mean heat map of" if model.members else f"{model.explanation} heat map of"
    method = heat if subject and subject.heat is not None else "frame:"
    told = f"{method} {shown}, by {model.name} {model.version}"
    identity.put(ds, "DerivationDescription", told[:1024])
    identity.put(ds, "ImageComments", order.words.say("caution"))


def _square_size(header: Dataset, frame: FrameRef) -> tuple[int, int]:
    """Columns and rows of the frame when its pixels are made square, by adding to the longer side.

    Viewers differ in whether they heed PixelAspectRatio (PS3.3 C.7.6.3.1.7); none draws a panel
    well that has to be stretched.
    """
    ratio = value(header, "PixelAspectRatio")
    spacing = value(header, "PixelSpacing") or value(header, "ImagerPixelSpacing")
    try:
        high, wide = (float(part) for part in (ratio or spacing).split("\\"))
        aspect = high / wide
    except (ValueError, ZeroDivisionError):
        aspect = 1.0
    if abs(aspect - 1) < _SQUARE or not 1 / _LARGEST_ASPECT <= aspect <= _LARGEST_ASPECT:
        return frame.columns, frame.rows
    if aspect > 1:
        return frame.columns, round(frame.rows * aspect)
    return round(frame.columns / aspect), frame.rows


def _add_references(ds: Dataset, frame: FrameRef, unscaled: bool) -> None:
    """Where the picture comes from: General Reference and Common Instance Reference modules."""
    source = references.frame(frame)
    source.PurposeOfReferenceCodeSequence = [codes.coded(codes.SOURCE_OF_PROCESSING)]
    source.SpatialLocationsPreserved = "YES" if unscaled else "NO"
    ds.SourceImageSequence = [source]
    ds.ReferencedSeriesSequence = references.by_series([frame.image], "ReferencedInstanceSequence")


def _shown(source: Source, frame: FrameRef, subject: Finding | None) -> NDArray[np.uint8]:
    shown = source.display(frame)
    heat = subject.heat if subject else None
    expected = (frame.rows, frame.columns)
    if shown.shape != (*expected, 3) or (heat is not None and heat.shape != expected):
        raise ReportError("the frame, its display and its heat map differ in size")
    return shown


def _copy(picture: Pixels, shown: NDArray[np.uint8], subject: Finding | None) -> None:
    for channel in range(3):  # of a grey frame, the three are one in memory
        picture[..., channel] = shown[..., channel]
    if subject:
        overlay(picture, subject.heat, subject.regions)


def _add_pixels(ds: Dataset, rows: int, columns: int) -> Pixels:
    """A picture to be drawn on where it lies in the dataset: it is too large to be copied."""
    if max(rows, columns) > _LARGEST_SIDE:
        raise ReportError("the frame leaves no room for a panel beside it")
    ds.SamplesPerPixel = 3
    ds.PhotometricInterpretation = "RGB"
    ds.PlanarConfiguration = 0
    ds.Rows, ds.Columns = rows, columns
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit = 7
    ds.PixelRepresentation = 0
    size = rows * columns * 3
    data = np.empty(size + size % 2, dtype=np.uint8)
    data[size:] = 0
    # pydicom would not know this buffer, and keeps it as it is.
    ds.add(DataElement("PixelData", "OB", data.data, validation_mode=config.IGNORE))
    return data[:size].reshape(rows, columns, 3)
