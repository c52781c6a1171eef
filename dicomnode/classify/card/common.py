"""What is said of every model, of one network or of several."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from dicomnode.answers import Interval, OperatingPoint, Translation
from dicomnode.classify.card.measured import Evaluation
from dicomnode.classify.card.output import Label, Output
from dicomnode.classify.card.tables import Estimate, ShortText, Table, Text

__all__ = ["Common", "Spoken"]


class Spoken(Table):
    """What is said of the model, in another language; English stays where it is left out."""

    disclaimer: Text | None = None
    intended_use: Text | None = None


class Common(Table):
    """What is said of every model."""

    name: ShortText
    version: ShortText
    manufacturer: ShortText
    intended_use: Text
    disclaimer: Text  #: said in every result
    translations: Mapping[str, Spoken] = Field(default_factory=dict)  #: by RFC 5646
    labels: Annotated[tuple[Label, ...], Field(min_length=1)]
    output: Output = Output()
    evaluation: Evaluation | None = None

    @property
    def tag(self) -> str:
        """Name and version in one, as the worklist and people name it."""
        return f"{self.name}@{self.version}"

    @property
    def spoken(self) -> dict[str, Translation]:
        """What is said in other languages, as results carry it."""
        return {
            language: Translation(**said.model_dump(exclude_none=True))
            for language, said in self.translations.items()
        }

    @model_validator(mode="after")
    def _labels_differ(self) -> Self:
        names = [label.name for label in self.labels]
        if len(set(names)) < len(names):
            raise ValueError("two labels have the same name")
        return self

    @model_validator(mode="after")
    def _the_kind_has_its_labels(self) -> Self:
        kind, count = self.output.kind, len(self.labels)
        if kind == "binary" and count != 1:
            raise ValueError("output: binary tells of one label; what is absent has none")
        if kind in ("multi-class", "ordinal") and count < 2:
            raise ValueError(f"output: {kind} needs two labels and more")
        return self

    def operating(self, label: str) -> OperatingPoint | None:
        """How well a label was measured to be told at its threshold; None where it was not."""
        if self.evaluation is None:
            return None
        for measured in self.evaluation.measures:
            if measured.label == label:
                return OperatingPoint(
                    sensitivity=_interval(measured.sensitivity),
                    specificity=_interval(measured.specificity),
                    positives=measured.positives,
                    negatives=measured.negatives,
                    data=self.evaluation.dataset,
                    translations=self.evaluation.translations,
                )
        return None


def _interval(estimate: Estimate) -> Interval:
    return Interval(value=estimate.value, low=estimate.low, high=estimate.high)
