"""One of several classes, and a grade, are said as that; marks are where there is something."""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydicom import Dataset

from dicomnode.answers import Prediction
from dicomnode.records import ResultKind
from dicomnode.report import codes, wording
from dicomnode.report.results import make_results
from tests.unit.report.forms import classes, grades
from tests.unit.report.samples import ORDER, make_source, read

EVERYTHING = replace(ORDER, kinds=frozenset(ResultKind))
ANSWERS = {
    "a class": classes(make_source()),
    "a normal class": classes(make_source(), "Normal"),
    "an unclear class": classes(make_source(), ""),
    "a grade": grades(make_source()),
    "the lowest grade": grades(make_source(), ("KL 0",)),
    "an unclear grade": grades(make_source(), ("KL 2", "KL 3")),
}
HEADLINES = {
    "a class": "Most probable: Viral pneumonia (72.0 %).",
    "a normal class": "Most probable: Normal (8.0 %).",
    "an unclear class": "Undetermined: no class is clearly above its threshold. "
    "Most probable: Bacterial pneumonia (36.0 %).",
    "a grade": "Grade: KL 2 (this grade or higher: 81.0 %); the scale is KL 0 to KL 4.",
    "the lowest grade": "Grade: KL 0 (5.0 %); the scale is KL 0 to KL 4.",
    "an unclear grade": "Grade undetermined, close to a threshold: KL 2, KL 3.",
}
MARKED = {"a class", "a grade"}


def results(name: str) -> dict[ResultKind, Dataset]:
    made = make_results(make_source(), ANSWERS[name], EVERYTHING)
    return {result.kind: read(result) for result in made}


def items(ds: Dataset) -> Iterator[Dataset]:
    for item in ds.get("ContentSequence") or []:
        yield item
        yield from items(item)


@pytest.mark.parametrize("name", ANSWERS)
def test_the_headline_says_which_it_is(name: str) -> None:
    assert wording.headline(ANSWERS[name], ORDER) == HEADLINES[name]


@pytest.mark.parametrize("name", ANSWERS)
def test_every_kind_of_result_passes_the_gate_and_marks_only_what_is_there(name: str) -> None:
    made = results(name)
    marks = {ResultKind.SEG, ResultKind.GSPS, ResultKind.KO}
    assert set(made) == set(ResultKind) - (set() if name in MARKED else marks)


def coded_presence(ds: Dataset) -> dict[str, str]:
    """What the report's qualitative evaluations say of each concept."""
    said = {concept.value: presence.name for presence, concept in codes.PRESENCE.items()}
    return {
        item.ConceptNameCodeSequence[0].CodeMeaning: said[value]
        for item in items(ds)
        if item.ValueType == "CODE"
        and (value := item.ConceptCodeSequence[0].get("CodeValue")) in said
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a class", ["ABSENT", "ABSENT", "PRESENT"]),
        ("an unclear class", ["UNDETERMINED"] * 3),
        ("a grade", ["ABSENT", "ABSENT", "PRESENT", "ABSENT", "ABSENT"]),
        ("an unclear grade", ["ABSENT", "ABSENT", "UNDETERMINED", "UNDETERMINED", "ABSENT"]),
    ],
)
def test_codes_say_that_one_is_present_or_that_it_is_not_determined(
    name: str, expected: list[str]
) -> None:
    said = coded_presence(results(name)[ResultKind.SR])
    assert [said[finding.label] for finding in ANSWERS[name].findings] == expected


def numbers(ds: Dataset) -> dict[str, float]:
    return {
        item.ConceptNameCodeSequence[0].CodeMeaning: float(
            item.MeasuredValueSequence[0].NumericValue
        )
        for item in items(ds)
        if item.ValueType == "NUM"
    }


def test_the_number_of_a_grade_is_named_for_what_it_counts() -> None:
    found = numbers(results("a grade")[ResultKind.SR])
    assert found["KL 2 or higher probability"] == 81
    assert found["KL 1 or higher probability"] == 95
    assert found["KL 0 probability"] == 5
    assert "KL 2 probability" not in found


def text(ds: Dataset) -> str:
    return " ".join(item.TextValue for item in items(ds) if item.ValueType == "TEXT")


def test_sentences_say_how_probable_a_class_or_grade_is() -> None:
    said = text(results("a class")[ResultKind.TEXT])
    assert "Viral pneumonia: most probable. Probability 72.0 %." in said
    assert "Normal: less probable. Probability 8.0 %." in said
    said = text(results("a grade")[ResultKind.TEXT])
    assert "KL 2: assigned grade. Probability of this grade or a higher one 81.0 %." in said
    assert "KL 0: exceeded. Probability 5.0 %." in said
    assert "KL 2 or higher: threshold 50.0 %." in said


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a grade", ["exceeded", "reached", "assigned grade", "not reached", "not reached"]),
        ("the lowest grade", ["assigned grade", *["not reached"] * 4]),
        (
            "an unclear grade",
            ["exceeded", "reached", *["possible grade, close to threshold"] * 2, "not reached"],
        ),
    ],
)
def test_of_grades_it_is_said_which_are_reached(name: str, expected: list[str]) -> None:
    assert above(ANSWERS[name]) == expected


@pytest.mark.parametrize("name", ["a grade", "an unclear grade"])
def test_grades_are_listed_as_they_ascend(name: str) -> None:
    said = text(results(name)[ResultKind.TEXT])
    assert re.findall(r"KL \d(?=:)", said.partition("KL 0:")[1] + said.partition("KL 0:")[2]) == [
        *["KL 0", "KL 1", "KL 2", "KL 3", "KL 4"],
        "KL 0",  # and its threshold
    ]


def test_maps_of_several_models_are_named_in_the_language() -> None:
    several = replace(ANSWERS["a class"].model, members=("one@1", "other@2"))
    several = replace(several, explanation="Mean of the members' maps")
    german = replace(EVERYTHING, language="de")
    made = make_results(make_source(), replace(ANSWERS["a class"], model=several), german)
    said = text(next(read(result) for result in made if result.kind is ResultKind.TEXT))
    assert "Regionen und Heatmap: Mittel der Karten der Modelle." in said
    assert "members" not in said


@pytest.mark.parametrize(
    ("name", "words"),
    [("an unclear class", "frame: no class is clear"), ("an unclear grade", "no grade is clear")],
)
def test_no_picture_of_an_unclear_answer_says_that_nothing_was_found(name: str, words: str) -> None:
    assert words in results(name)[ResultKind.SC].DerivationDescription


def above(prediction: Prediction) -> list[str]:
    return [wording.assessment(finding, prediction, ORDER.words) for finding in prediction.findings]


def test_no_class_or_grade_is_called_a_finding_above_a_threshold() -> None:
    for name, prediction in ANSWERS.items():
        assert not any("above threshold" in said for said in above(prediction)), name


def test_a_model_that_is_several_names_them_in_its_report() -> None:
    several = replace(ANSWERS["a class"].model, members=("one@1", "other@2"))
    made = make_results(make_source(), replace(ANSWERS["a class"], model=several), EVERYTHING)
    said = text(next(read(result) for result in made if result.kind is ResultKind.TEXT))
    assert "It is the mean of 2 models: one@1, other@2." in said
    assert "SHA-256 of what the models are and how they are joined: " in said
    assert "SHA-256 of the weights" not in said
    assert "Regions and heat map: mean of the models' maps." in said
    assert all(result.members == ("one@1", "other@2") for result in made)
