"""What each place of an image adds to a network's answer, and how to teach it to lie on findings.

A DenseNet answers with the mean of what its last places say. HiResCAM on its last layer shows just
these, so what they are taught is what is shown.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import conv2d, cosine_similarity

from dicomnode.classify.explaining.cells import Cells, covered
from dicomnode.classify.samples.preprocess import Placement, resize

__all__ = ["by_place", "in_places", "misplaced"]


def by_place(network: torch.nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What each place adds, (images, labels, places, places), and what no place does, (labels).

    The mean of the first and the second are what MONAI's DenseNet answers.
    """
    features = network.get_submodule("features")(images).relu()
    weight = network.get_parameter("class_layers.out.weight")[:, :, None, None]
    return conv2d(features, weight), network.get_parameter("class_layers.out.bias")


def in_places(
    masks: Sequence[NDArray[np.bool_] | None], placement: Placement, cells: Cells, size_px: int
) -> torch.Tensor:
    """Which share of each place each mask covers, (masks, places, places); None covers none.

    Masks are of the source frame, which lies in the network's square of `size_px` by `placement`.
    """
    square = np.zeros((len(masks), size_px, size_px), dtype=np.float32)
    for area, mask in zip(square, masks, strict=True):
        if mask is not None:
            scaled = resize(mask.astype(np.float32), placement.height, placement.width)
            placement.crop(area)[:] = scaled
    places = [round(size_px / axis.pitch) for axis in cells]
    return covered(torch.from_numpy(square), cells, places)


def misplaced(places: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """How unlike what speaks for a finding is to where it lies, 0..1; mean of those that are there.

    One less the cosine, which asks for the shape and leaves the strength to the answer. Both are
    (images, labels, places, places).
    """
    heat, lies = places.relu().flatten(2), where.flatten(2)
    found = (lies.amax(2) > 0).float()
    unlike = (1 - cosine_similarity(heat, lies, dim=2)) * found
    return unlike.sum() / found.sum().clamp(min=1)
