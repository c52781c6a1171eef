"""The model folder that comes out: weights, what is usual, card, recipe and log."""

import csv
import io
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import tomlkit
import torch
from numpy.typing import NDArray

from dicomnode.classify.card.card import Card
from dicomnode.classify.card.folder import write_card
from dicomnode.classify.card.provenance import Training
from dicomnode.classify.vectors import add_vectors
from dicomnode.classify.weights import save_weights
from dicomnode.learn import novelty
from dicomnode.learn.training.batches import chance, seen_as
from dicomnode.learn.training.checkpoint import Line
from dicomnode.learn.training.files import disk_errors, make_folder, write_whole
from dicomnode.learn.training.judge import Verdicts
from dicomnode.learn.training.lesson import Fitted
from dicomnode.learn.training.pictures import Pictures
from dicomnode.learn.training.plan import HELD_OUT, TRAINING, VALIDATION, Plan
from dicomnode.learn.training.start import usual_layer

__all__ = ["Folders", "finish", "predictions_csv"]

_LOOKED_AT = 1 << 28  #: bytes of images by which it is told what is usual
_USUAL = 6  #: what a seed is for


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Where a run writes."""

    model: Path  #: what comes out
    run: Path  #: what it needs on its way


def finish(
    card: Card,
    network: torch.nn.Module,
    pictures: Pictures,
    made: Plan,
    logs: Mapping[str, Fitted],
    folders: Folders,
) -> Card:
    """Write the model beside the run, and put it in its place whole; an older one has to go."""
    folder = folders.run / "model"
    shutil.rmtree(folder, ignore_errors=True)
    make_folder(folder)
    network = network.cpu().eval()
    with disk_errors(folder):
        if made.recipe.familiar.told:
            card = _with_novelty(card, network, pictures, made, folder)
        weights = save_weights(network.state_dict(), folder / card.weights.file)
        training = Training(data=_words(made), images=int((made.parts != HELD_OUT).sum()))
        card = card.model_copy(update={"weights": weights, "training": training})
        card = add_vectors(folder, card, network)
        write_whole(folder / "recipe.toml", _toml(made).encode())
        write_whole(folder / "log.csv", _log_csv(logs))
        write_card(card, folder)
        if folders.model.exists():
            folders.model.replace(_empty(folders.run / "before"))
        folder.replace(folders.model)
    return card


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def _words(made: Plan) -> str:
    used = np.flatnonzero(made.parts != HELD_OUT)
    patients = len({made.manifest.patients[row] for row in used})
    return (
        f"{len(used)} images of {patients} patients, of the manifest with SHA-256 "
        f"{made.manifest.sha256}; learnt by the recipe beside this card"
    )


def _toml(made: Plan) -> str:
    """The recipe with every default written out; folders are left out, they are of one machine."""
    table = made.recipe.model_dump(mode="json", exclude_none=True)
    table["data"]["manifest"] = made.recipe.data.manifest.name
    table["data"].pop("images", None)
    for of_model in (table["start"], table.get("teacher", {})):
        of_model["model"] = Path(of_model.get("model", "")).name
    head = f"# What `dicomnode train` was given. Manifest: SHA-256 {made.manifest.sha256}\n"
    return head + tomlkit.dumps(table)


def _with_novelty(
    card: Card, network: torch.nn.Module, pictures: Pictures, made: Plan, folder: Path
) -> Card:
    """What is usual, from images to learn from, with limits from others where there are others."""
    told = made.recipe.familiar
    familiar = novelty.Familiar(
        layer=usual_layer(network, told),
        grid=told.grid,
        quantile=told.quantile,
        slack=told.slack,
    )
    size = pictures.size
    most = max(16, _LOOKED_AT // (4 * size * size * card.input.channels) // 3)
    parts = [made.of(part) for part in (TRAINING, VALIDATION, HELD_OUT)]
    draw = np.random.default_rng(chance(made.recipe.seed, _USUAL))
    if not all(len(part) for part in parts):
        parts = np.array_split(draw.permutation(len(pictures)), 3)
    tensors = [_tensors(pictures, draw.permutation(part)[:most], card) for part in parts]
    return novelty.with_novelty(
        card, network, (tensors[0], tensors[1], tensors[2]), familiar, folder
    )


def _tensors(pictures: Pictures, places: NDArray[np.intp], card: Card) -> torch.Tensor:
    grey = torch.stack([pictures[int(place)] for place in places])
    return seen_as(grey, card.input)


# --- tables ---------------------------------------------------------------------------------


def _log_csv(logs: Mapping[str, Fitted]) -> bytes:
    """Every epoch of every network."""
    names = ["network", *(field.name for field in fields(Line))]
    rows = ({"network": name, **asdict(line)} for name, of in logs.items() for line in of.lines)
    return _csv(names, rows)


def predictions_csv(made: Plan, rows: NDArray[np.intp], said: Verdicts) -> bytes:
    """What cross-validation answered of each image, as `dicomnode evaluate` reads it."""
    facts = ("age", "sex", "view", "scanner")
    labels = made.manifest.labels
    names = ["image", "patient", "fold", *facts]
    names += [f"true_{label}" for label in labels] + [f"prob_{label}" for label in labels]
    folds = made.folds if made.folds is not None else np.zeros(len(made.parts), dtype=np.intp)

    def line(at: int, row: int) -> dict[str, Any]:
        entry, truth = made.manifest.entries[row], made.manifest.truth[row]
        told = {fact: getattr(entry, fact) for fact in facts}
        true = {
            f"true_{n}": "" if np.isnan(v) else int(v) for n, v in zip(labels, truth, strict=True)
        }
        prob = {f"prob_{n}": v for n, v in zip(labels, said.probabilities[at], strict=True)}
        fold = int(folds[row]) + 1
        return {"image": entry.name, "patient": entry.patient, "fold": fold, **told, **true, **prob}

    return _csv(names, (line(at, int(row)) for at, row in enumerate(rows)))


def _csv(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    out = io.StringIO(newline="")
    table = csv.DictWriter(out, names, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return out.getvalue().encode()
