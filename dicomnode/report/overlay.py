"""A heat map and its regions drawn over a frame, at the frame's own size."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dicomnode.records import Region

__all__ = ["colours", "overlaid"]

Pixels = NDArray[np.uint8]  # (rows, columns, 3)

# Dark violet, red, orange, pale yellow: brightness alone tells the order, without colour vision.
_STOPS = np.array([0.0, 0.4, 0.75, 1.0])
_COLOURS = np.array([(70, 20, 110), (205, 45, 80), (250, 150, 20), (255, 245, 150)])

_FAINT = 0.2  # heat below this leaves the image as it is
_STRONGEST = 0.6  # of the colour, so that anatomy always shows through

_LINE = (255, 255, 255)
_HALO = (0, 0, 0)


def colours(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """The colour of each heat in 0..1, with a last axis of red, green, blue in 0..255."""
    channels = [np.interp(heat, _STOPS, _COLOURS[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


def overlaid(frame: Pixels, heat: NDArray[np.float32] | None, regions: Sequence[Region]) -> Pixels:
    """The frame with heat blended in where there is any, and regions outlined."""
    blended = frame if heat is None else _blended(frame, heat)
    picture = Image.fromarray(blended)
    pen = ImageDraw.Draw(picture)
    width = max(1, min(frame.shape[:2]) // 300)
    for region in regions:
        points = [*region.outline, region.outline[0]]
        pen.line(points, fill=_HALO, width=width + 2 * max(1, width // 2), joint="curve")
        pen.line(points, fill=_LINE, width=width, joint="curve")
    return np.asarray(picture)


def _blended(frame: Pixels, heat: NDArray[np.float32]) -> Pixels:
    strength = np.clip((heat - _FAINT) / (1 - _FAINT), 0, 1)
    blended = frame.copy()
    rows, columns = np.nonzero(strength)
    share = _STRONGEST * strength[rows, columns, np.newaxis] ** 0.75
    mixed = (1 - share) * frame[rows, columns] + share * colours(heat[rows, columns])
    blended[rows, columns] = np.rint(mixed).astype(np.uint8)
    return blended
