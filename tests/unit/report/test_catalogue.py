"""The words of results: the same in every language, all there, none for nothing."""

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from dicomnode import report
from dicomnode.answers import Refusal
from dicomnode.errors import Cause
from dicomnode.records import ResultKind, WithdrawalReason
from dicomnode.report.catalogue import LANGUAGES, words
from dicomnode.report.notice import make_notices
from dicomnode.report.results import make_results
from dicomnode.report.withdrawal import make_withdrawal
from tests.unit.report.forms import classes, grades
from tests.unit.report.samples import (
    MODEL,
    ORDER,
    earlier_report,
    make_ct,
    make_header,
    make_prediction,
    make_source,
    measured,
    read,
)

TRANSLATED = sorted(set(LANGUAGES) - {"en"})


def braces(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name}


def sentences(language: str) -> dict[str, str]:
    return dict(words(language)._sentences)


def test_there_are_five_languages() -> None:
    assert LANGUAGES == ("de", "en", "es", "fr", "zh")
    with pytest.raises(KeyError):
        words("../en")


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_language_says_everything_with_the_same_names_in_braces(language: str) -> None:
    english, other = sentences("en"), sentences(language)
    assert set(other) == set(english)
    assert {key: braces(text) for key, text in other.items()} == {
        key: braces(text) for key, text in english.items()
    }
    assert {key for key, text in other.items() if not text} <= {"marks.between_sentences"}


@pytest.mark.parametrize("language", TRANSLATED)
def test_no_sentence_was_left_in_english(language: str) -> None:
    english, other = sentences("en"), sentences(language)
    long = {key for key in english if len(english[key].split()) > 3}
    assert not {key for key in long if english[key] == other[key]}


class Used(dict[str, str]):
    """A catalogue that notes what it was asked for."""

    def __init__(self, sentences: dict[str, str]) -> None:
        super().__init__(sentences)
        self.keys_used: set[str] = set()

    def __getitem__(self, key: str) -> str:
        self.keys_used.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.keys_used.add(key)
        return super().get(key, default)


def render_everything(language: str) -> None:
    """Each kind of result, notice and recall, with all that may be said in it."""
    order = replace(ORDER, kinds=frozenset(ResultKind), language=language)
    plain, series = make_source(make_header(PatientSex="M")), make_ct(3)
    again = replace(order, revision=2, predecessors=(earlier_report(series),))
    short = replace(again, partial=True, received=3, expected=12)
    shorter = replace(short, expected=None)
    made = make_results(plain, measured(make_prediction(plain), "temperature"), order)
    other = make_source(make_header(PatientSex="F"))
    make_results(other, make_prediction(other, regions=0), order)
    for method in ("isotonic", "platt"):
        some = replace(measured(make_prediction(series), method), left_out=1)
        make_results(series, some, short)
    for answer in (classes(plain), classes(plain, ""), grades(plain)):
        make_results(plain, answer, order)
    several = replace(MODEL, members=("one@1", "other@1"))
    apart = make_source(make_header(), make_header(2, SeriesInstanceUID="2.25.8"))
    make_results(apart, make_prediction(apart), order)
    for regions in (0, 1):
        make_results(series, make_prediction(series, regions, together=True), order)
    make_results(plain, replace(grades(plain, ("KL 2", "KL 3")), model=several), order)
    for cause in Cause:
        make_notices([make_header()], Refusal(cause=cause, detail="why", model=MODEL), shorter)
    make_notices([make_header()], Refusal(cause=cause, detail="", model=None), order)
    for reason in WithdrawalReason:
        make_withdrawal(read(made[0]), [result.ref for result in made], reason, order)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_key_is_used_and_every_key_used_is_there(
    language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = words(language)
    used = Used(sentences(language))
    monkeypatch.setattr(catalogue, "_sentences", used)

    render_everything(language)

    names = {key for key in used if key.startswith("finding.")}  # asked for by their meaning
    assert set(used) - used.keys_used - names == set()
    assert len(names & used.keys_used) == 4


def literal_keys() -> Iterator[str]:
    """Every key that is written out as `say("...")` in `report`."""
    for file in Path(report.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
                if isinstance(node.func, ast.Name):
                    called = node.func.id
                if called == "say":
                    yield str(node.args[0].value)


def test_every_key_that_is_written_out_is_there() -> None:
    written = set(literal_keys())
    assert len(written) > 30
    assert written <= words("en").keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_object_says_in_its_language_that_nobody_verified_it(language: str) -> None:
    source = make_source()
    kinds = frozenset({ResultKind.SC, ResultKind.SR, ResultKind.SR3D, ResultKind.TEXT})
    order = replace(ORDER, kinds=kinds, language=language)
    caution = words(language).say("caution").encode()
    for result in make_results(source, make_prediction(source), order):
        assert caution in result.part10
