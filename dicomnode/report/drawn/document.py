"""Encapsulated PDF: the pages of a result as an object (PS3.3 section A.45.1)."""

from collections.abc import Iterator

from pydicom import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from dicomnode.report import codes, identity
from dicomnode.report.drawn.page import placard_pages, result_pages
from dicomnode.report.drawn.placard import Placard
from dicomnode.report.references import instance
from dicomnode.report.request import Making, Order

__all__ = ["documents", "placard_document"]


def documents(making: Making) -> Iterator[tuple[Dataset, None]]:
    """The one document, without file meta information."""
    uid, series_uid = making.uid("pdf", "1"), making.uid("pdf", "series")
    prediction, order = making.prediction, making.order
    ds = _new(making.patient, prediction, order, uid, series_uid, "AI report (PDF)")
    images = dict.fromkeys(frame.image for frame in prediction.frames)
    ds.SourceInstanceSequence = [instance(image) for image in images]
    _add_pages(ds, result_pages(making, ds), order.words.say("page.title"))
    yield ds, None


def placard_document(
    header: Dataset, placard: Placard, order: Order, *, uid: str, series_uid: str
) -> Dataset:
    """The page in the place of a document; derived from no image."""
    ds = _new(header, placard, order, uid, series_uid, placard.series)
    _add_pages(ds, placard_pages(ds, placard, order), placard.title)
    return ds


def _new(
    header: Dataset,
    answer: identity.Answer,
    order: Order,
    uid: str,
    series_uid: str,
    title: str,
) -> Dataset:
    """Encapsulated Document Series, equipment, SC Equipment (C.24.1, C.7.5.1, C.8.6.1)."""
    ds = identity.copied(header)
    ds.SOPClassUID = EncapsulatedPDFStorage
    ds.SOPInstanceUID = uid
    ds.Modality = "DOC"
    identity.add_series(ds, answer, order, series_uid, title, "7")
    identity.add_equipment(ds, header, answer.model, order)
    ds.ConversionType = "WSD"
    return ds


def _add_pages(ds: Dataset, pdf: bytes, title: str) -> None:
    """Encapsulated Document module (PS3.3 Table C.24-2)."""
    ds.ContentDate, ds.ContentTime = ds.SeriesDate, ds.SeriesTime
    ds.AcquisitionDateTime = ""
    ds.BurnedInAnnotation = "YES"  # the pages name the patient
    identity.put(ds, "DocumentTitle", title)
    ds.ConceptNameCodeSequence = [codes.coded(codes.IMAGING_REPORT)]
    ds.VerificationFlag = "UNVERIFIED"
    ds.MIMETypeOfEncapsulatedDocument = "application/pdf"
    ds.EncapsulatedDocumentLength = len(pdf)
    ds.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
