"""Dataset to frames: decoded, through modality LUT, window and photometric interpretation.

Follows PS3.3 C.7.6.3 (pixels), C.11.1 (modality LUT), C.11.2 (VOI LUT) and C.7.6.16 (functional
groups of multi-frame images). Knows nothing of models.
"""

import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset
from pydicom.encaps import generate_frames
from pydicom.errors import BytesLengthException
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import get_expected_length, iter_pixels
from pydicom.uid import UID, RLELossless

from dicomnode.answers import FrameRef
from dicomnode.dicom.codestream import codestream_size
from dicomnode.dicom.grayscale import aspect, grey, places
from dicomnode.dicom.grayscale import measured as units
from dicomnode.errors import NotAnalysable
from dicomnode.records import InstanceRef

__all__ = ["MAX_PIXELS", "Frame", "display", "frames", "guarded", "measured", "stored"]

#: Rows times columns of one frame; larger ones are refused before anything is decoded.
MAX_PIXELS = 1 << 26

#: What pydicom, its decoders and numpy raise when pixels are not what their attributes say.
_BROKEN = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    Image.DecompressionBombError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # PS3.3 C.7.6.3.1.2, YBR_FULL


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One frame as a reader would see it."""

    ref: FrameRef
    pixels: NDArray[np.float32]  #: (rows, columns), 0 black to 1 white, whatever was stored
    rgb: NDArray[np.uint8] | None  #: (rows, columns, 3) of a colour image
    aspect: float  #: row spacing / column spacing: above 1, pixels are taller than wide


def frames(dataset: Dataset, numbers: Sequence[int] | None = None) -> Iterator[Frame]:
    """Every frame, or those with these numbers (from 1), one at a time; NotAnalysable if broken."""
    for number, count, values in _decoded(dataset, numbers):
        with guarded("attributes of the pixels are wrong"):
            frame = _frame(dataset, number, count, values)
        yield frame


def measured(
    dataset: Dataset, numbers: Sequence[int] | None = None
) -> Iterator[tuple[FrameRef, NDArray[np.float32]]]:
    """The same as what they measure, such as HU: (rows, columns), NaN where no pixel is.

    NotAnalysable as well if the image is one of colours, which measure nothing.
    """
    with guarded("attributes of the pixels are wrong"):
        grey = dataset.get("PhotometricInterpretation") in ("MONOCHROME1", "MONOCHROME2")
    if not grey:
        raise NotAnalysable("the image is not grey: its pixels measure nothing")
    for number, count, values in _decoded(dataset, numbers):
        with guarded("attributes of the pixels are wrong"):
            found = units(dataset, places(dataset, number - 1), values)
            ref = _frame_ref(dataset, number, count, found)
        yield ref, found


def _decoded(
    dataset: Dataset, numbers: Sequence[int] | None
) -> Iterator[tuple[int, int, NDArray[Any]]]:
    """Number of a frame, how many there are, and its stored values."""
    with guarded("attributes of the pixels are wrong"):
        count = max(1, int(dataset.get("NumberOfFrames") or 1))
        _check(dataset, count)
    if numbers is not None and not all(1 <= number <= count for number in numbers):
        raise NotAnalysable(f"a frame was asked for that is not one of 1 to {count}")
    wanted = range(1, count + 1) if numbers is None else numbers
    with guarded("the compressed frames cannot be found"):
        _check_codestreams(dataset, wanted, count)
    indices = None if numbers is None else [number - 1 for number in numbers]
    decoded = iter_pixels(dataset, indices=indices, decoding_plugin=_plugin(dataset))
    for number in wanted:
        with guarded(f"frame {number} of {count} cannot be decoded"):
            values = next(decoded, None)
        if values is None:
            raise NotAnalysable(f"frame {number} of {count} is missing")
        yield number, count, values


def display(frame: Frame) -> NDArray[np.uint8]:
    """The frame as (rows, columns, 3), grey or colour, for a picture of it; not to be written."""
    if frame.rgb is not None:
        return frame.rgb
    grey = np.rint(frame.pixels * 255).astype(np.uint8)
    return np.broadcast_to(grey[:, :, np.newaxis], (*grey.shape, 3))


def stored(dataset: Dataset, number: int) -> NDArray[Any]:
    """One frame (from 1) as it is stored, after decompression; NotAnalysable if broken."""
    with guarded(f"frame {number} cannot be decoded"):
        _check(dataset, max(1, int(dataset.get("NumberOfFrames") or 1)))
        return next(iter_pixels(dataset, indices=[number - 1], decoding_plugin=_plugin(dataset)))


# --- what can be decoded --------------------------------------------------------------------


@contextmanager
def guarded(problem: str) -> Iterator[None]:
    """Keep the doubts of pydicom and Pillow in this block; what breaks it becomes NotAnalysable."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except _BROKEN as error:
            raise NotAnalysable(f"{problem} ({type(error).__name__})") from error


