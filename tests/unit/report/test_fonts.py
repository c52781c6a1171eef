"""Every script is drawn with the typefaces that come with the package."""

import re

import numpy as np
import pytest

from dicomnode.report.catalogue import LANGUAGES, words
from dicomnode.report.drawn import fonts
from dicomnode.report.drawn.direction import visual
from dicomnode.report.drawn.fonts import Type, lines, path, runs

SCRIPTS = {
    "accents": "Ærø Zażółć gęślą jaźń Đặng Thị Ấ Øü ßéñçÿ Šťastný Ţăran Ğ İı",
    "greek": "Παπαδόπουλος Γεώργιος ΰ",
    "cyrillic": "Люксембург Ђорђевић Їжак Ёлкин",
    "kanji": "山田太郎 髙橋 齋藤 渡邊",
    "kana": "やまだ たろう ヤマダ ﾔﾏﾀﾞ ー",
    "hangul": "홍길동 김희중 뷁",
    "chinese": "王小东 張學友 龍 概率 胸腔积液",
    "thai": "สวัสดี กิตติ",
    "hebrew": "כהן שרון",
    "arabic": "قباني لنزار",
    "signs": "≥ 6 mm → ± ° µ “x” — … ©",
}


@pytest.mark.parametrize("text", SCRIPTS.values(), ids=SCRIPTS.keys())
@pytest.mark.parametrize("bold", [False, True])
def test_no_character_of_any_script_is_an_empty_box(text: str, bold: bool) -> None:
    pieces = runs(text, bold=bold)
    assert "".join(part for _, part in pieces) == visual(text)
    for face, part in pieces:
        assert set(part) <= fonts._characters(face)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_whole_catalogue_can_be_drawn(language: str) -> None:
    catalogue = words(language)
    for key in sorted(catalogue.keys()):
        said = re.sub(r"{\w+}", "", catalogue.name(key, ""))
        assert all(set(part) <= fonts._characters(face) for face, part in runs(said))


def test_what_no_typeface_has_is_drawn_all_the_same() -> None:
    assert Type(20).mask("\U0001f9ff").any()


def test_a_mark_stays_with_its_letter() -> None:
    assert [part for _, part in runs("漢e\u0301")] == ["漢", "e\u0301"]


def test_different_letters_look_different_in_every_script() -> None:
    drawn = Type(24)
    for text in SCRIPTS.values():
        first, second = text[0], text[1]
        assert drawn.mask(first).tobytes() != drawn.mask(second).tobytes()


@pytest.mark.parametrize("size", [14, 23, 83])
def test_a_line_is_as_wide_as_it_says_and_bold_is_bolder(size: int) -> None:
    for text in SCRIPTS.values():
        mask = Type(size).mask(text)
        ink = np.flatnonzero(mask.any(axis=0))
        assert ink[-1] <= Type(size).length(text) + size // 4
        assert mask.shape[0] == Type(size).height
    bold = Type(size, bold=True).mask("Pleural effusion").sum(dtype=int)
    assert bold > 1.15 * Type(size).mask("Pleural effusion").sum(dtype=int)


def test_an_accent_on_a_capital_is_not_cut_off() -> None:
    mask = Type(40).mask("Ấ")
    assert not mask[0].any()
    assert mask[:10].any()


@pytest.mark.parametrize("text", [*SCRIPTS.values(), "Pleuraverdickung/Pleuraschwiele, beidseits"])
def test_lines_hold_all_of_the_text_within_the_width(text: str) -> None:
    broken = lines(text, 40, Type(14).length)
    assert len(broken) > 1
    assert all(Type(14).length(line) <= 40 for line in broken)
    assert "".join(broken).replace(" ", "") == text.replace(" ", "")


def test_chinese_is_broken_between_characters_and_never_before_a_stop() -> None:
    text = "自动生成的结果，未经医师核实。" * 4  # noqa: RUF001
    for width in range(60, 140, 7):
        broken = lines(text, width, Type(14).length)
        assert all(line[0] not in "，。" for line in broken)  # noqa: RUF001
        assert all(Type(14).length(line) > width - 45 for line in broken[:-1])


def test_words_are_broken_after_a_hyphen_or_a_slash() -> None:
    assert lines("left/right-sided", 60, Type(14).length) == ["left/", "right-", "sided"]


def test_each_typeface_is_named_with_its_licence() -> None:
    said = path("x").with_name("LICENSES.txt").read_text("utf-8")
    for typeface in path("x").parent.glob("*.ttf"):
        assert typeface.name in said
