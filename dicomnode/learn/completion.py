"""What a trained network's card still needs: calibration, thresholds, measures, what is usual.

Calibration and thresholds come from validation images, measures from held-out ones.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dicomnode.classify.calibration import answered
from dicomnode.classify.card import Card, Evaluation
from dicomnode.classify.fitted import Calibration, Novelty
from dicomnode.classify.weights import save_weights
from dicomnode.learn import novelty
from dicomnode.learn.calibrate import platt, with_measures
from dicomnode.learn.evaluate import best_threshold, measure

__all__ = ["Answers", "Familiar", "answers", "calibrated", "measured", "with_novelty"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """What a network said of images, and what is in them."""

    logits: NDArray[np.float64]  #: (images, labels)
    truth: NDArray[np.bool_]  #: (images, labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Familiar:
    """How it is decided that an image is like those for training."""

    layer: str = "features.pool0"  #: of the network, that is looked at
    grid: int = 4  #: places squared that its output is averaged to
    quantile: float = 0.99  #: of the scores of validation images
    slack: float = 3.0  #: the limit is so many times that quantile


def answers(network: torch.nn.Module, images: torch.Tensor, truth: torch.Tensor) -> Answers:
    """Prepared images through the network, one by one as the node does it."""
    network.eval()
    with torch.inference_mode():
        logits = torch.cat([network(image[None]) for image in images])
    return Answers(logits=logits.double().numpy(), truth=truth.numpy().astype(bool))


def calibrated(card: Card, validation: Answers, held_out: Answers, dataset: str) -> Card:
    """The card with a temperature and an offset for each label."""
    columns = zip(validation.logits.T, validation.truth.T, strict=True)
    temperatures, offsets = zip(*(platt(*column) for column in columns), strict=True)
    calibration = Calibration(
        method="platt",
        temperatures=temperatures,
        offsets=offsets,
        dataset=dataset,
        images=len(validation.truth),
    )
    labels = [label.name for label in card.labels]
    calibration = with_measures(calibration, labels, held_out.logits, held_out.truth)
    return card.model_copy(update={"calibration": calibration})


def measured(card: Card, validation: Answers, held_out: Answers, dataset: str, seed: int) -> Card:
    """The card with a threshold for each label, and with what was measured at it."""
    chosen, seen = (answered(given.logits, card.calibration) for given in (validation, held_out))
    labels = tuple(
        label.model_copy(update={"threshold": best_threshold(chosen[:, i], validation.truth[:, i])})
        for i, label in enumerate(card.labels)
    )
    evaluation = Evaluation(
        dataset=dataset,
        images=len(held_out.truth),
        seed=seed,
        measures=tuple(
            measure(label.name, seen[:, i], held_out.truth[:, i], label.threshold)
            for i, label in enumerate(labels)
        ),
    )
    return card.model_copy(update={"labels": labels, "evaluation": evaluation})


def with_novelty(
    card: Card,
    network: torch.nn.Module,
    images: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    familiar: Familiar,
    folder: Path,
) -> Card:
    """The card with what is usual, and its numbers as a file in the model's folder.

    Of the three sets of prepared images the first is fitted to, the second gives the limit, and
    the third says which share of such images is accepted.
    """
    fitted, validation, held_out = (
        novelty.look(network, each, familiar.layer, familiar.grid) for each in images
    )
    numbers = novelty.fit(fitted)
    limit = novelty.threshold(numbers, validation, familiar.quantile, familiar.slack)
    table = Novelty(
        layer=familiar.layer,
        grid=familiar.grid,
        threshold=limit,
        numbers=save_weights(numbers, folder / "usual.safetensors"),
        dataset="the images that the model was trained on",
        images=len(fitted),
        accepted=novelty.accepted(numbers, held_out, limit),
    )
    return card.model_copy(update={"novelty": table})
