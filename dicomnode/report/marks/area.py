"""Which pixels an outline holds."""

import numpy as np
from numpy.typing import NDArray

from dicomnode.answers import Region

__all__ = ["inside"]


def inside(regions: tuple[Region, ...], rows: int, columns: int) -> NDArray[np.uint8]:
    """1 for every pixel whose centre lies in a region, else 0: uint8 (rows, columns).

    The centre of the first pixel is at (0.5, 0.5) (PS3.3 C.18.6.1.2). An outline that crosses
    itself holds what lies in it an odd number of times.
    """
    mask = np.zeros((rows, columns), dtype=np.uint8)
    for region in regions:
        _fill(mask, np.asarray(region.outline, dtype=np.float64))
    return mask


def _fill(mask: NDArray[np.uint8], points: NDArray[np.float64]) -> None:
    """Going along a row, each crossing of the outline leads in or out."""
    at_row, at_column = _crossings(points, mask.shape[0])
    if not at_row.size:
        return
    at_column = np.clip(np.ceil(at_column - 0.5), 0, mask.shape[1]).astype(np.intp)
    top, left = at_row.min(), at_column.min()
    shape = (at_row.max() - top + 1, at_column.max() - left + 1)
    turns = np.zeros(shape, dtype=np.uint8)
    np.bitwise_xor.at(turns, (at_row - top, at_column - left), 1)
    held = np.bitwise_xor.accumulate(turns, axis=1)[:, :-1]
    mask[top : top + shape[0], left : left + shape[1] - 1] |= held


def _crossings(
    points: NDArray[np.float64], rows: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Where the outline crosses the middle of a row: the row, and the column as a fraction."""
    begin, end = points, np.roll(points, -1, axis=0)
    upper = np.where((begin[:, 1] <= end[:, 1])[:, None], begin, end)
    lower = np.where((begin[:, 1] <= end[:, 1])[:, None], end, begin)
    first = np.clip(np.ceil(upper[:, 1] - 0.5), 0, rows).astype(np.intp)
    behind = np.clip(np.ceil(lower[:, 1] - 0.5), 0, rows).astype(np.intp)
    edge = np.repeat(np.arange(len(points)), behind - first)
    nth = np.arange(len(edge)) - np.repeat(
        np.cumsum(behind - first) - (behind - first), behind - first
    )
    row = first[edge] + nth
    run, fall = (lower - upper)[edge].T
    return row, upper[edge, 0] + (row + 0.5 - upper[edge, 1]) * run / fall
