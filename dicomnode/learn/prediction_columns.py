"""Which columns of a table hold the truth, and which the probabilities.

Columns are named by patterns in which `{}` stands for the finding: `true_{}` and `prob_{}` mean
true_Edema, prob_Edema and so on. A pattern without `{}` is the column of a table with one finding.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dicomnode.config.fields import did_you_mean
from dicomnode.errors import NotFound
from dicomnode.learn.table import Table

__all__ = ["PROBABILITY", "Patterns", "finding_columns", "left_out", "matching"]

#: How columns of probabilities are usually called.
PROBABILITY = (
    "prob_{}", "probability_{}", "p_{}", "pred_{}", "prediction_{}", "score_{}",
    "{}_prob", "{}_probability", "{}_score",
)  # fmt: skip
_TRUTH = ("true_{}", "truth_{}", "label_{}", "target_{}", "gt_{}", "{}_true", "{}_label", "{}")
_ONE = {
    "probability": ("probability", "prob", "score", "prediction", "y_score"),
    "truth": ("truth", "true", "label", "target", "y_true"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Patterns:
    """What columns are called; empty means the usual names, tried in turn."""

    truth: str = ""
    probability: str = ""
    image: str = ""
    patient: str = ""  #: "none": each image is of a patient of its own
    against: str = ""  #: of another model's probabilities in the same table
    readers: tuple[str, ...] = ()  #: of readers' words, 0 or 1
    by: tuple[str, ...] = ()  #: further columns that images are grouped by

    @property
    def independent(self) -> bool:
        """Is each image of a patient of its own, as was asked?"""
        return self.patient == "none"


def matching(table: Table, pattern: str) -> dict[str, str]:
    """Columns that fit a pattern, by finding."""
    before, _, after = pattern.partition("{}")
    fits = re.compile(f"{re.escape(before)}(.+){re.escape(after)}", re.IGNORECASE)
    found = ((fits.fullmatch(column), column) for column in table.header)
    return {match[1]: column for match, column in found if match}


def finding_columns(table: Table, patterns: Patterns) -> dict[str, tuple[str, str]]:
    """By finding, in the table's order: the columns of truth and of probability."""
    if patterns.probability and "{}" not in patterns.probability:
        return _one(table, patterns.truth, patterns.probability)
    for said in [patterns.probability] if patterns.probability else PROBABILITY:
        probabilities = matching(table, said)
        for true in [patterns.truth] if patterns.truth else _TRUTH:
            truths = matching(table, true)
            both = {f: (truths[f], p) for f, p in probabilities.items() if f in truths}
            if both := {f: pair for f, pair in both.items() if pair[0] != pair[1]}:
                return both
    if patterns.probability or (patterns.truth and "{}" in patterns.truth):
        said, true = patterns.probability or "a probability", patterns.truth or "a truth"
        guess = did_you_mean(said, list(table.header))
        raise NotFound(f"{table.path}: no finding has columns for {said} and {true}{guess}")
    return _one(table, patterns.truth, "")


def _one(table: Table, truth: str, said: str) -> dict[str, tuple[str, str]]:
    """The two columns of a table with one finding."""
    there = {column.casefold(): column for column in table.header}
    found = {
        what: table.named(name) if name else next((there[n] for n in _ONE[what] if n in there), "")
        for what, name in (("truth", truth), ("probability", said))
    }
    if absent := [what for what, column in found.items() if not column]:
        wanted = " and ".join(absent)
        raise NotFound(
            f"{table.path}: no column is known to hold {wanted}; name them, "
            "such as --truth 'true_{}' --probability 'prob_{}'"
        )
    name = "finding" if found["truth"].casefold() in _ONE["truth"] else found["truth"]
    return {name: (found["truth"], found["probability"])}


def left_out(
    table: Table, patterns: Patterns, columns: Mapping[str, tuple[str, str]]
) -> Iterator[str]:
    """Probabilities that look like those that were taken, and have no truth."""
    taken = {said for _, said in columns.values()}
    for pattern in [patterns.probability] if patterns.probability else PROBABILITY:
        every = matching(table, pattern) if "{}" in pattern else {}
        if taken & set(every.values()):
            absent = [finding for finding, column in every.items() if column not in taken]
            if absent:
                yield f"without truth, and left out: {', '.join(absent)}"
            return
