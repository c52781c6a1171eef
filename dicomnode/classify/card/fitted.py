"""What learning fits beside the weights: calibration, and what is usual."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from dicomnode.classify.card.tables import Fraction, Table, Text, Weights

__all__ = ["Calibration", "Curve", "Novelty", "Reliability"]


class Curve(Table):
    """From raw to calibrated probability of a label: straight between points, flat beyond."""

    raw: Annotated[tuple[Fraction, ...], Field(min_length=1)]  #: ascending
    calibrated: tuple[Fraction, ...]  #: one a point, never falling

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if len(self.raw) != len(self.calibrated):
            raise ValueError("raw and calibrated need as many numbers each")
        if list(self.raw) != sorted(set(self.raw)):
            raise ValueError("raw has to ascend")
        if list(self.calibrated) != sorted(self.calibrated):
            raise ValueError("calibrated must never fall")
        return self


class Reliability(Table):
    """How far probabilities are from observed shares, on images that were not fitted to."""

    label: Text
    ece_before: Fraction  #: expected calibration error, ten bins of equal width
    ece_after: Fraction
    brier_before: Fraction  #: mean squared difference from the truth
    brier_after: Fraction


class Calibration(Table):
    """How the network's numbers become probabilities that hold (`classify/calibration.py`)."""

    method: Literal["temperature", "platt", "isotonic"]
    temperatures: tuple[Annotated[float, Field(gt=0)], ...] = ()  #: one for all labels, or one each
    offsets: tuple[float, ...] = ()  #: of platt: as many, added after logits are divided
    curves: tuple[Curve, ...] = ()  #: of isotonic: one a label
    dataset: Text  #: what it was fitted to, in words
    images: PositiveInt
    measures: tuple[Reliability, ...] = ()

    @model_validator(mode="after")
    def _has_its_numbers(self) -> Self:
        if bool(self.temperatures) != (self.method != "isotonic"):
            raise ValueError("temperatures belong to temperature and platt, which need them")
        if len(self.offsets) != (len(self.temperatures) if self.method == "platt" else 0):
            raise ValueError("offsets belong to the method platt, one a temperature")
        if bool(self.curves) != (self.method == "isotonic"):
            raise ValueError("curves belong to the method isotonic, which needs them")
        return self


class Novelty(Table):
    """When a frame is too unlike those the model was trained on (`classify/novelty.py`)."""

    layer: Text  #: name of the module whose output is looked at
    grid: Annotated[int, Field(ge=1, le=16)]  #: the output is averaged to so many places squared
    threshold: Annotated[float, Field(gt=0)]  #: frames that score higher are left out
    numbers: Weights  #: the file with mean and spread of what is usual
    dataset: Text  #: what it was fitted to, in words
    images: PositiveInt
    accepted: Fraction  #: of images like those for training, none of them fitted to
