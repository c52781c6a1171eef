"""Content items of a Structured Report: one function a value type, as short as the tree needs.

highdicom enters here (and in `codes`): it knows which attributes each value type has.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from highdicom import sr
from pydicom import Dataset

from dicomnode.answers import Concept, FrameRef
from dicomnode.records import InstanceRef
from dicomnode.report import codes

__all__ = [
    "CONTAINS",
    "HAS_ACQ_CONTEXT",
    "HAS_CONCEPT_MOD",
    "HAS_OBS_CONTEXT",
    "code",
    "composite",
    "container",
    "date",
    "image",
    "number",
    "outline",
    "text",
    "uid",
]

CONTAINS = "CONTAINS"
HAS_CONCEPT_MOD = "HAS CONCEPT MOD"
HAS_OBS_CONTEXT = "HAS OBS CONTEXT"
HAS_ACQ_CONTEXT = "HAS ACQ CONTEXT"

_RECTANGLE_POINTS = 5  # what OHIF takes for a rectangle, closed


def _with(item: Dataset, children: Sequence[Dataset]) -> Dataset:
    if children:
        item.ContentSequence = list(children)
    return item


def container(
    name: Concept,
    children: Sequence[Dataset],
    *,
    template: str | None = None,
    relation: str | None = CONTAINS,
) -> Dataset:
    """A heading. Always SEPARATE: viewers lose the names of what is CONTINUOUS."""
    item = sr.ContainerContentItem(
        codes.coded(name),
        is_content_continuous=False,
        template_id=template,
        relationship_type=relation,
    )
    return _with(item, children)


def text(name: Concept, value: str, relation: str = CONTAINS) -> Dataset:
    """A sentence."""
    item: Dataset = sr.TextContentItem(codes.coded(name), value, relation)
    return item


def code(name: Concept, value: Concept, relation: str = CONTAINS) -> Dataset:
    """A concept as the answer to another."""
    item: Dataset = sr.CodeContentItem(codes.coded(name), codes.coded(value), relation)
    return item


def uid(name: Concept, value: str, relation: str = HAS_OBS_CONTEXT) -> Dataset:
    """A UID that names something."""
    item: Dataset = sr.UIDRefContentItem(codes.coded(name), value, relation)
    return item


def date(name: Concept, value: str, relation: str = HAS_ACQ_CONTEXT) -> Dataset:
    """A day, as `YYYYMMDD`."""
    item: Dataset = sr.DateContentItem(codes.coded(name), value, relation)
    return item


def number(
    name: Concept,
    value: float,
    unit: Concept,
    children: Sequence[Dataset] = (),
    relation: str = CONTAINS,
) -> Dataset:
    """A measured value with its unit, written as short as it is."""
    item = sr.NumContentItem(
        codes.coded(name), value, codes.coded(unit), relationship_type=relation
    )
    item.MeasuredValueSequence[0].NumericValue = f"{value:g}"
    return _with(item, children)


def image(
    name: Concept,
    ref: InstanceRef,
    children: Sequence[Dataset] = (),
    *,
    frames: Sequence[int] = (),
    relation: str = CONTAINS,
) -> Dataset:
    """A pointer to an image, or to some of its frames."""
    item = sr.ImageContentItem(
        codes.coded(name),
        ref.sop_class_uid,
        ref.sop_instance_uid,
        referenced_frame_numbers=list(frames) or None,
        relationship_type=relation,
    )
    return _with(item, children)


def composite(name: Concept, ref: InstanceRef, relation: str = CONTAINS) -> Dataset:
    """A pointer to an object that is no image, such as a document."""
    item: Dataset = sr.CompositeContentItem(
        codes.coded(name),
        ref.sop_class_uid,
        ref.sop_instance_uid,
        relationship_type=relation,
    )
    return item


def outline(points: Sequence[tuple[float, float]], frame: FrameRef) -> Dataset:
    """A closed line on a frame, in (column, row) of its pixels (PS3.3 C.18.6.1.2).

    OHIF takes a line of four or five points for a rectangle that somebody drew, and asks to track
    it: a banner over the image, and on "Yes" a measurement with the area of the rectangle but
    without our words. So a short line has the middles of its sides as points too.
    """
    closed = points if points[0] == points[-1] else [*points, points[0]]
    if len(closed) <= _RECTANGLE_POINTS:
        closed = [*_with_middles(closed), closed[-1]]
    item = sr.ScoordContentItem(
        codes.coded(codes.IMAGE_REGION),
        "POLYLINE",
        np.asarray(closed, dtype=np.float32),
        relationship_type=CONTAINS,
    )
    chosen = [] if frame.frame is None else [frame.frame]
    origin = image(codes.ORIGINAL_SOURCE, frame.image, frames=chosen, relation="SELECTED FROM")
    return _with(item, [origin])


def _with_middles(line: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """The points of a line but for the last, each with the middle of the side that follows."""
    for (x, y), (next_x, next_y) in pairwise(line):
        yield x, y
        yield (x + next_x) / 2, (y + next_y) / 2
