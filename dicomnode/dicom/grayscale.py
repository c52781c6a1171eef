"""From stored values to what is seen: modality LUT, VOI LUT or window, photometric sense.

Follows PS3.3 C.11.1 (modality LUT), C.11.2 (VOI LUT) and C.7.6.16 (functional groups of multi-frame
images). Decodes nothing: `dicom/pixels.py` does.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import ExplicitVRBigEndian

__all__ = ["aspect", "extent", "grey", "measured", "numbers", "places", "table", "windows"]

_MACROS = ("PixelValueTransformationSequence", "FrameVOILUTSequence", "PixelMeasuresSequence")
_LONGEST = 1000  #: a side of a pixel, measured by the other
_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
_ROWS = 64  #: of an image, that are looked up at once
_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio")


def places(dataset: Dataset, index: int) -> list[Dataset]:
    """Where attributes of a frame stand: its own functional groups, shared ones, the dataset."""
    own = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    groups = [*own[index : index + 1], *shared[:1]]
    macros = [group.get(macro) for group in groups for macro in _MACROS]
    return [*(macro[0] for macro in macros if macro), dataset]


def numbers(where: Sequence[Dataset], keyword: str) -> list[float]:
    """The values of the first place that has any; none where they are no finite numbers."""
    for place in where:
        try:
            value = place.get(keyword)
            if value is None or value == "":
                continue
            many = [float(v) for v in (value if np.iterable(value) else [value])]
        except (OverflowError, TypeError, ValueError):
            return []
        return many if all(map(np.isfinite, many)) else []
    return []


def aspect(places: Sequence[Dataset]) -> float:
    """Row spacing / column spacing: above 1, pixels are taller than wide.

    What no device makes is a mistake, and passed over.
    """
    for keyword in _SPACINGS:
        match numbers(places, keyword):
            case [row, column] if 0 < row <= _LONGEST * column and column <= _LONGEST * row:
                return row / column
    return 1.0


def grey(dataset: Dataset, places: list[Dataset], stored: NDArray[Any]) -> NDArray[np.float32]:
    """0..1 of a MONOCHROME image, through a table of all stored values where that is shorter."""
    bits = 8 * stored.dtype.itemsize
    if stored.dtype.kind not in "iu" or bits > 16 or stored.size < 1 << bits:
        return _shown(dataset, places, stored)
    codes = stored.view(f"{stored.dtype.byteorder}u{stored.dtype.itemsize}")
    possible = np.arange(1 << bits, dtype=codes.dtype).view(stored.dtype)
    shown = _shown(dataset, places, possible, codes)
    seen = np.empty(codes.shape, dtype=np.float32)
    for start in range(0, len(codes), _ROWS):  # in parts that stay in the processor's cache
        part = slice(start, start + _ROWS)
        np.take(shown, codes[part], out=seen[part], mode="clip")
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


def measured(dataset: Dataset, places: list[Dataset], stored: NDArray[Any]) -> NDArray[np.float32]:
    """What stored values measure, such as HU: through the modality LUT; NaN where no pixel is."""
    values: NDArray[np.float32] = _modality(dataset, places, stored).astype(np.float32)
    values[_padding(dataset, stored)] = np.nan
    return values


def _modality(dataset: Dataset, places: list[Dataset], stored: NDArray[Any]) -> NDArray[Any]:
    if tables := dataset.get("ModalityLUTSequence"):
        return _look_up(tables[0], stored, dataset)[0]
    slope, intercept = numbers(places, "RescaleSlope"), numbers(places, "RescaleIntercept")
    return stored * (slope or [1.0])[0] + (intercept or [0.0])[0]


def _voi(dataset: Dataset, places: list[Dataset], values: NDArray[Any]) -> NDArray[Any] | None:
    """0..1 by the first VOI LUT, else the first window; None where there is neither."""
    for place in places:
        if tables := place.get("VOILUTSequence"):
            entries, bits = _look_up(tables[0], values, dataset)
            shown: NDArray[Any] = np.clip(entries / (2**bits - 1), 0, 1)
            return shown
    chosen = windows(places)
    return _window(values, *chosen[0]) if chosen else None


def windows(places: Sequence[Dataset]) -> list[tuple[float, float, str]]:
    """Center, width and VOI LUT function of each window that its function allows."""
    named = [str(place.get("VOILUTFunction", "")) for place in places]
    function = next((name for name in named if name in _FUNCTIONS), "LINEAR")
    narrowest = 0 if function in ("LINEAR_EXACT", "SIGMOID") else 1
    centers, widths = numbers(places, "WindowCenter"), numbers(places, "WindowWidth")
    pairs = zip(centers, widths, strict=False)
    return [(c, w, function) for c, w in pairs if w > 0 and w >= narrowest]


def _window(values: NDArray[Any], center: float, width: float, function: str) -> NDArray[Any]:
    """PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -80, 80)))
    if function != "LINEAR_EXACT":
        center, width = center - 0.5, width - 1
    if width == 0:
        return (values > center).astype(np.float64)
    return np.clip((values - center) / width + 0.5, 0, 1)


def extent(dataset: Dataset, places: list[Dataset], stored: NDArray[Any]) -> tuple[float, float]:
    """The lowest and the highest value that is seen, through the modality LUT."""
    return _extent(_modality(dataset, places, stored), _padding(dataset, stored))


def _extent(values: NDArray[Any], unseen: NDArray[np.bool_]) -> tuple[float, float]:
    seen = values[~unseen] if unseen.any() and not unseen.all() else values
    return float(seen.min()), float(seen.max())


def _full_range(values: NDArray[Any], unseen: NDArray[np.bool_]) -> NDArray[Any]:
    low, high = _extent(values, unseen)
    return np.clip((values - low) / ((high - low) or 1.0), 0, 1)


def _padding(dataset: Dataset, stored: NDArray[Any]) -> NDArray[np.bool_]:
    """Where stored values mean "no pixel here", shown black (PS3.3 C.7.5.1.1.2)."""
    first = numbers([dataset], "PixelPaddingValue")
    if not first:
        return np.zeros(stored.shape, dtype=np.bool_)
    last = numbers([dataset], "PixelPaddingRangeLimit") or first
    low, high = sorted((first[0], last[0]))
    return (stored >= low) & (stored <= high)


def _look_up(item: Dataset, values: NDArray[Any], dataset: Dataset) -> tuple[NDArray[Any], int]:
    """Values through a LUT, and how many bits its entries have."""
    entries, first, bits = table(item, dataset)
    index = np.clip(np.rint(values).astype(np.int64) - first, 0, len(entries) - 1)
    return entries[index], bits


def table(item: Dataset, dataset: Dataset) -> tuple[NDArray[np.float64], int, int]:
    """The entries of a LUT, the first value mapped, the bits of an entry (PS3.3 C.11.1.1)."""
    stated, first, bits = (int(v) for v in item.LUTDescriptor)
    count = stated or 1 << 16
    data = item.LUTData
    if isinstance(data, bytes):
        order = ">" if dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian else "<"
        data = np.frombuffer(data, f"{order}u2" if len(data) >= 2 * count else "u1")
    return np.asarray(data, dtype=np.float64).reshape(-1)[:count], first, bits
