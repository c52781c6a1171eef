"""What a presentation state has to say, so that a viewer shows a frame as `dicom/pixels.py` does.

A viewer that applies one forgets the grey scale of the image itself (PS3.4 N.2.1): what is left out
here is not "as in the image" but "none".
"""

from collections.abc import Sequence

import numpy as np
from pydicom import Dataset
from pydicom.valuerep import format_number_as_ds

from dicomnode.dicom.attributes import text
from dicomnode.dicom.grayscale import aspect, extent, numbers, places, table, windows
from dicomnode.dicom.pixels import guarded, stored

__all__ = ["appearance"]

_LO = 64  #: characters of a value, PS3.5 Table 6.2-1
_RATIO = 1000  #: the denominator of Pixel Aspect Ratio


def appearance(dataset: Dataset, number: int = 1) -> Dataset:
    """Modality LUT, Softcopy VOI LUT, Presentation LUT Shape and aspect ratio of one grey frame.

    PS3.3 Tables C.11-1b, C.11-2b and C.11.6-1; Pixel Aspect Ratio always. An image without a window
    gets that of its lowest and highest value, where `dataset` has pixels to look at.

    Raises:
        NotAnalysable: the grey scale is broken, or the pixels are, which it has to be taken from.
    """
    said = Dataset()
    with guarded("attributes of the grey scale are wrong"):
        where = places(dataset, number - 1)
        _add_modality(said, dataset, where)
        _add_voi(said, dataset, where, number)
        inverse = dataset.get("PhotometricInterpretation") == "MONOCHROME1"
        said.PresentationLUTShape = "INVERSE" if inverse else "IDENTITY"
        said.PixelAspectRatio = _ratio(aspect(where))
    return said


def _add_modality(said: Dataset, dataset: Dataset, where: Sequence[Dataset]) -> None:
    if tables := dataset.get("ModalityLUTSequence"):
        item = _table(tables[0], dataset)
        item.ModalityLUTType = _first(tables[:1], "ModalityLUTType")
        said.ModalityLUTSequence = [item]
        return
    slope, intercept = numbers(where, "RescaleSlope"), numbers(where, "RescaleIntercept")
    if slope or intercept:
        said.RescaleIntercept = format_number_as_ds((intercept or [0.0])[0])
        said.RescaleSlope = format_number_as_ds((slope or [1.0])[0])
        said.RescaleType = _first(where, "RescaleType")


def _first(where: Sequence[Dataset], keyword: str) -> str:
    """What the values are, as the first place tells in one value of LO; else unspecified."""
    told = (text(place, keyword).split("\\")[0] for place in where)
    return next((name for name in told if 0 < len(name) <= _LO), "US")


def _add_voi(said: Dataset, dataset: Dataset, where: Sequence[Dataset], number: int) -> None:
    for place in where:
        if tables := place.get("VOILUTSequence"):
            said.VOILUTSequence = [_table(tables[0], dataset)]
            return
    if chosen := windows(where):
        centers, widths, functions = zip(*chosen, strict=True)
        if functions[0] != "LINEAR":
            said.VOILUTFunction = functions[0]
    elif "PixelData" in dataset:
        low, high = extent(dataset, list(where), stored(dataset, number))
        # LINEAR shows black at center - width / 2, white one below center + width / 2.
        centers, widths = ((low + high + 1) / 2,), (high - low + 1,)
    else:
        return
    said.WindowCenter = [format_number_as_ds(float(center)) for center in centers]
    said.WindowWidth = [format_number_as_ds(float(width)) for width in widths]


def _table(item: Dataset, dataset: Dataset) -> Dataset:
    """A LUT in words of 16 bits, whatever it was stored in."""
    entries, first, bits = table(item, dataset)
    copy = Dataset()
    descriptor = [len(entries) % (1 << 16), first, bits]
    copy.add_new("LUTDescriptor", "SS" if first < 0 else "US", descriptor)
    copy.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return copy


def _ratio(tall: float) -> list[int]:
    """Height to width of a pixel as two whole numbers (PS3.3 C.7.6.3.1.7)."""
    height = max(1, round(tall * _RATIO))
    divisor = int(np.gcd(height, _RATIO))
    return [height // divisor, _RATIO // divisor]
