"""Which explainer a model needs, by what it is shown."""

import torch

from dicomnode.classify.card.card import Card
from dicomnode.classify.explaining.explain import Explainer
from dicomnode.classify.explaining.shown import Shows
from dicomnode.classify.explaining.views import ViewsExplainer
from dicomnode.classify.explaining.volume import VolumeExplainer

__all__ = ["explainer"]


def explainer(network: torch.nn.Module, card: Card) -> Shows:
    """What explains the network of a card; nothing else may hook into `network` meanwhile."""
    if card.input.kind == "volume":
        return VolumeExplainer(network, card.explanation)
    if card.input.kind == "views":
        return ViewsExplainer(network, card.explanation)
    return Explainer(network, card.explanation)
