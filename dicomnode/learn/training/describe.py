"""Recipe to card, before anything is learnt: weights, thresholds and measures are still to come."""

from dicomnode.classify.card.architecture import Architecture
from dicomnode.classify.card.card import Card
from dicomnode.classify.card.explanation import Explanation
from dicomnode.classify.card.output import Label
from dicomnode.classify.card.tables import Weights
from dicomnode.errors import ModelError
from dicomnode.learn.importing.explanation import explanation_of
from dicomnode.learn.importing.known import label
from dicomnode.learn.training.recipe import Recipe, Target

__all__ = ["describe"]


def describe(recipe: Recipe, targets: tuple[Target, ...], architecture: Architecture) -> Card:
    """The card of a network to be trained; ModelError if its tables contradict each other."""
    if recipe.input.kind != "image":
        raise ModelError(f"{recipe.name}: input.kind: training is of single images, as yet")
    try:
        return Card(
            name=recipe.name,
            version=recipe.version,
            manufacturer=recipe.manufacturer,
            intended_use=recipe.intended_use,
            disclaimer=recipe.disclaimer,
            architecture=architecture,
            weights=Weights(file="weights.safetensors", sha256="0" * 64),
            input=recipe.input,
            output=recipe.output,
            explanation=recipe.explanation or Explanation(**explanation_of(architecture)),
            labels=tuple(_label(target) for target in targets),
        )
    except ValueError as error:  # pydantic's ValidationError is one
        raise ModelError(f"{recipe.name}: the recipe makes no card: {error}") from error


def _label(target: Target) -> Label:
    """With code and names as the recipe has them, else as they are known of a finding."""
    known = label(target.name)
    return known.model_copy(
        update={
            "name": target.name,
            "code": target.code or known.code,
            "names": {**known.names, **target.names},
        }
    )
