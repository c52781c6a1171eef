"""From a plan to a model folder: the story of a training run, told in order.

A run has a folder of its own: decoded images and checkpoints, so that it goes on after a kill, and
what was answered in cross-validation. Only the model's folder is to be given away: it names no
patient and no file.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dicomnode.classify.card.card import Card
from dicomnode.errors import ModelError
from dicomnode.learn.split import deal
from dicomnode.learn.training.batches import chance
from dicomnode.learn.training.files import make_folder, write_whole
from dicomnode.learn.training.fit import fit
from dicomnode.learn.training.folder import Folders, finish, predictions_csv
from dicomnode.learn.training.judge import (
    Answers,
    Verdicts,
    calibrate,
    joined,
    judged,
    thresholds,
    with_calibration,
    with_measures,
)
from dicomnode.learn.training.lesson import Fitted, Lesson
from dicomnode.learn.training.looking import logits_of
from dicomnode.learn.training.pictures import Pictures, keep_pictures
from dicomnode.learn.training.plan import HELD_OUT, TRAINING, VALIDATION, Plan
from dicomnode.learn.training.processes import Crew
from dicomnode.learn.training.readout import read_out
from dicomnode.learn.training.shown import Shown
from dicomnode.learn.training.start import started
from dicomnode.learn.training.teach import taught

__all__ = ["train"]

Places = NDArray[np.intp]
_NETWORK, _INNER = 4, 5  #: what seeds are for, beside those of `batches.py`


def train(made: Plan, folders: Folders, crew: Crew, shown: Shown) -> Card:
    """Train by a plan and write the model folder; goes on where a killed run of the same was.

    Raises:
        ConfigError: images that cannot be decoded.
        ModelError: weights do not fit, the loss is no number, or the run was of another recipe.
        StoreError: the disk is full; what was done is kept.
    """
    recipe = made.recipe
    if recipe.optimise.batch % crew.count:
        raise ModelError(f"optimise.batch cannot be shared by {crew.count} processes evenly")
    torch.set_num_threads(recipe.threads)
    if crew.device.type == "cpu":
        torch.use_deterministic_algorithms(True)
    make_folder(folders.run)
    school = _School.opened(made, folders.run, crew, shown)
    if made.folds is None:
        network, card = _once(school)
    else:
        network, card = _crosswise(school, made.folds)
    if crew.leads:
        shown.say("what is familiar is learnt, and the model's folder is written")
        card = finish(card, network, school.plain, made, school.logs, folders)
    crew.wait()
    return card


def _once(school: "_School") -> tuple[torch.nn.Module, Card]:
    """One network: stopped, calibrated and cut by one part of the images, measured on another."""
    made = school.plan
    validation, held_out = made.of(VALIDATION), made.of(HELD_OUT)
    training = made.of(TRAINING)
    network, _ = school.learn("network", 0, training, validation, made.recipe.optimise.epochs)
    if not len(validation):
        return network, made.card
    said = school.answers(network, validation)
    measured = school.answers(network, held_out) if len(held_out) else None
    return network, _judged(made, said, measured, "images of patients that were held out")


def _crosswise(school: "_School", folds: Places) -> tuple[torch.nn.Module, Card]:
    """A network for each fold, judged on it; then one that learns from all of them."""
    made = school.plan
    everything = np.flatnonzero(folds >= 0)
    parts, epochs = [], []
    for fold in range(made.recipe.data.folds):
        rest, inner = _inner(made, np.flatnonzero((folds >= 0) & (folds != fold)), fold)
        limit = made.recipe.optimise.epochs
        name = f"fold {fold + 1} of {made.recipe.data.folds}"
        network, fitted = school.learn(name, fold + 1, rest, inner, limit)
        own = np.flatnonzero(folds == fold)
        parts.append((own, school.answers(network, own)))
        epochs.append(fitted.epoch)
    said, crossed = _together([answers for _, answers in parts]), _crossed(parts, made)
    words = f"cross-validation in {made.recipe.data.folds} parts by patient"
    calibration = calibrate(said, made.card.output, f"{words}, of the images to learn from")
    cuts = thresholds(said, made.card.output, calibration)
    if school.crew.leads:
        rows = np.concatenate([own for own, _ in parts])
        table = predictions_csv(made, rows, judged(said, made.card.output, calibration, cuts))
        write_whole(school.folder / "predictions.csv", table)
    network, _ = school.learn("all images", 0, everything, everything[:0], int(np.median(epochs)))
    card = with_calibration(made.card, calibration, cuts, crossed)
    return network, with_measures(card, crossed, words, made.recipe.seed)


def _inner(made: Plan, rest: Places, fold: int) -> tuple[Places, Places]:
    """What a fold's network learns from, and what it stops by: never the fold itself."""
    how = made.recipe.optimise
    if how.keep == "last" and not how.patience:
        return rest, rest[:0]
    manifest, share = made.manifest, made.recipe.data.validation
    patients = [manifest.patients[row] for row in rest]
    seed = chance(made.recipe.seed, _INNER, fold)
    dealt = deal(patients, manifest.truth[rest], (1 - share, share), seed)
    return rest[dealt == 0], rest[dealt == 1]


