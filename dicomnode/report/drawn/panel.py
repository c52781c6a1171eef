"""The panel beside the picture: what was found, how sure, by which model, and what to mind.

It names no patient: the picture must not identify anyone whom the source does not. Every state is
said in words; colour only repeats it.
"""

from collections.abc import Sequence
from itertools import groupby

from dicomnode.answers import Finding, Prediction, Presence
from dicomnode.report import wording
from dicomnode.report.drawn.placard import Placard
from dicomnode.report.drawn.sheet import QUIET, TEXT, Colour, Sheet
from dicomnode.report.request import Order

__all__ = ["BARS", "panel", "placard_sheet"]

BARS: dict[Presence, Colour] = {
    Presence.PRESENT: (240, 150, 20),
    Presence.UNDETERMINED: (120, 185, 235),
    Presence.ABSENT: (112, 124, 138),
}

_SMALLEST_PX = 14  # of text, below which it is hard to read
_SMALL = 0.9  # of the size of the text, for what stands back
_WIDTH = 25  # of the panel, in heights of its text
_ROWS_TO_TEXT = 42  # rows of a frame for each pixel of the largest text beside it

_PLACARD_PX, _PLACARD_WIDTH, _PLACARD_ROWS = 28, 36, 756


def panel(
    prediction: Prediction,
    order: Order,
    subject: Finding | None,
    frame_rows: int,
    where: str = "",
) -> Sheet:
    """The panel for a picture of `subject`, or of a frame with nothing found; `where` that is.

    Its text is as large as fits beside the frame; beside a small frame it is taller than that.
    """
    size = max(_SMALLEST_PX, frame_rows // _ROWS_TO_TEXT)
    while True:
        sheet = Sheet(size, _WIDTH)
        _fill(sheet, prediction, order, subject, where)
        if sheet.rows <= frame_rows or size == _SMALLEST_PX:
            return sheet
        size = max(_SMALLEST_PX, min(size - 1, size * frame_rows // sheet.rows))


def placard_sheet(placard: Placard, order: Order) -> Sheet:
    """The page that stands where a picture would."""
    sheet = Sheet(_PLACARD_PX, _PLACARD_WIDTH)
    sheet.write(order.words.say("picture.title"), QUIET, _SMALL)
    sheet.space(0.6)
    sheet.write(placard.title, scale=2.2, bold=True)
    sheet.space(0.6)
    for text in (placard.warning, *placard.notes):
        sheet.warn(text)
    sheet.space(0.4)
    for text in placard.sentences:
        sheet.write(text)
        sheet.space(0.4)
    if placard.small_print:
        sheet.rule()
        _small_print(sheet, placard.small_print)
    sheet.rows = max(sheet.rows, _PLACARD_ROWS)
    return sheet


def _fill(
    sheet: Sheet, prediction: Prediction, order: Order, subject: Finding | None, where: str
) -> None:
    say = order.words.say
    sheet.write(say("picture.title"), QUIET, _SMALL)
    sheet.space(0.2)
    short = wording.shortfall(prediction, order)
    for text in (*wording.cautions(prediction.model, order.words), short):
        if text:
            sheet.warn(text)
    sheet.space(0.3)
    if subject is None:
        sheet.write(wording.headline(prediction, order), scale=1.5, bold=True)
        if where:
            sheet.write(where, QUIET)
    else:
        _introduce(sheet, prediction, order, subject, where)
    sheet.rule()
    _table(sheet, prediction, order)
    sheet.rule()
    model = prediction.model
    said = [
        wording.model_named(model, order.words),
        "" if short else wording.completeness(prediction, order),
        wording.revision(order),
        say("picture.made", time=wording.minute(order)),
    ]
    _small_print(sheet, said)


def _introduce(
    sheet: Sheet, prediction: Prediction, order: Order, subject: Finding, where: str
) -> None:
    say = order.words.say
    sheet.write(wording.name(subject, order.words), scale=1.5, bold=True)
    sheet.write(wording.stated(subject, prediction, order.words))
    if where:
        sheet.write(where, QUIET)
    if subject.heat is not None:
        sheet.space(0.4)
        sheet.scale()
        sheet.write(say("picture.low"), QUIET, _SMALL, end=say("picture.high"))
        method = wording.method(prediction.model, order.words)
        sheet.write(say("picture.heat", method=method), QUIET, _SMALL)
    if subject.regions:
        sheet.write(say("picture.outline"), QUIET, _SMALL)


def _table(sheet: Sheet, prediction: Prediction, order: Order) -> None:
    """Findings by what is said of them, most probable first; grades as they ascend."""
    say = order.words.say
    calibrated = "picture.calibrated" if prediction.model.calibration else "picture.uncalibrated"
    sheet.write(say(calibrated), QUIET, _SMALL, end=say("picture.mark"))

    def said_of(finding: Finding) -> str:
        return wording.assessment(finding, prediction, order.words)

    for said, alike in groupby(wording.listed(prediction), said_of):
        sheet.space(0.3)
        sheet.write(said, QUIET, _SMALL)
        for finding in alike:
            colour = QUIET if finding.presence is Presence.ABSENT else TEXT
            probability = wording.percent(finding.probability, order.words)
            sheet.write(wording.counted(finding, order.words), colour, end=probability)
            sheet.bar(finding.probability, finding.threshold, BARS[finding.presence])


def _small_print(sheet: Sheet, said: Sequence[str]) -> None:
    for text in said:
        if text:
            sheet.write(text, QUIET, _SMALL)
    sheet.space(0.5)
