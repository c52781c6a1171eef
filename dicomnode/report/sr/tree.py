"""The content of the Structured Report: TID 1500, as viewers and validators were seen to take it.

What each viewer draws from which item is told beside the item.
"""

from collections.abc import Sequence

from pydicom import Dataset

from dicomnode.answers import (
    Finding,
    FrameRef,
    Prediction,
    Presence,
    Region,
)
from dicomnode.dicom.uids import result_uid
from dicomnode.records import InstanceRef
from dicomnode.report import codes, wording
from dicomnode.report.catalogue import Words
from dicomnode.report.places import frame_named, pictured
from dicomnode.report.reading import value
from dicomnode.report.request import Made, Order, Source
from dicomnode.report.sr import items
from dicomnode.report.sr.observer import observer

__all__ = ["content"]


def content(
    source: Source, prediction: Prediction, order: Order, pictures: Sequence[Made], uid: str
) -> Dataset:
    """The root container of the report whose SOP Instance UID is `uid`."""
    return items.container(
        codes.REPORT,
        [
            *observer(prediction.model, order.words),
            items.code(codes.PROCEDURE_REPORTED, codes.IMAGING_PROCEDURE, items.HAS_CONCEPT_MOD),
            _library(source, prediction),
            _measurements(source, prediction, order, pictures, uid),
            _evaluations(prediction, order),
        ],
        template="1500",
        relation=None,
    )


# --- what was looked at: TID 1600 -----------------------------------------------------------


def _library(source: Source, prediction: Prediction) -> Dataset:
    frames: dict[InstanceRef, list[FrameRef]] = {}
    for frame in prediction.frames:
        frames.setdefault(frame.image, []).append(frame)
    entries = [_entry(source.header(image), seen) for image, seen in frames.items()]
    return items.container(
        codes.IMAGE_LIBRARY, [items.container(codes.IMAGE_LIBRARY_GROUP, entries)], template="1600"
    )


def _entry(header: Dataset, seen: Sequence[FrameRef]) -> Dataset:
    context = items.HAS_ACQ_CONTEXT
    about = []
    if modality := codes.modality(value(header, "Modality")):
        about.append(items.code(codes.MODALITY, modality, context))
    if day := value(header, "StudyDate"):
        about.append(items.date(codes.STUDY_DATE, day))
    if reference := value(header, "FrameOfReferenceUID"):
        about.append(items.uid(codes.FRAME_OF_REFERENCE, reference, context))
    about += [
        items.number(codes.ROWS, seen[0].rows, codes.PIXELS, relation=context),
        items.number(codes.COLUMNS, seen[0].columns, codes.PIXELS, relation=context),
    ]
    numbers = [frame.frame for frame in seen if frame.frame is not None]
    return items.image(codes.SOURCE, seen[0].image, about, frames=numbers)


# --- where and how probable: TID 1410 -------------------------------------------------------


def _measurements(
    source: Source, prediction: Prediction, order: Order, pictures: Sequence[Made], uid: str
) -> Dataset:
    ranked = wording.by_weight(prediction.findings)
    groups: list[Dataset] = []
    for frame, findings in _by_frame(ranked, prediction).items():
        without_region = [finding for finding in findings if not _outlined(finding)]
        shown = [
            p for p in pictures if p.finding in without_region or (not p.finding and not groups)
        ]
        name = frame_named(frame, prediction, source, order.words)
        group = _whole_frame(prediction, order.words, name, frame, findings, shown)
        groups.append(group)
    for finding in ranked:
        shown = [p for p in pictures if p.finding is finding]
        groups += _regions(prediction, order.words, finding, shown)
    for number, group in enumerate(groups, 1):
        tracking = items.uid(codes.TRACKING_UID, result_uid(uid, "group", str(number)))
        group.ContentSequence.insert(1, tracking)
    return items.container(codes.IMAGING_MEASUREMENTS, groups)


def _by_frame(ranked: Sequence[Finding], prediction: Prediction) -> dict[FrameRef, list[Finding]]:
    """Findings beside the frames that speak most for them; of a volume, all beside one."""
    if prediction.together:
        return {pictured(ranked[0], prediction): list(ranked)}
    found: dict[FrameRef, list[Finding]] = {}
    for finding in ranked:
        found.setdefault(finding.frame, []).append(finding)
    return found


