"""A Structured Report in sentences: TID 2000, that every viewer shows as text.

It has neither numbers nor coordinates, so its content suits Basic Text SR as well as
Comprehensive and Comprehensive 3D SR (PS3.3 sections A.35.1, A.35.3 and A.35.13).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom import Dataset

from dicomnode.answers import Concept, ModelRef
from dicomnode.report.catalogue import Words
from dicomnode.report.sr import items
from dicomnode.report.sr.observer import observer

__all__ = ["Section", "narrative"]


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading with what stands below it."""

    heading: Concept  #: of CID 7001
    element: Concept  #: of CID 7002: what each sentence is
    sentences: Sequence[str]  #: empty ones are left out
    images: Sequence[Dataset] = ()  #: content items


def narrative(
    title: Concept, sections: Sequence[Section], words: Words, model: ModelRef | None
) -> Dataset:
    """The root container of a document; `model` speaks, or where it is None, the node.

    A section with neither sentence nor image is left out.
    """
    written = [section for section in map(_written, sections) if "ContentSequence" in section]
    return items.container(
        title, [*observer(model, words), *written], template="2000", relation=None
    )


def _written(section: Section) -> Dataset:
    said = [items.text(section.element, text) for text in section.sentences if text]
    return items.container(section.heading, [*said, *section.images])
