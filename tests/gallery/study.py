"""A study of the gallery: images as they came, and what is made of them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

from pydicom import Dataset, dcmread

from dicomnode.answers import Prediction, Result
from dicomnode.dicom import pixels
from dicomnode.dicom.appearance import appearance
from dicomnode.records import ResultKind
from dicomnode.report.request import Order, Source
from dicomnode.report.results import make_results
from tests.factories import make_part10
from tests.unit.report.samples import ORDER

__all__ = ["EVERY", "IN_WORDS", "Study", "header_of", "source_of", "study_of"]

EVERY = replace(ORDER, pipeline="gallery", kinds=frozenset(ResultKind))
IN_WORDS = replace(
    EVERY, kinds=frozenset({ResultKind.SC, ResultKind.SR, ResultKind.TEXT, ResultKind.PDF})
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Study:
    """Images as they came, and what is made of them."""

    name: str
    images: tuple[Dataset, ...]
    results: tuple[Result, ...]

    @property
    def uid(self) -> str:
        """Its Study Instance UID."""
        return str(self.images[0].StudyInstanceUID)

    def parts(self) -> Iterator[bytes]:
        """Every object as a file: images, then results."""
        yield from (make_part10(image) for image in self.images)
        yield from (result.part10 for result in self.results)


def source_of(*images: Dataset) -> Source:
    """What results of these images are made from."""
    by_uid = {image.SOPInstanceUID: image for image in images}

    def display(frame: Any) -> Any:
        image = by_uid[frame.image.sop_instance_uid]
        return pixels.display(next(iter(pixels.frames(image, [frame.frame or 1]))))

    def look(frame: Any) -> Dataset:
        return appearance(by_uid[frame.image.sop_instance_uid], frame.frame or 1)

    return Source(headers=[header_of(image) for image in images], display=display, look=look)


def header_of(image: Dataset) -> Dataset:
    """An image without its pixels."""
    return dcmread(BytesIO(make_part10(image)), stop_before_pixels=True)


def study_of(
    name: str, images: tuple[Dataset, ...], prediction: Prediction, order: Order = EVERY
) -> Study:
    """What the answer to these images becomes."""
    results = make_results(source_of(*images), prediction, order)
    return Study(name=name, images=images, results=results)
