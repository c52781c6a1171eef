"""Where words stand on an image: near what they are about, inside it, and not over each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from unicodedata import east_asian_width

from dicomnode.answers import Region

__all__ = ["Box", "around", "placed"]

_LINE = 0.035  #: height of a line, as a share of the shorter side of the image
_NARROW, _WIDE = 0.6, 1.0  #: width of a character, as a share of the height of a line


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle in source pixels (PS3.3 C.10.5.1.2, units PIXEL)."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "Box") -> bool:
        """Do they have an area in common?"""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom


def around(region: Region) -> Box:
    """The smallest box that holds a region."""
    columns, rows = zip(*region.outline, strict=True)
    return Box(left=min(columns), top=min(rows), right=max(columns), bottom=max(rows))


def placed(
    lines: Sequence[str], near: Box, taken: Sequence[Box], *, rows: int, columns: int
) -> Box:
    """A box for lines of text: above what they are about, else below, else where there is room.

    Where there is none, they stand over other words rather than nowhere.
    """
    line = _LINE * min(rows, columns)
    width = min(float(columns), max(map(_width, lines)) * line)
    height = min(float(rows), len(lines) * line)
    left = min(max(0.0, near.left), columns - width)
    lowest = rows - height
    elsewhere = [step * line for step in range(int(lowest / line) + 1)]
    tops = [near.top - height, near.bottom, *elsewhere]
    boxes = [
        Box(left=left, top=top, right=left + width, bottom=top + height)
        for top in (min(max(0.0, top), lowest) for top in tops)
    ]
    free = (box for box in boxes if not any(box.meets(other) for other in taken))
    return next(free, boxes[0])


def _width(text: str) -> float:
    """In heights of a line; characters of Chinese, Japanese and Korean are as wide as high."""
    return sum(_WIDE if east_asian_width(c) in "WF" else _NARROW for c in text)
