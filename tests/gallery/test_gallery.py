"""The gallery draws each kind of result of each outcome with nothing else at hand."""

import re
from pathlib import Path

import pytest
from PIL import Image

from tests.gallery.__main__ import gallery
from tests.gallery.kinds import KINDS

OUTCOMES = ("positive", "partial CT", "multi-frame", "not analysed", "withdrawn", "Chinese")
MARKED = ("one finding", "one class", "grade", "two views", "volume", "several models")
UNMARKED = ("normal class", "no class", "lowest grade", "grade undetermined")
REFUSED = ("one view missing", "torn volume")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gallery(tmp_path_factory.mktemp("gallery"), (*OUTCOMES, *KINDS), viewers=False)


def titles(index: Path, study: str) -> list[str]:
    text = index.read_text("utf-8").partition(f'id="{study.replace(" ", "-").lower()}"')[2]
    section = text.partition("</section>")[0]
    return [found.strip() for found in re.findall(r"<figcaption>([^<]+)<", section)]


@pytest.mark.parametrize("study", ["positive", "partial CT", "multi-frame", *MARKED])
def test_every_kind_of_a_result_is_on_the_page(index: Path, study: str) -> None:
    assert set(titles(index, study)) == {
        "Secondary Capture", "Segmentation", "Presentation State", "Comprehensive SR",
        "Comprehensive 3D SR", "Basic Text SR", "Encapsulated PDF", "Key Object Selection",
    }  # fmt: skip


@pytest.mark.parametrize("study", ["not analysed", *REFUSED, *UNMARKED])
def test_where_nothing_is_pointed_at_there_are_words_and_a_picture(index: Path, study: str) -> None:
    assert titles(index, study) == [
        "Secondary Capture", "Comprehensive SR", "Comprehensive 3D SR", "Basic Text SR",
        "Encapsulated PDF",
    ]  # fmt: skip


@pytest.mark.parametrize("study", REFUSED)
def test_what_does_not_suit_a_kind_is_not_analysed(index: Path, study: str) -> None:
    (page,) = index.parent.glob(f"{study.replace(' ', '-')}-*-text.html")
    assert "NOT ANALYSED" in page.read_text("utf-8")


def test_what_was_withdrawn_has_addenda_and_a_rejection_on_the_page(index: Path) -> None:
    shown = titles(index, "withdrawn")
    assert shown.count("Comprehensive SR") == shown.count("Key Object Selection") == 2
    assert "Rejected for Quality Reasons" in index.read_text("utf-8")


def test_every_picture_and_page_that_is_named_is_there_and_shows_something(index: Path) -> None:
    named = set(re.findall(r'(?:href|src)="([^"#]+)"', index.read_text("utf-8")))
    assert len(named) > 20
    for name in named:
        file = index.parent / name
        assert file.stat().st_size > 100
        if file.suffix == ".png":
            with Image.open(file) as picture:
                lowest, highest = picture.convert("L").getextrema()
            assert lowest != highest


def test_a_report_in_chinese_shows_the_name_in_chinese(index: Path) -> None:
    pages = [file.read_text("utf-8") for file in index.parent.glob("chinese-*-sr.html")]
    assert pages
    assert all("王" in page and 'lang="zh' in page for page in pages)
