"""What DCMTK compresses without loss, the node sees as it was."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom import FileDataset, dcmread
from pydicom.data import get_testdata_file

from dicomnode.dicom.pixels import frames
from dicomnode.learn.synthetic import synthetic_dx
from tests.tools import require


@pytest.mark.parametrize(
    "command",
    [["dcmcjpeg", "+e1"], ["dcmcjpeg", "+el"], ["dcmcjpls"], ["dcmcrle"]],
    ids=["JPEG Lossless SV1", "JPEG Lossless", "JPEG-LS", "RLE"],
)
@pytest.mark.parametrize("source", ["DX, 12 bits", "CT, signed"])
def test_lossless_compression_changes_no_pixel(
    source: str, command: list[str], tmp_path: Path
) -> None:
    require("dcmtk")
    plain, packed = tmp_path / "plain.dcm", tmp_path / "packed.dcm"
    ds = synthetic_dx(1, rows=128) if source.startswith("DX") else _ct()
    ds.save_as(plain, enforce_file_format=True)
    subprocess.run([*command, str(plain), str(packed)], check=True)

    (before,) = frames(dcmread(plain))
    (after,) = frames(dcmread(packed))

    assert dcmread(packed).file_meta.TransferSyntaxUID.is_compressed
    assert np.array_equal(before.pixels, after.pixels)


def _ct() -> FileDataset:
    return dcmread(str(get_testdata_file("CT_small.dcm")))
