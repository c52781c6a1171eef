"""The page: one file, no links out, all words escaped, every reason said."""

import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from dicomnode.learn.measures.evaluation import Plan, evaluate
from dicomnode.learn.measures.points import parse_point
from dicomnode.learn.measures.results import Evaluation
from dicomnode.learn.measures.sample import Group, Opinion, Sample
from dicomnode.learn.page.page import page

_VOID = {"meta"}


class Balanced(HTMLParser):
    """Notes tags that are not closed in the order in which they were opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Closed where it is opened, as in SVG."""

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def made(**changes: Any) -> Evaluation:
    rng = np.random.default_rng(1)
    truth = (rng.random((60, 2)) < 0.4).astype(np.int8)
    scores = (rng.random((60, 2)) + truth * 0.5) / 1.5
    usual: dict[str, Any] = {
        "name": "model",
        "findings": ("mass", "edema"),
        "truth": truth,
        "scores": scores,
        "patients": np.arange(60),
        "groups": (
            Group(variable="sex", name="F", rows=np.arange(25)),
            Group(variable="sex", name="M", rows=np.arange(25, 60)),
        ),
        "others": (
            Opinion(name="older", scores=rng.random((60, 2))),
            Opinion(name="anna", scores=truth.astype(np.float64), binary=True),
        ),
    }
    points = tuple(parse_point(text) for text in ("youden", "specificity=0.9", "1"))
    return evaluate(Sample(**(usual | changes)), Plan(points=points, resamples=30))


def words(text: str) -> str:
    parser = Balanced()
    parser.feed(text)
    return " ".join("".join(parser.words).split())


@pytest.fixture(scope="module")
def whole() -> str:
    return page(made(), {"table": "said.csv"})


def test_the_page_is_well_formed(whole: str) -> None:
    parser = Balanced()
    parser.feed(whole)
    parser.close()

    assert (parser.wrong, parser.open) == ([], [])


def test_the_page_needs_nothing_from_elsewhere(whole: str) -> None:
    assert not re.search(r"(https?:)?//\w", whole.replace("</", ""))
    assert "<script" not in whole
    assert not re.search(r"\b(src|@import|url\()", whole)
    assert {link for link in re.findall(r'href="([^"]*)"', whole) if link[0] != "#"} == set()


def test_every_link_has_its_place(whole: str) -> None:
    links = set(re.findall(r'href="#([^"]*)"', whole))

    assert len(links) == 2
    assert links == set(re.findall(r' id="([^"]*)"', whole))


def test_all_plots_have_labelled_axes_and_a_title(whole: str) -> None:
    said = words(whole)

    for label in ("1 - specificity", "recall (sensitivity)", "mean probability", "observed share"):
        assert said.count(label) >= 2
    for title in ("ROC curve of mass", "Precision and recall of mass", "Calibration of edema"):
        assert f'aria-label="{title}"' in whole


def test_how_many_have_a_finding_is_said_where_it_is_judged(whole: str) -> None:
    positives = int(made().lines[0].positives)

    assert f"{positives} of 60 images have it, of 60 patients" in words(whole)
    assert "PPV, NPV, F1 and average precision depend on how frequent" in words(whole)


def test_light_and_dark_and_small_screens_are_thought_of(whole: str) -> None:
    assert "prefers-color-scheme: dark" in whole
    assert 'name="viewport"' in whole


def test_others_are_drawn_and_told(whole: str) -> None:
    said = words(whole)

    assert "Beside older" in said
    assert "Beside anna" in said
    assert 'class="other"' in whole
    assert 'class="reader"' in whole
    assert "p of each finding by DeLong, of the mean by bootstrap" in said


def test_a_reason_is_said_once_below_its_table(whole: str) -> None:
    assert "1 nothing is called present" in words(whole)


def test_words_from_outside_are_escaped() -> None:
    evil = "<script>alert(1)</script>&\"'"
    text = page(made(name=evil, findings=(evil, "edema")), {evil: evil})

    assert "<script" not in text
    assert "&lt;script&gt;" in text
    parser = Balanced()
    parser.feed(text)
    assert (parser.wrong, parser.open) == ([], [])


def test_a_finding_that_nobody_has_has_no_plots_and_says_why() -> None:
    truth = (np.random.default_rng(1).random((60, 2)) < 0.4).astype(np.int8)
    truth[:, 0] = 0
    text = page(made(truth=truth, others=()), {})

    assert "No plots: no image has it." in words(text)
    assert "ROC curve of mass" not in text
    assert "ROC curve of edema" in text


def test_one_finding_needs_no_mean() -> None:
    rng = np.random.default_rng(1)
    truth = (rng.random((60, 1)) < 0.4).astype(np.int8)
    one = made(findings=("mass",), truth=truth, scores=rng.random((60, 1)), others=())

    assert "mean of" not in page(one, {})


def test_the_same_evaluation_is_the_same_page() -> None:
    assert page(made(), {}) == page(made(), {})
