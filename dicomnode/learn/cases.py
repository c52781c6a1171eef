"""Images to judge explanations by, with the places of their findings where those are known."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from dicomnode.dicom.pixels import Frame, frames
from dicomnode.errors import ConfigError, Mistake, NotFound
from dicomnode.learn.drawing import FINDINGS, Box, draw
from dicomnode.records import FrameRef, InstanceRef

__all__ = [
    "FIRST_PATIENT",
    "Boxes",
    "Case",
    "from_folder",
    "list_images",
    "read_boxes",
    "synthetic",
]

#: Seed of the first drawing: none of them was drawn for training or for the card's measures.
FIRST_PATIENT = 3_000_000
_PREVALENCE = 0.35  #: of each finding, independently; a drawing has at least one
_ROWS = 512
_COLUMNS = ("file", "label", "x", "y", "width", "height")
_PICTURES = frozenset({".png", ".jpg", ".jpeg"})

Boxes = Mapping[str, tuple[Box, ...]]  #: by label: left, top, right, bottom in source pixels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """One frame, and where its findings lie."""

    frame: Frame
    boxes: Boxes = field(default_factory=dict)  #: empty: nothing is known


def synthetic(count: int, first: int = FIRST_PATIENT) -> Iterator[Case]:
    """Drawn radiographs with one finding or more each; the same every time."""
    for patient in range(first, first + count):
        rng = np.random.default_rng(patient)
        findings = [name for name in FINDINGS if rng.random() < _PREVALENCE]
        drawn = draw(patient, findings or [FINDINGS[patient % len(FINDINGS)]], rows=_ROWS)
        boxes = {name: (box,) for name, box in drawn.boxes.items()}
        yield Case(frame=_frame((drawn.pixels / 4095).astype(np.float32)), boxes=boxes)


def list_images(folder: Path) -> list[Path]:
    """The files of a folder, DICOM or pictures; NotFound if there is none."""
    if not folder.is_dir() or not (found := sorted(p for p in folder.iterdir() if p.is_file())):
        raise NotFound(f"{folder}: is no folder with images")
    return found


def from_folder(images: list[Path], boxes: Mapping[str, Boxes]) -> Iterator[Case]:
    """Each image that can be read, its first frame; `boxes` are by file name.

    NotAnalysable if the pixels of one are broken.
    """
    for path in images:
        frame = _picture(path) if path.suffix.lower() in _PICTURES else _first_frame(path)
        if frame is not None:
            yield Case(frame=frame, boxes=boxes.get(path.name, {}))


def read_boxes(path: Path) -> dict[str, Boxes]:
    """A table (CSV) with the columns file, label, x, y, width, height: one box a line, in pixels.

    x and y are those of the box's left upper corner. ConfigError names line and column.
    """
    found: dict[str, dict[str, tuple[Box, ...]]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.DictReader(file)
            if absent := set(_COLUMNS) - set(lines.fieldnames or ()):
                problem = f"there is no column {', '.join(sorted(absent))}"
                raise ConfigError(Mistake(file=path, line=1, problem=problem))
            for line in lines:
                x, y, width, height = (_number(path, lines.line_num, line, k) for k in _COLUMNS[2:])
                of_file = found.setdefault(line["file"], {})
                box = (x, y, x + width, y + height)
                of_file[line["label"]] = (*of_file.get(line["label"], ()), box)
    except (OSError, UnicodeDecodeError) as error:
        raise NotFound(f"{path}: cannot be read: {type(error).__name__}") from error
    return dict(found)


def _number(path: Path, line: int, row: Mapping[str, str | None], key: str) -> float:
    try:
        return float(row[key] or "")
    except ValueError:
        mistake = Mistake(file=path, line=line, key=key, problem="is no number of pixels")
        raise ConfigError(mistake) from None


def _picture(path: Path) -> Frame | None:
    """Grey of a picture, its values spread over the width of their type."""
    try:
        with Image.open(path) as picture:
            deep = picture.mode.startswith("I")
            grey = np.asarray(picture if deep else picture.convert("L"), dtype=np.float32)
    except (OSError, UnidentifiedImageError):
        return None
    return _frame((grey / (65535 if deep else 255)).astype(np.float32))


def _first_frame(path: Path) -> Frame | None:
    """None if this is no DICOM file, or none of an image."""
    try:
        dataset: Dataset = dcmread(path)
    except (InvalidDicomError, EOFError, OSError):
        return None
    return next(frames(dataset, [1])) if "PixelData" in dataset else None


def _frame(pixels: NDArray[np.float32]) -> Frame:
    nobody = InstanceRef(sop_class_uid="", sop_instance_uid="", series_uid="", study_uid="")
    rows, columns = pixels.shape
    ref = FrameRef(image=nobody, frame=None, rows=rows, columns=columns)
    return Frame(ref=ref, pixels=pixels, rgb=None, aspect=1.0)
