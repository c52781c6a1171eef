"""Sources, predictions and orders for the tests of `report`: synthetic bodies, Gaussian heat."""

import struct
import warnings
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.uid import CTImageStorage, DigitalXRayImageStorageForPresentation

from dicomnode.answers import (
    Concept,
    Finding,
    FrameRef,
    Interval,
    ModelRef,
    OperatingPoint,
    Prediction,
    Presence,
    Region,
    Result,
)
from dicomnode.records import InstanceRef, ResultKind
from dicomnode.report.request import Order, Source
from dicomnode.report.results import make_results
from tests.factories import make_dataset

CODES = {
    "Cardiomegaly": Concept(value="287272002", scheme="SCT", meaning="Cardiomegaly"),
    "Pleural effusion": Concept(value="60046008", scheme="SCT", meaning="Pleural effusion"),
    "Nodule": Concept(value="27925004", scheme="SCT", meaning="Nodule"),
    "Pneumothorax": Concept(value="36118008", scheme="SCT", meaning="Pneumothorax"),
}

MODEL = ModelRef(
    name="demonstration",
    version="1.0.0",
    digest="5e" * 32,
    manufacturer="dicomnode",
    intended_use="Trying the node out",
    disclaimer="Demonstration model, trained on synthetic images. Not for clinical use.",
    explanation="Grad-CAM",
    views=("PA", "AP"),
)


def chest(rows: int, columns: int) -> NDArray[np.uint8]:
    """Something like a frontal chest radiograph: lungs, heart, a little noise."""
    y, x = np.mgrid[0:rows, 0:columns] / np.array([rows, columns]).reshape(2, 1, 1)
    grey = 0.75 - 0.2 * (y - 0.5) ** 2
    for left in (0.29, 0.71):
        grey -= 0.6 * np.exp(-((((x - left) / 0.15) ** 2 + ((y - 0.45) / 0.3) ** 2) ** 3))
    grey += 0.4 * np.exp(-((((x - 0.56) / 0.14) ** 2 + ((y - 0.66) / 0.13) ** 2) ** 2))
    grey += np.random.default_rng(7).normal(0, 0.015, grey.shape)
    return np.repeat((np.clip(grey, 0, 1) * 255).astype(np.uint8)[..., np.newaxis], 3, axis=2)


def heat(frame: FrameRef, x: float, y: float, width: float = 0.12) -> NDArray[np.float32]:
    rows, columns = np.mgrid[0 : frame.rows, 0 : frame.columns]
    away = ((columns / frame.columns - x) ** 2 + (rows / frame.rows - y) ** 2) / width**2
    return np.asarray(np.exp(-away), dtype=np.float32)


def ring(frame: FrameRef, x: float, y: float, radius: float = 0.1) -> Region:
    angles = np.linspace(0, 2 * np.pi, 25)
    points = zip(
        (x + radius * np.cos(angles)) * frame.columns,
        (y + radius * np.sin(angles)) * frame.rows,
        strict=True,
    )
    return Region(outline=tuple((float(column), float(row)) for column, row in points))


def make_header(number: int = 1, *, rows: int = 160, columns: int = 160, **changes: Any) -> Dataset:
    """A chest radiograph without its pixels."""
    own: dict[str, Any] = {
        "SOPClassUID": DigitalXRayImageStorageForPresentation,
        "Modality": "DX",
        "BodyPartExamined": "CHEST",
        "PatientOrientation": ["L", "F"],
        "ReferringPhysicianName": "SYNTHETIC^REFERRER",
        "StudyDescription": "Chest, frontal",
        "PatientAge": "055Y",
        "BurnedInAnnotation": "NO",
        "PixelData": None,
    }
    ds = make_dataset(number, **(own | changes))
    ds.Rows, ds.Columns = rows, columns
    return ds


def frame_of(header: Dataset, frame: int | None = None) -> FrameRef:
    image = InstanceRef(
        sop_class_uid=str(header.SOPClassUID),
        sop_instance_uid=str(header.SOPInstanceUID),
        series_uid=str(header.SeriesInstanceUID),
        study_uid=str(header.StudyInstanceUID),
    )
    return FrameRef(image=image, frame=frame, rows=header.Rows, columns=header.Columns)


def make_source(*headers: Dataset) -> Source:
    return Source(
        headers=headers or [make_header()], display=lambda frame: chest(frame.rows, frame.columns)
    )


