"""What stands on the pages of a result, or in the place of one.

Unlike the picture, a page names the patient: it may be printed, and has to find its way back.
"""

from collections.abc import Sequence

import numpy as np
from pydicom import Dataset

from dicomnode.answers import Finding, Prediction, Presence
from dicomnode.report import places, wording
from dicomnode.report.catalogue import Words
from dicomnode.report.drawn.capture import overlaid, subjects
from dicomnode.report.drawn.overlay import Pixels, colours
from dicomnode.report.drawn.panel import BARS
from dicomnode.report.drawn.paper import INK, LEFT, QUIET, RIGHT, RULE, Paper, length
from dicomnode.report.drawn.placard import Placard
from dicomnode.report.reading import value
from dicomnode.report.request import Making, Order

__all__ = ["person", "placard_pages", "result_pages"]

_SMALL = 8.5  # size of what stands back
_ROW = 17.0  # height of a finding's row
_LABEL = 98.0  # width of the name of a fact
_ASSESSMENT, _BAR, _PERCENT, _THRESHOLD = LEFT + 165, LEFT + 300, LEFT + 438, RIGHT  # columns
_BAR_WIDTH = 90.0
_GAP = 15.0  # between pictures
_PICTURE = (RIGHT - LEFT - _GAP) / 2  # width of one
_CAPTION = 32.0  # height below a picture
_TALLEST = 215.0  # a picture
_SEXES = {"M": "page.male", "F": "page.female", "O": "page.other"}


def result_pages(making: Making, identity: Dataset) -> bytes:
    """The result as a PDF, for the patient and the study of `identity`."""
    prediction, order = making.prediction, making.order
    words = order.words
    paper = _begun(identity, order, words.say("page.title"))
    short = wording.shortfall(prediction, order)
    _warn(paper, *wording.cautions(prediction.model, words), short, wording.revision(order))
    _identity(paper, identity, words)
    paper.y += 12
    paper.write(wording.headline(prediction, order), 12.5, bold=True)
    if not short:
        paper.write(wording.completeness(prediction, order), _SMALL, QUIET)
    _findings(paper, prediction, words)
    _pictures(paper, making)
    paper.heading(words.say("page.certainty"))
    for text in (
        wording.certainty(prediction.model, words),
        *wording.performance(prediction, order),
    ):
        paper.write(text, _SMALL)
    paper.heading(words.say("page.method"))
    model = prediction.model
    method = wording.method(model, words)
    said = [
        wording.model_named(model, words),
        wording.digest(model, words),
        wording.intended_use(model, words),
        words.say("report.explanation", method=method) if method else "",
        words.say("report.read"),
    ]
    return _ended(paper, said, identity, order, words.say("caution"))


def placard_pages(identity: Dataset, placard: Placard, order: Order) -> bytes:
    """What stands in the place of a result, as a PDF."""
    words = order.words
    paper = _begun(identity, order, placard.title)
    paper.warn(placard.warning, 11)
    _warn(paper, *placard.notes)
    _identity(paper, identity, words)
    paper.y += 12
    first, *others = placard.sentences
    paper.write(first, 12.5, bold=True)
    for text in others:
        paper.y += 4
        paper.write(text, 11)
    if placard.small_print:
        paper.heading(words.say("page.method"))
    return _ended(paper, placard.small_print, identity, order, placard.title)


def person(name: str) -> str:
    """A person's name as people write it, in each of its scripts (PS3.5 section 6.2.1.1)."""
    alphabetic, *others = name.split("=")
    family, given, middle, prefix, suffix = (*alphabetic.split("^"), *[""] * 5)[:5]
    first = " ".join(f"{prefix} {given} {middle}".split())
    written = [", ".join(part for part in (family.strip(), first, suffix.strip()) if part)]
    written += [" ".join(group.replace("^", " ").split()) for group in others]
    return " / ".join(part for part in written if part)


def _begun(identity: Dataset, order: Order, title: str) -> Paper:
    """A first page with its title; the file's own title names nobody."""
    paper = Paper(title, order.language)
    size = 21.0
    while length(title, size, bold=True) > RIGHT - LEFT - 150:
        size -= 0.5
    paper.text(LEFT, title, size, bold=True)
    paper.text(RIGHT, order.ae_title, _SMALL, QUIET, right=True)
    paper.y += 11
    made = order.words.say("picture.made", time=wording.minute(order))
    paper.text(RIGHT, made, _SMALL, QUIET, right=True)
    paper.y += 28
    return paper


def _warn(paper: Paper, *warnings: str) -> None:
    for warning in filter(None, warnings):
        paper.warn(warning)


def _identity(paper: Paper, identity: Dataset, words: Words) -> None:
    """Patient at the left, study at the right."""
    sex = _SEXES.get(value(identity, "PatientSex"))
    patient = [
        ("page.patient", person(value(identity, "PatientName"))),
        ("page.patient_id", value(identity, "PatientID")),
        ("page.birth_date", _date(value(identity, "PatientBirthDate"))),
        ("page.sex", words.say(sex) if sex else ""),
    ]
    study = [
        ("page.study", value(identity, "StudyDescription")),
        ("page.study_date", _date(value(identity, "StudyDate"))),
        ("page.accession", value(identity, "AccessionNumber")),
        ("page.referring", person(value(identity, "ReferringPhysicianName"))),
    ]
    half = (RIGHT - LEFT) / 2
    for left, right in zip(patient, study, strict=True):
        paper.need(_ROW)
        sides = ((LEFT, *left), (LEFT + half, *right))
        paper.y += 2 + max(_field(paper, x, half, words.say(key), said) for x, key, said in sides)