def _check(dataset: Dataset, count: int) -> None:
    """Refuse what cannot be decoded, or should not be tried, with the reason in words."""
    if "PixelData" not in dataset:
        raise NotAnalysable("the object has no pixel data")
    rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    if rows < 1 or columns < 1:
        raise NotAnalysable("the image has no rows or no columns")
    if rows * columns > MAX_PIXELS:
        raise NotAnalysable(f"a frame of {columns} x {rows} pixels exceeds {MAX_PIXELS} pixels")
    syntax = UID(getattr(dataset, "file_meta", Dataset()).get("TransferSyntaxUID", ""))
    if not _decodable(syntax):
        name = syntax.name if syntax else "not named in the file"
        raise NotAnalysable(f"no decoder for the transfer syntax ({name})")
    if not syntax.is_encapsulated:
        expected = get_expected_length(dataset)
        if len(dataset.PixelData) < expected:
            raise NotAnalysable(
                f"pixel data ends early: {len(dataset.PixelData)} of {expected} bytes"
            )


def _check_codestreams(dataset: Dataset, wanted: Sequence[int], count: int) -> None:
    """A codestream may claim more than the attributes: small to send, and fills the memory."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated or syntax == RLELossless:
        return
    stated = (int(dataset.Rows), int(dataset.Columns))
    codestreams = generate_frames(dataset.PixelData, number_of_frames=count)
    last = max(wanted, default=0) if len(wanted) < count else count
    for number, codestream in enumerate(islice(codestreams, last), start=1):
        size = codestream_size(codestream) if number in wanted else None
        if size is not None and size != stated:
            raise NotAnalysable(f"frame {number} of {count} is not of the size the image states")


def _decodable(syntax: UID) -> bool:
    try:
        return bool(get_decoder(syntax).is_available)
    except NotImplementedError:
        return False


def _plugin(dataset: Dataset) -> str:
    """Which decoder: always the same one, so that the same bytes give the same pixels.

    GDCM comes last; it is there for JPEG Lossless, which nothing else here decodes.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    here = get_decoder(syntax).available_plugins if syntax.is_encapsulated else ()
    order = ("pydicom", "pylibjpeg", "pyjpegls", "pillow", "gdcm")
    return next((name for name in order if name in here), "")


# --- from stored values to what is seen -----------------------------------------------------


def _frame(dataset: Dataset, number: int, count: int, stored: NDArray[Any]) -> Frame:
    where = places(dataset, number - 1)
    rgb = _colours(dataset, stored)
    pixels = grey(dataset, where, stored) if rgb is None else _luminance(rgb)
    ref = _frame_ref(dataset, number, count, pixels)
    return Frame(ref=ref, pixels=pixels, rgb=rgb, aspect=aspect(where))


def _frame_ref(dataset: Dataset, number: int, count: int, seen: NDArray[np.float32]) -> FrameRef:
    rows, columns = seen.shape
    return FrameRef(
        image=_instance_ref(dataset),
        frame=number if count > 1 else None,
        rows=rows,
        columns=columns,
    )


def _instance_ref(dataset: Dataset) -> InstanceRef:
    return InstanceRef(
        sop_class_uid=str(dataset.get("SOPClassUID", "")),
        sop_instance_uid=str(dataset.get("SOPInstanceUID", "")),
        series_uid=str(dataset.get("SeriesInstanceUID", "")),
        study_uid=str(dataset.get("StudyInstanceUID", "")),
    )


def _colours(dataset: Dataset, stored: NDArray[Any]) -> NDArray[np.uint8] | None:
    """RGB of a colour image, None of a grey one."""
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        stored = apply_color_lut(stored, dataset)
        bits = int(dataset.RedPaletteColorLookupTableDescriptor[2])
    elif stored.ndim == 3:
        bits = int(dataset.BitsStored)
    else:
        return None
    scaled: NDArray[np.float64] = stored[:, :, :3] * (255 / (2**bits - 1))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _luminance(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.clip(rgb.astype(np.float32) @ _LUMA / 255, 0, 1)
