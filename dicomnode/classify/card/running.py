"""How freely a model's network may be carried out."""

from typing import Annotated

from pydantic import Field

from dicomnode.classify.card.tables import Table

__all__ = ["Running"]


class Running(Table):
    """What a faster way of running the network may change (`classify/runtimes/`)."""

    tolerance: Annotated[float, Field(gt=0, le=0.1)] = 1e-3
    """Most by which a probability may differ from the one that torch gives in float32."""
    reduced_precision: bool = True
    """May it be computed with numbers of 16 bits, as far as the tolerance allows?"""
