"""`pipelines/NAME.toml`: which studies go to which model, and which results to whom."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat, ValidationInfo

from dicomnode.config.fields import (
    AETitle,
    Keyword,
    Name,
    NotEmpty,
    Section,
    SOPClass,
    did_you_mean,
)
from dicomnode.records import ResultKind

__all__ = ["CompleteSettings", "MatchSettings", "PipelineSettings"]


def _sender(title: str, info: ValidationInfo) -> str:
    """Where `load` knows who may send, the AE title is one of them."""
    known = info.context and info.context["senders"]
    if known is not None and title not in known:
        raise ValueError(f"no peer that may send has this ae_title{did_you_mean(title, known)}")
    return title


def _peer(name: str, info: ValidationInfo) -> str:
    """Where `load` knows the peers, the name is one of them."""
    known = info.context and info.context["peers"]
    if known is not None and name not in known:
        raise ValueError(f"there is no peers/{name}.toml{did_you_mean(name, known)}")
    return name


_PATIENCE_S = 10.0

Texts = tuple[str, ...]
Sender = Annotated[AETitle, AfterValidator(_sender)]
Destination = Annotated[Name, AfterValidator(_peer)]


class MatchSettings(Section):
    """Which images belong to the pipeline: each list that is not empty must hold the value.

    Upper and lower case are the same, and * stands for any characters.
    """

    calling_ae: tuple[Sender, ...] = Field(
        (),
        description="AE titles that sent it, exactly. Empty: any.",
        examples=[("XRAY1", "XRAY2")],
    )
    modality: Texts = Field(
        (), description="Modality (0008,0060), such as DX. Empty: any.", examples=[("DX", "CR")]
    )
    body_part: Texts = Field(
        (),
        description=(
            "Body Part Examined (0018,0015), such as CHEST. Empty: any. Many devices leave the "
            "attribute out; such images match no list."
        ),
        examples=[("CHEST", "THORAX")],
    )
    sop_class: tuple[SOPClass, ...] = Field(
        (),
        description="SOP Class UIDs, or keywords such as CTImageStorage. Empty: any.",
        examples=[("DigitalXRayImageStorageForPresentation",)],
    )
    attributes: Mapping[Keyword, Texts] = Field(
        {},
        description="Any other attribute by its keyword, each with the values allowed.",
        examples=[{"StationName": ("ROOM1", "ROOM2"), "StudyDescription": ("*CHEST*",)}],
    )


class CompleteSettings(Section):
    """When a study counts as complete."""

    quiet_s: NonNegativeFloat = Field(
        10.0,
        description=(
            "No image and no open association for so long, in seconds. 0: as soon as its last "
            "association is released."
        ),
    )
    limit_s: PositiveFloat = Field(
        1800.0,
        description="Where the sending peer says it has more images: longest wait, in seconds.",
    )
    when_short: Literal["process", "skip"] = Field(
        "process",
        description="Images still missing then: process what is there, marked partial, or skip.",
    )

    @property
    def patience_s(self) -> float:
        """The measure for what takes its time; where `quiet_s` is 0, that is no measure."""
        return self.quiet_s or _PATIENCE_S


class PipelineSettings(Section):
    """One pipeline: which images, which model, which results, to whom."""

    enabled: bool = Field(
        True, description="false keeps the file and turns the pipeline off for images to come."
    )
    model: str = Field(
        "demonstration",
        min_length=1,
        description="Name of the model, as `dicomnode models list` shows it.",
    )
    results: Annotated[tuple[ResultKind, ...], NotEmpty] = Field(
        (ResultKind.SR, ResultKind.SC),
        description="What is made: sr (Structured Report), sc (Secondary Capture).",
    )
    destinations: Annotated[tuple[Destination, ...], NotEmpty] = Field(
        description="Names of the peers that get the results."
    )
    priority: Annotated[int, Field(ge=-1000, le=1000)] = Field(
        0, description="Pipelines with a higher number go first."
    )
    match: MatchSettings = MatchSettings()
    complete: CompleteSettings = CompleteSettings()
