"""How long the objects of a result take to make, beyond the model's own time, on one core.

    .venv/bin/python tests/benchmarks/results.py

Reads real files, as the worker does: decoding a frame for its picture is in the time of the SC.
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import process_time

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian
from rich.console import Console
from rich.table import Table

from dicomnode.answers import FrameRef
from dicomnode.dicom import pixels
from dicomnode.records import ResultKind
from dicomnode.report.request import Order, Source
from dicomnode.report.results import make_results
from tests.unit.report.samples import ORDER, chest, make_ct, make_header, make_prediction

TIMES = 5  # each is measured so often; the shortest counts

_BOTH = frozenset({ResultKind.SR, ResultKind.SC})


def main() -> None:
    """Print milliseconds for each size of radiograph and each number of slices."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--sides", type=int, nargs="*", default=[1024, 2048, 3000])
    arguments.add_argument("--slices", type=int, nargs="*", default=[1, 50, 100, 200, 500])
    given = arguments.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        console.print(_radiographs(Path(folder), given.sides))
    console.print(_slices(given.slices))


def _radiographs(folder: Path, sides: list[int]) -> Table:
    table = Table("side", *ResultKind, "sr + sc", title="A radiograph: milliseconds of one core")
    for side in sides:
        source = _file_source(folder / f"{side}.dcm", side)
        table.add_row(str(side), *_measured(source))
    return table


def _slices(counts: list[int]) -> Table:
    table = Table("slices", *ResultKind, "sr + sc", title="CT: milliseconds of one core")
    for count in counts:
        table.add_row(str(count), *_measured(make_ct(count)))
    return table


def _measured(source: Source) -> list[str]:
    """One kind after another, then what a PACS gets by default."""
    prediction = make_prediction(source)
    asked = [frozenset({kind}) for kind in ResultKind] + [_BOTH]

    def made(order: Order) -> Callable[[], object]:
        return lambda: make_results(source, prediction, order)

    return [f"{_fastest(made(replace(ORDER, kinds=kinds))):.1f}" for kinds in asked]


def _fastest(work: Callable[[], object]) -> float:
    """Milliseconds of processor time."""
    times = []
    for _ in range(TIMES):
        began = process_time()
        work()
        times.append(process_time() - began)
    return 1000 * min(times)


def _file_source(path: Path, side: int) -> Source:
    """A radiograph of 12 bits with a window, on the disk."""
    header = make_header(rows=side, columns=side)
    ds = Dataset()
    ds.update(header)
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.WindowCenter, ds.WindowWidth = 2048, 4096
    ds.PixelData = (chest(side, side)[..., 0].astype(np.uint16) << 4).tobytes()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.save_as(path, enforce_file_format=True)

    def display(_: FrameRef) -> NDArray[np.uint8]:
        (frame,) = pixels.frames(dcmread(path))
        return pixels.display(frame)

    return Source(headers=[header], display=display)


if __name__ == "__main__":
    main()
