"""State dicts: out of their wrappers, named as the network here names them, whole.

Nothing is dropped in silence, and nothing is filled up: a tensor that is missing or left over is
named. What is taken away on purpose is said.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from dicomnode.errors import ModelError
from dicomnode.learn.importing.families import Family, family_of

__all__ = ["StateDict", "fitted", "understand"]

Tensors = Mapping[str, torch.Tensor]

#: What people and programs put around a network: DataParallel, Lightning, torch.compile, their own.
_WRAPPERS = re.compile(
    r"((_orig_mod|module|model|net|network|backbone|encoder"
    r"|densenet\d+|resnet\d+|vgg\d+(_bn)?|inception(_v3)?|efficientnet(_b\d)?)\.)+"
)
_OLD = re.compile(r"(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)")  #: torchvision until 2017
_HEADS = re.compile(r"(classifier|fc|head|class_layers\.out)((?:\.\d+)*)\.(weight|bias)")
_THRESHOLDS = "op_threshs"  #: of TorchXRayVision: operating points beside the weights
_COUNTED = "num_batches_tracked"  #: of batch norm; decides nothing, and old files lack it
_SHOWN = 5  #: names in an error


class StateDict(NamedTuple):
    """A state dict that was understood."""

    family: Family
    tensors: dict[str, torch.Tensor]  #: by the names of the network here
    thresholds: tuple[float, ...]  #: one an output where the file has them; NaN: never trained
    notes: tuple[str, ...]


def understand(tensors: Tensors, family: Family | None = None) -> StateDict:
    """Which network, and its tensors by the names that it has here.

    Where no `family` is named it is told from the tensors, which are torchvision's then.

    Raises:
        ModelError: the network is not known.
    """
    notes: list[str] = []
    bare = _unwrapped(tensors, notes)
    thresholds = tuple(float(v) for v in bare.pop(_THRESHOLDS, torch.empty(0)).flatten())
    if dropped := [name for name in bare if name.startswith("AuxLogits.")]:
        notes.append(f"dropped: the auxiliary head, {len(dropped)} tensors, used in training only")
    plain = {
        _plain(name): tensor for name, tensor in bare.items() if not name.startswith("AuxLogits.")
    }
    family = family or family_of(plain)
    if family.architecture.kind == "inception3":
        notes.append(
            "if it was made with transform_input, its mean and std are 0.5 in each channel"
        )
    headed = _with_head(plain, family.head)
    if family.architecture.kind == "densenet":
        headed = {_monai_densenet(name): tensor for name, tensor in headed.items()}
        family = family._replace(head="class_layers.out")
    halves = {t.dtype for t in headed.values() if t.is_floating_point()} - {torch.float32}
    if halves:
        notes.append(f"kept as float32: tensors of {', '.join(sorted(map(str, halves)))}")
    exact = {n: t.float() if t.is_floating_point() else t for n, t in headed.items()}
    return StateDict(family, exact, thresholds, tuple(notes))


def fitted(tensors: Tensors, network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The tensors that `network` wants, all of them and no others.

    Raises:
        ModelError: some are missing, left over or of another shape; it names them.
    """
    wanted = network.state_dict()
    missing = [name for name in wanted if name not in tensors and not name.endswith(_COUNTED)]
    left_over = [name for name in tensors if name not in wanted]
    shapes = [
        f"{name} is {_shape(tensors[name])}, not {_shape(wanted[name])}"
        for name in wanted
        if name in tensors and tensors[name].shape != wanted[name].shape
    ]
    troubles = ((missing, "missing"), (left_over, "left over"), (shapes, "of another shape"))
    words = [f"{len(names)} {what}: {_some(names)}" for names, what in troubles if names]
    if words:
        raise ModelError(f"the tensors do not fit the network; {'; '.join(words)}")
    return {name: tensors.get(name, counted) for name, counted in wanted.items()}


# --- names ----------------------------------------------------------------------------------


def _unwrapped(tensors: Tensors, notes: list[str]) -> dict[str, torch.Tensor]:
    """Without what was put around the network."""
    bare: dict[str, torch.Tensor] = {}
    prefixes: set[str] = set()
    for name, tensor in tensors.items():
        wrapper = _WRAPPERS.match(name)
        key = name[wrapper.end() :] if wrapper else name
        prefixes.add(wrapper[0] if wrapper else "")
        if key in bare:
            raise ModelError(f"the state dict holds two networks: {key} is there twice")
        bare[key] = tensor
    if around := sorted(prefixes - {""}):
        notes.append(f"taken off the names of tensors: {', '.join(around)}")
    if "conv0.weight" in bare:  # the part `features` alone, with a head beside it
        heads = {name for name in bare if _HEADS.fullmatch(name) or name == _THRESHOLDS}
        return {name if name in heads else f"features.{name}": t for name, t in bare.items()}
    return bare


def _plain(name: str) -> str:
    """As torchvision names it today, whether MONAI or an old torchvision named it."""
    old = _OLD.fullmatch(name)
    name = f"{old[1]}{old[2]}" if old else name
    return re.sub(r"(denselayer\d+)\.layers\.", r"\1.", name)


def _with_head(tensors: Tensors, head: str) -> dict[str, torch.Tensor]:
    """The one linear layer at the end under its name, however it was wrapped."""
    heads = {match[0]: match for name in tensors if (match := _HEADS.fullmatch(name))}
    modules = {f"{match[1]}{match[2]}" for match in heads.values()}
    if len(modules) != 1 or head in modules:
        return dict(tensors)
    return {f"{head}.{heads[n][3]}" if n in heads else n: t for n, t in tensors.items()}


def _monai_densenet(name: str) -> str:
    name = re.sub(r"(denselayer\d+)\.", r"\1.layers.", name)
    return re.sub(r"^classifier\.", "class_layers.out.", name)


def _shape(tensor: torch.Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "one number"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
