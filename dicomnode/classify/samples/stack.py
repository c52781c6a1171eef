"""Which slices of a study make the stack that a model is shown: one series, whole and even.

What cannot be told apart from a stack with slices missing, doubled or moved is not analysed: a
volume put together wrongly looks like one that is right.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from dicomnode.classify.card.input import Input, Volume
from dicomnode.classify.samples.check import misfit, number, refusal
from dicomnode.classify.samples.images import Image, frame_count, header_of
from dicomnode.dicom.attributes import text
from dicomnode.dicom.geometry import Plane, plane
from dicomnode.dicom.pixels import guarded
from dicomnode.errors import Cause, NotAnalysable

__all__ = ["Slice", "Stack", "choose_stack"]

_EVEN_MM, _EVEN_SHARE = 0.1, 0.05  #: how far a slice may lie from its place: mm, or of the distance
_MOST_SLICES = 8192
_SAME_PLACE_MM = 0.01
_GAP = 1.5  #: so many usual distances are a gap where a slice is missing
_TURNED = 1e-3  #: of direction cosines, that are the same

_Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slice:
    """One frame of an image, and where it lies."""

    image: Image
    number: int  #: of the frame, from 1
    place: int  #: in the order of the study, from 0
    plane: Plane
    size: tuple[int, int]  #: rows, columns


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stack:
    """Slices of one size and direction, evenly spaced; two or more."""

    slices: tuple[Slice, ...]  #: along the normal of the first

    @property
    def origin(self) -> _Vector:
        """(3,), mm: the centre of the first pixel of the first slice."""
        return self.slices[0].plane.origin

    @property
    def steps(self) -> _Vector:
        """(3, 3): columns are the ways to the next slice, row and column, in mm.

        With a tilted gantry slices move along the table, not along their normal.
        """
        first, last = self.slices[0].plane, self.slices[-1].plane
        step = (last.origin - first.origin) / (len(self.slices) - 1)
        return np.stack([step, first.along_column, first.along_row], axis=1)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        return (len(self.slices), *self.slices[0].size)


def choose_stack(
    images: Sequence[Image], recipe: Input, grid: Volume, left_out: list[NotAnalysable]
) -> Stack:
    """The stack that the card wants; `left_out` gets a reason for each image that is not in it.

    Raises:
        NotAnalysable: there is none, more than one, or it is not whole and even.
    """
    series: dict[str, list[tuple[Image, int, Dataset]]] = {}
    for place, image in enumerate(images):
        header = header_of(image)
        if not frame_count(header):
            continue
        if (why := misfit(header, recipe) or _scout(header)) is not None:
            left_out.append(why)
        else:
            uid = text(header, "SeriesInstanceUID")
            series.setdefault(uid, []).append((image, place, header))
    slices = _slices(_wanted(list(series.values()), grid, left_out))
    _demand_one_direction(slices)
    normal = slices[0].plane.normal
    slices.sort(key=lambda one: float(one.plane.origin @ normal))
    stack = Stack(slices=tuple(slices))
    _demand_even(stack, grid)
    return stack


def _scout(header: Dataset) -> NotAnalysable | None:
    """A localizer shows where the slices lie, and is none of them (PS3.3 C.7.6.1.1.2, C.8.2.1)."""
    if "LOCALIZER" not in text(header, "ImageType").upper().split("\\"):
        return None
    return NotAnalysable("an image is a localizer", Cause.GEOMETRY)


def _wanted(
    series: list[list[tuple[Image, int, Dataset]]], grid: Volume, left_out: list[NotAnalysable]
) -> list[tuple[Image, int, Dataset]]:
    """The series that is looked at."""
    fitting = []
    for images in series:
        count = sum(frame_count(header) for _, _, header in images)
        if count > _MOST_SLICES:
            raise NotAnalysable(f"a series claims {count} slices", Cause.GEOMETRY)
        if count >= grid.min_slices:
            fitting.append((count, images))
            continue
        words = f"the model needs {grid.min_slices} slices; a series has {count}"
        left_out += [NotAnalysable(words, Cause.GEOMETRY)] * len(images)
    if not fitting:
        raise refusal(left_out)
    if len(fitting) > 1 and grid.series == "one":
        words = f"the study has {len(fitting)} series of slices, and the model is shown one"
        raise NotAnalysable(f"{words}: the pipeline has to choose", Cause.GEOMETRY)
    _, largest = max(fitting, key=lambda pair: pair[0])
    other = NotAnalysable("an image is of a series with fewer slices", Cause.GEOMETRY)
    left_out += [other for _, images in fitting if images is not largest for _ in images]
    return largest


def _slices(images: Sequence[tuple[Image, int, Dataset]]) -> list[Slice]:
    """Every frame of a series."""
    if len({text(header, "FrameOfReferenceUID") for _, _, header in images}) > 1:
        words = "slices of one series have different frames of reference"
        raise NotAnalysable(words, Cause.GEOMETRY)
    found = []
    for image, place, header in images:
        size = (number(header, "Rows"), number(header, "Columns"))
        for index in range(frame_count(header)):
            with guarded("attributes of a slice's place are wrong"):
                where = plane(header, index)
            if where is None:
                words = "a slice does not tell where it lies: position, orientation or spacing"
                raise NotAnalysable(words, Cause.GEOMETRY)
            found.append(Slice(image=image, number=index + 1, place=place, plane=where, size=size))
    return found


def _demand_one_direction(slices: Sequence[Slice]) -> None:
    first = slices[0]
    if any(one.size != first.size for one in slices):
        raise NotAnalysable("slices of one series differ in rows or columns", Cause.GEOMETRY)
    for one in slices:
        pairs = (
            (one.plane.along_row, first.plane.along_row),
            (one.plane.along_column, first.plane.along_column),
        )
        if any(_apart(*pair) > _TURNED for pair in pairs):
            words = "slices of one series differ in orientation or spacing"
            raise NotAnalysable(words, Cause.GEOMETRY)


def _apart(one: _Vector, other: _Vector) -> float:
    """How far two steps differ, in shares of their length."""
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


def _demand_even(stack: Stack, grid: Volume) -> None:
    origins = np.array([one.plane.origin for one in stack.slices])
    gaps = np.diff(origins @ stack.slices[0].plane.normal)
    usual = float(np.median(gaps))
    if gaps.min() < _SAME_PLACE_MM:
        words = "several slices of one series lie at the same place: phases, echoes or copies"
        raise NotAnalysable(words, Cause.GEOMETRY)
    if gaps.max() > _GAP * usual:
        words = f"a gap of {gaps.max():.2f} mm between slices that are {usual:.2f} mm apart"
        raise NotAnalysable(f"{words}: slices are missing", Cause.INCOMPLETE)
    places = stack.origin + np.arange(len(origins))[:, None] * stack.steps[:, 0]
    moved = float(np.linalg.norm(origins - places, axis=1).max())
    if moved > max(_EVEN_MM, _EVEN_SHARE * usual):
        words = f"slices are not evenly spaced along a line: one lies {moved:.2f} mm beside it"
        raise NotAnalysable(words, Cause.GEOMETRY)
    if grid.max_gap_mm is not None and usual > grid.max_gap_mm:
        words = f"slices are {usual:.2f} mm apart; the model is for {grid.max_gap_mm:.2f} at most"
        raise NotAnalysable(words, Cause.GEOMETRY)
