"""Ways of one image, by MONAI: the same image, epoch and seed give the same variation."""

from collections.abc import Callable, Sequence
from math import radians
from threading import local
from typing import Any

import numpy as np
import torch
from monai.data import set_track_meta
from monai.transforms import (
    Compose,
    Rand2DElastic,
    RandAdjustContrast,
    RandAffine,
    RandBiasField,
    RandCoarseDropout,
    RandFlip,
    RandGaussianNoise,
    RandGaussianSharpen,
    RandGaussianSmooth,
    RandHistogramShift,
    RandScaleIntensity,
    RandShiftIntensity,
    RandSimulateLowResolution,
)

from dicomnode.learn.training import ways
from dicomnode.learn.training.ways import OfImage

__all__ = ["Varying"]

_FILLS = {"black": "zeros", "edge": "border", "mirror": "reflection"}
Transform = Callable[[torch.Tensor], torch.Tensor]


class Varying:
    """All ways of one image of a recipe, in order; any thread or process may call it."""

    def __init__(self, chosen: Sequence[OfImage], size: int) -> None:
        self._chosen = tuple(chosen)
        self._size = size
        self._own = local()  # MONAI's transforms hold what they drew last

    def __reduce__(self) -> tuple[type["Varying"], tuple[Sequence[OfImage], int]]:
        return Varying, (self._chosen, self._size)

    def __call__(self, image: torch.Tensor, seed: Sequence[int]) -> torch.Tensor:
        """A grey image (1, size, size), 0..1, varied as this seed says; it is not changed."""
        if not self._chosen:
            return image
        set_track_meta(False)  # plain tensors: nothing is to be undone
        transforms = self._transforms()
        transforms.set_random_state(int(np.random.SeedSequence(seed).generate_state(1)[0]))
        varied: torch.Tensor = transforms(image.clone())
        return torch.as_tensor(varied, dtype=torch.float32)

    def _transforms(self) -> Any:  # MONAI has no types
        if not hasattr(self._own, "transforms"):
            self._own.transforms = Compose([_made(way, self._size) for way in self._chosen])
        return self._own.transforms


def _made(way: OfImage, size: int) -> Transform:
    made: Transform = _spatial(way, size) or _grey(way, size)
    return made


def _spatial(way: OfImage, size: int) -> Any:
    match way:
        case ways.Flip():
            return RandFlip(way.prob, spatial_axis=1 if way.axis == "horizontal" else 0)
        case ways.Affine():
            return RandAffine(
                way.prob,
                rotate_range=radians(way.rotate_deg),
                shear_range=(way.shear, way.shear),
                translate_range=way.shift * size,
                scale_range=_scales(way.zoom),
                padding_mode=_FILLS[way.fill],
            )
        case ways.Rotate():
            angle = radians(way.degrees)
            return RandAffine(way.prob, rotate_range=angle, padding_mode=_FILLS[way.fill])
        case ways.Zoom():
            scales = _scales(way.range)
            return RandAffine(way.prob, scale_range=scales, padding_mode=_FILLS[way.fill])
        case ways.Elastic():
            spacing = max(2.0, way.spacing * size)
            shifts = (way.shift[0] * size, way.shift[1] * size)
            fill = _FILLS[way.fill]
            return Rand2DElastic((spacing, spacing), shifts, way.prob, padding_mode=fill)
    return None


def _scales(zoom: tuple[float, float]) -> tuple[tuple[float, float], tuple[float, float]]:
    """MONAI scales the grid that looks into the image: things become larger as it gets smaller."""
    smallest, largest = zoom
    scale = (1 / largest - 1, 1 / smallest - 1)
    return scale, scale


def _grey(way: OfImage, size: int) -> Any:
    match way:
        case ways.Contrast():
            return RandAdjustContrast(way.prob, gamma=way.gamma)
        case ways.Gain():
            return RandScaleIntensity(way.factor, way.prob)
        case ways.Brightness():
            return RandShiftIntensity(way.offset, prob=way.prob)
        case ways.Histogram():
            return RandHistogramShift(way.points, way.prob)
        case ways.BiasField():
            return RandBiasField(way.degree, (-way.strength, way.strength), prob=way.prob)
    return _detector(way, size)


def _detector(way: OfImage, size: int) -> Any:
    match way:
        case ways.Noise():
            return RandGaussianNoise(way.prob, std=way.deviation)
        case ways.Smooth():
            return RandGaussianSmooth(way.sigma_px, way.sigma_px, prob=way.prob)
        case ways.Sharpen():
            return RandGaussianSharpen(alpha=way.amount, prob=way.prob)
        case ways.LowResolution():
            return RandSimulateLowResolution(
                way.prob, upsample_mode="bilinear", zoom_range=way.range
            )
        case ways.Dropout():
            edge = max(1, round(way.size * size))
            return RandCoarseDropout(
                1,
                max(1, edge // 4),
                fill_value=0.5,
                max_holes=way.holes,
                max_spatial_size=edge,
                prob=way.prob,
            )
    raise NotImplementedError(f"{way.name} is a way of a batch")
