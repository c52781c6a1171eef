"""What is fitted to a network's answers, and what it is then measured to do.

Calibration and thresholds come from images that were not learnt from, measures from images that
were used for neither: a held-out part, or in cross-validation each fold by what the others gave.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from dicomnode.classify.calibration import answered, probabilities
from dicomnode.classify.card.card import Card
from dicomnode.classify.card.fitted import Calibration, Reliability
from dicomnode.classify.card.measured import Evaluation
from dicomnode.classify.card.output import Output
from dicomnode.learn.calibrate import brier, calibration_error, platt
from dicomnode.learn.evaluate import best_threshold, measure
from dicomnode.learn.training.looking import held_against
from dicomnode.learn.training.losses import asked

__all__ = [
    "Answers",
    "Verdicts",
    "calibrate",
    "joined",
    "judged",
    "thresholds",
    "with_calibration",
    "with_measures",
]

Numbers = NDArray[np.float64]
_TEMPERATURES = np.geomspace(0.05, 20, 400)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """What a network said of images that it did not learn from, and what is in them."""

    logits: Numbers  #: (images, numbers)
    truth: Numbers  #: (images, labels), NaN where not known


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Verdicts:
    """What the whole model, with thresholds, says of images that nothing was fitted to."""

    probabilities: Numbers  #: (images, labels)
    present: NDArray[np.bool_]  #: (images, labels)
    logits: Numbers
    calibrated: Numbers  #: (images, labels), not rounded
    truth: Numbers


def calibrate(given: Answers, output: Output, dataset: str) -> Calibration:
    """Platt's numbers for each of the network's; one temperature where they compete."""
    true = asked(given.truth, output)
    if output.softmax:
        known = ~np.isnan(true).any(axis=1)
        best = min(
            _TEMPERATURES, key=lambda heat: _surprise(given.logits[known] / heat, true[known])
        )
        return Calibration(
            method="temperature",
            temperatures=(round(float(best), 4),),
            dataset=dataset,
            images=int(known.sum()),
        )
    fits = []
    for column in range(true.shape[1]):
        known = ~np.isnan(true[:, column])
        fits.append(platt(given.logits[known, column], true[known, column] > 0.5))
    return Calibration(
        method="platt",
        temperatures=tuple(heat for heat, _ in fits),
        offsets=tuple(offset for _, offset in fits),
        dataset=dataset,
        images=len(true),
    )


def _surprise(logits: Numbers, true: Numbers) -> float:
    """Mean negative log-likelihood of classes."""
    highest = logits.max(axis=1, keepdims=True)
    said = logits - highest - np.log(np.exp(logits - highest).sum(axis=1, keepdims=True))
    return -float((true * said).sum(axis=1).mean())


def thresholds(given: Answers, output: Output, calibration: Calibration) -> tuple[float, ...]:
    """For each label, where sensitivity plus specificity is highest; of classes, chance."""
    count = int(given.truth.shape[1])
    if output.kind == "multi-class":
        chance = math.floor(1e4 / count) / 1e4
        return tuple(chance for _ in range(count))
    said, true = answered(given.logits, calibration, output), held_against(given.truth, output)
    found = []
    for column in range(count):
        known = ~np.isnan(true[:, column])
        present = true[known, column] > 0.5
        both = present.any() and not present.all() and len(np.unique(said[known, column])) > 1
        found.append(best_threshold(said[known, column], present) if both else 0.5)
    return tuple(found)


def judged(
    given: Answers, output: Output, calibration: Calibration, cuts: tuple[float, ...]
) -> Verdicts:
    """What the calibrated model says of images, with its thresholds."""
    said = answered(given.logits, calibration, output)
    present = said >= np.array(cuts)
    if output.kind == "multi-class":
        present = said == said.max(axis=1, keepdims=True)
    if output.kind == "ordinal":
        present[:, 0] = ~present[:, 1]
    return Verdicts(
        probabilities=said,
        present=present,
        logits=given.logits,
        calibrated=probabilities(given.logits, calibration, output),
        truth=held_against(given.truth, output),
    )


def joined(parts: Sequence[Verdicts]) -> Verdicts:
    """All of several parts, one after the other."""
    names = [field.name for field in fields(Verdicts)]
    return Verdicts(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})


def with_calibration(
    card: Card, calibration: Calibration, cuts: tuple[float, ...], seen: Verdicts | None
) -> Card:
    """The card with calibration, thresholds, and how far probabilities are off on images `seen`."""
    measures: tuple[Reliability, ...] = ()
    if seen is not None:
        raw = probabilities(seen.logits, None, card.output)
        made = (
            _reliability(label.name, raw[:, i], seen.calibrated[:, i], seen.truth[:, i])
            for i, label in enumerate(card.labels)
        )
        measures = tuple(line for line in made if line is not None)
    labels = tuple(
        label.model_copy(update={"threshold": cut})
        for label, cut in zip(card.labels, cuts, strict=True)
    )
    calibration = calibration.model_copy(update={"measures": measures})
    return card.model_copy(update={"calibration": calibration, "labels": labels})


def _reliability(label: str, before: Numbers, after: Numbers, truth: Numbers) -> Reliability | None:
    known = ~np.isnan(truth)
    if not known.any():
        return None
    true = truth[known] > 0.5
    return Reliability(
        label=label,
        ece_before=round(calibration_error(before[known], true), 4),
        ece_after=round(calibration_error(after[known], true), 4),
        brier_before=round(brier(before[known], true), 4),
        brier_after=round(brier(after[known], true), 4),
    )


def with_measures(card: Card, seen: Verdicts, dataset: str, seed: int) -> Card:
    """The card with AUROC, sensitivity and specificity of each label that could be measured.

    Areas are of what the networks said, before calibration: it puts no two images in another order,
    but a calibration of its own for each fold would.
    """
    said = probabilities(seen.logits, None, card.output)
    found = []
    for column, label in enumerate(card.labels):
        known = ~np.isnan(seen.truth[:, column])
        true = seen.truth[known, column] > 0.5
        if not true.any() or true.all():
            continue
        present = seen.present[known, column]
        found.append(measure(label.name, said[known, column], true, present))
    evaluation = Evaluation(
        dataset=dataset, images=len(seen.truth), seed=seed, measures=tuple(found)
    )
    return card.model_copy(update={"evaluation": evaluation})
