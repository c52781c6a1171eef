"""What a network says of images that it does not learn from, and how well that tells the truth."""

import numpy as np
import torch
from numpy.typing import NDArray

from dicomnode.classify.calibration import probabilities
from dicomnode.classify.card.input import Input
from dicomnode.classify.card.output import Output
from dicomnode.learn.measures import delong
from dicomnode.learn.training.batches import seen_as
from dicomnode.learn.training.pictures import Pictures

__all__ = ["held_against", "logits_of", "mean_auroc"]

_TOGETHER = 64  #: images that are looked at at once


def logits_of(
    network: torch.nn.Module, pictures: Pictures, places: NDArray[np.intp], given: Input
) -> NDArray[np.float64]:
    """What a network says of kept images, (images, numbers); it is put in its answering state."""
    network.eval()
    device = next(network.parameters()).device
    found = []
    with torch.inference_mode():
        for start in range(0, len(places), _TOGETHER):
            part = places[start : start + _TOGETHER]
            grey = torch.stack([pictures[int(place)] for place in part]).to(device)
            found.append(network(seen_as(grey, given)).double().cpu())
    return torch.cat(found).numpy()


def held_against(truth: NDArray[np.float64], output: Output) -> NDArray[np.float64]:
    """What the probabilities of `classify/calibration.py` are to be compared with.

    Truth of labels, (images, labels); of an ordinal output it becomes "this grade or a higher one",
    but of the lowest.
    """
    if output.kind != "ordinal":
        return truth
    least = np.flip(np.cumsum(np.flip(truth, 1), axis=1), 1)
    return np.concatenate([truth[:, :1], least[:, 1:]], axis=1)


def mean_auroc(
    logits: NDArray[np.float64], truth: NDArray[np.float64], output: Output
) -> float | None:
    """Over the labels that are there and absent among the images; None if there is none."""
    said, true = probabilities(logits, None, output), held_against(truth, output)
    areas = []
    for column in range(true.shape[1]):
        known = ~np.isnan(true[:, column])
        figure, _ = delong.auroc(said[known, column], true[known, column] > 0.5)
        if figure.value is not None:
            areas.append(figure.value)
    return float(np.mean(areas)) if areas else None
