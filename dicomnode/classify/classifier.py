"""What the node needs of a model, and no more."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from pydicom import Dataset

from dicomnode.answers import ModelRef, Prediction

__all__ = ["Classifier"]


class Classifier(Protocol):
    """A model that is ready to answer, to several threads at once."""

    @property
    def model(self) -> ModelRef:
        """Which model speaks."""

    def classify(self, images: Sequence[Dataset | Path], *, explained: bool = True) -> Prediction:
        """The answer for one study, images in its order; NotAnalysable if there can be none.

        Without `explained` it is not shown where findings lie.
        """

    def ahead(self, image: Path) -> None:
        """Answer one image of a study that is still coming in, so that `classify` is quick.

        Nothing happens where that cannot be; `classify` says why. The answer is remembered for a
        while, by path and by what the file system says of the file.

        Raises:
            ModelError: the model cannot be run.
            StoreError: the file cannot be read.
        """
