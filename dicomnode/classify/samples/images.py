"""Which images of a study, and which of their frames, the model is shown."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from dicomnode.answers import FrameRef
from dicomnode.classify.card.input import Input
from dicomnode.dicom.attributes import text
from dicomnode.dicom.pixels import Frame, frames, guarded, measured
from dicomnode.errors import Cause, NotAnalysable, StoreError

__all__ = [
    "Image",
    "Wanted",
    "choose",
    "decode",
    "frame_count",
    "header_of",
    "measure",
    "read_image",
]

Image = Dataset | Path


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wanted:
    """Frames of one image that the model is shown."""

    image: Image
    numbers: tuple[int, ...]  #: from 1, ascending


def choose(images: Iterable[tuple[Image, int]], recipe: Input) -> list[Wanted]:
    """What the card wants to see, in order, of images that fit, each with its number of frames."""
    fitting = [(image, count) for image, count in images if count]
    ends = [0, *accumulate(count for _, count in fitting)]
    wanted = _wanted(ends[-1], recipe)
    owners = np.searchsorted(ends, wanted, side="right") - 1
    return [
        Wanted(image=fitting[owner][0], numbers=tuple(at - ends[owner] + 1 for _, at in group))
        for owner, group in groupby(zip(owners, wanted, strict=True), key=lambda pair: int(pair[0]))
    ]


def header_of(image: Image) -> Dataset:
    """An image without its pixels, or as it is given; NotAnalysable where it cannot be read."""
    return image if isinstance(image, Dataset) else read_image(image, header=True)


def decode(image: Image, numbers: Sequence[int]) -> Iterator[Frame]:
    """Frames of an image, one at a time; NotAnalysable names the image if one is broken."""
    dataset = image if isinstance(image, Dataset) else read_image(image)
    with _named(dataset):
        yield from frames(dataset, numbers)


def measure(image: Image, numbers: Sequence[int]) -> Iterator[tuple[FrameRef, NDArray[np.float32]]]:
    """The same as what they measure, such as HU; NaN where no pixel is."""
    dataset = image if isinstance(image, Dataset) else read_image(image)
    with _named(dataset):
        yield from measured(dataset, numbers)


@contextmanager
def _named(dataset: Dataset) -> Iterator[None]:
    try:
        yield
    except NotAnalysable as error:
        uid = text(dataset, "SOPInstanceUID") or "without UID"
        raise NotAnalysable(f"image {uid}: {error}", error.cause) from error


def _wanted(total: int, recipe: Input) -> list[int]:
    """Places, from 0, of the wanted ones among `total` frames."""
    if recipe.images == "all":
        kept = min(total, recipe.max_images)
        return [(2 * i + 1) * total // (2 * kept) for i in range(kept)]
    return [0 if recipe.images == "first" else total // 2][:total]


def frame_count(header: Dataset) -> int:
    """How many frames an object has; 0 if it is no image (a report, a presentation state)."""
    if "Rows" not in header:
        return 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return max(1, int(header.get("NumberOfFrames") or 1))
        except (TypeError, ValueError, ArithmeticError) as error:
            raise NotAnalysable("the number of frames is no number") from error


def read_image(path: Path, *, header: bool = False) -> Dataset:
    """A file, or of it all but the pixels.

    Raises:
        NotAnalysable: it is gone, broken, or no DICOM.
        StoreError: the disk does not give it.
    """
    with guarded("a kept file cannot be read"):
        try:
            return dcmread(path, stop_before_pixels=header)
        except FileNotFoundError as error:
            gone = "a kept file cannot be read: it is gone"
            raise NotAnalysable(gone, Cause.NO_IMAGE) from error
        except OSError as error:
            raise StoreError(f"a kept file cannot be read: {error.strerror}") from error
        except InvalidDicomError as error:
            raise NotAnalysable(f"a kept file cannot be read ({type(error).__name__})") from error
