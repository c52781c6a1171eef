"""A4 pages that fill from top to bottom: text, boxes, bars and pictures, in points.

The same marks give the same bytes: no time and no name of now goes into the file.
"""

from collections.abc import Callable, Sequence
from functools import cache
from io import BytesIO

from PIL import Image
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from dicomnode.report.drawn.fonts import ASCENT, HEIGHT, lines, path, runs
from dicomnode.report.drawn.overlay import Pixels

__all__ = [
    "BOTTOM",
    "INK",
    "LEFT",
    "QUIET",
    "RIGHT",
    "RULE",
    "WARNING",
    "Colour",
    "Paper",
    "length",
]

Colour = tuple[float, float, float]  # red, green, blue in 0..1

INK: Colour = (0.09, 0.11, 0.14)
QUIET: Colour = (0.36, 0.39, 0.43)
RULE: Colour = (0.84, 0.86, 0.88)
WARNING: Colour = (0.88, 0.55, 0.05)
_WARNED: Colour = (1.0, 0.965, 0.88)

_WIDTH, _HEIGHT = A4
LEFT = 45.0
RIGHT = _WIDTH - 45.0
BOTTOM = _HEIGHT - 62.0
_TOP = 42.0

_TEXT = 9.5  # size of the text
_PICTURE_PX = 1000  # the longer side of a picture: 250 dots an inch at a third of the page


class Paper:
    """Pages to draw on; `y` is where the next line begins, from the top of the page."""

    def __init__(self, title: str, language: str) -> None:
        self._title, self._language = title, language
        self._pages: list[list[Callable[[Canvas], None]]] = [[]]
        self.y = _TOP

    # --- what flows -------------------------------------------------------------------------

    def need(self, height: float) -> None:
        """Begin a page where so much does not fit any more."""
        if self.y + height > BOTTOM and self.y > _TOP:
            self._pages.append([])
            self.y = _TOP

    def write(
        self, text: str, size: float = _TEXT, colour: Colour = INK, *, bold: bool = False
    ) -> None:
        """A paragraph from side to side."""
        for line in lines(text, RIGHT - LEFT, lambda part: length(part, size, bold=bold)):
            self.need(HEIGHT * size)
            self.text(LEFT, line, size, colour, bold=bold)
            self.y += HEIGHT * size

    def heading(self, text: str, room: float = 40) -> None:
        """The name of a section, on the page that has room for what comes first in it."""
        self.need(34 + room)
        self.y += 12
        self.text(LEFT, text, 11.5, bold=True)
        self.y += 17
        self.box(LEFT, RIGHT, 0.7, RULE)
        self.y += 5

    def warn(self, text: str, size: float = _TEXT) -> None:
        """A paragraph that must not be missed, in a coloured box."""
        inside = lines(text, RIGHT - LEFT - 24, lambda part: length(part, size, bold=True))
        high = len(inside) * HEIGHT * size + 9
        self.need(high)
        self.box(LEFT, RIGHT, high, _WARNED)
        self.box(LEFT, LEFT + 3.5, high, WARNING)
        self.y += 4.5
        for line in inside:
            self.text(LEFT + 14, line, size, bold=True)
            self.y += HEIGHT * size
        self.y += 10

    # --- what stands at `y` and leaves it as it is --------------------------------------------

    def text(
        self,
        x: float,
        text: str,
        size: float = _TEXT,
        colour: Colour = INK,
        *,
        bold: bool = False,
        right: bool = False,
    ) -> None:
        """A line of text from `x`, or up to it; bold is stroked where no typeface has it."""
        start = x - length(text, size, bold=bold) if right else x
        baseline = _HEIGHT - self.y - ASCENT * size

        def mark(canvas: Canvas) -> None:
            at = start
            canvas.setFillColorRGB(*colour)
            canvas.setStrokeColorRGB(*colour)
            canvas.setLineWidth(size / 40)
            for face, part in runs(text, bold=bold):
                canvas.setFont(_registered(face), size)
                stroked = bold and not face.endswith("Bold")
                canvas.drawString(at, baseline, part, mode=2 if stroked else 0)
                at += pdfmetrics.stringWidth(part, face, size)

        self._pages[-1].append(mark)

    def column(
        self,
        x: float,
        width: float,
        text: str,
        size: float = _TEXT,
        colour: Colour = INK,
        *,
        bold: bool = False,
    ) -> float:
        """Text in as many lines as it needs in so narrow a column; says how high they are."""
        began = self.y
        for line in lines(text, width, lambda part: length(part, size, bold=bold)):
            self.text(x, line, size, colour, bold=bold)
            self.y += HEIGHT * size
        height, self.y = self.y - began, began
        return height

    def box(self, left: float, right: float, height: float, colour: Colour) -> None:
        """A filled box, downwards from `y`."""
        bottom = _HEIGHT - self.y - height

        def mark(canvas: Canvas) -> None:
            canvas.setFillColorRGB(*colour)
            canvas.rect(left, bottom, right - left, height, stroke=0, fill=1)

        self._pages[-1].append(mark)

    def picture(self, left: float, width: float, height: float, pixels: Pixels) -> None:
        """A picture, downwards from `y`."""
        image = Image.fromarray(pixels)
        image.thumbnail((_PICTURE_PX, _PICTURE_PX), Image.Resampling.LANCZOS)
        encoded = BytesIO()
        image.save(encoded, "JPEG", quality=90)
        bottom = _HEIGHT - self.y - height

        def mark(canvas: Canvas) -> None:
            canvas.drawImage(ImageReader(encoded), left, bottom, width, height)

        self._pages[-1].append(mark)

    # --- the whole ----------------------------------------------------------------------------

    def foot(self, left: Sequence[str], right: Callable[[int, int], str]) -> None:
        """Lines at the foot of every page there is; at the right, what its number says."""
        filled, self._pages = self._pages, []
        for number, marks in enumerate(filled, 1):
            self._pages.append(marks)
            self.y = BOTTOM + 12
            self.box(LEFT, RIGHT, 0.7, RULE)
            self.y += 4
            self.text(RIGHT, right(number, len(filled)), 7.5, QUIET, right=True)
            for line in left:
                self.text(LEFT, line, 7.5, QUIET)
                self.y += HEIGHT * 7.5

    def finished(self) -> bytes:
        """The whole PDF."""
        out = BytesIO()
        first = _registered("NotoSans-Regular")  # by default a typeface that is not embedded
        canvas = Canvas(
            out,
            pagesize=A4,
            pageCompression=1,
            invariant=1,
            lang=self._language,
            initialFontName=first,  # type: ignore[arg-type]  # its stub takes it for a number
        )
        canvas.setTitle(self._title)
        canvas.setCreator("dicomnode")
        canvas.setAuthor("dicomnode")
        for marks in self._pages:
            for mark in marks:
                mark(canvas)
            canvas.showPage()
        canvas.save()
        return out.getvalue()


def length(text: str, size: float, *, bold: bool = False) -> float:
    """How wide a line of text is, in points."""
    pieces = runs(text, bold=bold)
    return sum(pdfmetrics.stringWidth(part, _registered(face), size) for face, part in pieces)


@cache
def _registered(face: str) -> str:
    """The typeface, known to reportlab, which embeds what is used of it."""
    pdfmetrics.registerFont(TTFont(face, str(path(face))))
    return face
