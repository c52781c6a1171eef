"""Kinds of input that look at several images at once: one sample of a whole study."""

from collections.abc import Sequence

import torch

from dicomnode.classify.card.input import Input
from dicomnode.classify.samples.images import Image
from dicomnode.classify.samples.look import Sample
from dicomnode.classify.samples.preprocess import HOST
from dicomnode.classify.samples.views import views
from dicomnode.classify.samples.volume import volume
from dicomnode.errors import NotAnalysable

__all__ = ["together"]


def together(
    images: Sequence[Image],
    recipe: Input,
    left_out: list[NotAnalysable],
    device: torch.device = HOST,
) -> Sample:
    """The sample that the card wants to see; `left_out` gets a reason for each image not in it.

    Views are prepared on `device`; a volume is put together on the host.

    Raises:
        NotAnalysable: what the model needs is missing, or the pixels of an image are broken.
    """
    if recipe.kind == "volume":
        return volume(images, recipe, left_out)
    return views(images, recipe, left_out, device)
