"""The model card: what a model is, sees and says, as `model.toml` beside its weights.

Imports neither torch nor MONAI, so that models can be listed and checked in no time.
"""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomlkit
from pydantic import Field, PositiveInt, ValidationError, model_validator

from dicomnode.classify.fitted import Calibration, Fraction, Novelty, Table, Text, Weights
from dicomnode.errors import ModelError
from dicomnode.records import Concept, Interval, ModelRef, OperatingPoint, Translation

__all__ = [
    "SHIPPED",
    "Architecture",
    "Card",
    "Code",
    "Estimate",
    "Evaluation",
    "Explanation",
    "Input",
    "Label",
    "Measures",
    "Method",
    "Shown",
    "Spoken",
    "Weights",
    "find_models",
    "read_card",
    "write_card",
]

_FILE = "model.toml"
#: Where the models are that come with dicomnode.
SHIPPED = Path(__file__).with_name("models")

# Fits VR LO (PS3.5 section 6.2): a backslash would make two values of it.
ShortText = Annotated[str, Field(max_length=64, pattern=r"^[^\\\x00-\x1f\x7f]+$")]


class Architecture(Table):
    """Which of MONAI's networks, and how it is built."""

    kind: Literal["densenet", "efficientnet", "resnet", "seresnet50"]
    params: Mapping[str, Any] = Field(default_factory=dict)  #: of its constructor, sizes left out


class Input(Table):
    """What the network is shown of a study."""

    size_px: Annotated[int, Field(ge=16, le=2048)]  #: edge of the square
    channels: Literal[1, 3]  #: 3: grey, three times
    resize: Literal["pad", "stretch"]  #: keep the shape, black around it; or fill the square
    mean: tuple[float, ...]  #: one a channel, subtracted from display values of 0..1
    std: tuple[Annotated[float, Field(gt=0)], ...]  #: one a channel, divided by
    images: Literal["all", "first", "middle"] = "all"  #: which frames of the study
    max_images: PositiveInt = 512  #: more frames than this are thinned out evenly
    modalities: tuple[str, ...] = ()  #: images of any other are left out; empty: any will do
    views: tuple[str, ...] = ()  #: such as PA (0018,5101); others are left out; empty: any will do
    views_required: bool = False  #: are images that do not tell their view left out as well?
    min_px: PositiveInt = 1  #: rows, and columns, that an image has to have
    min_bits: PositiveInt = 1  #: Bits Stored (0028,0101) that an image has to have
    min_levels: PositiveInt = 1  #: of 256 grey levels, that a frame has to show: a blank one has 1
    min_contrast: Fraction = 0.0  #: standard deviation of the grey 0..1 that the network sees

    @model_validator(mode="after")
    def _one_a_channel(self) -> Self:
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(f"mean and std need {self.channels} number(s) each, one a channel")
        return self


class Code(Table):
    """The coded concept of a label (PS3.3 Table 8.8-1)."""

    value: Text
    scheme: Annotated[str, Field(min_length=1, max_length=16)]
    meaning: ShortText


class Label(Table):
    """One output of the network, in order."""

    name: ShortText
    code: Code
    threshold: Fraction  #: from here the finding is present
    margin: Fraction = 0.0  #: closer to the threshold than this, it is undetermined
    names: Mapping[str, Text] = Field(default_factory=dict)  #: in other languages (RFC 5646)

    @property
    def concept(self) -> Concept:
        """The code as results carry it."""
        return Concept(value=self.code.value, scheme=self.code.scheme, meaning=self.code.meaning)


class Estimate(Table):
    """A measured value with its 95 % confidence interval."""

    value: Fraction
    low: Fraction
    high: Fraction


