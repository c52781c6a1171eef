"""`python -m dicomnode.learn.demonstration`: train the demonstration model on drawn radiographs.

Read `train` from top to bottom. The same recipe gives the same weights, bit for bit, on the same
kind of CPU and version of torch: the number of threads is part of the recipe, because it decides
the order in which sums are made.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import count, islice
from pathlib import Path

import numpy as np
import tomlkit
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim.lr_scheduler import OneCycleLR

from dicomnode.answers import FrameRef
from dicomnode.classify.card.architecture import Architecture
from dicomnode.classify.card.card import Card
from dicomnode.classify.card.explanation import Explanation
from dicomnode.classify.card.folder import SHIPPED, write_card
from dicomnode.classify.card.input import Input
from dicomnode.classify.card.provenance import Training
from dicomnode.classify.card.tables import Weights
from dicomnode.classify.explaining.cells import Cells, cells_of
from dicomnode.classify.network import build_network
from dicomnode.classify.samples.preprocess import prepare
from dicomnode.classify.vectors import add_vectors
from dicomnode.classify.weights import save_weights
from dicomnode.dicom.pixels import Frame
from dicomnode.learn.cases import Case, synthetic
from dicomnode.learn.drawing import FINDINGS, draw
from dicomnode.learn.explanations import shown
from dicomnode.learn.labels import demonstration_labels
from dicomnode.learn.novelty import Familiar, with_novelty
from dicomnode.learn.places import by_place, in_places, misplaced
from dicomnode.learn.training import judge
from dicomnode.learn.translations import EVALUATION, SPOKEN
from dicomnode.records import InstanceRef

__all__ = ["Recipe", "describe", "main", "train"]

_OTHERS = "synthetic radiographs, drawn with other seeds than those for training"
_FAMILIAR = Familiar(layer="features.denseblock1", grid=5, slack=3.4)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that decides a training run; saved whole beside the weights."""

    seed: int = 7  #: first weights, order of images, changes of contrast
    first_patient: int = 1_000_000  #: seed of the first drawing; each image has its own
    training: int = 2400  #: images
    validation: int = 400  #: thresholds are chosen on them
    held_out: int = 800  #: measures in the card come from them
    explained: int = 400  #: explanations are measured on them
    prevalence: float = 0.35  #: of each finding, independently
    least_rows: int = 192  #: height of the drawings, pixels
    most_rows: int = 352
    size_px: int = 160  #: of the network's input
    init_features: int = 16
    growth_rate: int = 24
    block_config: tuple[int, int] = (2, 6)  #: two blocks: a place of the last map every 8 pixels
    bn_size: int = 2
    layer: str = "class_layers.relu"  #: whose activations are weighed to explain
    region_fraction: float = 0.5  #: of the heat map's maximum
    epochs: int = 10
    batch: int = 16
    learning_rate: float = 3e-3  #: highest; AdamW, one cycle
    last_rate: float = 10.0  #: times that, for the last layer: a nodule is a few of all places
    weight_decay: float = 1e-2
    contrast: float = 0.15  #: spread of random gain and offset
    pointing: float = 1.0  #: weight of adding up where the finding lies, beside being right
    threads: int = 1  #: torch's; part of the result
    familiar: Familiar = _FAMILIAR  #: when an image is like the drawings


@dataclass(frozen=True, slots=True, eq=False)
class _Images:
    """Prepared images and what is in them."""

    tensors: torch.Tensor  #: (images, 1, size_px, size_px)
    truth: torch.Tensor  #: (images, labels), 0 or 1
    where: torch.Tensor  #: (images, labels, places, places), which share of it the finding covers


