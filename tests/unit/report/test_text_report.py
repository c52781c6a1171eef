"""The result in sentences: what is read first, and that nothing but sentences is in it."""

from dataclasses import replace
from typing import Any

import pytest
from pydicom import Dataset

from dicomnode.records import ResultKind
from dicomnode.report import codes
from dicomnode.report.request import Source
from dicomnode.report.results import make_results
from dicomnode.report.sr.narrative import Section, narrative
from tests.unit.report.samples import (
    MODEL,
    ORDER,
    earlier_report,
    frame_of,
    make_ct,
    make_finding,
    make_prediction,
    make_source,
    measured,
    read,
)
from tests.unit.report.test_structured import listed
from tests.unit.report.test_tree import children, code_of, everything

IMPRESSIONS, FINDINGS, METHOD = "19005-8", "59776-5", "55111-9"


def text_of(source: Source | None = None, regions: int = 1, **order: Any) -> Dataset:
    """The Basic Text SR of a plain order, changed as told."""
    source = source or make_source()
    kinds = frozenset({ResultKind.TEXT})
    changed = replace(ORDER, **({"kinds": kinds} | order))
    results = make_results(source, measured(make_prediction(source, regions)), changed)
    return read(next(result for result in results if result.kind is ResultKind.TEXT))


def said(report: Dataset, heading: str) -> list[str]:
    (section,) = children(report, heading)
    return [item.TextValue for item in children(section) if item.ValueType == "TEXT"]


def test_is_a_basic_text_report_of_sentences_and_pointers_only() -> None:
    report = text_of()
    assert report.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.11"
    assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    kinds = {item.ValueType for item in everything(report)}
    assert kinds == {"CODE", "CONTAINER", "IMAGE", "TEXT", "UIDREF"}  # PS3.3 A.35.1.3.1
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "2000"
    containers = [item for item in everything(report) if item.ValueType == "CONTAINER"]
    assert {item.ContinuityOfContent for item in [report, *containers]} == {"SEPARATE"}


def test_the_outcome_is_read_first_and_that_nobody_verified_it() -> None:
    report = text_of()
    first = next(item for item in report.ContentSequence if item.ValueType == "CONTAINER")
    assert code_of(first) == IMPRESSIONS
    assert said(report, IMPRESSIONS) == [
        "Above threshold: Pleural effusion (97.0 %). Undetermined: Nodule.",
        "Automated result, not verified by a physician.",
        MODEL.disclaimer,
    ]
    assert said(text_of(regions=0), IMPRESSIONS)[0] == (
        "No finding above its threshold. Undetermined: Nodule."
    )


def test_what_is_partial_says_so_before_anything_else() -> None:
    report = text_of(make_ct(3), partial=True, received=3, expected=12)
    told = "PARTIAL STUDY: 3 of 12 images received. Images analysed: 3."
    assert said(report, IMPRESSIONS)[0] == told
    assert told not in said(report, METHOD)
    assert report.CompletionFlag == "PARTIAL"


def test_every_finding_is_told_the_most_important_first() -> None:
    assert said(text_of(make_ct(3), regions=2), FINDINGS) == [
        "Pleural effusion: above threshold. Probability 97.0 %. "
        "Most suspicious image: number 2 in its series. Regions marked: 2.",
        "Nodule: undetermined, close to threshold. Probability 41.0 %. "
        "Most suspicious image: number 2 in its series.",
        "Cardiomegaly: below threshold. Probability 12.0 %.",
        "Pneumothorax: below threshold. Probability < 0.1 %.",
    ]


def test_the_method_tells_how_sure_and_by_what() -> None:
    method = said(text_of(revision=2, predecessors=(earlier_report(make_source()),)), METHOD)
    assert method[0].startswith("Revision 2: supersedes")
    assert "Probabilities are calibrated (temperature scaling)." in method
    assert (
        "Nodule: threshold 50.0 %; sensitivity 91.2 % (95 % CI 88.0 % to 93.5 %), specificity "
        "89.0 % (95 % CI 86.1 % to 91.4 %); 120 cases with and 300 without the finding."
    ) in method
    assert "Pneumothorax: threshold 50.0 %." in method
    assert "Sensitivity and specificity were measured on: drawings." in method
    assert "Model: demonstration 1.0.0, by dicomnode." in method
    assert f"SHA-256 of the weights: {MODEL.digest}" in method
    assert f"Intended use: {MODEL.intended_use}" in method
    assert "Images analysed: 1." in method


def test_what_some_viewers_cannot_show_comes_last() -> None:
    report = text_of()
    assert code_of(report.ContentSequence[-1]) == "55113-5"


def test_points_at_its_pictures_and_at_the_images_that_speak() -> None:
    source = make_ct(3)
    report = text_of(source, kinds=frozenset({ResultKind.SC, ResultKind.TEXT}))
    (section,) = children(report, "55113-5")
    shown = [
        (code_of(item), item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        for item in children(section)
    ]
    assert [code for code, _ in shown] == ["130401", "260753009"]
    assert shown[1][1] == source.headers[1].SOPInstanceUID
    evidence = listed(report.CurrentRequestedProcedureEvidenceSequence)
    assert evidence == {header.SOPInstanceUID for header in source.headers} | {shown[0][1]}


def test_a_frame_is_pointed_at_by_its_number() -> None:
    source = make_source()
    frames = tuple(frame_of(source.headers[0], number) for number in (1, 2))
    findings = (make_finding("Nodule", frames[1], 0.9),)
    prediction = replace(make_prediction(source), frames=frames, findings=findings)
    order = replace(ORDER, kinds=frozenset({ResultKind.TEXT}))

    report = read(make_results(source, prediction, order)[0])

    (image,) = children(children(report, "55113-5")[0])
    assert image.ReferencedSOPSequence[0].ReferencedFrameNumber == 2


def test_names_the_report_that_it_supersedes() -> None:
    earlier = earlier_report(make_source())
    report = text_of(revision=2, predecessors=(earlier,))
    assert listed(report.PredecessorDocumentsSequence) == {earlier.sop_instance_uid}


@pytest.mark.parametrize(
    ("language", "meaning", "headline"),
    [
        ("de", "German", "Über dem Schwellenwert: Pleuraerguss (97,0 %). Unbestimmt: Rundherd."),
        ("zh", "Chinese", "高于阈值：胸腔积液（97.0%）。不确定：结节。"),  # noqa: RUF001
    ],
)
def test_speaks_the_language_of_the_order(language: str, meaning: str, headline: str) -> None:
    report = text_of(language=language)
    assert said(report, IMPRESSIONS)[0] == headline
    (named,) = children(report, "121049")
    concept = named.ConceptCodeSequence[0]
    assert (concept.CodeValue, concept.CodingSchemeDesignator) == (language, "RFC5646")
    assert concept.CodeMeaning == meaning


def test_a_section_with_nothing_in_it_is_left_out_and_without_a_model_the_node_speaks() -> None:
    empty = Section(heading=codes.FINDINGS, element=codes.FINDING, sentences=["", ""])
    full = Section(heading=codes.IMPRESSIONS, element=codes.IMPRESSION, sentences=["", "x"])
    root = narrative(codes.IMAGING_REPORT, [empty, full], ORDER.words, None)
    assert children(root, FINDINGS) == []
    assert said(root, IMPRESSIONS) == ["x"]
    assert children(root, "121013")[0].TextValue == "dicomnode"
