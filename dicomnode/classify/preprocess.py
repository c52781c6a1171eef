"""Frame to what the network sees, and the way back. Training calls the same function."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from dicomnode.classify.card import Input
from dicomnode.dicom.pixels import Frame
from dicomnode.records import FrameRef

__all__ = ["Placement", "Prepared", "prepare", "resize"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where the source frame lies in the network's square, in pixels of the square."""

    rows: int  #: of the source frame
    columns: int
    top: int
    left: int
    height: int
    width: int

    def to_source(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(column, row) in the square to (column, row) in the source, 0\\0 its outer corner."""
        scale = np.array([self.columns / self.width, self.rows / self.height])
        source: NDArray[np.float64] = (points - np.array([self.left, self.top])) * scale
        return source.clip(0, np.array([self.columns, self.rows]))

    def to_square(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(column, row) in the source to (column, row) in the square."""
        scale = np.array([self.width / self.columns, self.height / self.rows])
        square: NDArray[np.float64] = points * scale + np.array([self.left, self.top])
        return square

    def crop(self, square: NDArray[np.float32]) -> NDArray[np.float32]:
        """The part of a map over the square that lies on the frame."""
        return square[self.top : self.top + self.height, self.left : self.left + self.width]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """One frame as the network sees it."""

    ref: FrameRef
    tensor: torch.Tensor  #: float32, (channels, size_px, size_px)
    placement: Placement


def prepare(frame: Frame, recipe: Input) -> Prepared:
    """Resize with antialiasing to square pixels, pad with black, normalise."""
    placement = _place(frame, recipe)
    square = torch.zeros(recipe.size_px, recipe.size_px)
    bottom, right = placement.top + placement.height, placement.left + placement.width
    square[placement.top : bottom, placement.left : right] = torch.from_numpy(
        resize(frame.pixels, placement.height, placement.width)
    )
    mean, std = (torch.tensor(v).reshape(-1, 1, 1) for v in (recipe.mean, recipe.std))
    return Prepared(ref=frame.ref, tensor=(square - mean) / std, placement=placement)


def resize(pixels: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Bilinear, antialiased where it shrinks; pixel edges, not centres, are aligned."""
    source = torch.from_numpy(np.ascontiguousarray(pixels))[None, None]
    target = interpolate(
        source, size=(rows, columns), mode="bilinear", antialias=True, align_corners=False
    )
    return np.asarray(target[0, 0].numpy(), dtype=np.float32)


def _place(frame: Frame, recipe: Input) -> Placement:
    rows, columns = frame.pixels.shape
    size = recipe.size_px
    height = width = size
    if recipe.resize == "pad":
        tall = rows * frame.aspect
        scale = size / max(tall, columns)
        height = min(size, max(1, round(tall * scale)))
        width = min(size, max(1, round(columns * scale)))
    return Placement(
        rows=rows,
        columns=columns,
        top=(size - height) // 2,
        left=(size - width) // 2,
        height=height,
        width=width,
    )
