"""Why a finding of several views is present: the view that speaks most for it, and where on that.

The view is the one without which the answer falls most: each in turn is covered with its own mean.
"""

from collections.abc import Sequence

import torch

from dicomnode.classify.card.explanation import Explanation
from dicomnode.classify.explaining.explain import Explainer
from dicomnode.classify.explaining.shown import Shown
from dicomnode.classify.networks.each_view import EachView
from dicomnode.classify.samples.look import Sample
from dicomnode.classify.samples.views import Views
from dicomnode.errors import ModelError

__all__ = ["ViewsExplainer"]


class ViewsExplainer:
    """Explains what one network says of several views, as its card tells."""

    def __init__(self, network: torch.nn.Module, explanation: Explanation) -> None:
        self._network = network
        self._explanation = explanation
        shared = network.backbone if isinstance(network, EachView) else None
        self._backbone = Explainer(shared, explanation) if shared is not None else None

    def shown(self, sample: Sample, numbers: Sequence[int]) -> list[Shown]:
        """Of each of the network's numbers: the view that speaks most for it, and where on it."""
        if not isinstance(sample, Views):
            raise ModelError("a network for several views is shown something else")
        speaking = self._speaking(sample, numbers)
        shown: dict[int, Shown] = {}
        for view in set(speaking):
            mine = [n for n, at in zip(numbers, speaking, strict=True) if at == view]
            told = self._explainer(sample, view).shown(sample.parts[view], mine)
            shown |= dict(zip(mine, told, strict=True))
        return [shown[number] for number in numbers]

    def _speaking(self, sample: Views, numbers: Sequence[int]) -> list[int]:
        """Which view speaks most for each number, by place in the card's slots."""
        covered = sample.tensor.repeat(1 + len(sample.parts), 1, 1, 1)
        channels = len(sample.tensor) // len(sample.parts)
        for at, part in enumerate(sample.parts):
            covered[1 + at, at * channels : (at + 1) * channels] = part.tensor.mean()
        device = next(self._network.parameters()).device
        with torch.no_grad():
            whole, *without = self._network(covered.to(device)).cpu()
        fallen = whole - torch.stack(without)
        return [int(fallen[:, number].argmax()) for number in numbers]

    def _explainer(self, sample: Views, view: int) -> Explainer:
        if self._backbone is not None:
            return self._backbone
        return Explainer(_Among(self._network, sample.tensor, view), self._explanation)


class _Among(torch.nn.Module):
    """A network that is shown one view, the others of a sample staying as they are."""

    def __init__(self, network: torch.nn.Module, sample: torch.Tensor, view: int) -> None:
        super().__init__()
        self._network = network
        self._sample = sample
        self._view = view

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Takes (images, channels, height, width) of the one view."""
        count, channels = images.shape[:2]
        others = self._sample.to(images).expand(count, *self._sample.shape)
        before, after = self._view * channels, (self._view + 1) * channels
        said: torch.Tensor = self._network(
            torch.cat([others[:, :before], images, others[:, after:]], dim=1)
        )
        return said
