"""Prediction to Basic Text SR: the result in sentences, for viewers that show no TID 1500."""

from collections.abc import Iterator

from pydicom import Dataset

from dicomnode.answers import (
    Finding,
    FrameRef,
    Prediction,
    Presence,
)
from dicomnode.records import ResultKind
from dicomnode.report import codes, wording
from dicomnode.report.places import pictured, place
from dicomnode.report.request import Making, Order
from dicomnode.report.sr import items
from dicomnode.report.sr.document import Naming, document
from dicomnode.report.sr.narrative import Section, narrative

__all__ = ["text_reports"]


def text_reports(making: Making) -> Iterator[tuple[Dataset, None]]:
    """The one report, without file meta information (PS3.3 section A.35.1)."""
    prediction, order = making.prediction, making.order
    naming = Naming(
        kind=ResultKind.TEXT,
        uid=making.uid(ResultKind.TEXT, "1"),
        series_uid=making.uid(ResultKind.TEXT, "series"),
        title="AI text report",
    )
    images = [frame.image for frame in prediction.frames]
    pictures = [made.ref for made in making.made_of(ResultKind.SC)]
    ds = document(making.patient, prediction, order, naming, [*images, *pictures])
    ds.update(narrative(codes.IMAGING_REPORT, _sections(making), order.words, prediction.model))
    yield ds, None


def _sections(making: Making) -> list[Section]:
    """What matters first: the outcome and each finding; then how it came about, and the images."""
    prediction, order = making.prediction, making.order
    say = order.words.say
    cautions = wording.cautions(prediction.model, order.words)
    first = [wording.shortfall(prediction, order), wording.headline(prediction, order), *cautions]
    findings = wording.listed(prediction)
    return [
        Section(heading=codes.IMPRESSIONS, element=codes.IMPRESSION, sentences=first),
        Section(
            heading=codes.FINDINGS,
            element=codes.FINDING,
            sentences=[_said(finding, making) for finding in findings],
        ),
        Section(
            heading=codes.RECOMMENDATIONS,
            element=codes.RECOMMENDATION,
            sentences=[say("report.read")],
        ),
        Section(
            heading=codes.PROCEDURES,
            element=codes.PROCEDURE,
            sentences=_method(prediction, order),
        ),
        Section(
            heading=codes.KEY_IMAGES, element=codes.FINDING, sentences=(), images=_images(making)
        ),
    ]


def _said(finding: Finding, making: Making) -> str:
    prediction, words = making.prediction, making.order.words
    presence = wording.assessment(finding, prediction, words)
    probability = wording.percent(finding.probability, words)
    named = wording.name(finding, words)
    key = "grade.said" if finding.at_least else "report.finding"
    said = [words.say(key, finding=named, presence=presence, probability=probability)]
    if finding.presence is not Presence.ABSENT:
        said.append(place(finding, prediction, making.source, words))
    if finding.presence is Presence.PRESENT and finding.regions:
        said.append(words.say("report.regions", count=len(finding.regions)))
    return words.joined(said)


def _images(making: Making) -> list[Dataset]:
    """Pictures of ours, then the images that speak for what is not absent."""
    findings = wording.by_weight(making.prediction.findings)
    prediction = making.prediction
    present = [finding for finding in findings if finding.presence is not Presence.ABSENT]
    frames = dict.fromkeys(pictured(finding, prediction) for finding in present)
    pictures = making.made_of(ResultKind.SC)
    shown = [items.image(codes.VISUAL_EXPLANATION, picture.ref) for picture in pictures]
    return [*shown, *(_source(frame) for frame in frames)]


def _source(frame: FrameRef) -> Dataset:
    return items.image(codes.SOURCE, frame.image, frames=[frame.frame] if frame.frame else [])


def _method(prediction: Prediction, order: Order) -> list[str]:
    say, model = order.words.say, prediction.model
    marked = any(finding.regions for finding in prediction.findings)
    return [
        wording.revision(order),
        "" if wording.shortfall(prediction, order) else wording.completeness(prediction, order),
        wording.certainty(model, order.words),
        *wording.performance(prediction, order),
        wording.model_named(model, order.words),
        wording.digest(model, order.words),
        say("report.explanation", method=wording.method(model, order.words)) if marked else "",
        wording.intended_use(model, order.words),
    ]