def _crossed(parts: Sequence[tuple[Places, Answers]], made: Plan) -> Verdicts:
    """Each fold's answers, calibrated and cut by what was said in the others."""
    verdicts = []
    for number, (_, own) in enumerate(parts):
        others = _together([given for at, (_, given) in enumerate(parts) if at != number])
        calibration = calibrate(others, made.card.output, "the other folds")
        cuts = thresholds(others, made.card.output, calibration)
        verdicts.append(judged(own, made.card.output, calibration, cuts))
    return joined(verdicts)


def _together(parts: Sequence[Answers]) -> Answers:
    return Answers(
        logits=np.concatenate([part.logits for part in parts]),
        truth=np.concatenate([part.truth for part in parts]),
    )


def _judged(made: Plan, said: Answers, measured: Answers | None, words: str) -> Card:
    output = made.card.output
    calibration = calibrate(said, output, f"{words}, for validation")
    cuts = thresholds(said, output, calibration)
    if measured is None:
        return with_calibration(made.card, calibration, cuts, None)
    seen = judged(measured, output, calibration, cuts)
    card = with_calibration(made.card, calibration, cuts, seen)
    return with_measures(card, seen, words, made.recipe.seed)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _School:
    """What every network of a run shares."""

    plan: Plan
    folder: Path
    crew: Crew
    shown: Shown
    pictures: Pictures  #: to learn from, perhaps larger than the network's input
    plain: Pictures  #: as the network is shown them
    taught: NDArray[np.float64] | None
    key: str
    logs: dict[str, Fitted]

    @classmethod
    def opened(cls, made: Plan, folder: Path, crew: Crew, shown: Shown) -> "_School":
        """Decode what is not decoded yet; one process does, the others wait."""
        size = made.card.input.size_px
        larger = round(size * made.recipe.data.detail)
        for leads in (True, False):
            if crew.leads == leads:
                plain = _kept(made, folder, size, shown)
                pictures = plain if larger == size else _kept(made, folder, larger, shown)
            crew.wait()
        return cls(
            plan=made,
            folder=folder,
            crew=crew,
            shown=shown,
            pictures=pictures,
            plain=plain,
            taught=taught(made),
            key=_key(made, pictures),
            logs={},
        )

    def learn(
        self, name: str, number: int, training: Places, validation: Places, epochs: int
    ) -> tuple[torch.nn.Module, Fitted]:
        """One network on some of the images, stopped by others."""
        seed = chance(self.plan.recipe.seed, _NETWORK, number)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network, moved = started(self.plan.card, self.plan.source, self.plan.recipe)
        self.shown.moved(moved)
        lesson = Lesson(
            recipe=self.plan.recipe,
            input=self.plan.card.input,
            pictures=self.pictures,
            plain=self.plain,
            truth=self.plan.manifest.truth,
            taught=self.taught,
            training=training,
            validation=validation,
            epochs=epochs,
            seed=seed,
            key=self.key,
            file=self.folder / f"{name.replace(' ', '-')}.safetensors",
        )
        with self.shown.watching(name, epochs) as watch:
            closed = lesson.recipe.optimise.method == "ridge"
            fitted = (read_out if closed else fit)(network, lesson, self.crew, watch)
        self.logs[name] = fitted
        return network, fitted

    def answers(self, network: torch.nn.Module, places: Places) -> Answers:
        """What a network says of images it did not learn from."""
        logits = logits_of(network, self.plain, places, self.plan.card.input)
        return Answers(logits=logits, truth=self.plan.manifest.truth[places])


def _kept(made: Plan, folder: Path, size: int, shown: Shown) -> Pictures:
    manifest = made.manifest
    with shown.counting("decoding", len(manifest.entries)) as step:
        return keep_pictures(
            manifest.path,
            manifest.entries,
            made.card.input,
            size,
            folder,
            step,
            max(1, made.recipe.data.workers),
        )


def _key(made: Plan, pictures: Pictures) -> str:
    """Of all that decides the weights."""
    data = made.recipe.data.model_dump_json(exclude={"workers", "manifest", "images"})
    told = data + made.recipe.model_dump_json(exclude={"data", "track"})
    there = f"{told}|{made.manifest.sha256}|{pictures.key}|{made.source}|{made.teacher}"
    return hashlib.sha256(there.encode()).hexdigest()
