"""Images to judge explanations by, with the places of their findings where those are known."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dicomnode.answers import FrameRef
from dicomnode.classify.samples.images import read_image
from dicomnode.dicom.pixels import Frame, frames
from dicomnode.errors import ConfigError, Mistake, NotAnalysable, NotFound, StoreError
from dicomnode.learn.drawing import FINDINGS, Box, draw
from dicomnode.learn.picture_files import is_picture, read_grey
from dicomnode.records import InstanceRef

__all__ = [
    "FIRST_PATIENT",
    "Boxes",
    "Case",
    "Masks",
    "from_folder",
    "list_images",
    "read_boxes",
    "synthetic",
]

#: Seed of the first drawing. From here on drawings are measured by: none is trained on, and nothing
#: (a method, a layer, a share) was ever chosen by one.
FIRST_PATIENT = 4_000_000
_PREVALENCE = 0.35  #: of each finding, independently; a drawing has at least one
_ROWS = 512
_COLUMNS = ("file", "label", "x", "y", "width", "height")

Boxes = Mapping[str, tuple[Box, ...]]  #: by label: left, top, right, bottom in source pixels
Masks = Mapping[str, NDArray[np.bool_]]  #: by label: (rows, columns) of the source frame


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """One frame, and where its findings lie: pixel by pixel where that is known, else in boxes."""

    frame: Frame
    boxes: Boxes = field(default_factory=dict)
    masks: Masks = field(default_factory=dict)

    @property
    def findings(self) -> frozenset[str]:
        """Labels that are known to be present; empty: nothing is known."""
        return frozenset({*self.boxes, *self.masks})

    def lies_on(self, label: str, place: NDArray[np.float64]) -> bool | None:
        """Is a place (column, row) in source pixels on the finding? None where that is not known.

        By its mask where there is one, else by whether one of its boxes holds the place.
        """
        column, row = (float(number) for number in place)
        if label in self.masks:
            mask = self.masks[label]
            rows, columns = mask.shape
            return bool(mask[min(int(row), rows - 1), min(int(column), columns - 1)])
        if label not in self.boxes:
            return None
        return any(
            left <= column <= right and top <= row <= bottom
            for left, top, right, bottom in self.boxes[label]
        )


def synthetic(count: int, first: int = FIRST_PATIENT) -> Iterator[Case]:
    """Drawn radiographs with one finding or more each, and its mask; the same every time."""
    for patient in range(first, first + count):
        rng = np.random.default_rng(patient)
        findings = [name for name in FINDINGS if rng.random() < _PREVALENCE]
        drawn = draw(patient, findings or [FINDINGS[patient % len(FINDINGS)]], rows=_ROWS)
        pixels = (drawn.pixels / 4095).astype(np.float32)
        yield Case(frame=_frame(pixels), masks=drawn.masks)


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
        frame = _picture(path) if is_picture(path) else _first_frame(path)
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
    """Grey of a picture, its values spread over the width of their type; None if it is broken."""
    try:
        grey = read_grey(path)
    except NotAnalysable:
        return None
    return _frame(grey.astype(np.float32) / np.float32(np.iinfo(grey.dtype).max))


def _first_frame(path: Path) -> Frame | None:
    """None if this is no DICOM file, is broken, or is none of an image."""
    try:
        dataset = read_image(path)
    except (NotAnalysable, StoreError):
        return None
    return next(frames(dataset, [1])) if "PixelData" in dataset else None


def _frame(pixels: NDArray[np.float32]) -> Frame:
    nobody = InstanceRef(sop_class_uid="", sop_instance_uid="", series_uid="", study_uid="")
    rows, columns = pixels.shape
    ref = FrameRef(image=nobody, frame=None, rows=rows, columns=columns)
    return Frame(ref=ref, pixels=pixels, rgb=None, aspect=1.0)
