"""Which network a bundle's configuration describes. Nothing of the configuration is ever run.

MONAI would look any `_target_` up and call it, and evaluate what begins with `$`. Here a target is
a name in a table of networks, its arguments are plain values, and `@` leads to such a value; all
else is refused by the key it stands under.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from dicomnode.errors import ModelError
from dicomnode.learn.importing.families import Family, named

__all__ = ["Described", "describe"]

_DEPTH = 12  #: of references and tables
_KEYS = ("network_def", "network", "net_def", "net")  #: where bundles describe their network
_MODULE = re.compile(r"monai\.networks\.nets\.(?:[a-z_]+\.)?")
#: MONAI's names of networks, in small letters, and what `families.named` calls them.
_TARGETS = {
    **{f"densenet{n}": f"densenet{n}" for n in (121, 169, 201, 264)},
    **{f"resnet{n}": f"resnet{n}" for n in (10, 18, 34, 50, 101, 152, 200)},
    **{f"seresnet{n}": f"seresnet{n}" for n in (50, 101, 152)},
    "densenet": "densenet",
    "resnet": "resnet",
    "efficientnetbn": "efficientnet",
    "vit": "vit",
}
#: Arguments that the card has elsewhere, or that only fetch weights from the network.
_CHANNELS, _OUTPUTS = ("in_channels", "n_input_channels"), ("out_channels", "num_classes")
_UNUSED = ("pretrained", "progress")


class Described(NamedTuple):
    """A network as a bundle describes it."""

    family: Family
    dims: int
    channels: int
    outputs: int


def describe(config: Mapping[str, Any]) -> Described:
    """The network of a configuration.

    Raises:
        ModelError: it is none that is known, or would need something to be run.
    """
    key = next((k for k in _KEYS if isinstance(config.get(k), dict)), None)
    if key is None:
        raise ModelError("the configuration describes no network: it has no table network_def")
    table = config[key]
    target = table.get("_target_")
    name = _TARGETS.get(_MODULE.sub("", str(target)).lower())
    if name is None or not isinstance(target, str):
        known = ", ".join(sorted(set(_TARGETS.values())))
        raise ModelError(f"{key}._target_ is {target!r}: only networks are made here: {known}")
    arguments = {
        str(argument): _literal(value, config, f"{key}.{argument}", 0)
        for argument, value in table.items()
        if argument not in ("_target_", "_desc_")
    }
    if special := [argument for argument in arguments if argument.startswith("_")]:
        raise ModelError(f"{key}.{special[0]} is not heeded here, and so refused")
    dims = _number(arguments, ("spatial_dims",), key, 2 if name == "efficientnet" else 3)
    channels, outputs = (_number(arguments, names, key) for names in (_CHANNELS, _OUTPUTS))
    params = _vit(arguments, key) if name == "vit" else arguments
    params = {k: v for k, v in params.items() if k not in _UNUSED}
    return Described(named(name, params), dims, channels, outputs)


def _literal(value: Any, config: Mapping[str, Any], where: str, depth: int) -> Any:
    """A plain value, with what it refers to in the place of references."""
    if depth > _DEPTH:
        raise ModelError(f"{where} refers to itself, or is too deep")
    if isinstance(value, str) and value.startswith("@"):
        return _literal(_referred(value, config, where), config, where, depth + 1)
    if isinstance(value, str) and value.startswith(("$", "%")):
        raise ModelError(f"{where} is {value!r}: expressions are not run, and so refused")
    if isinstance(value, dict):
        if "_target_" in value:
            raise ModelError(f"{where} would make {value['_target_']!r}: only networks are made")
        return {str(k): _literal(v, config, f"{where}.{k}", depth + 1) for k, v in value.items()}
    if isinstance(value, list):
        return [_literal(v, config, f"{where}.{i}", depth + 1) for i, v in enumerate(value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ModelError(f"{where} is no plain value")


def _referred(reference: str, config: Mapping[str, Any], where: str) -> Any:
    """What `@key` or `@table::key` stands for."""
    found: Any = config
    for part in re.split(r"::|#", reference[1:]):
        if isinstance(found, list) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        elif isinstance(found, dict) and part in found:
            found = found[part]
        else:
            raise ModelError(f"{where} is {reference!r}, which is not in the configuration")
    return found


def _number(
    arguments: dict[str, Any], names: tuple[str, ...], key: str, usual: int | None = None
) -> int:
    """An argument that is a size, taken out of the others."""
    found = [arguments.pop(name) for name in names if name in arguments]
    value = found[0] if found else usual
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 10_000:
        raise ModelError(f"{key}.{names[0]} is no number that a size can be")
    return value


def _vit(arguments: Mapping[str, Any], key: str) -> dict[str, Any]:
    """MONAI squashes a transformer's answers by tanh, unless it is told not to."""
    if arguments.get("classification") is not True:
        raise ModelError(f"{key} is a transformer that does not classify")
    if arguments.get("post_activation", "Tanh") == "Tanh":
        raise ModelError(f"{key} squashes its answers by tanh: they are no logits")
    left = ("classification", "post_activation", "img_size")
    return {k: v for k, v in arguments.items() if k not in left}