#: How the methods of explanation are named in results.
_METHODS = {
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
    """How a present finding is shown: `classify/attribution.py` says what each method does."""

    method: Method = "grad-cam++"
    layer: str = ""  #: name of the module whose activations are weighed; CAM methods need one
    finer: tuple[Text, ...] = ()  #: modules before it, whose sharper maps narrow its map down
    region_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.5  #: of the map's maximum
    measures: tuple[Shown, ...] = ()  #: `models evaluate` gives them

    @property
    def layers(self) -> tuple[str, ...]:
        """Every module whose activations are looked at, the coarsest first."""
        return (self.layer, *self.finer) if "cam" in self.method else ()

    @model_validator(mode="after")
    def _cam_has_layer(self) -> Self:
        if "cam" in self.method and not self.layer:
            raise ValueError(f"{self.method} needs the layer whose activations are weighed")
        return self


class Measures(Table):
    """How well one label is told, at its threshold."""

    label: Text
    positives: int
    negatives: int
    auroc: Estimate
    sensitivity: Estimate
    specificity: Estimate


class Evaluation(Table):
    """What the model was measured on, and the outcome."""

    dataset: Text  #: in words
    images: PositiveInt
    seed: int
    measures: tuple[Measures, ...]
    translations: Mapping[str, Text] = Field(default_factory=dict)  #: of `dataset` (RFC 5646)


class Spoken(Table):
    """What is said of the model, in another language; English stays where it is left out."""

    disclaimer: Text | None = None
    intended_use: Text | None = None


class Card(Table):
    """All that is known of one model."""

    name: ShortText
    version: ShortText
    manufacturer: ShortText
    intended_use: Text
    disclaimer: Text  #: said in every result
    translations: Mapping[str, Spoken] = Field(default_factory=dict)  #: by RFC 5646
    architecture: Architecture
    weights: Weights
    input: Input
    explanation: Explanation
    labels: Annotated[tuple[Label, ...], Field(min_length=1)]
    calibration: Calibration | None = None
    novelty: Novelty | None = None
    evaluation: Evaluation | None = None

    @model_validator(mode="after")
    def _labels_differ(self) -> Self:
        names = [label.name for label in self.labels]
        if len(set(names)) < len(names):
            raise ValueError("two labels have the same name")
        return self

    @model_validator(mode="after")
    def _every_label_is_calibrated(self) -> Self:
        if self.calibration is not None:
            count, fits = len(self.labels), len(self.calibration.temperatures)
            if fits not in (0, 1, count) or len(self.calibration.curves) not in (0, count):
                raise ValueError(f"calibration has to have numbers for {count} label(s)")
        return self

    def operating(self, label: str) -> OperatingPoint | None:
        """How well a label was measured to be told at its threshold; None where it was not."""
        if self.evaluation is None:
            return None
        for measured in self.evaluation.measures:
            if measured.label == label:
                return OperatingPoint(
                    sensitivity=_interval(measured.sensitivity),
                    specificity=_interval(measured.specificity),
                    positives=measured.positives,
                    negatives=measured.negatives,
                    data=self.evaluation.dataset,
                    translations=self.evaluation.translations,
                )
        return None

    @property
    def files(self) -> tuple[Weights, ...]:
        """Every file with numbers that belongs to the model."""
        return (self.weights, *((self.novelty.numbers,) if self.novelty else ()))

    @property
    def model(self) -> ModelRef:
        """The model as results name it."""
        return ModelRef(
            name=self.name,
            version=self.version,
            digest=self.weights.sha256,
            manufacturer=self.manufacturer,
            intended_use=self.intended_use,
            disclaimer=self.disclaimer,
            explanation=_METHODS[self.explanation.method],
            calibration=self.calibration.method if self.calibration else "",
            views=self.input.views,
            translations={
                language: Translation(**said.model_dump(exclude_none=True))
                for language, said in self.translations.items()
            },
        )


def _interval(estimate: Estimate) -> Interval:
    return Interval(value=estimate.value, low=estimate.low, high=estimate.high)


def read_card(folder: Path) -> Card:
    """The card in a model folder; ModelError names folder, key and what would be right."""
    path = folder / _FILE
    try:
        return Card.model_validate(tomllib.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        raise ModelError(f"{folder}: there is no {_FILE}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelError(f"{path}: cannot be read: {error}") from error
    except ValidationError as error:
        raise ModelError(f"{path}: {_mistakes(error)}") from error


def _mistakes(error: ValidationError) -> str:
    lines = (
        (".".join(str(part) for part in mistake["loc"]) or "the card", mistake["msg"])
        for mistake in error.errors(include_url=False)
    )
    return "; ".join(f"{key}: {message}" for key, message in lines)


def write_card(card: Card, folder: Path) -> Path:
    """Write the card as `model.toml`; returns its path."""
    path = folder / _FILE
    path.write_text(tomlkit.dumps(card.model_dump(exclude_none=True)), "utf-8")
    return path


def find_models(folders: Iterable[Path] = ()) -> dict[str, Path]:
    """Every model folder by its name: the shipped ones, then those inside `folders`."""
    found: dict[str, Path] = {}
    for parent in (SHIPPED, *folders):
        if not parent.is_dir():
            raise ModelError(f"{parent}: is no folder; it should hold one folder a model")
        for folder in sorted(parent.iterdir()):
            if not (folder / _FILE).is_file():
                continue
            if folder.name in found:
                raise ModelError(f"{folder}: {found[folder.name]} has the same name; rename one")
            found[folder.name] = folder
    return found
