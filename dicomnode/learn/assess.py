"""From what models said of images to an evaluation: who belongs together, and what is asked."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dicomnode.classify.card.common import Common
from dicomnode.errors import NotFound
from dicomnode.learn.measures.evaluation import Plan, evaluate
from dicomnode.learn.measures.results import Evaluation
from dicomnode.learn.measures.sample import Group, Opinion, Sample
from dicomnode.learn.measures.subgroups import AGE_BANDS, by_age, by_value
from dicomnode.learn.predictions import Predictions

__all__ = ["GROUPED", "Question", "assess", "thresholds"]

#: What images are grouped by without being asked, where it is known.
GROUPED = ("sex", "age", "view", "scanner")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of predictions."""

    name: str  #: of the model, as tables call it
    plan: Plan
    only: tuple[str, ...] = ()  #: findings; empty: all
    by: tuple[str, ...] = ()  #: properties to group by; empty: all that are known; "none"
    age_bands: tuple[float, ...] = AGE_BANDS
    thresholds: Mapping[str, float] = field(default_factory=dict)  #: of a card, by finding


def assess(
    predictions: Predictions, question: Question, step: Callable[[], None] = lambda: None
) -> Evaluation:
    """Measure predictions; `step` is called for each resample that is done.

    Raises:
        NotFound: a finding or a property that is asked for is not there.
    """
    kept = _kept(predictions.findings, question.only)
    needs_card = any(point.kind == "card" for point in question.plan.points)
    findings = tuple(predictions.findings[column] for column in kept)
    if needs_card and not set(findings) & set(question.thresholds):
        raise NotFound("thresholds of a card are asked for, and no card has any of these findings")
    sample = Sample(
        name=question.name,
        findings=findings,
        truth=predictions.truth[:, kept],
        scores=predictions.scores[:, kept],
        patients=np.unique(np.array(predictions.patients), return_inverse=True)[1],
        groups=tuple(_groups(predictions, question)),
        others=tuple(_columns(opinion, kept) for opinion in predictions.opinions),
        thresholds=question.thresholds,
    )
    found = evaluate(sample, question.plan, step)
    return replace(found, notes=(*predictions.notes, *_notes(sample, question)))


def thresholds(card: Common) -> dict[str, float]:
    """From where a card calls each of its findings present."""
    return {label.name: label.threshold for label in card.labels}


def _kept(findings: Sequence[str], only: Sequence[str]) -> list[int]:
    if unknown := set(only) - set(findings):
        raise NotFound(f"there is no finding {min(unknown)}; there are: {', '.join(findings)}")
    return [column for column, name in enumerate(findings) if not only or name in only]


def _columns(opinion: Opinion, kept: list[int]) -> Opinion:
    return replace(opinion, scores=opinion.scores[:, kept])


def _groups(predictions: Predictions, question: Question) -> Iterator[Group]:
    if question.by == ("none",):
        return
    known = [*predictions.facts, *(["age"] if predictions.ages is not None else [])]
    if unknown := set(question.by) - set(known):
        raise NotFound(f"images cannot be grouped by {min(unknown)}; known: {', '.join(known)}")
    for variable in known:
        if question.by and variable not in question.by:
            continue
        if variable == "age" and predictions.ages is not None:
            yield from by_age(predictions.ages, question.age_bands)
        else:
            yield from by_value(variable, predictions.facts[variable])


def _notes(sample: Sample, question: Question) -> Iterator[str]:
    absent = [name for name in sample.findings if name not in question.thresholds]
    if absent and question.thresholds:
        yield f"the card has no threshold for: {', '.join(absent)}"
    chosen = [point.name for point in question.plan.points if point.chosen]
    if chosen:
        yield (
            f"thresholds chosen on these very images ({', '.join(chosen)}) flatter a little: "
            "on others they do worse, and intervals do not know of the choice"
        )
