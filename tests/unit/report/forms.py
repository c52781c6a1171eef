"""Answers that are one of several classes, or a grade."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from dicomnode.answers import (
    Finding,
    Form,
    Prediction,
    Presence,
)
from dicomnode.report.request import Source
from tests.unit.report.samples import frame_of, heat, make_finding, make_prediction, ring

__all__ = ["classes", "grades"]

PRESENT, ABSENT, UNSURE = Presence.PRESENT, Presence.ABSENT, Presence.UNDETERMINED


def classes(source: Source, chosen: str = "Viral pneumonia") -> Prediction:
    """Normal, bacterial or viral; an empty `chosen` leaves it open."""
    told = {"Normal": 0.08, "Bacterial pneumonia": 0.2, "Viral pneumonia": 0.72}
    if not chosen:
        told = {"Normal": 0.3, "Bacterial pneumonia": 0.36, "Viral pneumonia": 0.34}
    findings = [
        _finding(source, name, probability, chosen, marked=name != "Normal")
        for name, probability in told.items()
    ]
    return _answer(source, findings, Form.CLASSES)


def grades(source: Source, chosen: Sequence[str] = ("KL 2",)) -> Prediction:
    """Of Kellgren and Lawrence, 0 to 4; several `chosen` are those that it may be."""
    told = {"KL 0": 0.05, "KL 1": 0.95, "KL 2": 0.81, "KL 3": 0.3, "KL 4": 0.02}
    findings = [
        _finding(source, name, probability, chosen, at_least=name != "KL 0", marked=name != "KL 0")
        for name, probability in told.items()
    ]
    return _answer(source, findings, Form.GRADES)


def _finding(
    source: Source, name: str, probability: float, chosen: str | Sequence[str], **changes: Any
) -> Finding:
    frame = frame_of(source.headers[0])
    one = isinstance(chosen, str) or len(chosen) == 1
    here = name == chosen or (not isinstance(chosen, str) and name in chosen)
    presence = (PRESENT if one else UNSURE) if here else (ABSENT if chosen else UNSURE)
    if presence is PRESENT and changes.get("marked", True):
        changes |= {"heat": heat(frame, 0.5, 0.5), "regions": (ring(frame, 0.5, 0.5),)}
    return make_finding(name, frame, probability, presence=presence, **changes)


def _answer(source: Source, findings: Sequence[Finding], form: Form) -> Prediction:
    return replace(make_prediction(source), findings=tuple(findings), form=form)
