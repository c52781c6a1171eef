"""What models and readers said of images, and what is true: read from tables, and written.

A table has one line an image; `prediction_columns.py` tells what its columns are called.
"""

import csv
import gzip
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dicomnode.errors import NotFound, StoreError
from dicomnode.learn.measures.sample import UNKNOWN, Opinion
from dicomnode.learn.prediction_columns import (
    PROBABILITY,
    Patterns,
    finding_columns,
    left_out,
    matching,
)
from dicomnode.learn.table import EMPTY, Table, plain_name, presence, probability, read_table, years

__all__ = [
    "INDEPENDENT",
    "Predictions",
    "read_predictions",
    "read_scores",
    "with_columns",
    "write_predictions",
]

INDEPENDENT = "images are taken as independent, as was asked"
_NIH = re.compile(r"(\d{8})_\d{3}\.png")  # patient, then the number of the study
_FACTS = ("sex", "view", "scanner")
_SAID = "a number from 0 to 1"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions:
    """A whole table, in its order."""

    images: tuple[str, ...]  #: names; empty where the table has none
    patients: tuple[str, ...]
    findings: tuple[str, ...]
    truth: NDArray[np.int8]  #: (images, findings)
    scores: NDArray[np.float64]  #: (images, findings)
    opinions: tuple[Opinion, ...] = ()
    facts: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict
    )  #: such as sex; empty: unknown
    ages: NDArray[np.float64] | None = None  #: (images,) in years
    notes: tuple[str, ...] = ()  #: what was taken for granted
    sha256: str = ""  #: of the file they are from


def read_predictions(path: Path, patterns: Patterns) -> Predictions:
    """Read and check a table of predictions.

    Raises:
        ConfigError: with line and column of every mistake: a truth that is neither 0 nor 1, a
            probability that is none or is missing, an image that is there twice.
        NotFound: no columns fit the patterns.
    """
    table = read_table(path)
    columns = finding_columns(table, patterns)
    images = _images(table, patterns)
    patients, notes = _patients(table, patterns, images)
    truth = table.numbers([t for t, _ in columns.values()], presence, "0 or 1, or empty if unknown")
    scores = table.numbers([p for _, p in columns.values()], probability, _SAID, unknown=EMPTY)
    silent = _no_gaps(table, truth, scores, list(columns.values()))
    age = table.usual("age")
    ages = table.numbers([age], years, "an age in years")[:, 0] if age else None
    opinions = tuple(_opinions(table, patterns, list(columns)))
    facts = _facts(table, patterns)
    table.stop()
    return Predictions(
        images=images,
        patients=patients,
        findings=tuple(columns),
        truth=np.where(np.isnan(truth), UNKNOWN, truth).astype(np.int8),
        scores=scores,
        opinions=opinions,
        facts=facts,
        ages=ages,
        notes=(*notes, *silent, *left_out(table, patterns, columns)),
        sha256=table.sha256,
    )


def with_columns(predictions: Predictions, path: Path, patterns: Patterns) -> Predictions:
    """Predictions for a manifest, with what its other columns say of the same images.

    That is, another model's and readers' words, and properties to group by.

    Raises:
        ConfigError: as `read_predictions`.
        NotFound: no column of a finding fits one of the patterns.
    """
    table = read_table(path)
    opinions = tuple(_opinions(table, patterns, predictions.findings))
    facts = {name: table.texts(table.named(name)) for name in patterns.by}
    table.stop()
    return replace(
        predictions,
        opinions=(*predictions.opinions, *opinions),
        facts=dict(predictions.facts) | facts,
    )


def read_scores(path: Path, patterns: Patterns, ours: Predictions) -> Opinion:
    """Another model's table, brought in the order of ours; NaN where it lacks an image.

    Raises:
        ConfigError: as `read_predictions`.
        NotFound: no column is of a finding of ours, or no image is.
    """
    table = read_table(path)
    images = _images(table, patterns)
    if not images or not ours.images:
        raise NotFound(f"{path}: two tables are joined by image, and one has no column for it")
    wanted = [patterns.probability] if patterns.probability else PROBABILITY
    found = next((c for p in wanted if (c := _shared(table, p, ours.findings))), {})
    if not found:
        raise NotFound(f"{path}: has no probabilities of these findings; name their columns")
    said = table.numbers(list(found.values()), probability, _SAID, unknown=EMPTY)
    table.stop()
    row_of = {image: row for row, image in enumerate(images)}
    pairs = [(row, row_of[image]) for row, image in enumerate(ours.images) if image in row_of]
    if not pairs:
        raise NotFound(f"{path}: not one image is in both tables")
    rows, theirs = np.array(pairs).T
    scores = np.full(ours.scores.shape, np.nan)
    for column, finding in enumerate(found):
        scores[rows, ours.findings.index(finding)] = said[theirs, column]
    return Opinion(name=path.name.split(".")[0], scores=scores)


