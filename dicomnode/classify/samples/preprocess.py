"""Frame to what the network sees, and the way back. Training calls the same function.

Where the network is on a GPU, a frame goes there once, as it was decoded, and is prepared there.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from dicomnode.answers import FrameRef
from dicomnode.classify.card.input import Input
from dicomnode.dicom.pixels import Frame

__all__ = ["HOST", "Placement", "Prepared", "prepare", "resize"]

HOST = torch.device("cpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where the source frame lies in the network's square, in pixels of the square."""

    rows: int  #: of the source frame
    columns: int
    top: int
    left: int
    height: int
    width: int
    cut_rows: int = 0  #: of the source frame that are not in the square, half above, half below
    cut_columns: int = 0

    @classmethod
    def whole(cls, rows: int, columns: int) -> Self:
        """A frame that is itself what is looked at, as large as it is."""
        return cls(rows=rows, columns=columns, top=0, left=0, height=rows, width=columns)

    @property
    def shown(self) -> tuple[slice, slice]:
        """Rows and columns of the source that are in the square."""
        above, aside = self.cut_rows // 2, self.cut_columns // 2
        bottom, right = above + self.rows - self.cut_rows, aside + self.columns - self.cut_columns
        return slice(above, bottom), slice(aside, right)

    def to_source(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(column, row) in the square to (column, row) in the source, 0\\0 its outer corner."""
        rows, columns = self.shown
        shown = np.array([columns.stop - columns.start, rows.stop - rows.start])
        inside = (points - np.array([self.left, self.top])) * (shown / [self.width, self.height])
        source: NDArray[np.float64] = inside + np.array([columns.start, rows.start])
        return source.clip(0, np.array([self.columns, self.rows]))

    def crop(self, square: NDArray[np.float32]) -> NDArray[np.float32]:
        """The part of a map over the square that lies on the frame."""
        return square[self.top : self.top + self.height, self.left : self.left + self.width]

    def over_source(self, part: NDArray[np.float32]) -> NDArray[np.float32]:
        """What `crop` gave, in pixels of the source frame; 0 where that is not in the square."""
        whole = np.zeros((self.rows, self.columns), dtype=np.float32)
        rows, columns = self.shown
        whole[rows, columns] = resize(part, rows.stop - rows.start, columns.stop - columns.start)
        return whole


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """One frame as the network sees it."""

    ref: FrameRef
    tensor: torch.Tensor  #: float32, (channels, size_px, size_px)
    placement: Placement

    @property
    def frames(self) -> tuple[FrameRef, ...]:
        """What it was made of."""
        return (self.ref,)

    def kept(self) -> Self:
        """The same in the host's memory, for whoever explains or remembers it."""
        return replace(self, tensor=self.tensor.cpu())


def prepare(frame: Frame, recipe: Input, device: torch.device = HOST) -> Prepared:
    """Resize with antialiasing to square pixels, pad with black or cut, normalise: on `device`.

    Each device computes the same, up to the rounding of float32.
    """
    placement = _place(frame, recipe)
    shown = torch.from_numpy(np.ascontiguousarray(frame.pixels[placement.shown]))
    try:
        tensor = _normalised(_sent(shown, device), placement, recipe)
    except RuntimeError:
        # A GPU has no room for a large frame, or no way to shrink it so far: here there is both.
        if device.type == "cpu":
            raise
        tensor = _sent(_normalised(shown, placement, recipe), device)
    return Prepared(ref=frame.ref, tensor=tensor, placement=placement)


def _sent(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Values on a device; the host does not wait for a GPU to have them."""
    if device.type == "cuda":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


def _normalised(shown: torch.Tensor, at: Placement, recipe: Input) -> torch.Tensor:
    """(rows, columns) of the frame to (channels, size_px, size_px), on its device."""
    square = shown.new_zeros(recipe.size_px, recipe.size_px)
    small = _resized(shown, at.height, at.width)
    square[at.top : at.top + at.height, at.left : at.left + at.width] = small
    channels = zip(recipe.mean, recipe.std, strict=True)  # as tensors they would be waited for
    return torch.stack([(square - mean) / std for mean, std in channels])


def resize(pixels: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Bilinear, antialiased where it shrinks; pixel edges, not centres, are aligned."""
    target = _resized(torch.from_numpy(np.ascontiguousarray(pixels)), rows, columns)
    return np.asarray(target.numpy(), dtype=np.float32)


def _resized(values: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    size = (rows, columns)
    target = interpolate(
        values[None, None], size=size, mode="bilinear", antialias=True, align_corners=False
    )
    return target[0, 0]


def _place(frame: Frame, recipe: Input) -> Placement:
    rows, columns = frame.pixels.shape
    size = recipe.size_px
    height = width = size
    cut_rows = cut_columns = 0
    tall = rows * frame.aspect
    if recipe.resize == "crop":
        edge = min(tall, columns)
        cut_rows, cut_columns = rows - max(1, round(edge / frame.aspect)), columns - round(edge)
    if recipe.resize == "pad":
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
        cut_rows=max(0, cut_rows),
        cut_columns=max(0, min(cut_columns, columns - 1)),
    )
