"""Kind of input "volume": a stack of slices as a grid along the patient's axes, and the way back.

Slices are first made smaller where they are finer than the grid, so that nothing is skipped; then
each voxel is taken where it lies among them, by their true places: oblique, tilted, in any order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import grid_sample, interpolate

from dicomnode.answers import FrameRef
from dicomnode.classify.card.input import Axis, Input, Volume
from dicomnode.classify.samples.images import Image, measure
from dicomnode.classify.samples.preprocess import resize
from dicomnode.classify.samples.stack import Stack, choose_stack
from dicomnode.errors import Cause, NotAnalysable

__all__ = ["Grid", "Seen", "sample_on", "volume"]

_Vector = NDArray[np.float64]
_Map = NDArray[np.float32]

_MOST_VOXELS = 1 << 29  #: 2 GiB
#: In the patient's coordinates: x to the left, y to the back, z to the head (PS3.3 C.7.6.2.1.1).
_WAYS: dict[Axis, tuple[int, int, int]] = {
    "L": (1, 0, 0), "R": (-1, 0, 0),
    "P": (0, 1, 0), "A": (0, -1, 0),
    "S": (0, 0, 1), "I": (0, 0, -1),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """Where voxels lie: voxel (i, j, k) at `origin + steps @ (i, j, k)`, in mm of the patient."""

    origin: _Vector  #: (3,)
    steps: _Vector  #: (3, 3), a column each axis
    shape: tuple[int, int, int]

    def within(self, other: "Grid") -> tuple[_Vector, _Vector]:
        """A (3, 3) and a (3,) that bring places of this grid to places of another."""
        back: _Vector = np.linalg.inv(other.steps).astype(np.float64)
        turn: _Vector = back @ self.steps
        shift: _Vector = back @ (self.origin - other.origin)
        return turn, shift


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """A volume as the network sees it: a sample."""

    tensor: torch.Tensor  #: float32, (channels, *size_vox)
    frames: tuple[FrameRef, ...]  #: in order of the study
    grid: Grid  #: of the tensor
    stack: Grid  #: of the slices: slice, row, column
    slices: dict[int, FrameRef]  #: those that the grid reaches, by number in the stack

    def kept(self) -> Self:
        """Itself: it is put together in the host's memory."""
        return self


def volume(images: Sequence[Image], recipe: Input, left_out: list[NotAnalysable]) -> Seen:
    """The study's stack as the card wants it; `left_out` gets a reason for each other image.

    Raises:
        NotAnalysable: there is no such stack, it is not whole, or its pixels are broken.
    """
    if recipe.volume is None:
        raise ValueError("the recipe is of no volume")
    chosen = choose_stack(images, recipe, recipe.volume, left_out)
    stack = Grid(origin=chosen.origin, steps=chosen.steps, shape=chosen.shape)
    grid = _grid(stack, recipe.volume)
    reached = _reached(grid, stack)
    refs, slices = _read(chosen, stack, grid)
    values, coarse = _thinned(slices, grid)
    tensor = sample_on(grid, _scaled(values, recipe.volume), coarse)
    if (contrast := float(tensor.std(correction=0))) < recipe.min_contrast:
        words = f"the model needs a contrast of {recipe.min_contrast:.2f}; a volume has"
        raise NotAnalysable(f"{words} {contrast:.2f}", Cause.UNFAMILIAR)
    beside = NotAnalysable("a slice lies beside what the model is shown", Cause.GEOMETRY)
    left_out += [beside] * (len(refs) - len(reached))
    mean, std = (torch.tensor(v).reshape(-1, 1, 1, 1) for v in (recipe.mean, recipe.std))
    return Seen(
        tensor=(tensor - mean) / std,
        frames=tuple(refs[at] for at in sorted(reached, key=lambda at: _in_study(chosen, at))),
        grid=grid,
        stack=stack,
        slices={at: refs[at] for at in reached},
    )


def _in_study(chosen: Stack, at: int) -> tuple[int, int]:
    return chosen.slices[at].place, chosen.slices[at].number


def _grid(stack: Grid, wanted: Volume) -> Grid:
    """The grid of the card, its middle on the middle of the stack."""
    ways = np.array([_WAYS[axis] for axis in wanted.axes], dtype=np.float64).T
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in stack.shape])).reshape(3, -1)
    along = ways.T @ (stack.steps @ corners + stack.origin[:, None])
    low, high = along.min(1), along.max(1)
    size = np.array(wanted.size_vox)
    spacing = (high - low) / size if wanted.spacing_mm is None else np.array(wanted.spacing_mm)
    first = (low + high) / 2 - spacing * (size - 1) / 2
    return Grid(origin=ways @ first, steps=ways * spacing, shape=wanted.size_vox)


def _reached(grid: Grid, stack: Grid) -> list[int]:
    """Which slices have a part within the grid, by number."""
    turn, shift = grid.within(stack)
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in grid.shape])).reshape(3, -1)
    across = (turn @ corners)[0] + shift[0]
    return [at for at in range(stack.shape[0]) if across.min() - 0.5 < at < across.max() + 0.5]


