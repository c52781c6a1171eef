"""`pipelines/NAME.toml`: which studies go to which model, and which results to whom."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    ValidationInfo,
    field_validator,
)

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

__all__ = [
    "NOTICES",
    "PROFILES",
    "CompleteSettings",
    "Destination",
    "MatchSettings",
    "PipelineSettings",
    "Profile",
    "Selection",
    "Sender",
]


class Profile(StrEnum):
    """A ready-made choice of results, by the viewer that will show them."""

    OHIF = "ohif"
    WEASIS = "weasis"
    STONE = "stone"
    AIR = "air"
    LEGACY = "legacy"


PROFILES: Mapping[Profile, frozenset[ResultKind]] = {
    Profile.OHIF: frozenset({ResultKind.SR, ResultKind.SC}),
    Profile.WEASIS: frozenset({ResultKind.SR, ResultKind.SC, ResultKind.GSPS, ResultKind.KO}),
    Profile.STONE: frozenset({ResultKind.SR, ResultKind.SC}),
    Profile.AIR: frozenset({ResultKind.SR3D, ResultKind.SEG, ResultKind.KO}),
    Profile.LEGACY: frozenset({ResultKind.SC, ResultKind.TEXT}),
}


def _sender(title: str, info: ValidationInfo) -> str:
    """Where `load` knows who may send, the AE title is one of them."""
    known = info.context and info.context["senders"]
    if known is not None and title not in known:
        raise ValueError(f"no peer that may send has this ae_title{did_you_mean(title, known)}")
    return title


def _peer(name: str, info: ValidationInfo) -> str:
    """Where `load` knows the peers, the name is one of them."""
    context = info.context
    if context and name not in context["peers"]:
        raise ValueError(f"there is no peers/{name}.toml{did_you_mean(name, context['peers'])}")
    if context and name in context["portless"]:
        raise ValueError(f"peers/{name}.toml has no port, so nothing can be stored there: set it")
    return name


_CHOICES: Mapping[str, ResultKind | Profile] = {str(one): one for one in (*ResultKind, *Profile)}


def _choice(name: str) -> ResultKind | Profile:
    """A kind of result, or a profile."""
    if name in _CHOICES:
        return _CHOICES[name]
    hint = did_you_mean(name, list(_CHOICES)) or f"; known are {', '.join(_CHOICES)}"
    raise ValueError(f"is neither a kind of result nor a profile{hint}")


#: Kinds that are made whatever was found, or that there is no answer; the others may be silent.
NOTICES = frozenset(
    {ResultKind.SC, ResultKind.SR, ResultKind.SR3D, ResultKind.TEXT, ResultKind.PDF}
)


def _says_all(chosen: tuple[str, ...]) -> tuple[str, ...]:
    """A choice that also says that nothing was found: silence could be taken for that."""
    if _kinds(chosen).isdisjoint(NOTICES):
        raise ValueError(
            f"says nothing where nothing was found; add one of {', '.join(sorted(NOTICES))}, so "
            "that silence is never taken for an answer"
        )
    return chosen


_PATIENCE_S = 10.0

Texts = tuple[str, ...]
Sender = Annotated[AETitle, AfterValidator(_sender)]
Destination = Annotated[Name, AfterValidator(_peer)]
Selection = Annotated[
    tuple[Annotated[str, AfterValidator(_choice)], ...], NotEmpty, AfterValidator(_says_all)
]


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


def _kinds(chosen: Iterable[str]) -> frozenset[ResultKind]:
    """Kinds, and those of profiles."""
    found: set[ResultKind] = set()
    for choice in map(_choice, chosen):
        found |= PROFILES[choice] if isinstance(choice, Profile) else {choice}
    return frozenset(found)


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
        description=(
            "Images still missing then: process what is there, marked partial, or skip: say that "
            "it was not analysed, as `not_analysed` tells."
        ),
    )

    @property
    def patience_s(self) -> float:
        """The measure for what takes its time; where `quiet_s` is 0, that is no measure."""
        return self.quiet_s or _PATIENCE_S


class PipelineSettings(Section):
    """One pipeline: which images, which model, which results, to whom."""

    enabled: bool = Field(
        True, description="Does it take images? Else its file stays, and images to come pass it by."
    )
    model: str = Field(
        "demonstration",
        min_length=1,
        description="Name of the model, as `dicomnode models list` shows it.",
    )
    shadow: tuple[str, ...] = Field(
        (),
        description=(
            "Candidates: models that are asked about the same studies in spare time. Their answers "
            "are kept and never sent; `dicomnode models compare` sets them beside the model's."
        ),
        examples=[("chest-2",)],
    )
    results: Selection = Field(
        (ResultKind.SR, ResultKind.SC),
        description=(
            "What each destination gets. Kinds: sr (Structured Report, TID 1500), sr3d (the same "
            "as Comprehensive 3D SR), text (report in sentences), sc (picture with heat map), gsps "
            "(regions drawn on the image itself), seg (Segmentation), pdf, ko (key images). Or a "
            "profile: ohif, weasis, stone, air, legacy."
        ),
    )
    destinations: Annotated[tuple[Destination, ...], NotEmpty] = Field(
        description="Names of the peers that get the results."
    )
    results_for: Mapping[Destination, Selection] = Field(
        {},
        description="Destinations that get something else than `results` says.",
        examples=[{"pacs": ("legacy",)}],
    )
    not_analysed: Literal["all", "reports", "nothing"] = Field(
        "all",
        description=(
            "What destinations get of a study that could not be analysed: reports and pictures "
            "that say so and why, only reports, or nothing."
        ),
    )
    language: Literal["en", "de", "fr", "es", "zh"] = Field(
        "en", description="Language of the words in reports and pictures."
    )
    priority: Annotated[int, Field(ge=-1000, le=1000)] = Field(
        0, description="Pipelines with a higher number go first."
    )
    match: MatchSettings = MatchSettings()
    complete: CompleteSettings = CompleteSettings()

    @field_validator("shadow")
    @classmethod
    def _others(cls, named: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if info.data.get("model") in named:
            raise ValueError("names the pipeline's own model; a candidate is another one")
        if len(set(named)) < len(named):
            raise ValueError("names a model twice")
        return named

    @field_validator("results_for")
    @classmethod
    def _known_destinations(
        cls, chosen: Mapping[str, tuple[str, ...]], info: ValidationInfo
    ) -> Mapping[str, tuple[str, ...]]:
        named = info.data.get("destinations", chosen)
        for name in chosen:
            if name not in named:
                raise ValueError(f"{name} is none of the destinations")
        return chosen

    @property
    def wanted(self) -> Mapping[str, frozenset[ResultKind]]:
        """What each destination gets, by its name."""
        return {
            name: _kinds(self.results_for.get(name, self.results)) for name in self.destinations
        }

    @property
    def wanted_notices(self) -> Mapping[str, frozenset[ResultKind]]:
        """What each destination gets of a study that could not be analysed; empty: nothing.

        Of what it would get otherwise, what can say so; a picture where it takes nothing else.
        """
        if self.not_analysed == "nothing":
            return {}
        kinds = NOTICES if self.not_analysed == "all" else NOTICES - {ResultKind.SC}
        return {name: wanted & kinds or wanted & NOTICES for name, wanted in self.wanted.items()}
