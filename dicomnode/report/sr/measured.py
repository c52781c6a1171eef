"""Prediction to Structured Report: the modules of a Comprehensive SR around the content tree."""

from collections.abc import Iterator, Sequence

from pydicom import Dataset

from dicomnode.answers import Prediction
from dicomnode.records import InstanceRef, ResultKind
from dicomnode.report import codes
from dicomnode.report.request import Made, Making
from dicomnode.report.sr.document import Naming, document
from dicomnode.report.sr.tree import content

__all__ = ["reports", "reports_3d"]


def reports(making: Making) -> Iterator[tuple[Dataset, None]]:
    """The one report, without file meta information (PS3.3 section A.35.3)."""
    yield _report(making, ResultKind.SR), None


def reports_3d(making: Making) -> Iterator[tuple[Dataset, None]]:
    """The same as a Comprehensive 3D SR (PS3.3 section A.35.13), as IHE AIR wants it."""
    yield _report(making, ResultKind.SR3D), None


def _report(making: Making, kind: ResultKind) -> Dataset:
    source, prediction, order = making.source, making.prediction, making.order
    pictures = making.made_of(ResultKind.SC)
    naming = Naming(
        kind=kind,
        uid=making.uid(kind, "1"),
        series_uid=making.uid(kind, "series"),
        title="AI report",
    )
    ds = document(making.patient, prediction, order, naming, _referenced(prediction, pictures))
    schemes = (finding.concept.scheme for finding in prediction.findings)
    ds.CodingSchemeIdentificationSequence = codes.private_schemes([codes.PRIVATE_SCHEME, *schemes])
    ds.update(content(source, prediction, order, pictures, ds.SOPInstanceUID))
    return ds


def _referenced(prediction: Prediction, pictures: Sequence[Made]) -> Iterator[InstanceRef]:
    yield from dict.fromkeys(frame.image for frame in prediction.frames)
    yield from (picture.ref for picture in pictures)
