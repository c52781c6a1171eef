"""What kind of file or folder a source is: told from its bytes, never from its name."""

import struct
import zipfile
from enum import StrEnum
from pathlib import Path

from dicomnode.errors import ModelError

__all__ = ["Kind", "kind_of"]

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_HEADER = 100_000_000  #: bytes of the header of safetensors, at most (its own limit)


class Kind(StrEnum):
    """What a source can be."""

    BUNDLE = "MONAI bundle"
    TORCHSCRIPT = "TorchScript"
    EXPORT = "torch.export archive"
    ONNX = "ONNX"
    SAFETENSORS = "safetensors"
    PICKLE = "checkpoint of torch"


def kind_of(path: Path) -> Kind:
    """The kind of a source; ModelError if it is none that can be imported."""
    if path.is_dir():
        if _metadata_in(path):
            return Kind.BUNDLE
        raise ModelError(f"{path}: is no MONAI bundle: it has no configs/metadata.json")
    try:
        with path.open("rb") as file:
            start = file.read(16)
        size = path.stat().st_size
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    if start.startswith(_ZIP):
        return _kind_of_zip(path)
    if _is_safetensors(start, size):
        return Kind.SAFETENSORS
    if start.startswith(_PICKLE):
        return Kind.PICKLE
    if start[:1] == b"\x08":  # ir_version comes first
        return Kind.ONNX
    known = ", ".join(Kind)
    raise ModelError(f"{path}: is nothing that can be imported; that would be: {known}")


def _metadata_in(folder: Path) -> bool:
    return any((folder / place / "metadata.json").is_file() for place in ("configs", "."))


def _kind_of_zip(path: Path) -> Kind:
    """torch's own archives have one folder at the top, of any name."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise ModelError(f"{path}: is a broken archive, or ends early") from error
    inside = [name.partition("/")[2] for name in names]
    if "archive_format" in inside or any(
        name.startswith("models/") and name.endswith(".json") and "archive_version" in inside
        for name in inside
    ):
        return Kind.EXPORT
    if "constants.pkl" in inside and any(name.startswith("code/") for name in inside):
        return Kind.TORCHSCRIPT
    if "data.pkl" in inside:
        return Kind.PICKLE
    if any(name.endswith("metadata.json") for name in names):
        return Kind.BUNDLE
    raise ModelError(f"{path}: is an archive with nothing in it that can be imported")


def _is_safetensors(start: bytes, size: int) -> bool:
    if len(start) < 9:
        return False
    (header,) = struct.unpack("<Q", start[:8])
    return start[8:9] == b"{" and header <= min(size, _HEADER)
