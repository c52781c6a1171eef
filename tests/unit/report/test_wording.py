"""What a result says in words."""

from dataclasses import replace

import pytest

from dicomnode.answers import (
    Concept,
    Interval,
    Presence,
    Refusal,
    Translation,
)
from dicomnode.errors import Cause
from dicomnode.report import wording
from dicomnode.report.catalogue import LANGUAGES, words
from tests.unit.report.samples import (
    MODEL,
    ORDER,
    POINT,
    earlier_report,
    frame_of,
    make_ct,
    make_finding,
    make_header,
    make_prediction,
    make_source,
    measured,
)


@pytest.mark.parametrize(
    ("probability", "said"),
    [
        (0.0, "< 0.1 %"),
        (0.0004, "< 0.1 %"),
        (0.125, "12.5 %"),
        (0.9996, "> 99.9 %"),
        (1.0, "> 99.9 %"),
    ],
)
def test_a_probability_is_never_rounded_to_certainty(probability: float, said: str) -> None:
    assert wording.percent(probability) == said


def test_what_is_present_comes_first_then_what_is_probable() -> None:
    frame = frame_of(make_header())
    sure = make_finding("a", frame, 0.6, presence=Presence.PRESENT)
    surer = make_finding("b", frame, 0.7, presence=Presence.PRESENT)
    unsure = make_finding("c", frame, 0.9, presence=Presence.UNDETERMINED)
    no = make_finding("d", frame, 0.95, presence=Presence.ABSENT)

    assert wording.by_weight((no, sure, unsure, surer)) == [surer, sure, unsure, no]


def test_the_headline_names_what_is_above_its_threshold() -> None:
    source = make_source()
    assert wording.headline(make_prediction(source), ORDER) == (
        "Above threshold: Pleural effusion (97.0 %). Undetermined: Nodule."
    )
    assert wording.headline(make_prediction(source, regions=0), ORDER) == (
        "No finding above its threshold. Undetermined: Nodule."
    )


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        (412, "PARTIAL STUDY: 307 of 412 images received. Images analysed: 5."),
        (
            None,
            "PARTIAL STUDY: images received: 307; more were expected. Images analysed: 5.",
        ),
    ],
)
def test_a_partial_study_is_told_with_numbers(expected: int | None, said: str) -> None:
    order = replace(ORDER, partial=True, received=307, expected=expected)
    assert wording.completeness(make_prediction(make_ct(5)), order) == said


def test_a_whole_study_says_how_many_images_were_analysed() -> None:
    assert wording.completeness(make_prediction(make_source()), ORDER) == "Images analysed: 1."


def test_images_that_the_model_is_not_for_are_counted() -> None:
    prediction = replace(make_prediction(make_source()), left_out=2)
    assert wording.completeness(prediction, ORDER) == (
        "Images analysed: 1. "
        "Images left out, as the model is not for them or does not look at them: 2."
    )


def test_a_revision_says_what_it_supersedes_and_a_first_result_does_not() -> None:
    source = make_source()
    again = replace(ORDER, revision=2, predecessors=(earlier_report(source),))
    assert wording.revision(ORDER) == ""
    assert "Revision 2: supersedes" in wording.revision(again)


@pytest.mark.parametrize(("left_out", "partial"), [(0, False), (2, False), (0, True)])
def test_what_is_missing_or_left_out_is_a_warning_and_a_whole_study_none(
    left_out: int, partial: bool
) -> None:
    prediction = replace(make_prediction(make_source()), left_out=left_out)
    order = replace(ORDER, partial=partial)
    whole = wording.completeness(prediction, order)
    assert wording.shortfall(prediction, order) == (whole if left_out or partial else "")


TRANSLATED = replace(
    MODEL, translations={"de": Translation(disclaimer="Nur zum Zeigen"), "fr": Translation()}
)


@pytest.mark.parametrize(
    ("language", "said"),
    [("de", "Nur zum Zeigen"), ("fr", MODEL.disclaimer), ("zh", MODEL.disclaimer)],
)
def test_the_disclaimer_is_said_in_the_language_of_the_order_or_else_in_english(
    language: str, said: str
) -> None:
    assert wording.disclaimer(TRANSLATED, words(language)) == said
    assert wording.cautions(TRANSLATED, words(language))[1] == said
    assert wording.disclaimer(None, words(language)) == ""


def test_the_intended_use_is_said_in_the_language_of_the_order_or_else_in_english() -> None:
    model = replace(MODEL, translations={"de": Translation(intended_use="Zum Ausprobieren")})
    assert wording.intended_use(model, words("de")) == "Zweckbestimmung: Zum Ausprobieren"
    assert wording.intended_use(TRANSLATED, words("de")) == "Zweckbestimmung: Trying the node out"
    assert wording.intended_use(replace(MODEL, intended_use=""), words("de")) == ""


def test_what_it_was_measured_on_is_said_in_the_language_of_the_order() -> None:
    (finding, *_) = make_prediction(make_source()).findings
    finding = replace(finding, operating=replace(POINT, translations={"de": "Zeichnungen"}))
    prediction = replace(make_prediction(make_source()), findings=(finding,))
    said = {
        language: wording.performance(prediction, replace(ORDER, language=language))[1]
        for language in ("de", "fr")
    }
    assert said["de"].endswith("gemessen an: Zeichnungen.")
    assert said["fr"].endswith("drawings.")


