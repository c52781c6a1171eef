"""Drawn images of the gallery: radiographs, slices, pictures that move. They are nobody's."""

from copy import deepcopy
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.uid import (
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    UltrasoundMultiFrameImageStorage,
)

from dicomnode.learn.synthetic import synthetic_dx
from tests.factories import make_dataset, make_part10, uid

__all__ = ["cine", "ct", "grey", "knee", "lateral", "radiograph", "wide"]

_SIDE = 256  # pixels of a drawn slice


def radiograph(
    seed: int, *findings: str, name: str = "SYNTHETIC^ONE", spot: float = 0.0
) -> Dataset:
    """A chest; with a spot of that brightness, 0..1, in the right lung, and the rest darker."""
    ds = synthetic_dx(seed, findings, rows=768, patient_name=name)
    if spot:
        ds.PixelData = _spotted(ds.pixel_array, spot).tobytes()
    return ds


def lateral(of: Dataset, *, spot: float = 0.0) -> Dataset:
    """The same chest from the side, as far as a drawing can tell."""
    ds = deepcopy(of)
    middle = of.pixel_array[:, ds.Columns // 4 : ds.Columns // 4 * 3]
    shown = np.ascontiguousarray(middle[:, ::-1])
    ds.Columns = shown.shape[1]
    ds.PixelData = (_spotted(shown, spot) if spot else shown).tobytes()
    ds.SOPInstanceUID = uid("gallery lateral", of.SOPInstanceUID)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.ViewPosition, ds.PatientOrientation, ds.InstanceNumber = "LL", ["A", "F"], 2
    del ds.ViewCodeSequence
    return ds


def _spotted(shown: NDArray[np.uint16], brightness: float) -> NDArray[np.uint16]:
    rows, columns = shown.shape
    y, x = np.mgrid[0:rows, 0:columns]
    away = ((x - 0.3 * columns) / (0.06 * rows)) ** 2 + ((y - 0.42 * rows) / (0.05 * rows)) ** 2
    bright = np.maximum(0.8 * shown, np.rint(4095 * brightness * np.exp(-(away**4))))
    spotted: NDArray[np.uint16] = bright.astype("<u2")
    return spotted


def knee(study: str, name: str = "SYNTHETIC^ONE") -> Dataset:
    """Two bones and a narrow gap between them, with a bright edge."""
    y, x = np.mgrid[-1 : 1 : 2 * _SIDE * 1j, -1 : 1 : 2 * _SIDE * 1j]
    flesh = np.abs(x) < 0.72
    bone = np.abs(x) < 0.34 + 0.2 * np.exp(-(((np.abs(y) - 0.12) / 0.22) ** 2))
    gap = np.abs(y) < 0.04 - 0.035 * (x > 0)
    edge = ((x - 0.42) / 0.12) ** 2 + (y / 0.1) ** 2 < 1
    grey_levels = 300 + 900 * flesh + 1400 * (bone & ~gap) + 1495 * edge * (bone & ~gap)
    noise = np.random.default_rng(5).normal(0, 30, x.shape)
    return grey(
        study,
        1,
        np.clip(grey_levels + noise, 0, 4095).astype("<u2"),
        SOPClassUID=DigitalXRayImageStorageForPresentation,
        Modality="DX",
        BodyPartExamined="KNEE",
        StudyDescription="Knee, frontal",
        PatientName=name,
        PatientOrientation=["L", "F"],
        ViewPosition="AP",
        ImageLaterality="L",
        ImagerPixelSpacing=[0.4, 0.4],
        Rows=2 * _SIDE,
        Columns=2 * _SIDE,
        RescaleIntercept=0,
        WindowCenter=2048,
        WindowWidth=4096,
    )


def wide(seed: int) -> Dataset:
    """The upper half of a radiograph: an image much wider than high."""
    ds = radiograph(seed)
    ds.Rows //= 2
    ds.PixelData = ds.PixelData[: ds.Rows * ds.Columns * 2]
    return ds


def _slice(number: int, count: int) -> Any:
    """A body across: 12 bits (rows, columns), with two lungs, a spine and some noise."""
    y, x = np.mgrid[-1 : 1 : _SIDE * 1j, -1 : 1 : _SIDE * 1j]
    level = number / count
    body = (x / 0.9) ** 2 + (y / 0.65) ** 2 < 1
    lungs = ((np.abs(x) - 0.42) / 0.3) ** 2 + ((y + 0.05) / (0.3 + 0.15 * level)) ** 2 < 1
    spine = x**2 + (y - 0.42) ** 2 < 0.012
    tissue = 40 + 1060 * body - 860 * (lungs & body) + 700 * spine
    noise = np.random.default_rng(number).normal(0, 25, tissue.shape)
    return np.clip(tissue + noise, 0, 4095).astype("<u2")


def grey(study: str, number: int, frames: Any, **changes: Any) -> Dataset:
    """An image of a study of this name."""
    own = {
        "StudyInstanceUID": uid("gallery", study),
        "SeriesInstanceUID": uid("gallery series", study),
        "SOPInstanceUID": uid("gallery image", study, number),
        "PatientName": "SYNTHETIC^ONE",
        "PatientID": f"SYNTHETIC-{study.replace(' ', '-')}",
        "SeriesNumber": 1,
        "PixelData": frames.tobytes(),
    }
    ds = make_dataset(number, **({"Rows": _SIDE, "Columns": _SIDE} | own | changes))
    return dcmread(BytesIO(make_part10(ds)))  # with its transfer syntax


def ct(study: str, count: int = 6, *, nodule: int | None = None, **changes: Any) -> list[Dataset]:
    """Slices of a chest, 5 mm apart; with a calcified nodule about that slice."""
    own: dict[str, Any] = {
        "SOPClassUID": CTImageStorage,
        "Modality": "CT",
        "BodyPartExamined": "CHEST",
        "FrameOfReferenceUID": uid("gallery frame of reference", study),
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PatientOrientation": ["L", "P"],
        "PixelSpacing": [1.4, 1.4],
        "SliceThickness": 5,
        "RescaleIntercept": -1024,
        "RescaleSlope": 1,
        "WindowCenter": 40,
        "WindowWidth": 1400,
    }
    return [
        grey(
            study,
            number,
            _slice(number, count) if nodule is None else _with_nodule(number, count, nodule),
            ImagePositionPatient=[-175, -175, 5 * number],
            **(own | changes),
        )
        for number in range(1, count + 1)
    ]


def _with_nodule(number: int, count: int, at: int) -> NDArray[np.uint16]:
    y, x = np.mgrid[-1 : 1 : _SIDE * 1j, -1 : 1 : _SIDE * 1j]
    radius = 0.1 - 0.03 * abs(number - at)
    inside = (x + 0.45) ** 2 + (y + 0.1) ** 2 < max(radius, 0) ** 2
    return np.where(inside, 3000, _slice(number, count)).astype("<u2")


def cine(study: str, count: int = 3) -> Dataset:
    """A few frames of ultrasound."""
    return grey(
        study,
        1,
        np.stack([_slice(number, count) >> 3 for number in range(count)]).astype(np.uint8),
        SOPClassUID=UltrasoundMultiFrameImageStorage,
        Modality="US",
        NumberOfFrames=count,
        FrameTime=40,
        FrameIncrementPointer=0x00181063,
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        RescaleIntercept=None,
        RescaleSlope=None,
        WindowCenter=None,
        WindowWidth=None,
    )
