"""`pipelines/NAME.toml`: which studies go to which model, and which results to whom."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat

from dicomnode.config.fields import AETitle, Name, Section
from dicomnode.records import ResultKind

__all__ = ["CompleteSettings", "MatchSettings", "PipelineSettings"]

Texts = tuple[str, ...]


class MatchSettings(Section):
    """Which images belong to the pipeline: each list that is not empty must hold the image's value."""

    calling_ae: tuple[AETitle, ...] = Field((), description="AE titles that sent it. Empty: any.")
    modality: Texts = Field((), description="Modality (0008,0060), such as DX. Empty: any.")
    body_part: Texts = Field(
        (), description="Body Part Examined (0018,0015), such as CHEST. Empty: any."
    )
    sop_class: Texts = Field(
        (), description="SOP Class UID or its keyword, such as CTImageStorage. Empty: any."
    )
    attributes: Mapping[str, Texts] = Field(
        default_factory=dict,
        description="Any other attribute by keyword, each with the values allowed; * stands for any characters.",
    )


class CompleteSettings(Section):
    """When a study counts as complete."""

    quiet_s: PositiveFloat = Field(
        10.0, description="No image and no open association for so long, in seconds."
    )
    limit_s: PositiveFloat = Field(
        1800.0,
        description="A study that the sending peer says is larger is waited for so long, in seconds.",
    )
    when_short: Literal["process", "skip"] = Field(
        "process",
        description="Images still missing then: process what is there, marked partial, or skip.",
    )


class PipelineSettings(Section):
    """One pipeline: match, model, results, destinations."""

    enabled: bool = Field(True, description="false keeps the file and turns the pipeline off.")
    model: str = Field(
        "demonstration",
        description="Name of the model folder, as `dicomnode models list` shows it.",
    )
    results: Annotated[tuple[ResultKind, ...], Field(min_length=1)] = Field(
        (ResultKind.SR, ResultKind.SC),
        description="What is made: sr (Structured Report), sc (Secondary Capture).",
    )
    destinations: Annotated[tuple[Name, ...], Field(min_length=1)] = Field(
        description="Names of the peers that get the results."
    )
    priority: int = Field(0, description="Higher goes first.")
    match: MatchSettings = MatchSettings()
    complete: CompleteSettings = CompleteSettings()
