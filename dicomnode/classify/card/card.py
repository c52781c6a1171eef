"""All that is known of one model."""

from typing import Self

from pydantic import model_validator

from dicomnode.answers import ModelRef
from dicomnode.classify.card.architecture import EXPLAINED_BY, Architecture
from dicomnode.classify.card.common import Common
from dicomnode.classify.card.explanation import METHODS, Explanation
from dicomnode.classify.card.fitted import Calibration, Novelty
from dicomnode.classify.card.input import Input
from dicomnode.classify.card.provenance import Source, Training, Vectors
from dicomnode.classify.card.running import Running
from dicomnode.classify.card.tables import Weights

__all__ = ["Card"]


class Card(Common):
    """All that is known of one model with a network of its own."""

    architecture: Architecture
    weights: Weights
    input: Input
    explanation: Explanation
    calibration: Calibration | None = None
    novelty: Novelty | None = None
    training: Training | None = None
    source: Source | None = None  #: of a model that was imported
    running: Running = Running()
    vectors: Vectors | None = None  #: what `models verify` runs

    @model_validator(mode="after")
    def _the_file_fits_the_kind(self) -> Self:
        kind, suffix = self.architecture.kind, self.architecture.suffix
        if not self.weights.file.endswith(suffix):
            raise ValueError(f"weights.file: a model of the kind {kind} has a {suffix} file")
        return self

    @model_validator(mode="after")
    def _the_kind_can_be_explained_so(self) -> Self:
        kind, method = self.architecture.kind, self.explanation.method
        can = EXPLAINED_BY.get(kind)
        if can and method not in can:
            raise ValueError(f"a model of the kind {kind} is explained by {' or '.join(can)}")
        return self

    @model_validator(mode="after")
    def _classes_are_combined_by_mean(self) -> Self:
        if self.output.kind == "multi-class" and self.input.combine == "max":
            raise ValueError("input.combine: classes of several frames are combined by mean")
        return self

    @model_validator(mode="after")
    def _stacked_views_can_be_told_apart(self) -> Self:
        stacked = self.input.kind == "views" and self.input.fusion == "stack"
        if stacked and self.explanation.by_layer:
            method = self.explanation.method
            words = "explained by occlusion or integrated-gradients"
            raise ValueError(f"views in one image are {words}; {method} cannot tell them apart")
        return self

    @model_validator(mode="after")
    def _every_number_is_calibrated(self) -> Self:
        if self.calibration is None:
            return self
        scales, curves = len(self.calibration.temperatures), len(self.calibration.curves)
        numbers, steps = (
            self.output.numbers(len(self.labels)),
            self.output.steps(len(self.labels)),
        )
        if scales not in (0, 1, numbers):
            raise ValueError(f"calibration has to have 1 temperature, or {numbers}")
        if curves not in (0, steps):
            raise ValueError(f"calibration has to have {steps} curve(s)")
        if self.output.softmax and scales > 1 and self.calibration.method == "temperature":
            raise ValueError("numbers that compete are calibrated by one temperature, or by platt")
        return self

    @property
    def numbers(self) -> int:
        """How many the network gives."""
        return self.output.numbers(len(self.labels))

    @property
    def files(self) -> tuple[Weights, ...]:
        """Every file with numbers that belongs to the model."""
        more = (table.numbers for table in (self.novelty, self.vectors) if table is not None)
        return (self.weights, *more)

    @property
    def model(self) -> ModelRef:
        """The model as results name it."""
        return ModelRef(
            name=self.name,
            version=self.version,
            digest=self.weights.sha256,
            manufacturer=self.manufacturer,
            intended_use=self.intended_use,
            disclaimer=self.disclaimer,
            explanation=METHODS[self.explanation.method],
            calibration=self.calibration.method if self.calibration else "",
            views=self.input.views or tuple(slot.name for slot in self.input.slots),
            translations=self.spoken,
        )
