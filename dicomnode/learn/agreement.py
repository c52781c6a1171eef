"""How far two models agree on the same studies, where nobody knows which of them is right."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dicomnode.answers import Presence, Score

__all__ = ["Agreement", "Apart", "Said", "agreement", "furthest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What both models said of one study."""

    job_id: int
    first: Mapping[str, Score]  #: by label
    second: Mapping[str, Score]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """On one label, over the studies of which both said something."""

    label: str
    n: int
    both: int  #: studies in which both call it present; undetermined is not present
    only_first: int
    only_second: int
    neither: int
    kappa: float | None  #: Cohen 1960; none where chance alone would agree always
    mean_difference: float  #: of the probabilities, second less first
    most_difference: float  #: the largest, without its sign
    correlation: float | None  #: Pearson's; none where one of them always says the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """One label of one study, and how far the two are apart."""

    job_id: int
    label: str
    first: Score
    second: Score

    @property
    def difference(self) -> float:
        """Of the probabilities, second less first."""
        return self.second.probability - self.first.probability


def agreement(studies: Sequence[Said]) -> list[Agreement]:
    """Of each label that both models have, in the order in which the first model says them."""
    labels = dict.fromkeys(label for study in studies for label in study.first)
    found = ((label, _of(studies, label)) for label in labels)
    return [_agree(label, apart) for label, apart in found if apart]


def furthest(studies: Iterable[Said], most: int = 10) -> list[Apart]:
    """The studies that the two differ about most, each by its worst label, the worst first.

    That one calls it present and the other does not weighs more than any difference in numbers.
    """
    worst = [
        max((_apart(study, label) for label in study.first if label in study.second), key=_weight)
        for study in studies
        if study.first.keys() & study.second.keys()
    ]
    return sorted(worst, key=lambda one: (*(-part for part in _weight(one)), one.job_id))[:most]


def _of(studies: Iterable[Said], label: str) -> list[Apart]:
    return [_apart(one, label) for one in studies if label in one.first and label in one.second]


def _apart(study: Said, label: str) -> Apart:
    first, second = study.first[label], study.second[label]
    return Apart(job_id=study.job_id, label=label, first=first, second=second)


def _weight(apart: Apart) -> tuple[bool, float]:
    differ = (apart.first.presence is Presence.PRESENT) != (
        apart.second.presence is Presence.PRESENT
    )
    return differ, abs(apart.difference)


def _agree(label: str, found: Sequence[Apart]) -> Agreement:
    calls = np.array(
        [[side.presence is Presence.PRESENT for side in (one.first, one.second)] for one in found]
    )
    numbers = np.array([[one.first.probability, one.second.probability] for one in found])
    both, neither = int(calls.all(axis=1).sum()), int((~calls).all(axis=1).sum())
    difference = numbers[:, 1] - numbers[:, 0]
    varies = bool(np.all(np.ptp(numbers, axis=0) > 0))
    return Agreement(
        label=label,
        n=len(found),
        both=both,
        only_first=int(calls[:, 0].sum()) - both,
        only_second=int(calls[:, 1].sum()) - both,
        neither=neither,
        kappa=_kappa((both + neither) / len(found), calls.mean(axis=0)),
        mean_difference=float(difference.mean()),
        most_difference=float(np.abs(difference).max()),
        correlation=float(np.corrcoef(numbers.T)[0, 1]) if varies else None,
    )


def _kappa(observed: float, positive: NDArray[np.float64]) -> float | None:
    """From the share of studies in which they agree, and those that each calls positive."""
    by_chance = float(positive.prod() + (1 - positive).prod())
    return None if by_chance == 1 else (observed - by_chance) / (1 - by_chance)
