"""What an error costs: of each output beside the truth, a teacher, or both.

Costs are worked out for each output beside each image's labels, so that a mixed image can pay for
several. Where the truth of a label is not known it costs nothing.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax

from dicomnode.classify.card.output import Output
from dicomnode.learn.training.recipe import Loss, Teacher

__all__ = ["Goals", "Objective", "answer_weights", "asked", "goals"]

_SUREST = 1e-5  #: a teacher's probability is at least so far from 0 and 1


@dataclass(frozen=True, slots=True, eq=False)
class Goals:
    """What the outputs for some images should be; all (images, numbers), float32."""

    hard: torch.Tensor  #: 1 or 0, or on the scale of `soft` for a regression
    known: torch.Tensor  #: how much `hard` counts, 0 to 1
    soft: torch.Tensor  #: logits of the teacher
    taught: torch.Tensor  #: how much `soft` counts, 0 to 1

    def of(self, images: torch.Tensor, device: torch.device) -> "Goals":
        """Those of some images, by their places."""
        parts = (self.hard, self.known, self.soft, self.taught)
        return Goals(*(part[images].to(device) for part in parts))


def asked(truth: NDArray[np.float64], output: Output) -> NDArray[np.float64]:
    """What the network's numbers stand for: truth of labels (images, labels) to (images, numbers).

    Of an ordinal output they are the steps: is it this grade or a higher one?
    """
    if output.kind == "binary" and output.softmax:
        return np.concatenate([1 - truth, truth], axis=1)
    if output.kind == "ordinal" and not output.softmax:
        return np.flip(np.cumsum(np.flip(truth, 1), axis=1), 1)[:, 1:]
    return truth


def goals(
    truth: NDArray[np.float64],
    taught: NDArray[np.float64] | None,
    teacher: Teacher | None,
    training: NDArray[np.intp],
    *,
    scaled: bool = False,
) -> Goals:
    """Goals of all images; scales come from those to learn from only.

    `scaled` brings the truth to mean 0 and deviation 1, as a regression wants it.

    `truth` and `taught` (a teacher's probabilities) are (images, numbers), NaN where not known.
    """
    known, hard = ~np.isnan(truth), np.nan_to_num(truth)
    scaled = scaled or (teacher is not None and teacher.loss == "regression")
    if scaled:
        hard = np.nan_to_num(_scaled(truth, training))
    if taught is None or teacher is None:
        nothing = np.zeros_like(hard)
        return _goals(hard, known, nothing, nothing)
    p = np.clip(taught, _SUREST, 1 - _SUREST)
    logits = np.log(p / (1 - p))
    there = ~np.isnan(taught)
    if scaled:
        logits = _scaled(logits, training)
    share = np.where(there, teacher.weight, 0.0)
    own = np.where(known, np.where(there, 1 - teacher.weight, 1.0), 0.0)
    whole = np.where(own + share > 0, own + share, 1.0)
    return _goals(hard, own / whole, np.nan_to_num(logits), share / whole)


def _scaled(values: NDArray[np.float64], training: NDArray[np.intp]) -> NDArray[np.float64]:
    """Each label with mean 0 and deviation 1 over the images to learn from."""
    seen = values[training]
    spread = np.maximum(np.nanstd(seen, axis=0), 1e-3)
    scaled: NDArray[np.float64] = (values - np.nanmean(seen, axis=0)) / spread
    return scaled


def _goals(*parts: NDArray[np.float64] | NDArray[np.bool_]) -> Goals:
    return Goals(*(torch.from_numpy(part.astype(np.float32)) for part in parts))


class Objective:
    """The cost of a batch, by the recipe."""

    def __init__(
        self, output: Output, loss: Loss, teacher: Teacher | None, truth: NDArray[np.float64]
    ) -> None:
        """`truth` of the images to learn from, (images, numbers), is what weights come from."""
        self._exclusive = output.softmax
        self._loss = loss
        self._teacher = teacher
        weights = answer_weights(truth, loss, exclusive=self._exclusive)
        self._present, self._absent = (torch.from_numpy(w.astype(np.float32)) for w in weights)

    def __call__(
        self, outputs: torch.Tensor, goal: Goals, shares: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The mean cost of an answer: outputs (images, numbers) beside the goals of as many images.

        `shares` say of whose labels an image is to be judged by, (images, images).
        """
        outputs = outputs.float()
        if shares is None:
            cost = self._cost(outputs, goal)
        else:
            every = Goals(goal.hard[None], goal.known[None], goal.soft[None], goal.taught[None])
            pairs = outputs[:, None].expand(-1, len(outputs), -1)
            cost = self._cost(pairs, every) * shares.to(outputs.device)[..., None]
        return cost.sum() / (len(outputs) if self._exclusive else outputs.numel())

    def _cost(self, outputs: torch.Tensor, goal: Goals) -> torch.Tensor:
        teacher = self._teacher
        if teacher is not None and teacher.loss == "regression":
            true, taught = (outputs - goal.hard).square(), (outputs - goal.soft).square()
            return goal.known * true + goal.taught * taught
        cost = goal.known * self._true(outputs, goal.hard)
        if teacher is None:
            return cost
        return cost + goal.taught * self._soft(outputs, goal.soft, teacher.temperature)

    def _true(self, outputs: torch.Tensor, hard: torch.Tensor) -> torch.Tensor:
        """The cost beside the truth, smoothed, weighed, and by focal loss less where it is easy."""
        present, absent = (w.to(outputs.device) for w in (self._present, self._absent))
        labels, spread = outputs.shape[-1], self._loss.smoothing
        if self._exclusive:
            said = log_softmax(outputs, -1)
            aim = hard * (1 - spread) + spread / labels
            cost, missed = -aim * said * present, 1 - said.exp()
        else:
            aim = hard * (1 - spread) + spread / 2
            plain = binary_cross_entropy_with_logits(*_alike(outputs, aim), reduction="none")
            cost = plain * (aim * present + (1 - aim) * absent)
            missed = (aim - outputs.sigmoid()).abs()
        return cost * missed**self._loss.gamma if self._loss.kind == "focal" else cost

    def _soft(self, outputs: torch.Tensor, soft: torch.Tensor, heat: float) -> torch.Tensor:
        """The cost beside a teacher (Hinton et al. 2015): both cooled alike, gradients kept."""
        if self._exclusive:
            return -(soft / heat).softmax(-1) * log_softmax(outputs / heat, -1) * heat**2
        aim = (soft / heat).sigmoid()
        plain = binary_cross_entropy_with_logits(*_alike(outputs / heat, aim), reduction="none")
        return plain * heat**2


def _alike(outputs: torch.Tensor, aim: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return outputs, aim.expand_as(outputs)


def answer_weights(
    truth: NDArray[np.float64], loss: Loss, *, exclusive: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How much a present and an absent label cost, each (numbers,), by `loss.balance`."""
    present, absent = np.nansum(truth, 0), np.nansum(1 - truth, 0)
    total = present + absent
    ones = np.ones_like(total)
    if loss.balance == "none":
        return ones, ones
    if loss.balance == "positive":
        return np.clip(absent / np.maximum(present, 1), 1, loss.heaviest), ones
    if loss.balance == "inverse":
        pair = total / 2 / np.maximum(present, 1), total / 2 / np.maximum(absent, 1)
    else:
        pair = _by_effective_number(present, absent, loss.beta)
    if exclusive:
        weights = pair[0] / (pair[0] * present).sum() * present.sum()
        return np.minimum(weights, loss.heaviest), ones
    return np.minimum(pair[0], loss.heaviest), np.minimum(pair[1], loss.heaviest)


def _by_effective_number(
    present: NDArray[np.float64], absent: NDArray[np.float64], beta: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(1 - beta) / (1 - beta^n) (Cui et al., CVPR 2019, equation 2), their mean cost unchanged."""
    a, b = ((1 - beta) / (1 - beta ** np.maximum(n, 1)) for n in (present, absent))
    mean = (a * present + b * absent) / np.maximum(present + absent, 1)
    return a / mean, b / mean