def _shared(table: Table, pattern: str, findings: Sequence[str]) -> dict[str, str]:
    """Columns that fit a pattern, by finding of ours."""
    there = {plain_name(name): column for name, column in matching(table, pattern).items()}
    return {name: there[plain_name(name)] for name in findings if plain_name(name) in there}


def write_predictions(predictions: Predictions, path: Path) -> None:
    """Write a table that `read_predictions` reads again; gzipped where the name ends in .gz.

    Raises:
        StoreError: it cannot be written.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    facts = dict(predictions.facts)
    if predictions.ages is not None:
        facts["age"] = tuple("" if np.isnan(a) else f"{a:g}" for a in predictions.ages)
    names = [f"{kind}_{finding}" for kind in ("true", "prob") for finding in predictions.findings]
    writer.writerow(["image", "patient", *facts, *names])
    images = predictions.images or tuple(str(i + 1) for i in range(len(predictions.patients)))
    for row, (image, patient) in enumerate(zip(images, predictions.patients, strict=True)):
        truth = ("" if said == UNKNOWN else str(said) for said in predictions.truth[row])
        scores = ("" if np.isnan(said) else repr(float(said)) for said in predictions.scores[row])
        writer.writerow([image, patient, *(v[row] for v in facts.values()), *truth, *scores])
    data = text.getvalue().encode()
    try:
        # A time of 0, so that the same predictions are the same file
        path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error


# --- one by one ------------------------------------------------------------------------------


def _images(table: Table, patterns: Patterns) -> tuple[str, ...]:
    """Names of the images, each there once; empty where the table has none."""
    column = table.named(patterns.image) if patterns.image else table.usual("image")
    if not column:
        return ()
    first: dict[str, int] = {}
    for row in table.rows:
        name = row.cells[column]
        if not name:
            table.wrong("is empty", line=row.line, column=column)
        elif (line := first.setdefault(name, row.line)) != row.line:
            table.wrong(f"has the same image as line {line}", line=row.line, column=column)
    return tuple(row.cells[column] for row in table.rows)


def _patients(
    table: Table, patterns: Patterns, images: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Whose each image is, and what was taken for granted."""
    apart = tuple(str(row.line) for row in table.rows)
    if patterns.independent:
        return apart, (INDEPENDENT,)
    column = table.named(patterns.patient) if patterns.patient else table.usual("patient")
    if column:
        for row in table.rows:
            if not row.cells[column]:
                table.wrong("is empty", line=row.line, column=column)
        return tuple(row.cells[column] for row in table.rows), ()
    named = [_NIH.fullmatch(Path(image).name) for image in images]
    if named and all(named):
        note = "patients are told by the images' names, as NIH ChestX-ray14 has them"
        return tuple(match[1] for match in named if match), (note,)
    return apart, (
        "no column tells the patient: images are taken as independent, and intervals are too "
        "narrow if patients have several",
    )


def _facts(table: Table, patterns: Patterns) -> dict[str, tuple[str, ...]]:
    usual = {what: table.usual(what) for what in _FACTS}
    asked = {name: table.named(name) for name in patterns.by}
    return {what: table.texts(column) for what, column in (usual | asked).items() if column}


def _opinions(table: Table, patterns: Patterns, findings: Sequence[str]) -> Iterator[Opinion]:
    asked = [(p, False) for p in (patterns.against,) if p] + [(p, True) for p in patterns.readers]
    for pattern, binary in asked:
        if "{}" in pattern:
            columns = _shared(table, pattern, findings)
        else:
            columns = {findings[0]: table.named(pattern)} if len(findings) == 1 else {}
        if not columns:
            raise NotFound(f"{table.path}: no column of a finding fits {pattern}")
        held = list(columns.values())
        if binary:
            said = table.numbers(held, presence, "0 or 1, or empty if not read")
        else:
            said = table.numbers(held, probability, _SAID, unknown=EMPTY)
        scores = np.full((len(table.rows), len(findings)), np.nan)
        for column, finding in enumerate(columns):
            scores[:, findings.index(finding)] = said[:, column]
        name = pattern.replace("{}", "").strip("_- .") or pattern
        yield Opinion(name=name, scores=scores, binary=binary)


def _no_gaps(
    table: Table,
    truth: NDArray[np.float64],
    scores: NDArray[np.float64],
    columns: Sequence[tuple[str, str]],
) -> tuple[str, ...]:
    """Where the truth is known a probability has to be: gaps would flatter a model.

    Only an image that was not analysed at all may have none; a note says how many there are.
    """
    wrong = {(mistake.line, mistake.key) for mistake in table.mistakes}
    silent = (~np.isnan(scores)).sum(axis=1) == 0
    for row, column in np.argwhere(~np.isnan(truth) & np.isnan(scores) & ~silent[:, None]):
        line, name = table.rows[row].line, columns[column][1]
        if (line, name) not in wrong:
            table.wrong("is missing, and the truth is there", line=line, column=name)
    count = int(silent.sum())
    verb = (
        "image without any probability is" if count == 1 else "images without any probability are"
    )
    return (f"{count} {verb} left out",) if count else ()
