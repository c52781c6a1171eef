"""What decides a training run: the tables of a recipe (TOML), saved whole beside the weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from dicomnode.classify.card.architecture import Architecture
from dicomnode.classify.card.explanation import Explanation
from dicomnode.classify.card.input import Input
from dicomnode.classify.card.output import Code, Output
from dicomnode.classify.card.tables import ShortText, Text
from dicomnode.config.fields import Section
from dicomnode.learn.training.ways import OfBatch, OfImage, Way

__all__ = ["Data", "Familiar", "Loss", "Optimise", "Recipe", "Start", "Target", "Teacher"]

Share = Annotated[float, Field(ge=0, lt=1)]


class Target(Section):
    """One label that the network learns."""

    name: ShortText = Field(description="What results call it.")
    column: str = Field("", description="Its column in the manifest; the name where left out.")
    code: Code | None = Field(
        None, description="Its coded concept: value, scheme, meaning; else a known or private one."
    )
    names: Mapping[str, Text] = Field({}, description="In other languages (RFC 5646).")


class Data(Section):
    """The images, and what each is for."""

    manifest: Path = Field(description="The table of images (CSV), from the recipe's folder on.")
    images: Path | None = Field(None, description="Folder of its files; else that of the manifest.")
    file: str = Field("", description="Column of the file; usual names are found.")
    patient: str = Field("", description="Column of the patient.")
    age: str = Field("", description="Column of the age in years.")
    sex: str = Field("", description="Column of the sex.")
    view: str = Field("", description="Column of the view, such as PA.")
    scanner: str = Field("", description="Column of the scanner.")
    split: str = Field(
        "", description="Column that says train, validation or held-out, where it is fixed."
    )
    where: Mapping[Literal["view", "sex", "scanner"], str] = Field(
        {}, description="Only lines with these values, by column: view, sex, scanner."
    )
    validation: Share = Field(
        0.15, description="Share of patients that stopping, calibration and thresholds come from."
    )
    held_out: Share = Field(0.15, description="Share of patients that the card's measures are of.")
    folds: Annotated[int, Field(ge=0, le=20)] = Field(
        0,
        description=(
            "Cross-validation: as many networks, each measured on its own part, then one on all "
            "images. 0: one network, and the shares above."
        ),
    )
    sampling: Literal["plain", "balanced"] = Field(
        "plain", description="balanced: images with rare labels are drawn more often."
    )
    detail: Annotated[float, Field(ge=1, le=4)] = Field(
        1.0, description="Images are kept this many times larger than the input for augmentation."
    )
    workers: NonNegativeInt = Field(
        0,
        description=(
            "Processes that load and augment beside the training; no part of the outcome. 0: none."
        ),
    )

    @model_validator(mode="after")
    def _something_is_left(self) -> Self:
        if self.validation + self.held_out >= 1:
            raise ValueError("validation and held_out leave no image to learn from")
        if self.folds == 1:
            raise ValueError("folds must be 0, or 2 and more")
        return self


class Start(Section):
    """The weights that training starts from, and which of them wait."""

    model: str = Field("", description="A model by name, or its folder; empty: random weights.")
    truncate: NonNegativeInt = Field(
        0, description="Final blocks of the network that are cut off (densenet, vit)."
    )
    frozen: tuple[tuple[PositiveInt, NonNegativeInt], ...] = Field(
        (),
        description=(
            "Pairs of epoch and number: from that epoch on, as many of the first stages stay as "
            "they are, such as [[1, 6], [5, 3], [10, 0]]. `--dry-run` lists the stages."
        ),
    )
    decay: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="Each stage further from the answer learns with this share of the rate."
    )

    @model_validator(mode="after")
    def _epochs_ascend(self) -> Self:
        epochs = [epoch for epoch, _ in self.frozen]
        if epochs != sorted(set(epochs)):
            raise ValueError("frozen: epochs have to ascend")
        return self


class Loss(Section):
    """What is an error, and how much it weighs."""

    kind: Literal["cross-entropy", "focal"] = Field(
        "cross-entropy", description="focal: what is told well already weighs less."
    )
    gamma: NonNegativeFloat = Field(2.0, description="How much less, for focal.")
    balance: Literal["none", "positive", "inverse", "class-balanced"] = Field(
        "none",
        description=(
            "positive: a present label weighs as much more as it is rarer; inverse: both answers "
            "of a label weigh the same in all; class-balanced: by the "
            "effective number of images (Cui et al. 2019)."
        ),
    )
    beta: Annotated[float, Field(gt=0, lt=1)] = Field(0.999, description="Of class-balanced.")
    heaviest: PositiveFloat = Field(20.0, description="No answer weighs more than this.")
    smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="Share of the truth that is spread evenly over the answers."
    )


class Teacher(Section):
    """Another model's probabilities as soft labels, for images to learn from only."""

    prefix: str = Field("", description="Of the manifest's columns with its probabilities.")
    model: str = Field("", description="Or a model, by name or folder, with labels of these names.")
    weight: Annotated[float, Field(ge=0, le=1)] = Field(
        0.5, description="Share of the teacher in the loss; the rest is the truth's."
    )
    loss: Literal["cross-entropy", "regression"] = Field(
        "cross-entropy",
        description=(
            "regression: the network's outputs shall be teacher's logits, each label brought to "
            "mean 0 and deviation 1, and the truth is brought to the same scale."
        ),
    )
    temperature: PositiveFloat = Field(
        1.0, description="Logits are divided by it, for cross-entropy."
    )

    @model_validator(mode="after")
    def _one_teacher(self) -> Self:
        if bool(self.prefix) == bool(self.model):
            raise ValueError("needs either prefix or model")
        return self


