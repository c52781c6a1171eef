"""Means over a grid, said so that every runtime understands it."""

import torch
from torch.nn.functional import adaptive_avg_pool2d, adaptive_avg_pool3d, avg_pool2d, avg_pool3d

__all__ = ["grid_means"]


def grid_means(maps: torch.Tensor, grid: int) -> torch.Tensor:
    """The mean in each place of a grid: (n, channels, ...) to `grid` places on each axis.

    In a trace by parts of one size, where it can be: ONNX knows those whatever comes before them.
    """
    edges = [int(edge) for edge in maps.shape[2:]]
    solid = len(edges) == 3
    tracing = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    if tracing and not any(edge % grid for edge in edges):
        return (avg_pool3d if solid else avg_pool2d)(maps, [edge // grid for edge in edges])
    return (adaptive_avg_pool3d if solid else adaptive_avg_pool2d)(maps, grid)
