"""Answers to a prediction: what they say together, and where that lies."""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, TypeVar

from dicomnode.answers import (
    Finding,
    Form,
    FrameRef,
    ModelRef,
    Prediction,
    Presence,
)
from dicomnode.classify.card.common import Common
from dicomnode.classify.explaining.shown import Shown
from dicomnode.classify.findings import Decided, decide, presences, threshold

__all__ = ["Told", "predict"]


class Told(Protocol):
    """An answer to one sample of a study."""

    @property
    def scores(self) -> tuple[float, ...]:
        """0..1, one a label."""

    @property
    def frames(self) -> tuple[FrameRef, ...]:
        """What was looked at."""


_Told = TypeVar("_Told", bound=Told)


def predict(
    card: Common,
    model: ModelRef,
    told: Sequence[_Told],
    combine: Literal["max", "mean"] | None,
    show: Callable[[_Told, Sequence[int]], list[Shown]] | None,
    left_out: int,
) -> Prediction:
    """What answers say together; `show`, if any, gives the places of some labels in one of them."""
    decided = decide([one.scores for one in told], combine, card.output)
    said = presences(card.labels, [one.probability for one in decided], card.output)
    places = _places(card, told, decided, said, show) if show else {}
    return Prediction(
        model=model,
        frames=tuple(dict.fromkeys(frame for one in told for frame in one.frames)),
        findings=tuple(
            _finding(card, index, decided[index], said[index], places.get(index), told)
            for index, _ in enumerate(card.labels)
        ),
        left_out=left_out,
        form=card.output.form,
        together=any(len(one.frames) > 1 for one in told),
    )


def _places(
    card: Common,
    told: Sequence[_Told],
    decided: Sequence[Decided],
    said: Sequence[Presence],
    show: Callable[[_Told, Sequence[int]], list[Shown]],
) -> dict[int, Shown]:
    """Where each present label lies; those of one sample are asked for together."""
    by_look: dict[int, list[int]] = {}
    for index, presence in enumerate(said):
        if presence is Presence.PRESENT and _marked(card, index):
            by_look.setdefault(decided[index].look, []).append(index)
    return {
        index: place
        for look, labels in by_look.items()
        for index, place in zip(labels, show(told[look], labels), strict=True)
    }


def _marked(card: Common, index: int) -> bool:
    """Is a label something to point at?"""
    lowest = card.output.form is Form.GRADES and index == 0
    return not (card.labels[index].normal or lowest)


def _finding(
    card: Common,
    index: int,
    decided: Decided,
    presence: Presence,
    place: Shown | None,
    told: Sequence[Told],
) -> Finding:
    label = card.labels[index]
    return Finding(
        label=label.name,
        concept=label.concept,
        probability=decided.probability,
        threshold=threshold(card.labels, index, card.output),
        presence=presence,
        frame=place.frame if place else told[decided.look].frames[0],
        heat=place.heat if place else None,
        regions=place.regions if place else (),
        operating=card.operating(label.name),
        names=label.names,
        at_least=card.output.form is Form.GRADES and index > 0,
        marked=_marked(card, index),
    )
