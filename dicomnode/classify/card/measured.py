"""What a model was measured to do."""

from collections.abc import Mapping

from pydantic import Field, PositiveInt

from dicomnode.classify.card.tables import Estimate, Table, Text

__all__ = ["Evaluation", "Measures"]


class Measures(Table):
    """How well one label is told, at its threshold."""

    label: Text
    positives: int
    negatives: int
    auroc: Estimate
    sensitivity: Estimate
    specificity: Estimate


class Evaluation(Table):
    """What the model was measured on, and the outcome."""

    dataset: Text  #: in words
    images: PositiveInt
    seed: int
    measures: tuple[Measures, ...]
    translations: Mapping[str, Text] = Field(default_factory=dict)  #: of `dataset` (RFC 5646)