def make_finding(label: str, frame: FrameRef, probability: float, **changes: Any) -> Finding:
    presence = Presence.PRESENT if probability >= 0.5 else Presence.ABSENT
    concept = CODES.get(label) or Concept(
        value=label.replace(" ", "-").lower(), scheme="99TEST", meaning=label
    )
    finding = Finding(
        label=label,
        concept=concept,
        probability=probability,
        threshold=0.5,
        presence=presence,
        frame=frame,
    )
    return replace(finding, **changes)


def make_prediction(source: Source, regions: int = 1, **changes: Any) -> Prediction:
    """Four findings; effusion is present with so many regions, or with 0 nothing is present."""
    frames = tuple(frame_of(header) for header in source.headers)
    chosen = frames[len(frames) // 2]
    spots = [(0.7, 0.72), (0.3, 0.4), (0.3, 0.75)][:regions]
    maps = [heat(chosen, *spot) for spot in spots]
    effusion = make_finding("Pleural effusion", chosen, 0.97 if regions else 0.03)
    if regions:
        effusion = replace(
            effusion,
            heat=np.max(maps, axis=0),
            regions=tuple(ring(chosen, *spot) for spot in spots),
        )
    others = [
        make_finding("Cardiomegaly", chosen, 0.12),
        make_finding("Nodule", chosen, 0.41, presence=Presence.UNDETERMINED),
        make_finding("Pneumothorax", chosen, 0.0004),
    ]
    made = Prediction(model=MODEL, frames=frames, findings=(others[0], effusion, *others[1:]))
    return replace(made, **changes)


POINT = OperatingPoint(
    sensitivity=Interval(value=0.9123, low=0.88, high=0.935),
    specificity=Interval(value=0.89, low=0.861, high=0.914),
    positives=120,
    negatives=300,
    data="drawings",
)


def measured(prediction: Prediction, calibration: str = "temperature") -> Prediction:
    """The same, calibrated, and with the operating point of each finding but the last."""
    *most, last = prediction.findings
    return replace(
        prediction,
        model=replace(prediction.model, calibration=calibration),
        findings=(*(replace(finding, operating=POINT) for finding in most), last),
    )


ORDER = Order(
    pipeline="chest",
    revision=1,
    made_at=datetime(2025, 3, 4, 23, 30, 0, tzinfo=UTC),
    kinds=frozenset({ResultKind.SR, ResultKind.SC}),
    ae_title="DICOMNODE",
    received=1,
    expected=1,
    partial=False,
)


def make_ct(count: int = 5) -> Source:
    """Slices of one CT series."""
    headers = [
        make_header(
            number,
            SOPClassUID=CTImageStorage,
            Modality="CT",
            FrameOfReferenceUID="2.25.77",
        )
        for number in range(1, count + 1)
    ]
    return make_source(*headers)


def earlier_report(source: Source) -> InstanceRef:
    return InstanceRef(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.33",
        sop_instance_uid="2.25.4711",
        series_uid="2.25.4712",
        study_uid=str(source.headers[0].StudyInstanceUID),
    )


def read(result: Result) -> Dataset:
    return dcmread(BytesIO(result.part10))


def report_of(results: Sequence[Result]) -> Dataset:
    """The Structured Report among the results, decoded."""
    return read(next(result for result in results if result.kind is ResultKind.SR))


def picture_of(results: Sequence[Result]) -> Dataset:
    """The first Secondary Capture among the results, decoded."""
    return read(next(result for result in results if result.kind is ResultKind.SC))


def made(source: Source | None = None, regions: int = 1, **order: Any) -> tuple[Result, ...]:
    """Results of a plain order, changed as told."""
    source = source or make_source()
    return make_results(source, make_prediction(source, regions), replace(ORDER, **order))


def made_of(source: Source, *findings: Finding, **order: Any) -> tuple[Result, ...]:
    """Results of these findings and no others, the order changed as told."""
    return make_results(source, make_prediction(source, findings=findings), replace(ORDER, **order))


def raw_header(**values: bytes) -> Dataset:
    """A header as some sender encoded it, read back: only UIDs, sizes, and these bytes."""
    plain = make_header()
    elements = {
        keyword: str(plain[keyword].value).encode()
        for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
    } | values
    encoded = b""
    for tag, keyword in sorted((tag_for_keyword(keyword) or 0, keyword) for keyword in elements):
        value = elements[keyword] + b" " * (len(elements[keyword]) % 2)
        vr = dictionary_VR(tag).encode()
        encoded += struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's own, on a character set it does not know
        header = dcmread(BytesIO(encoded), force=True)
    header.Rows, header.Columns = plain.Rows, plain.Columns
    return header
