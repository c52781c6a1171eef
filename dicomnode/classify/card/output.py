"""What a model says."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dicomnode.answers import Concept, Form
from dicomnode.classify.card.tables import Fraction, ShortText, Table, Text

__all__ = ["Code", "Label", "Output"]


class Code(Table):
    """The coded concept of a label (PS3.3 Table 8.8-1)."""

    value: Text
    scheme: Annotated[str, Field(min_length=1, max_length=16)]
    meaning: ShortText


class Label(Table):
    """Something that the model tells, in the order of the network's outputs."""

    name: ShortText
    code: Code
    threshold: Fraction  #: from here the finding is present
    margin: Fraction = 0.0  #: closer to the threshold than this, it is undetermined
    names: Mapping[str, Text] = Field(default_factory=dict)  #: in other languages (RFC 5646)
    normal: bool = False  #: does it say that nothing is there? Then there is nothing to point at

    @property
    def concept(self) -> Concept:
        """The code as results carry it."""
        return Concept(value=self.code.value, scheme=self.code.scheme, meaning=self.code.meaning)


class Output(Table):
    """How labels go together, and how the network's numbers are to be read.

    - multi-label: each label for itself, a number each.
    - binary: the one label; one number, or with softmax two, that of its absence first.
    - multi-class: one label holds, the most probable; a number each.
    - ordinal: labels are ascending grades; a number for each step, that the grade is at least the
      higher one, or with softmax one for each grade. The grade is the highest whose probability,
      "this grade or a higher one", reaches its threshold; the lowest where none does, whatever
      threshold that has.
    """

    kind: Literal["multi-label", "binary", "multi-class", "ordinal"] = "multi-label"
    activation: Literal["sigmoid", "softmax"] | None = None  #: by default as the kind has it

    @property
    def softmax(self) -> bool:
        """Do the network's numbers compete?"""
        return (self.activation or ("softmax" if self.form is Form.CLASSES else "")) == "softmax"

    @property
    def form(self) -> Form:
        """How findings go together in an answer."""
        forms = {"multi-class": Form.CLASSES, "ordinal": Form.GRADES}
        return forms.get(self.kind, Form.FINDINGS)

    def numbers(self, labels: int) -> int:
        """How many the network gives."""
        if self.form is Form.GRADES and not self.softmax:
            return labels - 1
        return 2 if self.kind == "binary" and self.softmax else labels

    def steps(self, labels: int) -> int:
        """How many probabilities are held against a threshold: of ordinal, one between grades."""
        return labels - 1 if self.form is Form.GRADES else labels

    def number_of(self, label: int) -> int | None:
        """Which of the network's numbers speaks for a label; None for the lowest grade."""
        if self.form is Form.GRADES:
            return None if label == 0 else label if self.softmax else label - 1
        return 1 if self.kind == "binary" and self.softmax else label

    @model_validator(mode="after")
    def _activation_suits(self) -> Self:
        only = {"multi-label": "sigmoid", "multi-class": "softmax"}.get(self.kind)
        if only and self.activation not in (None, only):
            raise ValueError(f"the numbers of {self.kind} are read by {only}")
        return self
