"""The panel beside the picture: what was found, how sure, by which model, and what to mind.

It names no patient: the picture must not identify anyone whom the source does not. Every state is
said in words; colour only repeats it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dicomnode.records import Finding, Prediction, Presence
from dicomnode.report import wording
from dicomnode.report.overlay import colours
from dicomnode.report.request import Order

__all__ = ["panel"]

Colour = tuple[int, int, int]

_BACKGROUND: Colour = (16, 18, 22)
_TEXT: Colour = (236, 239, 243)
_QUIET: Colour = (168, 176, 186)
_RULE: Colour = (64, 70, 79)
_WARNING: Colour = (255, 196, 84)
_BAR = {
    Presence.PRESENT: (240, 150, 20),
    Presence.UNDETERMINED: (120, 185, 235),
    Presence.ABSENT: (112, 124, 138),
}

_SMALLEST_PX = 14  # of text, below which it is hard to read
_SMALL = 0.9  # of the size of the text, for what stands back
_WIDTH = 25  # of the panel, in heights of its text


def panel(
    prediction: Prediction, order: Order, subject: Finding | None, frame_rows: int
) -> NDArray[np.uint8]:
    """The panel for a picture of `subject`, or of a frame with nothing found.

    Its text is as large as fits beside the frame; beside a small frame it grows below it.
    """
    size = max(_SMALLEST_PX, frame_rows // 36)
    while True:
        page = _Page(size)
        _fill(page, prediction, order, subject)
        if page.y <= frame_rows or size == _SMALLEST_PX:
            return page.cut(max(page.y, frame_rows))
        size = max(_SMALLEST_PX, size * 9 // 10)


class _Page:
    """A column that is written from top to bottom."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.y = size  #: where the next line begins
        self._left, self._right = size, (_WIDTH - 1) * size
        self._image = Image.new("RGB", (_WIDTH * size, 4 * size), _BACKGROUND)

    def cut(self, rows: int) -> NDArray[np.uint8]:
        self._reach(rows)
        return np.asarray(self._image.crop((0, 0, self._image.width, rows)))

    def _reach(self, y: int) -> ImageDraw.ImageDraw:
        """A pen for an image that is at least so high."""
        if y > self._image.height:
            taller = Image.new("RGB", (self._image.width, 2 * y), _BACKGROUND)
            taller.paste(self._image, (0, 0))
            self._image = taller
        return ImageDraw.Draw(self._image)

    def space(self, of: float) -> None:
        self.y += round(of * self.size)

    def rule(self) -> None:
        self.space(0.5)
        pen = self._reach(self.y + self.size)
        thick = max(1, self.size // 14)
        pen.rectangle((self._left, self.y, self._right - 1, self.y + thick - 1), fill=_RULE)
        self.space(0.6)

    def write(
        self, text: str, colour: Colour = _TEXT, scale: float = 1.0, *, end: str = ""
    ) -> None:
        """A paragraph, broken at the right edge; `end` stands at the right of its first line."""
        font = ImageFont.load_default(round(self.size * scale))
        step = round(self.size * scale * 1.3)
        taken = font.getlength(end + "  ") if end else 0.0
        for line in _lines(text, font, self._right - self._left - taken):
            pen = self._reach(self.y + 2 * step)
            pen.text((self._left, self.y), line, font=font, fill=colour)
            if end:
                pen.text((self._right, self.y), end, font=font, fill=colour, anchor="ra")
                end = ""
            self.y += step

    def warn(self, text: str) -> None:
        """A paragraph that must not be missed, behind a coloured edge."""
        top, left = self.y, self._left
        self._left += self.size
        self.write(text, _WARNING)
        self._left = left
        edge = max(2, self.size // 5)
        self._reach(self.y).rectangle((left, top, left + edge, self.y - 1), fill=_WARNING)
        self.space(0.3)

    def bar(self, share: float, mark: float, colour: Colour) -> None:
        """A bar from 0 to 1, with a mark across it."""
        high, span = max(4, self.size // 3), self._right - self._left
        top = self.y + high // 3
        pen = self._reach(self.y + 3 * high)
        pen.rectangle((self._left, top, self._right - 1, top + high - 1), fill=_RULE)
        if (filled := round(share * span)) > 0:
            pen.rectangle((self._left, top, self._left + filled, top + high - 1), fill=colour)
        at, thick = self._left + round(mark * span), max(2, self.size // 7)
        pen.rectangle(
            (at - thick // 2, top - high // 2, at - thick // 2 + thick - 1, top + high * 3 // 2),
            fill=_TEXT,
        )
        self.y = top + 2 * high + self.size // 4

    def scale(self) -> None:
        """The colours of the heat map, from low to high."""
        high, span = round(self.size * 0.7), self._right - self._left
        self._reach(self.y + 2 * high)
        ramp = colours(np.linspace(0, 1, span, dtype=np.float32)).astype(np.uint8)
        strip = np.ascontiguousarray(np.broadcast_to(ramp, (high, span, 3)))
        self._image.paste(Image.fromarray(strip), (self._left, self.y))
        self.y += high + self.size // 4


def _lines(
    text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float
) -> list[str]:
    """The text broken into lines: between words, or inside a word that is longer than a line."""
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".strip()
        if font.getlength(joined) <= width:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if lines[-1] and font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return lines


def _fill(page: _Page, prediction: Prediction, order: Order, subject: Finding | None) -> None:
    page.write("AI RESULT", _QUIET, _SMALL)
    page.space(0.2)
    page.warn(wording.CAUTION)
    if order.partial:
        page.warn(wording.completeness(prediction, order))
    page.space(0.4)
    if subject is None:
        page.write("No finding above its threshold", scale=1.6)
    else:
        _introduce(page, prediction, subject)
    page.rule()
    _table(page, wording.by_weight(prediction.findings))
    page.rule()
    _small_print(page, prediction, order)


def _introduce(page: _Page, prediction: Prediction, subject: Finding) -> None:
    probability = wording.percent(subject.probability)
    page.write(subject.label, scale=1.6)
    page.write(f"{subject.presence.upper()}, probability {probability}")
    if len(prediction.frames) > 1:
        number = prediction.frames.index(subject.frame) + 1
        page.write(f"Most suspicious image: {number} of {len(prediction.frames)}", _QUIET)
    if subject.heat is not None:
        page.space(0.4)
        page.scale()
        page.write("low", _QUIET, _SMALL, end="high")
        page.write(
            f"Heat map ({prediction.model.explanation}): where the model looked.", _QUIET, _SMALL
        )
    if subject.regions:
        page.write("White line: the strongest part, not the outline of a finding.", _QUIET, _SMALL)


def _table(page: _Page, findings: Sequence[Finding]) -> None:
    page.write("Probability", _QUIET, _SMALL, end="white mark: threshold")
    page.space(0.2)
    for finding in findings:
        colour = _QUIET if finding.presence is Presence.ABSENT else _TEXT
        said = f"{finding.presence} {wording.percent(finding.probability)}"
        page.write(finding.label, colour, end=said)
        page.bar(finding.probability, finding.threshold, _BAR[finding.presence])


def _small_print(page: _Page, prediction: Prediction, order: Order) -> None:
    model = prediction.model
    said = [
        f"Model: {model.name} {model.version}",
        "" if order.partial else wording.completeness(prediction, order),
        wording.revision(order),
        f"Made {order.made_at:%Y-%m-%d %H:%M %Z}",
        model.disclaimer,
    ]
    for text in said:
        if text:
            page.write(text, _QUIET, _SMALL)
    page.space(0.5)
