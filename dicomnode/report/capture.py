"""Prediction and frame to Secondary Capture: the frame with its heat map, a panel beside it."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from dicomnode.errors import ReportError
from dicomnode.records import Finding, FrameRef, Prediction, Presence
from dicomnode.report import codes, identity, wording
from dicomnode.report.overlay import overlaid
from dicomnode.report.panel import panel
from dicomnode.report.reading import value
from dicomnode.report.request import Making, Order, Source

__all__ = ["captures", "subjects"]

_LARGEST_SIDE = 65535  # Rows and Columns are US


def subjects(prediction: Prediction) -> list[Finding | None]:
    """What pictures are made of: each present finding; None alone stands for nothing found."""
    ranked = wording.by_weight(prediction.findings)
    present = [finding for finding in ranked if finding.presence is Presence.PRESENT]
    return [*present] or [None]


def captures(making: Making) -> Iterator[tuple[Dataset, Finding | None]]:
    """One picture of each subject, without file meta information (PS3.3 section A.8.1)."""
    for number, subject in enumerate(subjects(making.prediction), 1):
        yield _capture(making, subject, number), subject


def _capture(making: Making, subject: Finding | None, number: int) -> Dataset:
    source, prediction, order = making.source, making.prediction, making.order
    frame = subject.frame if subject else prediction.frames[0]
    header = source.header(frame.image)
    ds = identity.copied(identity.one_patient(source.headers))
    ds.SOPClassUID = SecondaryCaptureImageStorage
    ds.SOPInstanceUID = making.uid("sc", str(number))
    # The source's modality: with OT, OHIF lays a cine bar over the picture.
    ds.Modality = value(header, "Modality") or "OT"
    identity.add_series(ds, prediction, order, making.uid("sc", "series"), "AI result", "0")
    identity.add_equipment(ds, header, prediction.model, order)
    ds.InstanceNumber = number
    ds.ConversionType = "WSD"
    _add_image(ds, header, prediction, subject)
    _add_references(ds, frame)
    _add_pixels(ds, _picture(source, prediction, order, subject, frame))
    return ds


def _add_image(
    ds: Dataset, header: Dataset, prediction: Prediction, subject: Finding | None
) -> None:
    """General Image module; what the source says of its pixels is true of ours."""
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.ContentDate, ds.ContentTime = ds.SeriesDate, ds.SeriesTime
    identity.put(ds, "PatientOrientation", value(header, "PatientOrientation"))
    for keyword in ("BodyPartExamined", "BurnedInAnnotation", "RecognizableVisualFeatures"):
        if found := value(header, keyword):
            identity.put(ds, keyword, found)
    if "BodyPartExamined" not in ds or value(header, "Laterality") in ("L", "R"):
        identity.put(ds, "Laterality", value(header, "Laterality"))  # type 2C: of a paired part
    if value(header, "LossyImageCompression") == "01":
        ds.LossyImageCompression = "01"
        for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if found := value(header, keyword):
                identity.put(ds, keyword, found)
    if ratio := _pixel_aspect_ratio(header):
        identity.put(ds, "PixelAspectRatio", ratio)
    shown = subject.label if subject else "no finding above its threshold"
    model = prediction.model
    method = (
        f"{model.explanation} heat map of" if subject and subject.heat is not None else "frame:"
    )
    ds.DerivationDescription = f"{method} {shown}, by {model.name} {model.version}"[:1024]
    ds.ImageComments = wording.CAUTION


def _pixel_aspect_ratio(header: Dataset) -> str:
    """Height to width of a pixel as two integers, where it is not square (PS3.3 C.7.6.3.1.7)."""
    if ratio := value(header, "PixelAspectRatio"):
        return ratio
    spacing = value(header, "PixelSpacing") or value(header, "ImagerPixelSpacing")
    try:
        row, column = (round(float(part) * 100_000) for part in spacing.split("\\"))
    except ValueError:
        return ""
    return "" if row == column or min(row, column) <= 0 else f"{row}\\{column}"


def _add_references(ds: Dataset, frame: FrameRef) -> None:
    """Where the picture comes from: General Reference and Common Instance Reference modules."""
    source = Dataset()
    source.ReferencedSOPClassUID = frame.image.sop_class_uid
    source.ReferencedSOPInstanceUID = frame.image.sop_instance_uid
    instance = Dataset()
    instance.update(source)
    if frame.frame is not None:
        source.ReferencedFrameNumber = frame.frame
    source.PurposeOfReferenceCodeSequence = [codes.coded(codes.SOURCE_OF_PROCESSING)]
    source.SpatialLocationsPreserved = "YES"
    ds.SourceImageSequence = [source]
    series = Dataset()
    series.SeriesInstanceUID = frame.image.series_uid
    series.ReferencedInstanceSequence = [instance]
    ds.ReferencedSeriesSequence = [series]


def _picture(
    source: Source,
    prediction: Prediction,
    order: Order,
    subject: Finding | None,
    frame: FrameRef,
) -> NDArray[np.uint8]:
    """The frame at (0, 0), unscaled; the panel right of it."""
    shown = source.display(frame)
    heat, regions = (subject.heat, subject.regions) if subject else (None, ())
    expected = (frame.rows, frame.columns)
    if shown.shape != (*expected, 3) or (heat is not None and heat.shape != expected):
        raise ReportError("the frame, its display and its heat map differ in size")
    beside = panel(prediction, order, subject, frame.rows)
    rows, columns = beside.shape[0], frame.columns + beside.shape[1]
    if max(rows, columns) > _LARGEST_SIDE:
        raise ReportError("the frame leaves no room for a panel beside it")
    canvas = np.zeros((rows, columns, 3), dtype=np.uint8)
    canvas[: frame.rows, : frame.columns] = overlaid(shown, heat, regions)
    canvas[:, frame.columns :] = beside
    return canvas


def _add_pixels(ds: Dataset, picture: NDArray[np.uint8]) -> None:
    ds.SamplesPerPixel = 3
    ds.PhotometricInterpretation = "RGB"
    ds.PlanarConfiguration = 0
    ds.Rows, ds.Columns = picture.shape[:2]
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit = 7
    ds.PixelRepresentation = 0
    data = picture.tobytes()
    ds.add_new("PixelData", "OB", data + b"\0" * (len(data) % 2))
