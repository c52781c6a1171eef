"""Names from the right are drawn from the right, in letters that join."""

import pytest

from dicomnode.report.drawn.direction import visual
from dicomnode.report.drawn.fonts import Type, runs

# Letters by their code charts: what a person who writes Arabic sees, from left to right.
DRAWN = {
    "Müller, 山田 97 % (x)": "Müller, 山田 97 % (x)",
    "שרון": "ןורש",
    "כהן, שרון": "ןורש ,ןהכ",
    "Sharon / שרון כהן / x": "Sharon / ןהכ ןורש / x",
    "כהן (אב)": "(בא) ןהכ",
    "(כהן)": "(ןהכ)",
    "אב 12.5 גד": "דג 12.5 בא",
    "שָׁר": "רשָׁ",
    "محمد": "\ufeaa\ufee4\ufea4\ufee3",
    "دار": "\ufead\ufe8d\ufea9",
    "السلام": "\ufee1\ufefc\ufeb4\ufedf\ufe8d",
    "لا": "\ufefb",
    "بَب": "\ufe90\ufe91\u064e",
    "ب ب": "\ufe8f \ufe8f",
    "پیچ": "\ufb7b\ufbff\ufb58",
}


@pytest.mark.parametrize(("text", "drawn"), DRAWN.items())
def test_is_drawn_as_it_is_read(text: str, drawn: str) -> None:
    assert visual(text) == drawn


@pytest.mark.parametrize("text", ["", "ب", "لل", "١٢٣", "(", "שׁ", "ـبـ"])
def test_whatever_there_is_keeps_its_characters(text: str) -> None:
    assert len(visual(text)) == len(text)


def test_runs_and_pictures_of_text_are_in_that_order() -> None:
    assert "".join(part for _, part in runs("שרון")) == "ןורש"
    assert (Type(20).mask("אב") == Type(20).mask("אב")).all()
    assert Type(20).mask("ממד").shape == Type(20).mask("דממ").shape


def test_joined_letters_have_a_glyph() -> None:
    names = "قباني لنزار محمد عبد الرحمن خديجة پیچ گل"
    for bold in (False, True):
        assert {face for face, _ in runs(names, bold=bold)} <= {
            "NotoSans-Regular",
            "NotoSans-Bold",
            "DejaVuSans",
        }
