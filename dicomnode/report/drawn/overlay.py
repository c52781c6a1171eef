"""A heat map and its regions drawn over a frame, at the frame's own size."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dicomnode.answers import Region

__all__ = ["Pixels", "colours", "overlay"]

Pixels = NDArray[np.uint8]  # (rows, columns, 3)

# Dark violet, red, orange, pale yellow: brightness alone tells the order, without colour vision.
_STOPS = np.array([0.0, 0.4, 0.75, 1.0])
_COLOURS = np.array([(70, 20, 110), (205, 45, 80), (250, 150, 20), (255, 245, 150)])

_FAINT = 0.2  # heat below this leaves the image as it is
_STRONGEST = 0.6  # of the colour, so that anatomy always shows through

_BAND = 64  # rows that are blended at a time: what is in hand stays in the processor's cache

_LINE = (255, 255, 255)
_HALO = (0, 0, 0)


def colours(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """The colour of each heat in 0..1, with a last axis of red, green, blue in 0..255."""
    channels = [np.interp(heat, _STOPS, _COLOURS[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


def overlay(picture: Pixels, heat: NDArray[np.float32] | None, regions: Sequence[Region]) -> None:
    """Blend heat into a picture of its size where there is any, and outline regions on it."""
    if heat is not None:
        for top in range(0, len(heat), _BAND):
            _blend(picture[top : top + _BAND], heat[top : top + _BAND])
    for region in regions:
        _outline(picture, region)


def _blend(band: Pixels, heat: NDArray[np.float32]) -> None:
    hot = np.flatnonzero((heat > _FAINT).any(axis=0))
    if not hot.size:
        return
    inside = slice(hot[0], hot[-1] + 1)
    strength = np.clip((heat[:, inside] - _FAINT) / (1 - _FAINT), 0, 1)
    entry = np.rint(strength * 255).astype(np.uint16) << 8
    for channel, mixed in enumerate(_MIXED):
        band[:, inside, channel] = mixed[entry | band[:, inside, channel]]


def _mixed() -> NDArray[np.uint8]:
    """(3, 65536): each channel of a pixel with heat over it, at 256 * strength + its value."""
    strength = np.linspace(0, 1, 256)
    share = _STRONGEST * strength[:, np.newaxis] ** 0.75
    tint = colours((_FAINT + (1 - _FAINT) * strength).astype(np.float32))
    value = np.arange(256)
    channels = [(1 - share) * value + share * tint[:, [channel]] for channel in range(3)]
    return np.rint(channels).astype(np.uint8).reshape(3, -1)


_MIXED = _mixed()


def _outline(picture: Pixels, region: Region) -> None:
    """A white line with a dark edge, round the region."""
    width = max(1, min(picture.shape[:2]) // 300)
    margin = 2 * width + 2
    points = np.array([*region.outline, region.outline[0]])
    left, top = np.maximum(np.floor(points.min(axis=0)).astype(int) - margin, 0)
    right, bottom = np.ceil(points.max(axis=0)).astype(int) + margin
    crop = picture[top:bottom, left:right]
    drawn = Image.new("L", (crop.shape[1], crop.shape[0]))
    pen = ImageDraw.Draw(drawn)
    path = [(float(x - left), float(y - top)) for x, y in points]
    pen.line(path, fill=1, width=width + 2 * max(1, width // 2), joint="curve")
    pen.line(path, fill=2, width=width, joint="curve")
    mask = np.asarray(drawn)
    rows, columns = np.nonzero(mask)
    crop[rows, columns] = np.array([_HALO, _HALO, _LINE], dtype=np.uint8)[mask[rows, columns]]
