"""A column of text, bars and rules: laid out from top to bottom first, then drawn once."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dicomnode.report.drawn.fonts import Type, lines
from dicomnode.report.drawn.overlay import Pixels, colours

__all__ = ["BACKGROUND", "QUIET", "RULE", "TEXT", "WARNING", "Colour", "Sheet"]

Colour = tuple[int, int, int]

BACKGROUND: Colour = (16, 18, 22)
TEXT: Colour = (236, 239, 243)
QUIET: Colour = (168, 176, 186)
RULE: Colour = (64, 70, 79)
WARNING: Colour = (255, 196, 84)


class Sheet:
    """A dark column, so many heights of its text wide."""

    def __init__(self, size: int, width: int) -> None:
        self.size = size  #: of the text, in pixels
        self.columns = width * size  #: in pixels
        self.rows = 3 * size  #: where the next line begins; viewers write into corners
        self._left, self._right = size, (width - 1) * size
        self._marks: list[Callable[[Pixels], None]] = []

    def draw(self, pixels: Pixels) -> None:
        """Fill (rows or more, columns, 3)."""
        pixels[0] = BACKGROUND
        pixels[1:] = pixels[0]
        for mark in self._marks:
            mark(pixels)

    def space(self, of: float) -> None:
        """Leave so many heights of the text free."""
        self.rows += round(of * self.size)

    def rule(self) -> None:
        """A thin line from side to side."""
        self.space(0.4)
        thick = max(1, self.size // 14)
        self._box(self._left, self.rows, self._right, self.rows + thick, RULE)
        self.space(0.5)

    def write(
        self,
        text: str,
        colour: Colour = TEXT,
        scale: float = 1.0,
        *,
        bold: bool = False,
        end: str = "",
    ) -> None:
        """A paragraph, broken at the right edge; `end` stands at the right of its first line."""
        drawn = Type(round(self.size * scale), bold=bold)
        taken = drawn.length(end + "  ") if end else 0.0
        for line in lines(text, self._right - self._left - taken, drawn.length):
            self._text(line, self._left, drawn, colour)
            if end:
                self._text(end, self._right - round(drawn.length(end)), drawn, colour)
                end = ""
            self.rows += drawn.height

    def warn(self, text: str) -> None:
        """A paragraph that must not be missed, behind a coloured edge."""
        top, left = self.rows, self._left
        self._left += self.size
        self.write(text, WARNING)
        self._left = left
        self._box(left, top, left + max(2, self.size // 5), self.rows, WARNING)
        self.space(0.3)

    def bar(self, share: float, mark: float, colour: Colour) -> None:
        """A bar from 0 to 1, with a mark across it."""
        high, span = max(4, self.size // 3), self._right - self._left
        top = self.rows + high // 2
        self._box(self._left, top, self._right, top + high, RULE)
        self._box(self._left, top, self._left + round(share * span), top + high, colour)
        thick = max(2, self.size // 7)
        at = self._left + round(mark * span) - thick // 2
        self._box(at, top - high // 2, at + thick, top + high * 3 // 2, TEXT)
        self.rows = top + 2 * high + self.size // 5

    def scale(self) -> None:
        """The colours of the heat map, from low to high."""
        high, top = round(self.size * 0.7), self.rows
        ramp = colours(np.linspace(0, 1, self._right - self._left, dtype=np.float32))

        def mark(pixels: Pixels) -> None:
            pixels[top : top + high, self._left : self._right] = ramp.astype(np.uint8)

        self._marks.append(mark)
        self.rows += high + self.size // 4

    def _text(self, line: str, left: int, drawn: Type, colour: Colour) -> None:
        top, shades = self.rows, _shades(colour)

        def mark(pixels: Pixels) -> None:
            mask = drawn.mask(line)
            rows, columns = np.nonzero(mask > 0)
            pixels[rows + top, columns + left] = shades[mask[rows, columns]]

        self._marks.append(mark)

    def _box(self, left: int, top: int, right: int, bottom: int, colour: Colour) -> None:
        def mark(pixels: Pixels) -> None:
            pixels[top:bottom, left:right] = colour

        self._marks.append(mark)


def _shades(colour: Colour) -> NDArray[np.uint8]:
    """(256, 3): from the background to a colour."""
    share = np.linspace(0, 1, 256)[:, np.newaxis]
    mixed: NDArray[np.float64] = (1 - share) * np.array(BACKGROUND) + share * np.array(colour)
    return np.rint(mixed).astype(np.uint8)
