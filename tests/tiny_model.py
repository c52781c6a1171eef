"""Models small enough to be worked by hand, and a model folder around a tiny network."""

from pathlib import Path
from typing import Any

import torch

from dicomnode.classify.card.architecture import Architecture
from dicomnode.classify.card.card import Card
from dicomnode.classify.card.ensemble import Ensemble, EnsembleCard, Member
from dicomnode.classify.card.explanation import Explanation
from dicomnode.classify.card.folder import write_card
from dicomnode.classify.card.input import Input
from dicomnode.classify.card.output import Code, Label
from dicomnode.classify.card.tables import Weights
from dicomnode.classify.network import build_network
from dicomnode.classify.weights import save_weights

__all__ = ["Brightness", "make_card", "make_ensemble", "make_label", "make_model"]


class Brightness(torch.nn.Module):
    """Finds each label the more present, the brighter the image: logit 10 * mean - 5."""

    def __init__(self, labels: int = 1) -> None:
        super().__init__()
        self.look = torch.nn.Conv2d(1, labels, 1, bias=False)
        torch.nn.init.constant_(self.look.weight, 10.0)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """One logit a label."""
        seen: torch.Tensor = self.look(image)
        return seen.mean((2, 3)) - 5


def make_label(name: str = "bright", threshold: float = 0.5, margin: float = 0.0) -> Label:
    """A label with a code of its own."""
    code = Code(value=name[:16], scheme="99TEST", meaning=name.capitalize())
    return Label(name=name, code=code, threshold=threshold, margin=margin)


def make_card(**changes: Any) -> Card:
    """A card for `Brightness`, or for the tiny DenseNet of `make_model`."""
    usual: dict[str, Any] = {
        "name": "tiny",
        "version": "0.1",
        "manufacturer": "tests",
        "intended_use": "Tests only",
        "disclaimer": "Nothing of this is true",
        "architecture": Architecture(
            kind="densenet",
            params={"init_features": 4, "growth_rate": 2, "block_config": [1, 1]},
        ),
        "weights": Weights(file="weights.safetensors", sha256="0" * 64),
        "input": Input(size_px=16, channels=1, resize="pad", mean=(0.0,), std=(1.0,)),
        "explanation": Explanation(method="grad-cam", layer="look"),
        "labels": (make_label(),),
    }
    return Card(**(usual | changes))


def make_model(folder: Path, **changes: Any) -> Card:
    """A model folder with a tiny DenseNet, its weights always the same."""
    layer = Explanation(method="grad-cam", layer="features.denseblock1")
    size = Input(size_px=32, channels=1, resize="pad", mean=(0.5,), std=(0.25,))
    card = make_card(**({"explanation": layer, "input": size} | changes))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = build_network(card)
    folder.mkdir(parents=True, exist_ok=True)
    weights = save_weights(network.state_dict(), folder / card.weights.file)
    card = card.model_copy(update={"weights": weights})
    write_card(card, folder)
    return card


def make_ensemble(folder: Path, *members: Card, **changes: Any) -> EnsembleCard:
    """A folder with a card that names these models; they lie beside it."""
    named = tuple(Member(model=card.tag, sha256=card.weights.sha256) for card in members)
    usual: dict[str, Any] = {
        "name": folder.name,
        "version": "1",
        "manufacturer": "tests",
        "intended_use": "Tests only",
        "disclaimer": "Nothing of this is true",
        "labels": members[0].labels,
        "output": members[0].output,
        "ensemble": Ensemble(members=named),
    }
    card = EnsembleCard(**(usual | changes))
    folder.mkdir(parents=True, exist_ok=True)
    write_card(card, folder)
    return card
