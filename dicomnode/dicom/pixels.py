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
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import get_expected_length, iter_pixels
from pydicom.uid import UID, ExplicitVRBigEndian, RLELossless

from dicomnode.dicom.codestream import codestream_size
from dicomnode.errors import NotAnalysable
from dicomnode.records import FrameRef, InstanceRef

__all__ = ["MAX_PIXELS", "Frame", "display", "frames"]

#: Rows times columns of one frame; larger ones are refused before anything is decoded.
MAX_PIXELS = 1 << 26

#: What pydicom, its decoders and numpy raise when pixels are not what their attributes say.
_BROKEN = (
    ArithmeticError,
    AttributeError,
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

_MACROS = ("PixelValueTransformationSequence", "FrameVOILUTSequence", "PixelMeasuresSequence")
_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio")
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
    with _guarded("attributes of the pixels are wrong"):
        count = max(1, int(dataset.get("NumberOfFrames") or 1))
        _check(dataset, count)
    if numbers is not None and not all(1 <= number <= count for number in numbers):
        raise NotAnalysable(f"a frame was asked for that is not one of 1 to {count}")
    wanted = range(1, count + 1) if numbers is None else numbers
    with _guarded("the compressed frames cannot be found"):
        _check_codestreams(dataset, wanted, count)
    indices = None if numbers is None else [number - 1 for number in numbers]
    stored = iter_pixels(dataset, indices=indices, decoding_plugin=_plugin(dataset))
    for number in wanted:
        with _guarded(f"frame {number} of {count} cannot be decoded"):
            values = next(stored, None)
        if values is None:
            raise NotAnalysable(f"frame {number} of {count} is missing")
        with _guarded("attributes of the pixels are wrong"):
            frame = _frame(dataset, number, count, values)
        yield frame


def display(frame: Frame) -> NDArray[np.uint8]:
    """The frame as (rows, columns, 3), grey or colour, for a picture of it; not to be written."""
    if frame.rgb is not None:
        return frame.rgb
    grey = np.rint(frame.pixels * 255).astype(np.uint8)
    return np.broadcast_to(grey[:, :, np.newaxis], (*grey.shape, 3))


# --- what can be decoded --------------------------------------------------------------------


@contextmanager
def _guarded(problem: str) -> Iterator[None]:
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
    places = _places(dataset, number - 1)
    rgb = _colours(dataset, stored)
    pixels = _grey(dataset, places, stored) if rgb is None else _luminance(rgb)
    rows, columns = pixels.shape
    ref = FrameRef(
        image=_instance_ref(dataset),
        frame=number if count > 1 else None,
        rows=rows,
        columns=columns,
    )
    return Frame(ref=ref, pixels=pixels, rgb=rgb, aspect=_aspect(places))


def _instance_ref(dataset: Dataset) -> InstanceRef:
    return InstanceRef(
        sop_class_uid=str(dataset.get("SOPClassUID", "")),
        sop_instance_uid=str(dataset.get("SOPInstanceUID", "")),
        series_uid=str(dataset.get("SeriesInstanceUID", "")),
        study_uid=str(dataset.get("StudyInstanceUID", "")),
    )


def _places(dataset: Dataset, index: int) -> list[Dataset]:
    """Where attributes of a frame stand: its own functional groups, shared ones, the dataset."""
    own = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    groups = [*own[index : index + 1], *shared[:1]]
    macros = [group.get(macro) for group in groups for macro in _MACROS]
    return [*(macro[0] for macro in macros if macro), dataset]


def _numbers(places: Sequence[Dataset], keyword: str) -> list[float]:
    """The values of the first place that has any; none where they are no finite numbers."""
    for place in places:
        try:
            value = place.get(keyword)
            if value is None or value == "":
                continue
            many = [float(v) for v in (value if np.iterable(value) else [value])]
        except (TypeError, ValueError):
            return []
        return many if all(map(np.isfinite, many)) else []
    return []


def _aspect(places: Sequence[Dataset]) -> float:
    for keyword in _SPACINGS:
        match _numbers(places, keyword):
            case [row, column] if row > 0 and column > 0:
                return row / column
    return 1.0


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


def _grey(dataset: Dataset, places: list[Dataset], stored: NDArray[Any]) -> NDArray[np.float32]:
    """0..1 of a MONOCHROME image, through a table of all stored values where that is shorter."""
    bits = 8 * stored.dtype.itemsize
    if stored.dtype.kind not in "iu" or bits > 16 or stored.size < 1 << bits:
        return _shown(dataset, places, stored)
    codes = stored.view(f"{stored.dtype.byteorder}u{stored.dtype.itemsize}")
    possible = np.arange(1 << bits, dtype=codes.dtype).view(stored.dtype)
    seen: NDArray[np.float32] = _shown(dataset, places, possible, codes)[codes]
    return seen


def _shown(
    dataset: Dataset,
    places: list[Dataset],
    stored: NDArray[Any],
    occurring: NDArray[Any] | None = None,
) -> NDArray[np.float32]:
    """0..1 of stored values: modality LUT, VOI LUT or window, then the photometric sense.

    `occurring` are the indices of those values that an image has; by default it has them all.
    """
    values = _modality(dataset, places, stored)
    padding = _padding(dataset, stored)
    shown = _voi(dataset, places, values)
    if shown is None:
        absent = np.full(stored.shape, occurring is not None)
        absent[... if occurring is None else occurring] = False
        shown = _full_range(values, padding | absent)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        shown = 1 - shown
    shown[padding] = 0
    return shown.astype(np.float32)


def _modality(dataset: Dataset, places: list[Dataset], stored: NDArray[Any]) -> NDArray[Any]:
    if tables := dataset.get("ModalityLUTSequence"):
        return _look_up(tables[0], stored, dataset)[0]
    slope, intercept = _numbers(places, "RescaleSlope"), _numbers(places, "RescaleIntercept")
    return stored * (slope or [1.0])[0] + (intercept or [0.0])[0]


def _voi(dataset: Dataset, places: list[Dataset], values: NDArray[Any]) -> NDArray[Any] | None:
    """0..1 by the first VOI LUT, else the first window; None where there is neither."""
    for place in places:
        if tables := place.get("VOILUTSequence"):
            entries, bits = _look_up(tables[0], values, dataset)
            shown: NDArray[Any] = np.clip(entries / (2**bits - 1), 0, 1)
            return shown
    centers, widths = _numbers(places, "WindowCenter"), _numbers(places, "WindowWidth")
    if not centers or not widths:
        return None
    named = [place.get("VOILUTFunction") for place in places]
    function = next((name for name in named if name), "LINEAR")
    return _window(values, centers[0], widths[0], str(function))


def _window(
    values: NDArray[Any], center: float, width: float, function: str
) -> NDArray[Any] | None:
    """PS3.3 C.11.2.1.2 and C.11.2.1.3; None for a width that the function does not allow."""
    if width <= 0 or (width < 1 and function not in ("LINEAR_EXACT", "SIGMOID")):
        return None
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -80, 80)))
    if function != "LINEAR_EXACT":
        center, width = center - 0.5, width - 1
    if width == 0:
        return (values > center).astype(np.float64)
    return np.clip((values - center) / width + 0.5, 0, 1)


