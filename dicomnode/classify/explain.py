"""Why a finding is present: a heat map by Grad-CAM, and the regions that stand out in it."""

from collections.abc import Iterator

import numpy as np
import torch
from monai.visualize import GradCAM
from numpy.typing import NDArray

from dicomnode.classify.card import Explanation
from dicomnode.classify.preprocess import Placement, Prepared, resize
from dicomnode.records import Region

__all__ = ["MAX_REGIONS", "Explainer", "regions"]

MAX_REGIONS = 5
_MIN_AREA = 0.002  #: of the frame; smaller regions are specks
_NEIGHBOURS = ((-1, 0), (1, 0), (0, -1), (0, 1))


class Explainer:
    """Heat maps of one network; keeps its hooks in it."""

    def __init__(self, network: torch.nn.Module, explanation: Explanation) -> None:
        self._fraction = explanation.region_fraction
        self._device = next(network.parameters()).device
        self._cam = GradCAM(nn_module=network, target_layers=explanation.layer)

    def explain(
        self, prepared: Prepared, label: int
    ) -> tuple[NDArray[np.float32], tuple[Region, ...]]:
        """The heat map of one label in source pixels, 0..1, and its regions."""
        placement = prepared.placement
        image = prepared.tensor[None].to(self._device).requires_grad_()
        with torch.enable_grad():
            coarse = self._cam.compute_map(image, class_idx=label)
        size = prepared.tensor.shape[-1]
        heat = placement.crop(resize(coarse[0, 0].detach().cpu().numpy(), size, size))
        heat = heat / (heat.max() or np.float32(1))
        source = resize(heat, placement.rows, placement.columns)
        return source, regions(heat, self._fraction, placement)


def regions(heat: NDArray[np.float32], fraction: float, placement: Placement) -> tuple[Region, ...]:
    """Outlines, in source pixels, of what lies above `fraction` of the maximum; largest first.

    `heat` covers the frame's part of the network's square. Outlines are convex hulls.
    """
    if heat.max() <= 0:
        return ()
    parts = [
        p for p in _components(heat >= fraction * heat.max()) if len(p) >= _MIN_AREA * heat.size
    ]
    parts.sort(key=len, reverse=True)
    offset = np.array([placement.left, placement.top])
    outlines = (placement.to_source(_hull(_corners(part)) + offset) for part in parts)
    return tuple(
        Region(outline=tuple((float(column), float(row)) for column, row in outline))
        for outline, _ in zip(outlines, range(MAX_REGIONS), strict=False)
    )


def _components(mask: NDArray[np.bool_]) -> Iterator[list[tuple[int, int]]]:
    """Pixels (row, column) that touch edge to edge, group by group."""
    left = {(int(row), int(column)) for row, column in np.argwhere(mask)}
    while left:
        group = [left.pop()]
        for row, column in group:  # grows while it is walked
            for down, right in _NEIGHBOURS:
                if (near := (row + down, column + right)) in left:
                    left.remove(near)
                    group.append(near)
        yield group


def _corners(pixels: list[tuple[int, int]]) -> NDArray[np.int64]:
    """The corners (column, row) of all pixels, sorted, each once."""
    cells = np.array(pixels, dtype=np.int64)[:, ::-1]
    steps = np.array([(0, 0), (0, 1), (1, 0), (1, 1)])
    return np.unique((cells[:, None] + steps[None]).reshape(-1, 2), axis=0)


def _hull(points: NDArray[np.int64]) -> NDArray[np.float64]:
    """The convex hull of sorted points, closed (Andrew's monotone chain)."""

    def half(chain: NDArray[np.int64]) -> list[tuple[int, int]]:
        kept: list[tuple[int, int]] = []
        for x, y in ((int(x), int(y)) for x, y in chain):
            while len(kept) > 1 and _turn(kept[-2], kept[-1], (x, y)) <= 0:
                kept.pop()
            kept.append((x, y))
        return kept

    return np.array(half(points) + half(points[::-1])[1:], dtype=np.float64)


def _turn(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> int:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
