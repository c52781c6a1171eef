"""What a bundle does to images before its network sees them, as the card's input says it.

Only transforms that the node does in the same way are taken over; the first other one ends it, and
the person has to say with a recipe what the network is to be shown.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dicomnode.errors import ModelError

__all__ = ["input_of"]

#: Reading and housekeeping, which the node does in its own way.
_READING = {"LoadImage", "EnsureChannelFirst", "EnsureType", "ToTensor", "CastToType", "ToDevice"}
_ADVICE = "say with --recipe what the network is to be shown, in a table [input]"


@dataclass(slots=True, kw_only=True)
class _Seen:
    """What was understood so far."""

    dims: int
    channels: int
    table: dict[str, Any] = field(default_factory=dict)
    volume: dict[str, Any] = field(default_factory=dict)
    scaled: bool = False  #: are values 0..1 by now?


def input_of(config: Mapping[str, Any], dims: int, channels: int) -> dict[str, Any]:
    """The table [input] of a card.

    Raises:
        ModelError: the preprocessing is not told, or has a step that the node has not.
    """
    steps = _steps(config)
    if not steps:
        raise ModelError(f"the bundle does not say how images are prepared: {_ADVICE}")
    seen = _Seen(dims=dims, channels=channels)
    for step in steps:
        name = _name(step)
        if name in _READING:
            continue
        take = _KNOWN.get(name)
        if take is None or not take(step, seen):
            what = {k: v for k, v in step.items() if k != "keys"}
            raise ModelError(
                f"the bundle prepares images by {what}, which is not done here: {_ADVICE}"
            )
    if not seen.scaled:
        raise ModelError(f"the bundle does not scale intensities by a fixed range: {_ADVICE}")
    table = {"channels": channels, "mean": [0.0] * channels, "std": [1.0] * channels} | seen.table
    if dims == 3:
        return table | {"kind": "volume", "volume": seen.volume}
    if "size_px" not in table:
        raise ModelError(f"the bundle does not bring images to one size: {_ADVICE}")
    return table


def _steps(config: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    found = config.get("preprocessing", config.get("transform"))
    if isinstance(found, dict):
        found = found.get("transforms")
    if isinstance(found, str):
        name = found.removeprefix("@")
        found = config.get(name)
    return [s for s in found if isinstance(s, dict)] if isinstance(found, list) else []


def _name(step: Mapping[str, Any]) -> str:
    """The transform's name without its module, and without the `d` of dictionaries."""
    name = str(step.get("_target_", "")).rpartition(".")[2]
    return next((name.removesuffix(e) for e in ("Dict", "d", "D") if name.endswith(e)), name)


def _numbers(value: Any, count: int) -> list[float] | None:
    """So many numbers: one for all, or one each; None if they are no numbers."""
    values = value if isinstance(value, list) else [value] * count
    fits = len(values) == count and all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in values
    )
    return [float(v) for v in values] if fits else None


# --- one transform each: was it understood? -------------------------------------------------


def _resize(step: Mapping[str, Any], seen: _Seen) -> bool:
    sizes = _numbers(step.get("spatial_size"), seen.dims)
    if sizes is None or step.get("size_mode", "all") != "all":
        return False
    return _sized(seen, [int(size) for size in sizes])


def _sized(seen: _Seen, sizes: list[int]) -> bool:
    if seen.dims == 3:
        seen.volume["size_vox"] = sizes
        return True
    seen.table |= {"size_px": sizes[0], "resize": "stretch"}
    return sizes[0] == sizes[1]


def _cut(step: Mapping[str, Any], seen: _Seen) -> bool:
    """Around the middle: done to volumes, whose grid lies in the middle of the stack."""
    sizes = _numbers(step.get("spatial_size"), 3)
    return seen.dims == 3 and sizes is not None and _sized(seen, [int(size) for size in sizes])


def _scale(step: Mapping[str, Any], seen: _Seen) -> bool:
    least, most, low, high = (step.get(key) for key in ("a_min", "a_max", "b_min", "b_max"))
    if (
        (low, high) != (0, 1)
        or not isinstance(least, int | float)
        or not isinstance(most, int | float)
    ):
        return False
    seen.scaled = True
    if seen.dims == 3:
        seen.volume["intensity"] = [float(least), float(most)]
        return step.get("clip") is True
    return (least, most) == (0, 255)  # what is seen on a screen, as the node has it


def _normalise(step: Mapping[str, Any], seen: _Seen) -> bool:
    mean, std = (_numbers(step.get(key), seen.channels) for key in ("subtrahend", "divisor"))
    if not seen.scaled or mean is None or std is None or step.get("nonzero"):
        return False
    seen.table |= {"mean": mean, "std": std}
    return True


def _repeat(step: Mapping[str, Any], seen: _Seen) -> bool:
    return step.get("repeats") == seen.channels


def _spacing(step: Mapping[str, Any], seen: _Seen) -> bool:
    pixdim = _numbers(step.get("pixdim"), 3)
    if seen.dims != 3 or pixdim is None:
        return False
    seen.volume["spacing_mm"] = pixdim
    return True


def _orientation(step: Mapping[str, Any], seen: _Seen) -> bool:
    axes = str(step.get("axcodes", "")).upper()
    seen.volume["axes"] = list(axes)
    return seen.dims == 3 and len(axes) == 3


_KNOWN: Mapping[str, Callable[[Mapping[str, Any], _Seen], bool]] = {
    "Resize": _resize,
    "ResizeWithPadOrCrop": _cut,
    "ScaleIntensityRange": _scale,
    "NormalizeIntensity": _normalise,
    "RepeatChannel": _repeat,
    "Spacing": _spacing,
    "Orientation": _orientation,
}
