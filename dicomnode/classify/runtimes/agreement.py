"""Does another way of running a network say the same? Asked of made-up images, always the same."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import interpolate

from dicomnode.classify.calibration import probabilities
from dicomnode.classify.card.card import Card
from dicomnode.classify.novelty import Usual
from dicomnode.classify.runtimes.runtime import Runtime, Said

__all__ = ["Check", "clouds"]

_MARGIN = 2.0  #: images that were not asked may differ more than those that were
_NOVELTY = 10.0  #: as much of its threshold may a novelty score differ as of probability, times so
_WIDEST = 8  #: scales of the clouds, each half as coarse as the one before


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Check:
    """Images, and what the network says of them in torch."""

    card: Card
    usual: Usual | None
    images: torch.Tensor
    said: Said

    def strain(self, runtime: Runtime) -> float:
        """How far a runtime strains what the card tolerates: up to 1 it agrees.

        The images are asked in one batch, and the first of them alone too, as a runtime may go
        about that in another way.
        """
        alone, together = runtime.run(self.images[:1]), runtime.run(self.images)
        apart = max(self._apart(alone), self._apart(together))
        if self.usual is not None:
            apart = max(apart, self._novelty_apart(self.usual, together))
        allowed = self.card.running.tolerance / _MARGIN
        return apart / allowed if np.isfinite(apart) else float("inf")

    def _apart(self, said: Said) -> float:
        """The largest difference of a probability, of the first images or all of them."""
        right = self.said.logits[: len(said.logits)]
        if said.logits.shape != right.shape:
            return float("inf")
        here, there = (
            probabilities(each, self.card.calibration, self.card.output)
            for each in (said.logits, right)
        )
        return float(np.abs(here - there).max())

    def _novelty_apart(self, usual: Usual, said: Said) -> float:
        """The largest difference of a novelty score, by the larger of itself and the threshold."""
        if self.card.novelty is None or self.said.features is None:
            return 0.0
        if said.features is None or said.features.shape != self.said.features.shape:
            return float("inf")
        worst = 0.0
        for here, there in zip(said.features, self.said.features, strict=True):
            right = usual.score(there)
            apart = abs(usual.score(here) - right) / max(right, self.card.novelty.threshold)
            worst = max(worst, apart if np.isfinite(apart) else float("inf"))
        return worst / _NOVELTY


def clouds(card: Card, count: int, seed: int) -> torch.Tensor:
    """Prepared inputs (count, ...): clouds of eight scales, bright and dark, rich and poor."""
    recipe = card.input
    generator = torch.Generator().manual_seed(seed)
    edges = recipe.shape[1:]
    views = recipe.shape[0] // recipe.channels
    mean, std = (
        torch.tensor(v * views).reshape(-1, *(1 for _ in edges)) for v in (recipe.mean, recipe.std)
    )
    made = []
    for index in range(count):
        scale = 2 ** (index % _WIDEST + 1)
        coarse = [max(1, min(edge, scale)) for edge in edges]
        noise = torch.randn(1, views, *coarse, generator=generator)
        smooth = interpolate(noise, edges, mode="trilinear" if len(edges) == 3 else "bilinear")[0]
        level, contrast = torch.rand(2, generator=generator).tolist()
        shown = (0.3 + 0.4 * level + (0.1 + 0.3 * contrast) * smooth).clamp(0, 1)
        made.append((shown.repeat_interleave(recipe.channels, 0) - mean) / std)
    return torch.stack(made)
