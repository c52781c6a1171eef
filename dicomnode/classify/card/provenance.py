"""Where a model comes from, and by what it is known to be still the same."""

from typing import Annotated

from pydantic import Field, PositiveInt

from dicomnode.classify.card.tables import Table, Text, Weights

__all__ = ["Source", "Training", "Vectors"]


class Training(Table):
    """What the model was trained on, as its makers tell."""

    data: Text  #: in words: whose images, of when and where
    images: PositiveInt | None = None
    source: str = ""  #: where the data can be had, or who holds them
    licence: str = ""  #: of the weights, such as an SPDX identifier
    reference: str = ""  #: the paper, or the page, that describes the model

    @property
    def words(self) -> str:
        """All of it in one line."""
        licence = f"licence {self.licence}" if self.licence else ""
        images = f"{self.images} images" if self.images else ""
        if images in self.data:  # our own training says it there
            images = ""
        words = (self.data, images, self.source, licence, self.reference)
        return "; ".join(word for word in words if word)


class Source(Table):
    """What the model folder was made from by `models import`."""

    format: Text  #: in words, such as "TorchScript"
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]  #: of the file that was given


class Vectors(Table):
    """Made-up inputs and what the network says of them (`classify/vectors.py`)."""

    numbers: Weights  #: the file with both
    inputs: PositiveInt
