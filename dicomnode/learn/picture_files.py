"""Pictures that are no DICOM: PNG and JPEG."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dicomnode.errors import NotAnalysable

__all__ = ["is_picture", "read_grey"]

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
#: Pillow also says SyntaxError of a PNG that is broken in its middle.
_BROKEN = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def is_picture(path: Path) -> bool:
    """Is it one, by its name?"""
    return path.suffix.lower() in _SUFFIXES


def read_grey(path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Grey of (rows, columns), over the whole range of its type; colour becomes grey.

    Raises:
        NotAnalysable: it cannot be read, or is larger than any radiograph.
    """
    try:
        with Image.open(path) as picture:
            if picture.mode.startswith("I"):
                return np.asarray(picture).astype(np.uint16)
            return np.asarray(picture.convert("L"))
    except _BROKEN as error:
        raise NotAnalysable(f"a picture cannot be read ({type(error).__name__})") from error
