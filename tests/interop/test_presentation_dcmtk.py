"""DCMTK obeys our presentation states, and shows the image as the node itself does."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, FileDataset, dcmread
from pydicom.data import get_testdata_file

from dicomnode.dicom.appearance import appearance
from dicomnode.dicom.pixels import frames
from dicomnode.learn.synthetic import synthetic_dx
from dicomnode.records import ResultKind
from dicomnode.report.request import Source
from dicomnode.report.results import make_results
from tests.tools import require
from tests.unit.report.samples import ORDER, make_prediction


def radiograph(**changes: Any) -> FileDataset:
    ds = synthetic_dx(1, rows=128)
    for keyword in ("WindowCenter", "WindowWidth", "VOILUTFunction"):
        ds.pop(keyword, None)
    for keyword, value in changes.items():
        setattr(ds, keyword, value)
    return ds


def table() -> list[Dataset]:
    """A VOI LUT that bends."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4096, 0, 12])
    bent = 4095 * (np.arange(4096) / 4095) ** 2
    item.add_new("LUTData", "OW", bent.astype("<u2").tobytes())
    return [item]


def negative() -> FileDataset:
    ds = radiograph(WindowCenter=2000, WindowWidth=1800)
    ds.PixelData = (4095 - ds.pixel_array).astype("<u2").tobytes()
    ds.PhotometricInterpretation = "MONOCHROME1"
    return ds


CASES: dict[str, Callable[[], FileDataset]] = {
    "a window": lambda: radiograph(WindowCenter=2000, WindowWidth=1500),
    "no window": radiograph,
    "a VOI LUT": lambda: radiograph(VOILUTSequence=table()),
    "MONOCHROME1": negative,
    "CT, rescaled and signed": lambda: dcmread(str(get_testdata_file("CT_small.dcm"))),
}


def state_of(image: FileDataset) -> bytes:
    """The presentation state that the node makes for it."""
    source = Source(
        headers=[image],
        display=lambda _: np.zeros((image.Rows, image.Columns, 3), dtype=np.uint8),
        look=lambda frame: appearance(image, frame.frame or 1),
    )
    order = replace(ORDER, kinds=frozenset({ResultKind.GSPS}))
    (state,) = make_results(source, make_prediction(source), order)
    return state.part10


def rendered(image: FileDataset, state: bytes, folder: Path) -> NDArray[np.uint8]:
    """What DCMTK shows: the pixels, without the graphics, which it leaves to its viewer."""
    files = [folder / name for name in ("image.dcm", "state.dcm", "shown.pgm")]
    image.save_as(files[0], enforce_file_format=True)
    files[1].write_bytes(state)
    subprocess.run(["dcmp2pgm", "-q", "-p", files[1], files[0], files[2]], check=True)
    return np.asarray(Image.open(files[2]))


@pytest.mark.parametrize("case", CASES)
def test_dcmtk_shows_the_grey_values_that_the_node_shows(case: str, tmp_path: Path) -> None:
    require("dcmtk")
    image = CASES[case]()
    shown = rendered(image, state_of(image), tmp_path)
    (frame,) = frames(image)
    assert shown.shape == frame.pixels.shape
    assert np.abs(shown / 255 - frame.pixels).max() < 0.01
    assert shown.std() > 10
