"""The panel: it always fits its frame, or grows, and it shows no identity."""

from dataclasses import replace

import numpy as np
import pytest

from dicomnode.report.panel import panel
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
        drawn = panel(replace(PREDICTION, findings=(finding,)), ORDER, None, 600)
        colour = (240, 150, 20) if probability >= 0.5 else (112, 124, 138)
        lengths.append(int((drawn == colour).all(axis=2).sum(axis=1).max()))
    assert lengths[0] * 4 == pytest.approx(lengths[2], rel=0.05)
    assert lengths[1] * 2 == pytest.approx(lengths[2], rel=0.05)


def test_a_partial_study_and_a_subject_change_what_is_drawn() -> None:
    plain = panel(PREDICTION, ORDER, SUBJECT, 800)
    partial = panel(PREDICTION, replace(ORDER, partial=True), SUBJECT, 800)
    nothing = panel(PREDICTION, ORDER, None, 800)
    assert not np.array_equal(plain, partial)
    assert not np.array_equal(plain, nothing)