def test_a_refused_view_names_the_views_that_the_card_has() -> None:
    refusal = Refusal(cause=Cause.VIEW, detail="", model=MODEL)
    assert wording.reason(refusal, words("en")).endswith("Views that the model is for: PA, AP.")
    for other in (
        replace(refusal, cause=Cause.SIZE),
        replace(refusal, model=replace(MODEL, views=())),
        replace(refusal, model=None),
    ):
        assert "PA" not in wording.reason(other, words("en"))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("cause", [Cause.VIEW, Cause.SIZE, Cause.PIXELS, Cause.NONE_FITS])
def test_who_corrects_an_image_is_told_to_give_it_a_new_uid(cause: Cause, language: str) -> None:
    refusal = Refusal(cause=cause, detail="", model=MODEL)
    assert "SOP Instance UID" in wording.remedy(refusal, words(language))


def test_caution_and_disclaimer_are_always_said() -> None:
    notes = wording.notes(make_prediction(make_source()), ORDER)
    assert ORDER.words.say("caution") in notes
    assert MODEL.disclaimer in notes


@pytest.mark.parametrize(
    ("language", "said"), [("en", "12.5 %"), ("de", "12,5 %"), ("fr", "12,5 %"), ("zh", "12.5%")]
)
def test_a_number_is_written_as_in_its_language(language: str, said: str) -> None:
    assert wording.percent(0.125, words(language)) == said
    assert wording.percent(0.0004, words("de")) == "< 0,1 %"


@pytest.mark.parametrize(
    ("label", "meaning", "names", "said"),
    [
        ("pleural effusion", "Pleural effusion", {}, "Pleuraerguss"),
        ("Effusion", "Pleural effusion", {}, "Pleuraerguss"),
        ("Pleural_Thickening", "Pleural thickening", {}, "Pleuraverdickung"),
        ("right pleural effusion", "Pleural effusion", {}, "right pleural effusion"),
        ("nodule", "Nodule", {"de": "Knoten", "fr": "Nodule"}, "Knoten"),
        ("nodule", "Nodule", {"fr": "Nodule"}, "Rundherd"),
        ("rib notching", "Rib notching", {}, "rib notching"),
    ],
)
def test_a_finding_is_called_by_its_card_then_by_the_catalogue_then_by_its_label(
    label: str, meaning: str, names: dict[str, str], said: str
) -> None:
    concept = Concept(value="1", scheme="99TEST", meaning=meaning)
    finding = make_finding(label, frame_of(make_header()), 0.5, concept=concept, names=names)
    assert wording.name(finding, words("de")) == said


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("", "Probabilities are not calibrated: they are scores of the model, not frequencies."),
        ("temperature", "Probabilities are calibrated (temperature scaling)."),
        ("of their own", "Probabilities are calibrated (of their own)."),
    ],
)
def test_it_is_said_whether_probabilities_are_calibrated(method: str, said: str) -> None:
    model = replace(MODEL, calibration=method)
    assert wording.certainty(model, ORDER.words) == said
    prediction = replace(make_prediction(make_source()), model=model)
    assert said in wording.notes(prediction, ORDER)


def test_the_operating_point_is_told_with_its_intervals_and_its_data_once() -> None:
    prediction = measured(make_prediction(make_source()))
    assert wording.performance(prediction, ORDER) == [
        *(
            f"{label}: threshold 50.0 %; sensitivity 91.2 % (95 % CI 88.0 % to 93.5 %), specificity"
            " 89.0 % (95 % CI 86.1 % to 91.4 %); 120 cases with and 300 without the finding."
            for label in ("Pleural effusion", "Nodule", "Cardiomegaly")
        ),
        "Pneumothorax: threshold 50.0 %.",
        "Sensitivity and specificity were measured on: drawings.",
        "Where sensitivity and specificity are not given, they are not known.",
    ]


def test_a_measured_share_is_said_as_counted_and_its_interval_never_narrower() -> None:
    most = Interval(value=1.0, low=0.9996, high=1.0)
    some = Interval(value=0.5, low=0.4511, high=0.5489)
    (finding, *_) = make_prediction(make_source()).findings
    finding = replace(finding, operating=replace(POINT, sensitivity=most, specificity=some))
    prediction = replace(make_prediction(make_source()), findings=(finding,))
    line = wording.performance(prediction, ORDER)[0]
    assert "100.0 % (95 % CI 99.9 % to 100.0 %)" in line
    assert "50.0 % (95 % CI 45.1 % to 54.9 %)" in line


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_study_that_lacks_a_view_is_not_called_incomplete(language: str) -> None:
    """A chest may be whole without a lateral; what is missing is something that the model needs."""
    refusal = Refusal(cause=Cause.INCOMPLETE, detail="it has no LATERAL", model=MODEL)
    said = wording.reason(refusal, words(language)) + wording.remedy(refusal, words(language))
    for term in ("incomplete", "unvollständig", "incomplet", "不完整"):
        assert term not in said
