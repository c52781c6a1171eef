"""Batches to learn from: which images, in which order, varied how; all by seed, epoch and place.

Nothing depends on what was drawn before, so a run that goes on after a kill sees what it would have
seen, and any number of threads or processes gives the same images.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate
from torch.utils.data import DataLoader, Dataset, Sampler

from dicomnode.classify.card.input import Input
from dicomnode.learn.training.augment import Varying
from dicomnode.learn.training.pictures import Pictures

__all__ = ["Batches", "chance", "seen", "seen_as"]

_ORDER, _MIX, _RUN = 1, 2, 3  #: what a seed is for; pictures have none of these

Key = tuple[int, int, int]  #: epoch, place of an image, and which time it is drawn in the epoch


def chance(seed: int, *place: int) -> int:
    """A seed for one place of a run."""
    words = np.random.SeedSequence((seed, *place)).generate_state(2)
    return int(words[0]) << 31 ^ int(words[1])


class Batches(Sampler[list[Key]]):
    """The batches of an epoch: every image once, or by weight; what is left over waits.

    With several processes each has its own part of every batch.
    """

    def __init__(
        self,
        images: NDArray[np.intp],
        weights: NDArray[np.float64] | None,
        batch: int,
        seed: int,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        """`part` is the number of this process, and how many there are."""
        self._images = images
        self._weights = weights
        self._batch = min(batch, len(images))
        self._seed = seed
        self._part = part
        self.epoch = 0

    def __len__(self) -> int:
        return len(self._images) // self._batch

    def __iter__(self) -> Iterator[list[Key]]:
        draw = np.random.default_rng((self._seed, _ORDER, self.epoch))
        count, (rank, processes) = len(self._images), self._part
        if self._weights is None:
            order = draw.permutation(count)
        else:
            order = draw.choice(count, count, p=self._weights / self._weights.sum())
        drawn: Counter[int] = Counter()
        keys = []
        for image in (int(self._images[place]) for place in order):
            keys.append((self.epoch, image, drawn[image]))
            drawn[image] += 1
        for step in range(len(self)):
            yield keys[step * self._batch : (step + 1) * self._batch][rank::processes]

    def mixing(self, step: int) -> torch.Generator:
        """What decides how this process mixes a batch."""
        place = (_MIX, self.epoch, step, self._part[0])
        return torch.Generator().manual_seed(chance(self._seed, *place))

    def begin(self, epoch: int) -> None:
        """Let all that draws from torch itself, such as dropout, begin as this epoch does."""
        self.epoch = epoch
        torch.manual_seed(chance(self._seed, _RUN, epoch, self._part[0]))


class _Varied(Dataset[tuple[torch.Tensor, int]]):
    """Grey images, each varied by its epoch."""

    def __init__(self, pictures: Pictures, varying: Varying, seed: int) -> None:
        self._pictures = pictures
        self._varying = varying
        self._seed = seed

    def __getitem__(self, key: Key) -> tuple[torch.Tensor, int]:
        epoch, index, time = key
        return self._varying(self._pictures[index], (self._seed, epoch, index, time)), index


def seen(
    pictures: Pictures, varying: Varying, batches: Batches, seed: int, workers: int, *, pinned: bool
) -> DataLoader[tuple[torch.Tensor, int]]:
    """Batches of grey images (images, 1, size, size), and the places of those.

    The processes beside the training begin empty: a fork would copy locks that threads of this one
    hold.
    """
    return DataLoader(
        _Varied(pictures, varying, seed),
        batch_sampler=batches,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
        persistent_workers=workers > 0,
        pin_memory=pinned,
        generator=torch.Generator().manual_seed(seed),
    )


def seen_as(grey: torch.Tensor, given: Input) -> torch.Tensor:
    """Grey images 0..1 (images, 1, size, size) as the network sees them: as `prepare` ends."""
    if grey.shape[-1] != given.size_px:
        size = (given.size_px, given.size_px)
        grey = interpolate(grey, size=size, mode="bilinear", antialias=True)
    mean, std = (_column(values, grey) for values in (given.mean, given.std))
    return (grey - mean) / std


def _column(values: Sequence[float], grey: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values, device=grey.device).reshape(1, -1, 1, 1)
