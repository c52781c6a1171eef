"""What the node needs of a model, and no more."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from pydicom import Dataset

from dicomnode.records import ModelRef, Prediction

__all__ = ["Classifier"]


class Classifier(Protocol):
    """A model that is ready to answer."""

    @property
    def model(self) -> ModelRef:
        """Which model speaks."""

    def classify(self, images: Sequence[Dataset | Path]) -> Prediction:
        """The answer for one study, images in its order; NotAnalysable if there can be none."""
