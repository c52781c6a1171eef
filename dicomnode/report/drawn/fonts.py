"""The typefaces that come with the package: text of any script is drawn, whatever the machine has.

A character is drawn in the first typeface that has it: Noto Sans for most of Europe, DejaVu Sans
for signs and the near East, Droid Sans Fallback for China, Japan and Korea, Noto Sans Thai.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from unicodedata import combining

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from reportlab.pdfbase.ttfonts import TTFontFace

from dicomnode.report.drawn.direction import visual

__all__ = ["ASCENT", "HEIGHT", "Type", "lines", "path", "runs"]

_FOLDER = Path(__file__).with_name("typefaces")
_OTHERS = ("DejaVuSans", "DroidSansFallback", "NotoSansThai-Regular")
_REGULAR, _BOLD = ("NotoSans-Regular", *_OTHERS), ("NotoSans-Bold", *_OTHERS)

ASCENT = 1.07  #: from the top of a line to its baseline, in sizes of the text
HEIGHT = 1.36  #: of a line

_WIDE = "\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
_OPENING, _CLOSING = "（《「『【“‘(\\[", "，。、；：！？）》」』】”’%％)\\],.;:!?"  # noqa: RUF001
#: What stays together on a line: a wide character with its punctuation, else a word or a part;
#: and with it a sign that is set off by a space, as in "97 %" and in French.
_UNIT = re.compile(
    rf"(\s*)([{_OPENING}]*(?:[{_WIDE}]|[^\s{_WIDE}{_OPENING}/-]+[/-]*|[/-]+)[{_CLOSING}]*(?:\s[%:;!?»][{_CLOSING}]*)?|\S)"
)


def path(face: str) -> Path:
    """The file of a typeface."""
    return _FOLDER / f"{face}.ttf"


@lru_cache(maxsize=4096)
def runs(text: str, *, bold: bool = False) -> tuple[tuple[str, str], ...]:
    """The text as it is drawn, in pieces, each with the typeface that has all of its characters.

    A mark stays with the letter it stands on; what no typeface has is drawn as an empty box.
    """
    faces, text = _BOLD if bold else _REGULAR, visual(text)
    if _characters(faces[0]).issuperset(text):
        return ((faces[0], text),) if text else ()
    pieces: list[tuple[str, str]] = []
    for letter in text:
        having = [face for face in faces if letter in _characters(face)] or [faces[0]]
        if pieces and (combining(letter) or pieces[-1][0] == having[0]):
            pieces[-1] = (pieces[-1][0], pieces[-1][1] + letter)
        else:
            pieces.append((having[0], letter))
    return tuple(pieces)


@cache
def _characters(face: str) -> frozenset[str]:
    return frozenset(map(chr, TTFontFace(str(path(face))).charToGlyph))


@lru_cache(maxsize=256)
def _font(face: str, size: int) -> ImageFont.FreeTypeFont:
    # Basic: the other engine draws differently where the system has no FriBidi.
    return ImageFont.truetype(path(face), size, layout_engine=ImageFont.Layout.BASIC)


@dataclass(frozen=True, slots=True, eq=False)
class _Glyph:
    """One drawn character: a result repeats a hundred of them a thousand times."""

    ink: NDArray[np.uint8]  #: (rows, columns), 0..255
    left: int  #: of the ink, from where the character begins
    top: int  #: of the ink, from the top of the line
    advance: int  #: to where the next character begins


@lru_cache(maxsize=8192)
def _glyph(face: str, size: int, letter: str) -> _Glyph:
    font, baseline = _font(face, size), round(ASCENT * size)
    left, top, right, bottom = (round(side) for side in font.getbbox(letter, anchor="ls"))
    top = max(top, -baseline)
    drawn = Image.new("L", (max(right - left, 0), max(bottom - top, 0)))
    ImageDraw.Draw(drawn).text((-left, -top), letter, font=font, fill=255, anchor="ls")
    return _Glyph(np.asarray(drawn), left, baseline + top, round(font.getlength(letter)))


class Type:
    """Text of one size, in pixels."""

    def __init__(self, size: int, *, bold: bool = False) -> None:
        self._size = size
        self._bold = bold
        self.height = round(HEIGHT * size)  #: of a line

    def length(self, text: str) -> int:
        """How wide the text is drawn."""
        return sum(glyph.advance for glyph in self._glyphs(text))

    def mask(self, text: str) -> NDArray[np.uint8]:
        """The text on one line: (rows, columns), from 0 where there is none of it to 255."""
        drawn = np.zeros((self.height, self.length(text) + self._size // 2), dtype=np.uint8)
        x = 0
        for glyph in self._glyphs(text):
            left = max(x + glyph.left, 0)
            rows, columns = glyph.ink.shape
            place = drawn[glyph.top : glyph.top + rows, left : left + columns]
            np.maximum(place, glyph.ink[: len(place), : place.shape[1]], out=place)
            x += glyph.advance
        return drawn

    def _glyphs(self, text: str) -> Iterator[_Glyph]:
        for face, part in runs(text, bold=self._bold):
            for letter in part:
                yield _glyph(face, self._size, letter)


def lines(text: str, width: float, length: Callable[[str], float]) -> list[str]:
    """The text broken into lines, none wider: between words and parts of them, in Chinese
    between characters, and inside a word that is longer than a line."""
    broken = [""]
    for gap, unit in _UNIT.findall(text.strip()):
        joined = broken[-1] + (" " if gap and broken[-1] else "") + unit
        if length(joined) <= width:
            broken[-1] = joined
            continue
        if broken[-1]:
            broken.append("")
        if length(unit) <= width:
            broken[-1] = unit
            continue
        for letter in unit:
            if broken[-1] and length(broken[-1] + letter) > width:
                broken.append("")
            broken[-1] += letter
    return broken
