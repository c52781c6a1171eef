"""Samples to answers: through the network in batches, then by the card's calibration."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from dicomnode.classify.calibration import answered
from dicomnode.classify.card.card import Card
from dicomnode.classify.novelty import Usual
from dicomnode.classify.runtimes.batched import Batched
from dicomnode.classify.runtimes.runtime import Said
from dicomnode.classify.samples.look import Look, Outcome, Sample
from dicomnode.errors import ModelError, NotAnalysable

__all__ = ["Asking"]

_BATCH = 16  #: samples of a study that go through the network together


class Asking:
    """Asks one network; safe to use from several threads, as its runtime is."""

    def __init__(self, card: Card, runtime: Batched, usual: Usual | None = None) -> None:
        self._card = card
        self._runtime = runtime
        self._usual = usual

    def outcomes(
        self, samples: Iterable[tuple[int, Sample | NotAnalysable]]
    ) -> Iterator[tuple[int, Outcome]]:
        """What comes of each sample, in order, beside the number that it came with.

        What is not to be shown to the network at all is passed on.

        Raises:
            ModelError: the network cannot be run, or answers with something not a number.
        """
        left = iter(samples)
        while told := self._batch(left):
            yield from told

    def _batch(
        self, left: Iterator[tuple[int, Sample | NotAnalysable]]
    ) -> list[tuple[int, Outcome]]:
        """What comes of as many as go through together; others' batches wait a little for them."""
        with self._runtime.coming() as run:
            batch = list(islice(left, _BATCH))
            shown = [sample for _, sample in batch if not isinstance(sample, NotAnalysable)]
            said = run(torch.stack([sample.tensor for sample in shown])) if shown else None
        told = iter(self._told(shown, said) if said else ())
        return [
            (number, sample if isinstance(sample, NotAnalysable) else next(told))
            for number, sample in batch
        ]

    def _told(self, samples: Sequence[Sample], said: Said) -> list[Outcome]:
        if said.logits.shape[1:] != (self._card.numbers,):
            given = "x".join(str(size) for size in said.logits.shape[1:])
            wanted = f"the card's labels need {self._card.numbers} numbers"
            raise ModelError(f"{self._card.name}: {wanted}, and the network gives {given}")
        return [
            self._unfamiliar(said, index)
            or Look(sample=sample.kept(), scores=self._scores(said.logits[index]))
            for index, sample in enumerate(samples)
        ]

    def _unfamiliar(self, said: Said, index: int) -> NotAnalysable | None:
        if self._usual is None:
            return None
        if said.features is None:
            raise ModelError(f"{self._card.name}: {self._runtime.name} gives no features to judge")
        return self._usual.unfamiliar(said.features[index])

    def _scores(self, logits: NDArray[np.float64]) -> tuple[float, ...]:
        """Probability of each label, calibrated and rounded, and never certain."""
        answer = answered(logits, self._card.calibration, self._card.output)
        if not np.all(np.isfinite(answer)):
            raise ModelError(f"{self._card.name}: the network answers with something not a number")
        return tuple(float(probability) for probability in answer)
