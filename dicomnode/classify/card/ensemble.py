"""A model that is several others: a card without a network."""

import hashlib
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dicomnode.answers import Form, ModelRef
from dicomnode.classify.card.common import Common
from dicomnode.classify.card.tables import Table

__all__ = ["Ensemble", "EnsembleCard", "Member"]


class Member(Table):
    """One of the models, and what it must be."""

    model: Annotated[str, Field(pattern=r"^[^@]+@[^@]+$")]  #: as name@version
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]  #: of its weights, as its card has it


class Ensemble(Table):
    """Which models answer together, and how their answers become one."""

    members: Annotated[tuple[Member, ...], Field(min_length=2)]
    mean: Literal["probabilities", "logits"] = "probabilities"
    """Of what members say, calibrated: of probabilities, or of their log odds."""
    combine: Literal["max", "mean"] | None = None
    """What several frames say together: as `input.combine` of a model of one network."""
    region_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.5  #: of the mean map's maximum


class EnsembleCard(Common):
    """All that is known of a model that is several others."""

    ensemble: Ensemble

    @model_validator(mode="after")
    def _members_differ(self) -> Self:
        models = [member.model for member in self.ensemble.members]
        if len(set(models)) < len(models):
            raise ValueError("ensemble.members: a model is named twice")
        return self

    @model_validator(mode="after")
    def _classes_are_combined_by_mean(self) -> Self:
        if self.output.form is Form.CLASSES and self.ensemble.combine == "max":
            raise ValueError("ensemble.combine: classes of several frames are combined by mean")
        return self

    @property
    def digest(self) -> str:
        """Of what answers: it changes with each member's, and with how they are joined."""
        said = [f"{member.model} {member.sha256}" for member in self.ensemble.members]
        return hashlib.sha256("\n".join([*said, self.ensemble.mean]).encode()).hexdigest()

    @property
    def model(self) -> ModelRef:
        """The model as results name it."""
        return ModelRef(
            name=self.name,
            version=self.version,
            digest=self.digest,
            manufacturer=self.manufacturer,
            intended_use=self.intended_use,
            disclaimer=self.disclaimer,
            explanation="Mean of the members' maps",
            translations=self.spoken,
            members=tuple(member.model for member in self.ensemble.members),
        )
