"""From one file to what is in it."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import onnx
from onnx.external_data_helper import load_external_data_for_tensor

from dicomnode.classify.card.architecture import Architecture
from dicomnode.classify.card.provenance import Source
from dicomnode.classify.programs.onnx_graph import read_onnx
from dicomnode.errors import ModelError
from dicomnode.learn.importing.checkpoint import read_pickle, read_safetensors
from dicomnode.learn.importing.families import Family
from dicomnode.learn.importing.material import Material
from dicomnode.learn.importing.source import Kind
from dicomnode.learn.importing.tensors import understand

__all__ = ["read_program", "read_state_dict"]

_LARGEST = (1 << 31) - (1 << 20)  #: bytes of an ONNX file: protobuf has no longer messages

ProgramKind = Literal["torchscript", "export", "onnx"]
_PROGRAMS: Mapping[Kind, ProgramKind] = {
    Kind.TORCHSCRIPT: "torchscript",
    Kind.EXPORT: "export",
    Kind.ONNX: "onnx",
}


def read_state_dict(path: Path, kind: Kind, family: Family | None, *, convert: bool) -> Material:
    """Weights of a network that is named, or known by its tensors, from one file.

    Raises:
        ModelError: the file is refused or broken, or the network is not known.
    """
    digest = _digest(path)
    pickled = kind is Kind.PICKLE
    tensors = read_pickle(path, convert=convert) if pickled else read_safetensors(path)
    known = understand(tensors, family)
    first = known.tensors.get(known.family.first)
    return Material(
        source=Source(format=f"{kind}, state dict", sha256=digest),
        architecture=known.family.architecture,
        tensors=known.tensors,
        head=known.family.head,
        channels=None if first is None else int(first.shape[1]),
        thresholds=known.thresholds,
        notes=known.notes,
    )


def read_program(path: Path, kind: Kind, answers: Literal["logits", "probabilities"]) -> Material:
    """A program, as its bytes; it is looked through where it is opened.

    Raises:
        ModelError: it cannot be read, or its numbers lie where they may not.
    """
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    notes: tuple[str, ...] = ()
    if kind is Kind.ONNX:
        data, notes = _whole_onnx(data, path)
    architecture = Architecture(kind=_PROGRAMS[kind], answers=answers)
    source = Source(format=str(kind), sha256=digest)
    return Material(source=source, architecture=architecture, program=data, notes=notes)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _whole_onnx(data: bytes, path: Path) -> tuple[bytes, tuple[str, ...]]:
    """The file with the numbers taken in that lie in files beside it."""
    model = read_onnx(data, f"{path}")
    outside = [t for t in model.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    if not outside:
        return data, ()
    beside = {entry.value for t in outside for entry in t.external_data if entry.key == "location"}
    for name in beside:
        file = path.parent / name
        if Path(name).name != name or file.is_symlink() or not file.is_file():
            raise ModelError(f"{path}: its numbers lie in {name!r}, which is no file beside it")
    if sum((path.parent / name).stat().st_size for name in beside) > _LARGEST:
        raise ModelError(f"{path}: with its numbers it is more than 2 GiB, too long for one file")
    try:
        for tensor in outside:
            load_external_data_for_tensor(tensor, str(path.parent))
            tensor.data_location = onnx.TensorProto.DEFAULT
            tensor.ClearField("external_data")
        whole: bytes = model.SerializeToString()
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ModelError(f"{path}: its numbers cannot be read ({type(error).__name__})") from error
    return whole, (f"taken in: the numbers in {', '.join(sorted(beside))}",)
