"""Images, tables and functional groups of few numbers, and what is seen of them."""

from typing import Any

import numpy as np
from pydicom import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from dicomnode.dicom.pixels import Frame, frames
from tests.factories import make_dataset

__all__ = ["attributes", "group", "image", "only", "shown", "table"]


def image(
    stored: Any, *, dtype: str = "<u2", syntax: str = ExplicitVRLittleEndian, **changes: Any
) -> Dataset:
    """An image with these stored values, rows by columns, no rescale and no window."""
    values = np.asarray(stored)
    usual: dict[str, Any] = {
        "RescaleIntercept": None,
        "RescaleSlope": None,
        "PixelData": values.astype(dtype).tobytes(),
    }
    rows, columns = values.shape[:2]
    ds = make_dataset(rows=rows, columns=columns, **(usual | changes))
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    return ds


def table(first: int, entries: list[int], bits: int = 8) -> Sequence:
    """A LUT sequence (PS3.3 C.11.1) with its data as OW."""
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item["LUTDescriptor"].VR = "SS" if first < 0 else "US"
    item.LUTData = np.array(entries, dtype="<u2").tobytes()
    item["LUTData"].VR = "OW"
    return Sequence([item])


def group(**macros: Dataset) -> Dataset:
    """One item of a functional groups sequence."""
    ds = Dataset()
    for keyword, item in macros.items():
        setattr(ds, keyword, Sequence([item]))
    return ds


def attributes(**values: Any) -> Dataset:
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def only(dataset: Dataset) -> Frame:
    (frame,) = frames(dataset)
    return frame


def shown(dataset: Dataset) -> list[list[float]]:
    """Display values, rounded to five digits."""
    pixels = only(dataset).pixels
    assert pixels.dtype == np.float32
    rounded: list[list[float]] = np.round(pixels.astype(float), 5).tolist()
    return rounded
