"""How a model's findings are shown, and how well that was measured to hold up."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from dicomnode.classify.card.tables import Estimate, Fraction, Table, Text

__all__ = ["METHODS", "Explanation", "Method", "Shown"]

#: How the methods of explanation are named in results.
METHODS = {
    "grad-cam++": "Grad-CAM++",
    "grad-cam": "Grad-CAM",
    "hires-cam": "HiResCAM",
    "occlusion": "Occlusion sensitivity",
    "integrated-gradients": "Integrated gradients",
}

Method = Literal["grad-cam++", "grad-cam", "hires-cam", "occlusion", "integrated-gradients"]


class Shown(Table):
    """How well explanations of one label held up, by the measures of `learn/explanations.py`."""

    label: Text
    findings: PositiveInt  #: true ones that the model calls present
    centre: Estimate  #: share whose largest region has its centre on the finding
    pointing: Estimate  #: share whose hottest place lies on it
    deletion: Fraction  #: mean probability while the hottest pixels go
    insertion: Fraction  #: or come


class Explanation(Table):
    """How a present finding is shown: `explaining/attribution.py` says what each method does."""

    method: Method = "grad-cam++"
    layer: str = ""  #: name of the module whose activations are weighed; CAM methods need one
    region_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.5  #: of the map's maximum
    measures: tuple[Shown, ...] = ()  #: `models evaluate` gives them

    @property
    def by_layer(self) -> bool:
        """Are the activations of `layer` looked at? Other methods ask the image alone."""
        return "cam" in self.method

    @model_validator(mode="after")
    def _cam_has_layer(self) -> Self:
        if self.by_layer and not self.layer:
            raise ValueError(f"{self.method} needs the layer whose activations are weighed")
        return self