def train(recipe: Recipe, folder: Path, console: Console) -> Card:
    """Draw, train, choose thresholds, measure, and write the model folder."""
    torch.set_num_threads(recipe.threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(recipe.seed)
    card = describe(recipe)
    network = build_network(card)
    image = torch.zeros(1, 1, recipe.size_px, recipe.size_px)
    cells = cells_of(network.eval(), recipe.layer, image)

    patients = count(recipe.first_patient)
    training, validation, held_out = (
        _images(recipe, card, cells, patients, size, console)
        for size in (recipe.training, recipe.validation, recipe.held_out)
    )

    _learn(network, training, recipe, console)

    card = _measured(card, _answers(network, validation), _answers(network, held_out), recipe.seed)
    card = _with_explanations(card, network, synthetic(recipe.explained))
    folder.mkdir(parents=True, exist_ok=True)
    images = (training.tensors, validation.tensors, held_out.tensors)
    card = with_novelty(card, network, images, recipe.familiar, folder)
    weights = save_weights(network.state_dict(), folder / "weights.safetensors")
    card = card.model_copy(update={"weights": weights})
    card = add_vectors(folder, card, network)
    write_card(card, folder)
    (folder / "recipe.toml").write_text(tomlkit.dumps(asdict(recipe)), "utf-8")
    return card


def _learn(network: torch.nn.Module, training: _Images, recipe: Recipe, console: Console) -> None:
    """Every image once an epoch, in another order and another exposure each time."""
    steps = recipe.training // recipe.batch
    parts = [network.get_submodule(name) for name in ("features", "class_layers")]
    groups = [{"params": list(part.parameters())} for part in parts]
    rates = [recipe.learning_rate, recipe.learning_rate * recipe.last_rate]
    optimizer = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)
    schedule = OneCycleLR(optimizer, rates, total_steps=recipe.epochs * steps)
    for epoch in range(1, recipe.epochs + 1):
        network.train()
        order = torch.randperm(recipe.training)[: steps * recipe.batch].reshape(steps, -1)
        losses = []
        for batch in track(order, f"epoch {epoch} of {recipe.epochs}", console=console):
            places, bias = by_place(network, _vary(training.tensors[batch], recipe))
            said = places.mean((2, 3)) + bias
            wrong = binary_cross_entropy_with_logits(said, training.truth[batch])
            loss = wrong + recipe.pointing * misplaced(places, training.where[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        console.print(f"epoch {epoch} of {recipe.epochs}: loss {np.mean(losses):.4f}")


def describe(recipe: Recipe) -> Card:
    """The card before training: weights, thresholds and measures are still to come."""
    params = {
        "init_features": recipe.init_features,
        "growth_rate": recipe.growth_rate,
        "block_config": list(recipe.block_config),
        "bn_size": recipe.bn_size,
    }
    return Card(
        name="demonstration",
        version="1.2.0",
        manufacturer="dicomnode",
        intended_use="To try dicomnode and to test it. It was trained on drawings, not on people.",
        disclaimer="Demonstration, not for clinical use",
        translations=SPOKEN,
        training=Training(
            data="synthetic radiographs: drawings that a program made, no people",
            images=recipe.training,
        ),
        architecture=Architecture(kind="densenet", params=params),
        weights=Weights(file="weights.safetensors", sha256="0" * 64),
        input=Input(
            size_px=recipe.size_px,
            channels=1,
            resize="pad",
            mean=(0.5,),
            std=(0.25,),
            modalities=("CR", "DX", "RG", "OT"),
            views=("PA", "AP"),
            min_px=recipe.size_px // 2,
            min_bits=8,
            min_levels=16,
            min_contrast=0.06,
        ),
        explanation=Explanation(
            method="hires-cam",
            layer=recipe.layer,
            region_fraction=recipe.region_fraction,
        ),
        labels=demonstration_labels(),
    )


def _images(
    recipe: Recipe, card: Card, cells: Cells, patients: Iterator[int], size: int, console: Console
) -> _Images:
    """The next `size` patients, drawn and prepared as the node will prepare theirs."""
    tensors, truth, where = [], [], []
    for patient in track(list(islice(patients, size)), f"drawing {size}", console=console):
        rng = np.random.default_rng(patient)
        findings = [name for name in FINDINGS if rng.random() < recipe.prevalence]
        rows = int(rng.integers(recipe.least_rows, recipe.most_rows + 1))
        drawn = draw(patient, findings, rows=rows)
        pixels = drawn.pixels.astype(np.float32) / np.float32(4095)
        frame = Frame(ref=_nameless(pixels), pixels=pixels, rgb=None, aspect=1.0)
        prepared = prepare(frame, card.input)
        tensors.append(prepared.tensor)
        truth.append([float(label.name in findings) for label in card.labels])
        masks = [drawn.masks.get(label.name) for label in card.labels]
        where.append(in_places(masks, prepared.placement, cells, recipe.size_px))
    return _Images(torch.stack(tensors), torch.tensor(truth), torch.stack(where))


def _nameless(pixels: NDArray[np.float32]) -> FrameRef:
    image = InstanceRef(sop_class_uid="", sop_instance_uid="", series_uid="", study_uid="")
    return FrameRef(image=image, frame=None, rows=pixels.shape[0], columns=pixels.shape[1])


def _vary(images: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Another exposure of the same patients: random gain and offset, one each an image."""
    gain = 1 + recipe.contrast * torch.randn(len(images), 1, 1, 1)
    return images * gain + recipe.contrast * torch.randn(len(images), 1, 1, 1)


def _answers(network: torch.nn.Module, images: _Images) -> judge.Answers:
    """What it says of prepared images, one by one as the node does it."""
    network.eval()
    with torch.inference_mode():
        logits = torch.cat([network(image[None]) for image in images.tensors])
    return judge.Answers(logits=logits.double().numpy(), truth=images.truth.double().numpy())


def _measured(card: Card, chosen: judge.Answers, seen: judge.Answers, seed: int) -> Card:
    """The card with calibration and thresholds from `chosen`, and measures from `seen`."""
    calibration = judge.calibrate(chosen, card.output, _OTHERS)
    cuts = judge.thresholds(chosen, card.output, calibration)
    verdicts = judge.judged(seen, card.output, calibration, cuts)
    card = judge.with_calibration(card, calibration, cuts, verdicts)
    card = judge.with_measures(card, verdicts, _OTHERS, seed)
    if card.evaluation is None:
        return card
    evaluation = card.evaluation.model_copy(update={"translations": EVALUATION})
    return card.model_copy(update={"evaluation": evaluation})


def _with_explanations(card: Card, network: torch.nn.Module, cases: Iterable[Case]) -> Card:
    measures = shown(card, network, cases)
    explanation = card.explanation.model_copy(update={"measures": measures})
    return card.model_copy(update={"explanation": explanation})


def main() -> None:
    """Build the shipped model again, in place."""
    console = Console()
    card = train(Recipe(), SHIPPED / "demonstration", console)
    if card.evaluation is None:
        return
    for m in card.evaluation.measures:
        console.print(
            f"{m.label}: AUROC {m.auroc.value:.3f} ({m.auroc.low:.3f} to {m.auroc.high:.3f}), "
            f"sensitivity {m.sensitivity.value:.3f}, specificity {m.specificity.value:.3f}"
        )


if __name__ == "__main__":
    main()
