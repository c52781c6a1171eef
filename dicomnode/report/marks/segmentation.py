"""Regions to Segmentation: one segment a finding, a bit for each pixel of the frame it was seen on.

BINARY, not FRACTIONAL: a heat map is neither the probability nor the occupancy of a pixel (PS3.3
C.8.20.2.3). What is marked here is what report and picture outline.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.uid import SegmentationStorage

from dicomnode.answers import Finding, FrameRef, ModelRef
from dicomnode.records import ResultKind
from dicomnode.report import codes, identity, references, wording
from dicomnode.report.catalogue import words
from dicomnode.report.marks.area import inside
from dicomnode.report.marks.plane import Plane, plane_of, spacing_of
from dicomnode.report.request import Making, Order

__all__ = ["segmentations"]

#: Of segments in turn, as Recommended Display CIELab Value: yellow, magenta, cyan, orange.
_COLOURS = (
    [60377, 30113, 53690], [36947, 51881, 26522], [50730, 24188, 27348], [47213, 40781, 52707],
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class _Segment:
    """A finding and the pixels that speak for it."""

    finding: Finding
    mask: NDArray[np.uint8]  #: 0 or 1, (rows, columns)
    plane: Plane | None  #: of the frame, where it is known
    spacing: str  #: between rows, then between columns, in mm; empty where unknown

    @property
    def geometry(self) -> tuple[object, ...]:
        """What the frames of one Segmentation have in common."""
        where = self.plane and replace(self.plane, position="")
        return (self.finding.frame.image.series_uid, *self.mask.shape, self.spacing, where)


def segmentations(making: Making) -> Iterator[tuple[Dataset, None]]:
    """One object for all findings on frames of one series, size and orientation (PS3.3 A.51).

    Nothing where no present finding has a region that holds a pixel.
    """
    together: dict[tuple[object, ...], list[_Segment]] = {}
    for finding in wording.by_weight(making.prediction.findings):
        if wording.to_mark(finding) and (segment := _segment(making, finding)):
            together.setdefault(segment.geometry, []).append(segment)
    for number, segments in enumerate(together.values(), 1):
        yield _segmentation(making, segments, number), None


def _segment(making: Making, finding: Finding) -> _Segment | None:
    """The segment of a finding; None where its regions hold no pixel."""
    frame = finding.frame
    mask = inside(finding.regions, frame.rows, frame.columns)
    if not mask.any():
        return None
    header = making.source.header(frame.image)
    spacing = spacing_of(header)
    return _Segment(finding=finding, mask=mask, plane=plane_of(header), spacing=spacing)


def _segmentation(making: Making, segments: Sequence[_Segment], number: int) -> Dataset:
    prediction, order = making.prediction, making.order
    plane = segments[0].plane
    header = making.source.header(segments[0].finding.frame.image)
    ds = identity.copied(making.patient)
    ds.SOPClassUID = SegmentationStorage
    ds.SOPInstanceUID = making.uid(ResultKind.SEG, str(number))
    ds.Modality = "SEG"
    # A series has one frame of reference or none (PS3.3 A.1.2.5).
    series_uid = making.uid(ResultKind.SEG, "series", plane.frame_of_reference if plane else "")
    identity.add_series(ds, prediction, order, series_uid, "AI regions", "2")
    identity.add_equipment(ds, header, prediction.model, order)
    ds.DeviceSerialNumber = order.ae_title  # type 1 of Enhanced General Equipment
    ds.InstanceNumber = number
    frames = [segment.finding.frame for segment in segments]
    ds.ReferencedSeriesSequence = references.by_series(
        (frame.image for frame in frames), "ReferencedInstanceSequence"
    )
    _add_image(ds, header, segments)
    ds.ContentDescription = order.words.say("caution")[:64]
    ds.SegmentSequence = [
        _description(segment.finding, nth, prediction.model, order)
        for nth, segment in enumerate(segments, 1)
    ]
    schemes = (segment.finding.concept.scheme for segment in segments)
    if private := codes.private_schemes(schemes):
        ds.CodingSchemeIdentificationSequence = private
    _add_dimension(ds, making.uid(ResultKind.SEG, "dimensions", str(number)))
    _add_functional_groups(ds, segments)
    if not plane:
        identity.add_orientation(ds, header)  # type 2C
    return ds


def _add_image(ds: Dataset, header: Dataset, segments: Sequence[_Segment]) -> None:
    """Image Pixel and Segmentation Image modules (PS3.3 Table C.8.20-2)."""
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.ContentDate, ds.ContentTime = ds.SeriesDate, ds.SeriesTime
    ds.ContentLabel = "AI REGIONS"
    ds.ContentCreatorName = ""
    ds.LossyImageCompression = "00"
    identity.add_compression(ds, header)
    ds.SegmentationType = "BINARY"
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.NumberOfFrames = len(segments)
    ds.Rows, ds.Columns = segments[0].mask.shape
    ds.BitsAllocated = ds.BitsStored = 1
    ds.HighBit = ds.PixelRepresentation = 0
    # Bits of all frames without a gap between them, the first in the lowest (PS3.5 8.1.1).
    pixels = np.concatenate([segment.mask.reshape(-1) for segment in segments])
    data = np.packbits(pixels, bitorder="little").tobytes()
    ds.add_new("PixelData", "OB", data + b"\0" * (len(data) % 2))


def _description(finding: Finding, number: int, model: ModelRef, order: Order) -> Dataset:
    """Segment Description macro (PS3.3 Table C.8.20-4)."""
    words = order.words
    item = Dataset()
    item.SegmentNumber = number
    item.SegmentLabel = wording.name(finding, words)[:64]
    told = (f"{wording.percent(finding.probability, words)}.", words.say("caution"))
    item.SegmentDescription = words.joined(told)
    item.SegmentAlgorithmType = "AUTOMATIC"
    item.SegmentAlgorithmName = model.name[:64]
    item.SegmentationAlgorithmIdentificationSequence = [_algorithm(model)]
    item.RecommendedDisplayCIELabValue = _COLOURS[(number - 1) % len(_COLOURS)]
    item.SegmentedPropertyCategoryCodeSequence = [codes.coded(codes.ABNORMAL_STRUCTURE)]
    item.SegmentedPropertyTypeCodeSequence = [codes.coded(finding.concept)]
    return item


def _algorithm(model: ModelRef) -> Dataset:
    """Algorithm Identification macro (PS3.3 Table 10-19)."""
    item = Dataset()
    item.AlgorithmFamilyCodeSequence = [codes.coded(codes.ARTIFICIAL_INTELLIGENCE)]
    item.AlgorithmName = model.name[:64]
    item.AlgorithmVersion = model.version[:64]
    english = words("en")
    told = (wording.digest(model, english), wording.method(model, english))
    item.AlgorithmParameters = "; ".join(told)
    item.AlgorithmSource = (model.manufacturer or "unknown")[:64]
    return item


def _add_dimension(ds: Dataset, uid: str) -> None:
    """Multi-frame Dimension module: each frame is one segment (PS3.3 C.7.6.17)."""
    organization = Dataset()
    organization.DimensionOrganizationUID = uid
    ds.DimensionOrganizationSequence = [organization]
    index = Dataset()
    index.DimensionOrganizationUID = uid
    index.DimensionIndexPointer = tag_for_keyword("ReferencedSegmentNumber")
    index.FunctionalGroupPointer = tag_for_keyword("SegmentIdentificationSequence")
    index.DimensionDescriptionLabel = "Segment"
    ds.DimensionIndexSequence = [index]


def _add_functional_groups(ds: Dataset, segments: Sequence[_Segment]) -> None:
    """Where each frame comes from, and where it lies (PS3.3 Table A.51-2).

    A source without a plane has no frame of reference either: the derivation alone then says where
    the frame lies, which the standard allows. Its spacing is told all the same: OHIF goes down with
    every open viewport where there are no pixel measures.
    """
    shared = Dataset()
    if spacing := segments[0].spacing:
        shared.PixelMeasuresSequence = [_item(PixelSpacing=spacing)]
    if plane := segments[0].plane:
        ds.FrameOfReferenceUID = plane.frame_of_reference
        ds.PositionReferenceIndicator = ""
        if plane.thickness:
            shared.PixelMeasuresSequence[0].SliceThickness = plane.thickness
        orientation = _item(ImageOrientationPatient=plane.orientation)
        shared.PlaneOrientationSequence = [orientation]
    ds.SharedFunctionalGroupsSequence = [shared]
    ds.PerFrameFunctionalGroupsSequence = [
        _frame(segment, number) for number, segment in enumerate(segments, 1)
    ]


def _frame(segment: _Segment, number: int) -> Dataset:
    group = Dataset()
    group.FrameContentSequence = [_item(DimensionIndexValues=number)]
    group.SegmentIdentificationSequence = [_item(ReferencedSegmentNumber=number)]
    group.DerivationImageSequence = [_derivation(segment.finding.frame)]
    if segment.plane:
        group.PlanePositionSequence = [_item(ImagePositionPatient=segment.plane.position)]
    return group


def _derivation(frame: FrameRef) -> Dataset:
    """Derivation Image macro (PS3.3 Table C.7.6.16-7)."""
    origin = references.frame(frame)
    origin.PurposeOfReferenceCodeSequence = [codes.coded(codes.SOURCE_OF_PROCESSING)]
    origin.SpatialLocationsPreserved = "YES"
    return _item(
        SourceImageSequence=[origin],
        DerivationCodeSequence=[codes.coded(codes.SEGMENTATION)],
    )


def _item(**attributes: object) -> Dataset:
    item = Dataset()
    for keyword, attribute in attributes.items():
        setattr(item, keyword, attribute)
    return item