# --- slices to voxels -----------------------------------------------------------------------


def _read(chosen: Stack, stack: Grid, grid: Grid) -> tuple[list[FrameRef], tuple[_Map, Grid]]:
    """Every slice as what it measures, no finer than the grid needs."""
    fine_rows, fine_columns = (_fitting(stack, grid, axis) for axis in (1, 2))
    shape = (len(chosen.slices), fine_rows, fine_columns)
    if np.prod(shape) > _MOST_VOXELS:
        words = f"a series has more voxels than can be held: {' x '.join(map(str, shape))}"
        raise NotAnalysable(words, Cause.GEOMETRY)
    found = np.empty(shape, dtype=np.float32)
    refs: dict[int, FrameRef] = {}
    order = sorted(range(len(chosen.slices)), key=lambda at: _in_study(chosen, at))
    for _, group in groupby(order, key=lambda at: chosen.slices[at].place):
        places = list(group)
        numbers = [chosen.slices[at].number for at in places]
        image = chosen.slices[places[0]].image
        for at, (ref, values) in zip(places, measure(image, numbers), strict=True):
            found[at] = resize(_whole(values), fine_rows, fine_columns)
            refs[at] = ref
    fine = _coarser(_coarser(stack, 1, fine_rows), 2, fine_columns)
    return [refs[at] for at in range(len(refs))], (found, fine)


def _whole(values: _Map) -> _Map:
    """Where no pixel is, a slice is as dark as it is anywhere."""
    absent = np.isnan(values)
    if not absent.any():
        return values
    darkest = np.float32(0) if absent.all() else np.nanmin(values)
    return np.where(absent, darkest, values)


def _scaled(values: torch.Tensor, wanted: Volume) -> torch.Tensor:
    """As the card wants what is measured; 0 is what lies beside the slices."""
    if wanted.standardise is not None:
        return _standardised(values, zeros_stay=wanted.standardise == "nonzero")
    low, high = wanted.intensity or (0.0, 1.0)
    if wanted.percentiles is not None:
        low, high = (float(bound) for bound in np.percentile(values.numpy(), wanted.percentiles))
    return ((values - low) / ((high - low) or 1.0)).clamp(0, 1)


def _standardised(values: torch.Tensor, *, zeros_stay: bool) -> torch.Tensor:
    """As MONAI's NormalizeIntensity does."""
    counts = values != 0 if zeros_stay else torch.ones_like(values, dtype=torch.bool)
    if not counts.any():
        return values
    seen = values[counts]
    spread = float(seen.std(correction=0)) or 1.0
    return torch.where(counts, (values - seen.mean()) / spread, values)


def _fitting(stack: Grid, grid: Grid, axis: int) -> int:
    """How many voxels in a direction of the stack are as fine as the grid there, or all there are.

    A step of the stack is measured in steps of the grid.
    """
    turn, _ = stack.within(grid)
    return min(stack.shape[axis], max(1, round(stack.shape[axis] * np.linalg.norm(turn[:, axis]))))


def _coarser(stack: Grid, axis: int, count: int) -> Grid:
    """The same stack with `count` voxels in one direction; their outer edges stay."""
    ratio = stack.shape[axis] / count
    steps, shape = stack.steps.copy(), list(stack.shape)
    origin = stack.origin + steps[:, axis] * (ratio - 1) / 2
    steps[:, axis] *= ratio
    shape[axis] = count
    return Grid(origin=origin, steps=steps, shape=(shape[0], shape[1], shape[2]))


def _thinned(slices: tuple[_Map, Grid], grid: Grid) -> tuple[torch.Tensor, Grid]:
    """Slices that lie closer than the grid needs, made fewer: each the mean of some."""
    values, stack = slices
    count, rows, columns = values.shape
    wanted = _fitting(stack, grid, 0)
    flat = torch.from_numpy(values).reshape(1, 1, count, rows * columns)
    if wanted < count:
        size = (wanted, rows * columns)
        flat = interpolate(flat, size=size, mode="bilinear", antialias=True)
    return flat.reshape(wanted, rows, columns), _coarser(stack, 0, wanted)


def sample_on(grid: Grid, values: torch.Tensor, source: Grid) -> torch.Tensor:
    """Values of one grid where the voxels of another lie: straight between, 0 outside.

    (source shape) to (1, *grid shape), a layer at a time, as a whole grid of places is large.
    """
    turn, shift = grid.within(source)
    _, rows, columns = grid.shape
    down, right = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    first = down[..., None] * turn[:, 1] + right[..., None] * turn[:, 2] + shift
    size = np.array(source.shape)
    share, step = torch.from_numpy((2 * first + 1) / size - 1), 2 * turn[:, 0] / size
    layers = [  # places as shares of the source: -1 and 1 are its outer edges
        grid_sample(
            values[None, None],
            (share + torch.from_numpy(index * step))[None, None].flip(-1).float(),
            align_corners=False,
        )
        for index in range(grid.shape[0])
    ]
    return torch.cat(layers, dim=2)[0]