def _outlined(finding: Finding) -> list[Region]:
    """The regions that a report outlines: of a present finding, and more than a line."""
    present = finding.presence is Presence.PRESENT
    return [region for region in finding.regions if present and len(region.outline) > 2]


def _whole_frame(
    prediction: Prediction,
    words: Words,
    name: str,
    frame: FrameRef,
    findings: Sequence[Finding],
    pictures: Sequence[Made],
) -> Dataset:
    """The probabilities of findings, beside a frame: by `name`, of that or of all together.

    OHIF shows no image at all where a group has no coordinates, and writes a group's first five
    numbers right of and below them, most important first. It clips that text at the edge of its
    window and lays banners over the top of it: so a small mark low on the left carries what is
    said of the whole frame.
    """
    side = min(frame.rows, frame.columns)
    left, right = 0.01 * side, 0.03 * side
    top = 0.76 * frame.rows
    bottom = top + right - left
    mark = [(left, top), (right, top), (right, bottom), (left, bottom)]
    numbers = [_probability(finding) for finding in findings]
    children = [items.outline(mark, frame), *_explanation(pictures), *numbers]
    return _group(prediction, words, name, children)


def _regions(
    prediction: Prediction, words: Words, finding: Finding, pictures: Sequence[Made]
) -> list[Dataset]:
    named = wording.name(finding, words)
    return [
        _group(
            prediction,
            words,
            words.say("place.region", finding=named, number=number),
            [
                items.code(codes.FINDING, finding.concept),
                items.outline(region.outline, finding.frame),
                *_explanation(pictures),
                _probability(finding),
            ],
        )
        for number, region in enumerate(_outlined(finding), 1)
    ]


def _group(prediction: Prediction, words: Words, name: str, children: Sequence[Dataset]) -> Dataset:
    tracking = items.text(codes.TRACKING_IDENTIFIER, name, items.HAS_OBS_CONTEXT)
    algorithm = _algorithm(prediction, words, items.HAS_CONCEPT_MOD)
    return items.container(
        codes.MEASUREMENT_GROUP, [tracking, *algorithm, *children], template="1410"
    )


def _explanation(pictures: Sequence[Made]) -> list[Dataset]:
    return [items.image(codes.VISUAL_EXPLANATION, picture.ref) for picture in pictures]


def _probability(finding: Finding) -> Dataset:
    """Viewers draw the name of the number and drop its modifier, so both name the finding."""
    of = items.code(codes.FINDING, finding.concept, items.HAS_CONCEPT_MOD)
    name = codes.probability_of(finding.concept, at_least=finding.at_least)
    return items.number(name, _percent(finding.probability), codes.PERCENT, [of])


def _percent(probability: float) -> float:
    """Two decimals, but no nought of what is not nought: OHIF leaves the number 0 out."""
    percent = 100 * probability
    return round(percent, 2) or float(f"{percent:.2g}")


def _algorithm(prediction: Prediction, words: Words, relation: str) -> list[Dataset]:
    """TID 4019."""
    model = prediction.model
    weights = wording.digest(model, words)
    return [
        items.text(codes.ALGORITHM_NAME, model.name, relation),
        items.text(codes.ALGORITHM_VERSION, model.version, relation),
        items.text(codes.ALGORITHM_PARAMETERS, weights, relation),
    ]


# --- what is said of each finding: TID 1500 -------------------------------------------------


def _evaluations(prediction: Prediction, order: Order) -> Dataset:
    """In sentences of the order's language, and as codes: what is said of the study."""
    ranked = wording.by_weight(prediction.findings)
    points = wording.performance(prediction, order)
    return items.container(
        codes.QUALITATIVE_EVALUATIONS,
        [
            items.text(codes.COMMENT, wording.headline(prediction, order)),
            *(items.code(f.concept, codes.PRESENCE[_presence(f, order)]) for f in ranked),
            *(items.text(codes.COMMENT, note) for note in wording.notes(prediction, order)),
            *_algorithm(prediction, order.words, items.CONTAINS),
            *(items.text(codes.OPERATING_POINT, line) for line in points),
        ],
    )


def _presence(finding: Finding, order: Order) -> Presence:
    """As a code, absent is said of a whole study only: nothing is excluded on missing images."""
    if order.partial and finding.presence is Presence.ABSENT:
        return Presence.UNDETERMINED
    return finding.presence