def _field(paper: Paper, x: float, width: float, name: str, said: str) -> float:
    """One fact with its name, and how high it is."""
    label = paper.column(x, _LABEL - 4, name, _SMALL, QUIET)
    return max(label, paper.column(x + _LABEL, width - _LABEL - 8, said or "-", bold=True))


def _findings(paper: Paper, prediction: Prediction, words: Words) -> None:
    paper.heading(words.say("page.findings"))
    paper.text(_PERCENT, words.say("page.probability"), _SMALL, QUIET, right=True)
    paper.text(_THRESHOLD, words.say("page.threshold"), _SMALL, QUIET, right=True)
    paper.y += 15
    for finding in wording.listed(prediction):
        paper.need(2 * _ROW)
        absent = finding.presence is Presence.ABSENT
        colour, presence = QUIET if absent else INK, wording.assessment(finding, prediction, words)
        heights = (
            paper.column(
                LEFT, 155, wording.counted(finding, words), colour=colour, bold=not absent
            ),
            paper.column(_ASSESSMENT, 125, presence, colour=colour),
        )
        percent = wording.percent(finding.probability, words)
        paper.text(_PERCENT, percent, colour=colour, bold=not absent, right=True)
        paper.text(_THRESHOLD, wording.percent(finding.threshold, words), colour=QUIET, right=True)
        _bar(paper, finding)
        paper.y += max(heights) + 4
        paper.box(LEFT, RIGHT, 0.4, RULE)
        paper.y += 3


def _bar(paper: Paper, finding: Finding) -> None:
    """Probability from 0 to 1, and the threshold across it."""
    top = paper.y
    paper.y += 4
    paper.box(_BAR, _BAR + _BAR_WIDTH, 5, RULE)
    red, green, blue = (part / 255 for part in BARS[finding.presence])
    paper.box(_BAR, _BAR + _BAR_WIDTH * finding.probability, 5, (red, green, blue))
    paper.y -= 2
    at = _BAR + _BAR_WIDTH * finding.threshold
    paper.box(at - 0.7, at + 0.7, 9, INK)
    paper.y = top


def _pictures(paper: Paper, making: Making) -> None:
    """What the picture objects show, two beside each other."""
    prediction, words = making.prediction, making.order.words
    shown = subjects(prediction)
    for first in range(0, len(shown), 2):
        pair = [(finding, _fitted(making, finding)) for finding in shown[first : first + 2]]
        room = max(height for _, (_, _, height) in pair) + _CAPTION
        if first == 0:
            paper.heading(words.say("page.pictures"), room)
        paper.need(room)
        for place, (finding, (pixels, width, height)) in enumerate(pair):
            left = LEFT + place * (_PICTURE + _GAP)
            paper.picture(left, width, height, pixels)
            _caption(paper, left, paper.y + height + 2, finding, making)
        paper.y += room
    if any(finding.heat is not None for finding in prediction.findings):
        _scale(paper, words)
        method = words.say("picture.heat", method=wording.method(prediction.model, words))
        paper.write(words.joined((method, words.say("picture.outline"))), _SMALL, QUIET)


def _fitted(making: Making, finding: Finding | None) -> tuple[Pixels, float, float]:
    """A picture, and how wide and how high it is drawn."""
    frame = places.pictured(finding, making.prediction)
    pixels = overlaid(making.source, frame, finding)
    rows, columns = pixels.shape[:2]
    fit = min(_PICTURE / columns, _TALLEST / rows)
    return pixels, columns * fit, rows * fit


def _caption(
    paper: Paper, left: float, below: float, finding: Finding | None, making: Making
) -> None:
    prediction, words = making.prediction, making.order.words
    top, paper.y = paper.y, below
    named = wording.name(finding, words) if finding else wording.headline(prediction, making.order)
    paper.y += paper.column(left, _PICTURE, named, _SMALL, bold=True)
    if where := places.caption(finding, prediction, making.source, words):
        paper.column(left, _PICTURE, where, _SMALL, QUIET)
    paper.y = top


def _scale(paper: Paper, words: Words) -> None:
    """The colours of the heat map, from low to high."""
    low, high = words.say("picture.low"), words.say("picture.high")
    paper.need(14)
    left = LEFT + length(low, _SMALL) + 5
    paper.text(LEFT, low, _SMALL, QUIET)
    paper.text(left + 105, high, _SMALL, QUIET)
    top, paper.y = paper.y, paper.y + 3
    for step, colour in enumerate(colours(np.linspace(0, 1, 50, dtype=np.float32)) / 255):
        red, green, blue = (float(part) for part in colour)
        paper.box(left + 2 * step, left + 2 * step + 2.2, 6, (red, green, blue))
    paper.y = top + 13


def _ended(
    paper: Paper, small_print: Sequence[str], identity: Dataset, order: Order, mind: str
) -> bytes:
    """The small print, and what stands at the foot of each page."""
    words = order.words
    for text in small_print:
        if text:
            paper.write(text, _SMALL, QUIET)
    who = (person(value(identity, "PatientName")), value(identity, "PatientID"))
    when = _date(value(identity, "StudyDate"))
    foot = ["  ·  ".join(part for part in (*who, when) if part), mind]
    paper.foot(foot, lambda number, count: words.say("page.number", number=number, count=count))
    return paper.finished()


def _date(digits: str) -> str:
    """A date of the standard (PS3.5 section 6.2, DA) as it reads in any language."""
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}" if digits else ""
