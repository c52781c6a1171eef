"""What a run will do, settled before it begins: which images are for what, and the card so far."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dicomnode.classify.card.card import Card
from dicomnode.errors import ConfigError, Mistake
from dicomnode.learn.importing.known import label
from dicomnode.learn.manifest import Columns, Entry, Manifest, read_manifest
from dicomnode.learn.split import deal
from dicomnode.learn.training.describe import describe
from dicomnode.learn.training.recipe import Recipe, Target
from dicomnode.learn.training.start import architecture, find_model

__all__ = ["HELD_OUT", "TRAINING", "VALIDATION", "Plan", "plan"]

TRAINING = 0
VALIDATION = 1
HELD_OUT = 2
_PARTS = {
    "train": TRAINING, "training": TRAINING,
    "validation": VALIDATION, "valid": VALIDATION, "val": VALIDATION,
    "held-out": HELD_OUT, "held_out": HELD_OUT, "test": HELD_OUT,
}  # fmt: skip
Places = NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """All that is settled before the first image is decoded."""

    recipe: Recipe
    manifest: Manifest  #: the lines that the recipe wants
    card: Card
    source: Path | None  #: folder of the model that is started from
    teacher: Path | None  #: folder of the model that teaches
    parts: Places  #: TRAINING, VALIDATION or HELD_OUT for each image
    folds: Places | None  #: for each image its fold, -1 where it is in none

    def of(self, part: int) -> Places:
        """The places of a part's images."""
        return np.flatnonzero(self.parts == part)


def plan(recipe: Recipe, beside: Path, models: Mapping[str, Path]) -> Plan:
    """Read what the recipe names, relative to its own folder.

    Raises:
        ConfigError: mistakes in the manifest, or labels that nothing can be learnt of.
        NotFound, ModelError: a model that is named is not there, or does not fit.
    """
    data = recipe.data
    path = beside / data.manifest
    images = None if data.images is None else beside / data.images
    manifest = _wanted(read_manifest(path, _columns(recipe), images=images), recipe)
    targets = recipe.labels or tuple(Target(name=label(name).name) for name in manifest.labels)
    manifest = replace(manifest, labels=tuple(target.name for target in targets))
    source = find_model(recipe.start.model, beside, models) if recipe.start.model else None
    teaching = recipe.teacher.model if recipe.teacher else ""
    made = Plan(
        recipe=recipe,
        manifest=manifest,
        card=describe(recipe, targets, architecture(recipe, source)),
        source=source,
        teacher=find_model(teaching, beside, models) if teaching else None,
        parts=_parts(recipe, manifest),
        folds=_folds(recipe, manifest),
    )
    _check(made)
    return made


def _columns(recipe: Recipe) -> Columns:
    data, teacher = recipe.data, recipe.teacher
    return Columns(
        file=data.file,
        patient=data.patient,
        age=data.age,
        sex=data.sex,
        view=data.view,
        scanner=data.scanner,
        split=data.split,
        labels=tuple(target.column or target.name for target in recipe.labels),
        teacher_prefix=teacher.prefix if teacher else "",
    )


def _wanted(manifest: Manifest, recipe: Recipe) -> Manifest:
    """The lines with the values that `data.where` asks for."""
    kept = [
        row
        for row, entry in enumerate(manifest.entries)
        if all(_fact(entry, key) == value.lower() for key, value in recipe.data.where.items())
    ]
    if not kept:
        raise ConfigError(_mistake(manifest, "no line is as data.where wants it"))
    teacher = manifest.teacher
    return replace(
        manifest,
        entries=tuple(manifest.entries[row] for row in kept),
        truth=manifest.truth[kept],
        teacher=None if teacher is None else teacher[kept],
    )


def _fact(entry: Entry, key: str) -> str:
    return str(getattr(entry, key)).lower()


def _parts(recipe: Recipe, manifest: Manifest) -> Places:
    """By the column of the manifest, or dealt by patients."""
    data = recipe.data
    if any(entry.split for entry in manifest.entries):
        wrong = [e for e in manifest.entries if e.split not in _PARTS]
        if wrong:
            words = "must be train, validation or held-out"
            raise ConfigError(*(_mistake(manifest, words, entry.line) for entry in wrong[:20]))
        return np.array([_PARTS[entry.split] for entry in manifest.entries])
    if data.folds:
        return np.zeros(len(manifest.entries), dtype=np.intp)
    shares = (1 - data.validation - data.held_out, data.validation, data.held_out)
    return deal(manifest.patients, manifest.truth, shares, recipe.seed)


def _folds(recipe: Recipe, manifest: Manifest) -> Places | None:
    """The fold of each image that is not held out."""
    if not recipe.data.folds:
        return None
    folds = np.full(len(manifest.entries), -1, dtype=np.intp)
    rows = np.flatnonzero(_parts(recipe, manifest) != HELD_OUT)
    patients = [manifest.patients[row] for row in rows]
    folds[rows] = deal(patients, manifest.truth[rows], [1] * recipe.data.folds, recipe.seed)
    return folds


def _check(made: Plan) -> None:
    """Of each label there are images with it and without it to learn from."""
    truth = made.manifest.truth
    rows = np.flatnonzero(made.parts != HELD_OUT) if made.folds is not None else made.of(TRAINING)
    mistakes = []
    for column, name in enumerate(made.manifest.labels):
        there = set(truth[rows, column][~np.isnan(truth[rows, column])])
        if there != {0.0, 1.0}:
            which = {frozenset(): "none tells", frozenset({0.0}): "none has it"}
            words = which.get(frozenset(there), "all have it")
            problem = f"cannot be learnt: of {len(rows)} images to learn from, {words}"
            mistakes.append(_mistake(made.manifest, problem, column=name))
    if made.card.output.kind in ("multi-class", "ordinal"):
        for row in np.flatnonzero(truth.sum(axis=1) != 1)[:20]:
            line = made.manifest.entries[row].line
            mistakes.append(_mistake(made.manifest, "needs exactly one label that is 1", line))
    if mistakes:
        raise ConfigError(*mistakes)


def _mistake(
    manifest: Manifest, problem: str, line: int | None = None, column: str = ""
) -> Mistake:
    return Mistake(file=manifest.path, line=line, key=column, problem=problem)