class Optimise(Section):
    """How the weights are changed."""

    epochs: PositiveInt = Field(30, description="Times that every image is seen, at most.")
    batch: PositiveInt = Field(32, description="Images of a step, over all processes.")
    method: Literal["adamw", "sgd", "ridge"] = Field(
        "adamw",
        description=(
            "The optimiser; ridge: only the last layer learns, in closed form, from `epochs` "
            "varied views of each image. It asks for no loss but regression."
        ),
    )
    ridge: PositiveFloat = Field(0.3, description="Penalty of ridge, as a share of what is seen.")
    learning_rate: PositiveFloat = Field(1e-3, description="The highest.")
    weight_decay: NonNegativeFloat = Field(
        1e-2, description="Of weights; biases and norms have none."
    )
    momentum: Share = Field(0.9, description="Of sgd.")
    schedule: Literal["cosine", "one-cycle", "constant"] = Field(
        "cosine", description="Of the rate: falling as a cosine, rising first, or neither."
    )
    warm_up: Share = Field(
        0.05, description="Share of all steps in which the rate rises (cosine, one-cycle)."
    )
    clip_norm: NonNegativeFloat = Field(1.0, description="Longest gradient; 0: any.")
    average: Share = Field(
        0.0, description="Decay of the moving average of weights that is kept; 0: no average."
    )
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="Of autocast; float16 needs an accelerator."
    )
    patience: NonNegativeInt = Field(
        0, description="Epochs without a better AUROC before stopping; 0: all epochs are run."
    )
    keep: Literal["best", "last"] = Field(
        "best", description="Which epoch's weights: the best AUROC in validation, or the last."
    )


class Familiar(Section):
    """By what unfamiliar images will be told (`classify/novelty.py`)."""

    told: bool = Field(True, description="false: the model answers for any image.")
    layer: str = Field("", description="Of the network, early; the end of its stem where left out.")
    grid: Annotated[int, Field(ge=1, le=16)] = Field(4, description="Places squared.")
    quantile: Share = Field(0.99, description="Of the scores of images not learnt from.")
    slack: PositiveFloat = Field(3.0, description="The limit is so many times that quantile.")


def _safe(name: str) -> str:
    if not name.strip() or name.startswith(".") or set(name) & set("/\\@:"):
        raise ValueError("is no name for a model and its folder: no slash, colon or @")
    return name


class Recipe(Section):
    """All that decides a training run."""

    name: Annotated[ShortText, AfterValidator(_safe)] = Field(description="Of the model.")
    version: ShortText = Field("1.0.0", description="Of the model.")
    manufacturer: ShortText = Field(description="Who answers for the model.")
    intended_use: Text = Field(description="What it is for, in a sentence.")
    disclaimer: Text = Field("Research model, not for clinical use", description="In every result.")
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(7, description="Of all that is random.")
    threads: PositiveInt = Field(
        2, description="torch's; part of the outcome, as it decides the order of sums."
    )
    output: Output = Field(Output(), description="How labels go together, as in a card.")
    data: Data = Field(description="The images.")
    labels: tuple[Target, ...] = Field((), description="What is learnt; else all 0/1 columns.")
    input: Input = Field(description="What the network is shown, as in a card.")
    network: Architecture | None = Field(
        None, description="kind and params, as in a card; that of start.model where left out."
    )
    start: Start = Field(Start(), description="What training starts from.")
    augment: tuple[Way, ...] = Field((), description="How images are varied, in this order.")
    loss: Loss = Field(Loss(), description="What is an error.")
    teacher: Teacher | None = Field(None, description="Soft labels.")
    optimise: Optimise = Field(Optimise(), description="How weights change.")
    explanation: Explanation | None = Field(None, description="As in a card; else by the network.")
    familiar: Familiar = Field(Familiar(), description="What is usual.")
    track: tuple[Literal["tensorboard", "mlflow"], ...] = Field(
        (), description="Who else hears of each epoch, where it is installed."
    )

    @property
    def ways_of_image(self) -> list[OfImage]:
        """How each image is varied by itself, in order."""
        return [way for way in self.augment if not isinstance(way, OfBatch)]

    @property
    def ways_of_batch(self) -> list[OfBatch]:
        """How images of a batch are mixed, in order; after the others."""
        return [way for way in self.augment if isinstance(way, OfBatch)]

    @model_validator(mode="after")
    def _tables_fit_each_other(self) -> Self:
        if len({target.name for target in self.labels}) < len(self.labels):
            raise ValueError("two labels have the same name")
        plain = self.output.kind in ("multi-label", "binary") and not self.output.softmax
        if self.teacher and self.teacher.loss == "regression" and not plain:
            raise ValueError("a teacher's regression is for numbers that do not compete")
        if self.teacher and not plain and self.output.kind != "multi-class":
            raise ValueError(f"output {self.output.kind} has no teacher")
        if self.optimise.method == "ridge" and not plain:
            raise ValueError("optimise.method ridge is for numbers that do not compete")
        if self.network is None and not self.start.model:
            raise ValueError("needs the table network, or start.model")
        return self
