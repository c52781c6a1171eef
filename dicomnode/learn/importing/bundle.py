"""MONAI bundles: the network and its weights, and what the metadata say of images and findings."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from dicomnode.classify.card.provenance import Source
from dicomnode.errors import ModelError
from dicomnode.learn.importing.bundle_files import BundleFiles
from dicomnode.learn.importing.bundle_network import Described, describe
from dicomnode.learn.importing.bundle_recipe import input_of
from dicomnode.learn.importing.files import read_program, read_state_dict
from dicomnode.learn.importing.material import Material
from dicomnode.learn.importing.source import Kind, kind_of

__all__ = ["read_bundle"]

_CONFIGS = tuple(
    f"configs/{n}.{e}" for n in ("inference", "train") for e in ("json", "yaml", "yml")
)
_WEIGHTS = ("models/model.safetensors", "models/model.pt")
_PROGRAM = "models/model.ts"
_MODALITIES = {
    "CT": ["CT"], "MR": ["MR"], "MRI": ["MR"], "MG": ["MG"], "US": ["US"],
    "CR": ["CR", "DX"], "DX": ["CR", "DX"], "XR": ["CR", "DX"], "X-RAY": ["CR", "DX"],
}  # fmt: skip


def read_bundle(
    path: Path,
    answers: Literal["logits", "probabilities"],
    *,
    convert: bool,
    shown: bool,
) -> Material:
    """A bundle's network with its weights, or its program.

    Its preprocessing is taken over unless the person has said what is `shown`.

    Raises:
        ModelError: it would need something to be run, or is broken, or not understood.
    """
    with closing(BundleFiles(path)) as files, tempfile.TemporaryDirectory() as folder:
        metadata = files.config("configs/metadata.json", "metadata.json")
        config = files.config(*_CONFIGS)
        weights = next((name for name in _WEIGHTS if files.has(name)), "")
        if files.has(_PROGRAM) and (not weights or (weights.endswith(".pt") and not convert)):
            made = read_program(files.unpacked(_PROGRAM, Path(folder)), Kind.TORCHSCRIPT, answers)
            described = None
        elif weights:
            described = describe(config)
            file = files.unpacked(weights, Path(folder))
            kind = kind_of(file)
            if kind not in (Kind.SAFETENSORS, Kind.PICKLE):
                raise ModelError(f"{path}: {weights} is no state dict but {kind}")
            made = read_state_dict(file, kind, described.family, convert=convert)
        else:
            raise ModelError(f"{path}: has neither {' nor '.join((*_WEIGHTS, _PROGRAM))}")
    tables, notes = _told(config, metadata, described, shown=shown)
    source = Source(format=f"{Kind.BUNDLE}, {made.source.format}", sha256=made.source.sha256)
    return replace(made, source=source, tables=tables, notes=(*made.notes, *notes))


def _told(
    config: Mapping[str, Any],
    metadata: Mapping[str, Any],
    described: Described | None,
    *,
    shown: bool,
) -> tuple[dict[str, Any], list[str]]:
    """Tables of the card that a bundle tells, and words on what was taken and what not."""
    formats = _table(metadata, "network_data_format")
    image, answer = _only(formats, "inputs"), _only(formats, "outputs")
    tables: dict[str, Any] = {}
    notes: list[str] = []
    if labels := _channels(answer):
        tables["labels"] = labels
        notes.append(f"labels from the metadata: {', '.join(labels)}")
    if kind := _output(config):
        tables["output"] = {"kind": kind}
        notes.append(f"output from the postprocessing: {kind}")
    if shown:
        notes.append("not taken: how the bundle prepares images, as a recipe or preset says it")
    else:
        sizes = image.get("spatial_shape")
        dims = described.dims if described else len(sizes) if isinstance(sizes, list) else 2
        channels = described.channels if described else image.get("num_channels", 1)
        tables["input"] = input_of(config, dims, channels)
        tables["input"]["modalities"] = _MODALITIES.get(str(image.get("modality", "")).upper(), [])
        notes.append("input from the preprocessing of the bundle")
    for key, name in (("intended_use", "intended_use"), ("authors", "manufacturer")):
        if isinstance(value := metadata.get(key), str) and value:
            tables[name] = value[:64] if name == "manufacturer" else value
            notes.append(f"{name} from the metadata")
    if isinstance(data := metadata.get("data_source"), str) and data:
        tables["training"] = {"data": data, "reference": "; ".join(_references(metadata))}
    unused = sorted(set(config) - {"network_def", "network", "preprocessing", "postprocessing"})
    notes.append(f"never run, and not looked at further: {', '.join(unused)}")
    return tables, notes


def _references(metadata: Mapping[str, Any]) -> Iterator[str]:
    found = metadata.get("references")
    yield from (str(one) for one in found) if isinstance(found, list) else ()


def _table(of: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = of.get(key)
    return found if isinstance(found, dict) else {}


def _only(formats: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The one input or output; ModelError if there are several."""
    found = _table(formats, key)
    if len(found) > 1:
        raise ModelError(f"the bundle has several {key}: {', '.join(found)}")
    return _table(found, next(iter(found), ""))


def _channels(answer: Mapping[str, Any]) -> list[str]:
    """Names of the outputs, in order."""
    found = _table(answer, "channel_def")
    numbered = {int(key): str(name) for key, name in found.items() if str(key).isdecimal()}
    return [numbered[index] for index in sorted(numbered)]


def _output(config: Mapping[str, Any]) -> str:
    """How the numbers are read, as the bundle reads them."""
    after = config.get("postprocessing")
    steps = after.get("transforms") if isinstance(after, dict) else None
    for step in steps if isinstance(steps, list) else ():
        if isinstance(step, dict) and "Activations" in str(step.get("_target_")):
            if step.get("softmax") is True:
                return "multi-class"
            if step.get("sigmoid") is True:
                return "multi-label"
    return ""
