"""What a teacher says of the images: columns of the manifest, or a model that is here."""

import numpy as np
import torch
from numpy.typing import NDArray

from dicomnode.classify.calibration import probabilities
from dicomnode.classify.card.folder import read_card
from dicomnode.classify.network import load_network
from dicomnode.classify.samples.preprocess import prepare
from dicomnode.errors import ModelError
from dicomnode.learn.training.pictures import read_frame
from dicomnode.learn.training.plan import Plan

__all__ = ["taught"]


def taught(made: Plan) -> NDArray[np.float64] | None:
    """A teacher's probabilities, (images, labels), NaN where it has none; None without a teacher.

    Raises:
        ModelError: the model has none of the labels, or tells them in another way.
    """
    if made.teacher is None:
        return made.manifest.teacher
    card = read_card(made.teacher)
    names = [label.name.lower() for label in card.labels]
    places = {
        i: names.index(n.lower()) for i, n in enumerate(made.manifest.labels) if n.lower() in names
    }
    if not places:
        raise ModelError(
            f"{made.teacher}: the teacher knows none of the labels: its are {', '.join(names)}"
        )
    if card.input.kind != "image":
        raise ModelError(f"{made.teacher}: the teacher looks at {card.input.kind}, not at an image")
    ours = made.card.output
    if (card.output.softmax, card.output.form) != (ours.softmax, ours.form):
        raise ModelError(f"{made.teacher}: the teacher's labels go together in another way")
    network = load_network(made.teacher, card)
    found = np.full(made.manifest.truth.shape, np.nan)
    with torch.inference_mode():
        for row, entry in enumerate(made.manifest.entries):
            frame = read_frame(entry.file)
            if frame is None:
                continue
            logits = network(prepare(frame, card.input).tensor[None]).double().numpy()
            said = probabilities(logits, card.calibration, card.output)[0]
            for own, theirs in places.items():
                found[row, own] = said[theirs]
    return found
