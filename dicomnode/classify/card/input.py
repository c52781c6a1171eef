"""What a model is shown."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    PositiveInt,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from dicomnode.classify.card.tables import Fraction, ShortText, Table, Text

__all__ = ["Axis", "Input", "Slot", "Volume"]

#: Where an axis runs to: left, right, posterior, anterior, superior (head), inferior.
Axis = Literal["L", "R", "P", "A", "S", "I"]
_ACROSS = ({"L", "R"}, {"P", "A"}, {"S", "I"})
_Percent = Annotated[float, Field(ge=0, le=100)]
_Positive = Annotated[float, Field(gt=0)]
_Size = Annotated[int, Field(ge=4, le=1024)]

#: Views that go by several names.
_ALIKE = {"LATERAL": ("LATERAL", "LL", "RL"), "FRONTAL": ("PA", "AP")}

#: Which of the table's keys belong to which kinds only.
_OF_KIND: Mapping[str, tuple[str, ...]] = {
    "size_px": ("image", "views"),
    "resize": ("image", "views"),
    "slots": ("views",),
    "fusion": ("views",),
    "volume": ("volume",),
}


class Volume(Table):
    """The grid that a stack of slices is brought to, along the patient's axes.

    The stack lies in the middle of the grid; what of the grid lies beside it is as dark as can be,
    and slices that lie beside the grid are left out.
    """

    size_vox: tuple[_Size, _Size, _Size]  #: of the tensor's axes, in their order
    spacing_mm: tuple[_Positive, _Positive, _Positive] | None = None
    """From voxel to voxel; left out, the grid is stretched over the whole stack."""
    axes: tuple[Axis, Axis, Axis] = ("S", "P", "L")  #: where each axis of the tensor runs to
    intensity: tuple[float, float] | None = None
    """What becomes 0 and what 1, after the modality LUT: such as -1000 and 400 HU; beyond, cut."""
    percentiles: tuple[_Percent, _Percent] | None = None
    """The same by shares of the voxels, for what has no unit, such as MR: 1 and 99."""
    standardise: Literal["all", "nonzero"] | None = None
    """Mean 0 and deviation 1, of all voxels; or of those that are not 0, which stay 0."""
    series: Literal["one", "largest"] = "one"
    """If several series fit: "one" refuses, "largest" takes that of most slices."""
    min_slices: Annotated[int, Field(ge=2)] = 2
    max_gap_mm: _Positive | None = None  #: between slices; thicker stacks are refused

    @model_validator(mode="after")
    def _axes_are_across(self) -> Self:
        if not all(any(axis in pair for axis in self.axes) for pair in _ACROSS):
            raise ValueError("axes need one of L and R, one of P and A, one of S and I")
        ways = (self.intensity, self.percentiles, self.standardise)
        if sum(way is not None for way in ways) != 1:
            raise ValueError("one of intensity, percentiles and standardise is needed")
        if any(low >= high for low, high in filter(None, ways[:2])):
            raise ValueError("intensity and percentiles have to ascend")
        return self


class Slot(Table):
    """One of the views that a model looks at together; written as its name alone, a usual one."""

    name: ShortText
    views: Annotated[tuple[Text, ...], Field(min_length=1)]  #: View Position (0018,5101): any of it
    laterality: Literal["L", "R"] | None = None  #: Image Laterality (0020,0062); left out: any

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, given: object) -> object:
        if not isinstance(given, str):
            return given
        side, _, view = given.rpartition(" ")
        said = {"name": given, "views": _ALIKE.get(view, (view,))}
        return said | ({"laterality": side} if side else {})


class Input(Table):
    """What the network is shown of a study.

    - image: each wanted frame alone; together they decide.
    - views: one image of each of the `slots`, such as PA and LATERAL, together.
    - volume: one series of slices, as a grid.
    """

    kind: Literal["image", "views", "volume"] = "image"
    size_px: Annotated[int, Field(ge=16, le=2048)] = 224  #: edge of the square
    channels: Literal[1, 3]  #: 3: grey, three times
    resize: Literal["pad", "stretch", "crop"] = "pad"
    """Keep the shape, black around it; fill the square; or its middle square alone."""
    mean: tuple[float, ...]  #: one a channel, subtracted from display values of 0..1
    std: tuple[_Positive, ...]  #: one a channel, divided by
    images: Literal["all", "first", "middle"] = "all"  #: which frames of the study
    max_images: PositiveInt = 512  #: more frames than this are thinned out evenly
    combine: Literal["max", "mean"] | None = None
    """What several frames say together: the most suspicious decides, or their mean; by default the
    former, and of classes the latter."""
    modalities: tuple[str, ...] = ()  #: images of any other are left out; empty: any will do
    views: tuple[str, ...] = ()  #: such as PA (0018,5101); others are left out; empty: any will do
    views_required: bool = False  #: are images that do not tell their view left out as well?
    min_px: PositiveInt = 1  #: rows, and columns, that an image has to have
    min_bits: PositiveInt = 1  #: Bits Stored (0028,0101) that an image has to have
    min_levels: PositiveInt = 1  #: of 256 grey levels, that a frame has to show: a blank one has 1
    min_contrast: Fraction = 0.0  #: standard deviation of the grey 0..1 that the network sees
    slots: tuple[Slot, ...] = ()
    """Of views: which, in the order of the network's channels, such as "PA" or "R MLO"."""
    fusion: Literal["stack", "mean"] = "stack"
    """Of views: all in one image of as many channels; or each alone, and the mean of the logits."""
    volume: Volume | None = None

    @property
    def planes(self) -> int:
        """Channels of the tensor that the network gets for one sample."""
        return self.channels * max(1, len(self.slots))

    @property
    def backbone_channels(self) -> int:
        """Channels that the network itself is built for."""
        return self.channels if self.fusion == "mean" else self.planes

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the tensor that the network gets for one sample."""
        if self.volume is not None:
            return (self.channels, *self.volume.size_vox)
        return (self.planes, self.size_px, self.size_px)

    @model_validator(mode="after")
    def _one_a_channel(self) -> Self:
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(f"mean and std need {self.channels} number(s) each, one a channel")
        return self

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        if self.kind != "volume" and not {"size_px", "resize"} <= self.model_fields_set:
            raise ValueError("size_px and resize are needed where the network is shown pictures")
        if (len(self.slots) > 1) != (self.kind == "views"):
            raise ValueError("slots belong to the kind views, which needs two and more")
        if len({slot.name for slot in self.slots}) < len(self.slots):
            raise ValueError("two of the slots have the same name")
        if (self.volume is not None) != (self.kind == "volume"):
            raise ValueError("the table volume belongs to the kind volume, which needs it")
        return self

    @model_serializer(mode="wrap")
    def _only_what_counts(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A card says nothing that its kind does not heed."""
        said: dict[str, Any] = write(self)
        return {k: v for k, v in said.items() if self.kind in _OF_KIND.get(k, (self.kind,))}
