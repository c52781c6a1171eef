"""Which images of a study, and which of their frames, the model is shown."""

import warnings
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from dicomnode.classify.card import Input
from dicomnode.classify.check import misfit
from dicomnode.dicom.pixels import Frame, frames
from dicomnode.errors import Cause, NotAnalysable, StoreError

__all__ = ["Image", "choose", "decode"]

Image = Dataset | Path


def choose(
    images: Sequence[Image], recipe: Input, left_out: list[NotAnalysable]
) -> Iterator[tuple[Image, list[int]]]:
    """The images the card wants to see, in order, each with its frame numbers.

    Objects without pixels are passed over; `left_out` gets a reason for each image that the model
    is not for.
    """
    fitting: list[Image] = []
    counts: list[int] = []
    for image in images:
        header = image if isinstance(image, Dataset) else _read(image, header=True)
        if count := _frame_count(header):
            if (why := misfit(header, recipe)) is not None:
                left_out.append(why)
                continue
            fitting.append(image)
            counts.append(count)
    ends = [0, *accumulate(counts)]
    wanted = _wanted(ends[-1], recipe)
    owners = np.searchsorted(ends, wanted, side="right") - 1
    for owner, group in groupby(zip(owners, wanted, strict=True), key=lambda pair: int(pair[0])):
        yield fitting[owner], [at - ends[owner] + 1 for _, at in group]


def decode(image: Image, numbers: Sequence[int]) -> Iterator[Frame]:
    """Frames of an image, one at a time; NotAnalysable names the image if one is broken."""
    dataset = image if isinstance(image, Dataset) else _read(image)
    try:
        yield from frames(dataset, numbers)
    except NotAnalysable as error:
        uid = dataset.get("SOPInstanceUID", "without UID")
        raise NotAnalysable(f"image {uid}: {error}", error.cause) from error


def _wanted(total: int, recipe: Input) -> list[int]:
    """Places, from 0, of the wanted ones among `total` frames."""
    if recipe.images == "all":
        kept = min(total, recipe.max_images)
        return [(2 * i + 1) * total // (2 * kept) for i in range(kept)]
    return [0 if recipe.images == "first" else total // 2][:total]


def _frame_count(header: Dataset) -> int:
    """How many frames an object has; 0 if it is no image (a report, a presentation state)."""
    if "Rows" not in header:
        return 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return max(1, int(header.get("NumberOfFrames") or 1))
        except (TypeError, ValueError, ArithmeticError) as error:
            raise NotAnalysable("the number of frames is no number") from error


def _read(path: Path, *, header: bool = False) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return dcmread(path, stop_before_pixels=header)
        except FileNotFoundError as error:
            gone = "a kept file cannot be read: it is gone"
            raise NotAnalysable(gone, Cause.NO_IMAGE) from error
        except OSError as error:
            raise StoreError(f"a kept file cannot be read: {error.strerror}") from error
        except (InvalidDicomError, EOFError, ValueError) as error:
            raise NotAnalysable(f"a kept file cannot be read ({type(error).__name__})") from error
