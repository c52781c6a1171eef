"""The ways in which a recipe may vary images, each with its name and parameters. No torch.

Those of one image see it as grey from 0 to 1; those of a batch come after them. Lengths are shares
of the image's edge, so that they hold for any size.
"""

from typing import Annotated, Literal, get_args

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from dicomnode.config.fields import Section

__all__ = [
    "WAYS",
    "Affine",
    "BiasField",
    "Brightness",
    "Contrast",
    "CutMix",
    "Dropout",
    "Elastic",
    "Flip",
    "Gain",
    "Histogram",
    "LowResolution",
    "MixUp",
    "Mosaic",
    "Noise",
    "OfBatch",
    "OfImage",
    "Rotate",
    "Sharpen",
    "Smooth",
    "Way",
    "Zoom",
]

Share = Annotated[float, Field(ge=0, le=1)]
Range = tuple[PositiveFloat, PositiveFloat]
Fill = Literal["black", "edge", "mirror"]


class _Sometimes(Section):
    prob: Share = Field(0.5, description="How often an image is varied so.")

    @model_validator(mode="after")
    def _ranges_ascend(self) -> "_Sometimes":
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, tuple) and value[0] > value[1]:
                raise ValueError(f"{name}: the first number must not be above the second")
        return self


# --- where things lie -----------------------------------------------------------------------


class Flip(_Sometimes):
    """Left becomes right, or top becomes bottom."""

    name: Literal["flip"]
    axis: Literal["horizontal", "vertical"] = Field("horizontal", description="Which.")


class Affine(_Sometimes):
    """Turned, moved, enlarged and sheared at once; each as far as it says, either way."""

    name: Literal["affine"]
    prob: Share = Field(1.0, description="How often an image is varied so.")
    rotate_deg: NonNegativeFloat = Field(10.0, description="Degrees.")
    shift: Share = Field(0.05, description="Share of the edge.")
    zoom: Range = Field((0.9, 1.1), description="Below 1 things become smaller.")
    shear: NonNegativeFloat = Field(0.0, description="Tangent of the angle.")
    fill: Fill = Field("edge", description="What comes in from outside.")


class Rotate(_Sometimes):
    """Turned, either way."""

    name: Literal["rotate"]
    degrees: NonNegativeFloat = Field(10.0, description="At most.")
    fill: Fill = Field("edge", description="What comes in from outside.")


class Zoom(_Sometimes):
    """Enlarged or made smaller about the middle."""

    name: Literal["zoom"]
    range: Range = Field((0.9, 1.1), description="Below 1 things become smaller.")
    fill: Fill = Field("edge", description="What comes in from outside.")


class Elastic(_Sometimes):
    """Bent smoothly."""

    name: Literal["elastic"]
    spacing: Annotated[float, Field(gt=0, le=1)] = Field(0.2, description="Of points that move.")
    shift: Range = Field((0.005, 0.02), description="How far they move.")
    fill: Fill = Field("edge", description="What comes in from outside.")


# --- how bright they are --------------------------------------------------------------------


class Contrast(_Sometimes):
    """Grey to the power of gamma."""

    name: Literal["contrast"]
    gamma: Range = Field((0.7, 1.4), description="The power.")


class Gain(_Sometimes):
    """Grey times a number near 1."""

    name: Literal["gain"]
    factor: Share = Field(0.15, description="How far from 1.")


class Brightness(_Sometimes):
    """Grey plus a number."""

    name: Literal["brightness"]
    offset: Share = Field(0.1, description="How far from 0.")


class Histogram(_Sometimes):
    """Grey along a random curve that never falls."""

    name: Literal["histogram"]
    points: Annotated[int, Field(ge=3, le=64)] = Field(8, description="Of the curve.")


class BiasField(_Sometimes):
    """Exposure that changes smoothly across the image."""

    name: Literal["bias-field"]
    degree: Annotated[int, Field(ge=1, le=8)] = Field(3, description="Of the polynomial.")
    strength: Share = Field(0.1, description="Largest coefficient.")


# --- what the detector adds -----------------------------------------------------------------


class Noise(_Sometimes):
    """Gaussian noise."""

    name: Literal["noise"]
    deviation: Share = Field(0.03, description="Largest standard deviation.")


class Smooth(_Sometimes):
    """Gaussian blur."""

    name: Literal["smooth"]
    sigma_px: Range = Field((0.25, 1.0), description="Pixels.")


class Sharpen(_Sometimes):
    """Unsharp mask."""

    name: Literal["sharpen"]
    amount: Range = Field((0.2, 1.0), description="Of what the blur took away.")


class LowResolution(_Sometimes):
    """Made smaller and larger again."""

    name: Literal["low-resolution"]
    range: Range = Field((0.5, 1.0), description="Share of the size.")


class Dropout(_Sometimes):
    """Rectangles of a middle grey."""

    name: Literal["dropout"]
    holes: PositiveInt = Field(2, description="At most.")
    size: Annotated[float, Field(gt=0, le=1)] = Field(0.2, description="Longest edge.")


# --- several images -------------------------------------------------------------------------


class MixUp(_Sometimes):
    """Each image a little of another one, labels too (Zhang et al., ICLR 2018)."""

    name: Literal["mixup"]
    alpha: PositiveFloat = Field(0.2, description="Of the beta distribution of shares.")


class CutMix(_Sometimes):
    """A rectangle from another image, labels by its area (Yun et al., ICCV 2019)."""

    name: Literal["cutmix"]
    alpha: PositiveFloat = Field(1.0, description="Of the beta distribution of areas.")


class Mosaic(_Sometimes):
    """Four images in one, halved about a random point (Bochkovskiy et al. 2020)."""

    name: Literal["mosaic"]
    prob: Share = Field(0.2, description="How often an image is varied so.")
    middle: tuple[Share, Share] = Field((0.3, 0.7), description="Where the point may lie.")


OfImage = (
    Flip | Affine | Rotate | Zoom | Elastic | Contrast | Gain | Brightness | Histogram | BiasField
    | Noise | Smooth | Sharpen | LowResolution | Dropout
)  # fmt: skip
OfBatch = MixUp | CutMix | Mosaic
Way = Annotated[OfImage | OfBatch, Field(discriminator="name")]

#: Every way by its name.
WAYS: dict[str, type[Section]] = {
    get_args(kind.model_fields["name"].annotation)[0]: kind
    for kind in (*get_args(OfImage), *get_args(OfBatch))
}