def _full_range(values: NDArray[Any], unseen: NDArray[np.bool_]) -> NDArray[Any]:
    seen = values[~unseen] if unseen.any() and not unseen.all() else values
    low, high = float(seen.min()), float(seen.max())
    return np.clip((values - low) / ((high - low) or 1.0), 0, 1)


def _padding(dataset: Dataset, stored: NDArray[Any]) -> NDArray[np.bool_]:
    """Where stored values mean "no pixel here", shown black (PS3.3 C.7.5.1.1.2)."""
    first = _numbers([dataset], "PixelPaddingValue")
    if not first:
        return np.zeros(stored.shape, dtype=np.bool_)
    last = _numbers([dataset], "PixelPaddingRangeLimit") or first
    low, high = sorted((first[0], last[0]))
    return (stored >= low) & (stored <= high)


def _look_up(table: Dataset, values: NDArray[Any], dataset: Dataset) -> tuple[NDArray[Any], int]:
    """Values through a LUT (PS3.3 C.11.1.1), and how many bits its entries have."""
    stated, first, bits = (int(v) for v in table.LUTDescriptor)
    entries = stated or 1 << 16
    data = table.LUTData
    if isinstance(data, bytes):
        order = ">" if dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian else "<"
        data = np.frombuffer(data, f"{order}u2" if len(data) >= 2 * entries else "u1")
    lut = np.asarray(data, dtype=np.float64).reshape(-1)[:entries]
    index = np.clip(np.rint(values).astype(np.int64) - first, 0, len(lut) - 1)
    return lut[index], bits
