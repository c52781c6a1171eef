"""The panel: it always fits its frame, or grows, and it shows no identity."""

from dataclasses import replace

import numpy as np
import pytest

from dicomnode.answers import Finding, Prediction, Refusal
from dicomnode.errors import Cause
from dicomnode.report.catalogue import LANGUAGES
from dicomnode.report.drawn.overlay import Pixels
from dicomnode.report.drawn.panel import panel as laid_out
from dicomnode.report.drawn.panel import placard_sheet
from dicomnode.report.drawn.placard import not_analysed
from dicomnode.report.drawn.sheet import BACKGROUND, WARNING, Sheet
from dicomnode.report.request import Order
from tests.unit.report.samples import (
    MODEL,
    ORDER,
    frame_of,
    make_finding,
    make_prediction,
    make_source,
)

SOURCE = make_source()
PREDICTION = make_prediction(SOURCE)
SUBJECT = PREDICTION.findings[1]
REFUSAL = Refusal(cause=Cause.VIEW, detail="no image is of a frontal view", model=MODEL)


def drawn(sheet: Sheet, rows: int = 0) -> Pixels:
    pixels = np.empty((max(sheet.rows, rows), sheet.columns, 3), dtype=np.uint8)
    sheet.draw(pixels)
    return pixels


def notice_sheet(refusal: Refusal, order: Order) -> Sheet:
    return placard_sheet(not_analysed(refusal, order), order)


def panel(prediction: Prediction, order: Order, subject: Finding | None, rows: int) -> Pixels:
    return drawn(laid_out(prediction, order, subject, rows), rows)


def test_beside_a_small_frame_the_text_stays_readable_and_the_panel_grows() -> None:
    small = panel(PREDICTION, ORDER, SUBJECT, 64)
    assert small.shape[0] > 300
    assert small.shape[1] == 14 * 25


@pytest.mark.parametrize("rows", [700, 1024, 3000])
def test_beside_a_large_frame_it_is_as_tall_as_the_frame_and_its_text_grows(rows: int) -> None:
    large = panel(PREDICTION, ORDER, SUBJECT, rows)
    assert large.shape[0] == rows
    assert large.shape[1] > rows * 0.4
    used = np.nonzero((large != large[-1, -1]).any(axis=(1, 2)))[0]
    assert used.max() > rows * 0.6


def test_eighteen_findings_fit_beside_an_ordinary_radiograph() -> None:
    frame = frame_of(SOURCE.headers[0])
    many = tuple(make_finding(f"Finding number {n}", frame, n / 18) for n in range(18))
    tall = panel(replace(PREDICTION, findings=many), ORDER, many[17], 1500)
    assert tall.shape[0] == 1500


def test_a_word_longer_than_a_line_is_broken_and_not_lost() -> None:
    long = replace(MODEL, disclaimer="W" * 300)
    short = panel(PREDICTION, ORDER, SUBJECT, 64)
    tall = panel(replace(PREDICTION, model=long), ORDER, SUBJECT, 64)
    assert tall.shape[0] > short.shape[0] + 100
    assert (tall[:, -14:] == tall[0, 0]).all()  # the margin stays free


def test_a_bar_is_as_long_as_the_probability() -> None:
    frame = frame_of(SOURCE.headers[0])
    lengths = []
    for probability in (0.25, 0.5, 1.0):
        finding = make_finding("Nodule", frame, probability, threshold=0.0)
        pixels = panel(replace(PREDICTION, findings=(finding,)), ORDER, None, 600)
        colour = (240, 150, 20) if probability >= 0.5 else (112, 124, 138)
        lengths.append(int((pixels == colour).all(axis=2).sum(axis=1).max()))
    assert lengths[0] * 4 == pytest.approx(lengths[2], rel=0.05)
    assert lengths[1] * 2 == pytest.approx(lengths[2], rel=0.05)


def test_a_partial_study_and_a_subject_change_what_is_drawn() -> None:
    plain = panel(PREDICTION, ORDER, SUBJECT, 800)
    partial = panel(PREDICTION, replace(ORDER, partial=True), SUBJECT, 800)
    nothing = panel(PREDICTION, ORDER, None, 800)
    assert not np.array_equal(plain, partial)
    assert not np.array_equal(plain, nothing)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("rows", [64, 1000, 3000])
def test_in_every_language_the_margins_stay_free(language: str, rows: int) -> None:
    order = replace(ORDER, language=language, partial=True, expected=9, revision=2)
    frames = PREDICTION.frames * 7
    pixels = panel(replace(PREDICTION, frames=frames), order, SUBJECT, rows)
    size = pixels.shape[1] // 25
    for margin in (pixels[:, : size // 2], pixels[:, -size // 2 :]):
        assert (margin == BACKGROUND).all()


def test_the_disclaimer_stands_at_the_top_of_a_picture_and_of_a_notice() -> None:
    one, other = (replace(MODEL, disclaimer=f"Not for {purpose}") for purpose in ("aa", "ee"))
    pictures = [panel(replace(PREDICTION, model=m), ORDER, SUBJECT, 1000) for m in (one, other)]
    notices = [drawn(notice_sheet(replace(REFUSAL, model=m), ORDER)) for m in (one, other)]
    for first, second in (pictures, notices):
        rows = np.nonzero((first != second).any(axis=(1, 2)))[0]
        assert len(rows) > 0
        assert rows.max() < first.shape[0] / 2


def test_images_that_were_left_out_are_a_warning() -> None:
    whole = panel(PREDICTION, ORDER, SUBJECT, 1000)
    short = panel(replace(PREDICTION, left_out=2), ORDER, SUBJECT, 1000)
    warned = [(pixels == WARNING).all(axis=2).sum() for pixels in (whole, short)]
    assert warned[1] > 1.2 * warned[0]


def test_a_finding_is_called_as_the_order_speaks() -> None:
    named = replace(SUBJECT, names={"de": "Pleuraerguss"})
    order = replace(ORDER, language="de")
    german = panel(replace(PREDICTION, findings=(named,)), order, named, 800)
    other = replace(SUBJECT, names={"de": "Erguss"})
    assert (german != panel(replace(PREDICTION, findings=(other,)), order, other, 800)).any()


def test_says_whether_probabilities_are_calibrated() -> None:
    calibrated = replace(PREDICTION, model=replace(MODEL, calibration="temperature"))
    plain = panel(PREDICTION, ORDER, SUBJECT, 800)
    assert (plain != panel(calibrated, ORDER, SUBJECT, 800)).any()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("cause", Cause)
def test_a_notice_says_why_in_every_language(cause: Cause, language: str) -> None:
    order = replace(ORDER, language=language)
    told = drawn(notice_sheet(replace(REFUSAL, cause=cause), order))
    other = Cause.SIZE if cause is not Cause.SIZE else Cause.VIEW
    instead = drawn(notice_sheet(replace(REFUSAL, cause=other), order))
    assert told.shape[1] == instead.shape[1]
    assert told.shape != instead.shape or (told != instead).any()
    assert (told[:, -14:] == BACKGROUND).all()


def test_a_notice_stands_without_a_model_and_without_a_detail() -> None:
    bare = notice_sheet(Refusal(cause=Cause.MODEL_FAILED, detail="", model=None), ORDER)
    assert (drawn(bare) != drawn(notice_sheet(REFUSAL, ORDER), bare.rows)[: bare.rows]).any()
