"""Not analysed: said in each kind of report, never to be taken for a negative result."""

from dataclasses import replace
from typing import Any

import pytest
from pydicom import Dataset

from dicomnode.answers import Refusal, Result
from dicomnode.errors import Cause, PatientsDiffer, ReportError
from dicomnode.records import ResultKind
from dicomnode.report.catalogue import LANGUAGES, words
from dicomnode.report.notice import make_notices
from tests.unit.report.samples import (
    MODEL,
    ORDER,
    earlier_report,
    make_ct,
    make_header,
    make_source,
    raw_header,
    read,
)
from tests.unit.report.test_structured import listed
from tests.unit.report.test_text_report import IMPRESSIONS, METHOD, said
from tests.unit.report.test_tree import children, code_of, everything

REFUSAL = Refusal(cause=Cause.VIEW, detail="view is LATERAL; the model takes PA, AP", model=MODEL)
REPORTS = {
    ResultKind.SR: "1.2.840.10008.5.1.4.1.1.88.33",
    ResultKind.SR3D: "1.2.840.10008.5.1.4.1.1.88.34",
    ResultKind.TEXT: "1.2.840.10008.5.1.4.1.1.88.11",
}
EVERY_KIND = replace(ORDER, kinds=frozenset(ResultKind))


def notice(kind: ResultKind, refusal: Refusal = REFUSAL, **order: Any) -> Dataset:
    results = make_notices([make_header()], refusal, replace(EVERY_KIND, **order))
    return read(next(result for result in results if result.kind is kind))


def uids(*headers: Dataset, refusal: Refusal = REFUSAL, **order: Any) -> set[str]:
    made: tuple[Result, ...] = make_notices(headers, refusal, replace(EVERY_KIND, **order))
    return {result.ref.sop_instance_uid for result in made}


def test_is_made_of_each_kind_that_can_say_it_in_order_and_of_no_other() -> None:
    made = make_notices(make_ct(3).headers, REFUSAL, EVERY_KIND)
    assert [result.kind for result in made] == [
        ResultKind.SC, ResultKind.SR, ResultKind.SR3D, ResultKind.TEXT, ResultKind.PDF,
    ]  # fmt: skip
    only = replace(ORDER, kinds=frozenset({ResultKind.SEG, ResultKind.TEXT}))
    assert [r.kind for r in make_notices([make_header()], REFUSAL, only)] == [ResultKind.TEXT]
    assert all(dict(result.summary) == {} for result in made)


def test_every_object_says_it_in_the_name_of_its_series() -> None:
    for result in make_notices([make_header()], REFUSAL, EVERY_KIND):
        assert "NOT ANALYSED" in read(result).SeriesDescription


@pytest.mark.parametrize("kind", REPORTS)
def test_a_report_keeps_its_class_and_says_what_why_and_what_to_do(kind: ResultKind) -> None:
    report = notice(kind)
    assert report.SOPClassUID == REPORTS[kind]
    assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    what, negative, disclaimer = said(report, IMPRESSIONS)
    assert what.startswith("NOT ANALYSED: The model is for other views")
    assert "does not mean that nothing was found" in negative
    assert disclaimer == MODEL.disclaimer
    assert said(report, "18783-1")[0].startswith("Read the study as usual.")
    assert said(report, METHOD) == [
        "Technical detail: view is LATERAL; the model takes PA, AP",
        "Model: demonstration 1.0.0, by dicomnode.",
        f"SHA-256 of the weights: {MODEL.digest}",
    ]


@pytest.mark.parametrize("kind", REPORTS)
def test_is_no_report_of_measurements_so_that_no_viewer_looks_for_any(kind: ResultKind) -> None:
    report = notice(kind)
    assert code_of(report) == "18748-4"
    assert {"NUM", "SCOORD", "IMAGE"} & {item.ValueType for item in everything(report)} == set()
    assert not [item for item in everything(report) if code_of(item) in ("126010", "125007")]


@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_cause_has_its_words_in_every_language(language: str, cause: Cause) -> None:
    refusal = replace(REFUSAL, cause=cause)
    report = notice(ResultKind.TEXT, refusal, language=language, kinds={ResultKind.TEXT})
    say = words(language).say
    assert say(f"cause.{cause}.what") in said(report, IMPRESSIONS)[0]
    assert said(report, "18783-1") == [say(f"cause.{cause}.remedy")]


def test_a_detail_that_quotes_what_cannot_be_written_is_no_hindrance() -> None:
    refusal = replace(REFUSAL, detail="at\x1b[1m \0 line 1\r\nline 2 \ud800.")
    for kind in REPORTS:
        assert said(notice(kind, refusal), METHOD)[0] == (
            "Technical detail: at [1m   line 1  line 2  ."
        )
    assert len(make_notices([make_header()], refusal, EVERY_KIND)) == 5


def test_without_a_model_and_a_detail_it_says_so() -> None:
    report = notice(ResultKind.SR, Refusal(cause=Cause.MODEL_FAILED, detail="", model=None))
    assert said(report, METHOD) == ["Model: could not be read."]
    assert children(report, "121013")[0].TextValue == "dicomnode"


def test_the_evidence_is_every_image_of_the_study() -> None:
    headers = make_ct(4).headers
    (result,) = make_notices(headers, REFUSAL, replace(ORDER, kinds=frozenset({ResultKind.SR})))
    evidence = listed(read(result).CurrentRequestedProcedureEvidenceSequence)
    assert evidence == {header.SOPInstanceUID for header in headers}


def test_a_header_that_names_no_image_is_no_evidence_and_no_hindrance() -> None:
    poor = make_header(2)
    del poor.SeriesInstanceUID
    whole = make_header()
    only = replace(ORDER, kinds=frozenset({ResultKind.SR}))
    (result,) = make_notices([poor, whole], REFUSAL, only)
    evidence = listed(read(result).CurrentRequestedProcedureEvidenceSequence)
    assert evidence == {whole.SOPInstanceUID}
    assert make_notices([raw_header()], REFUSAL, EVERY_KIND)


def test_a_later_revision_names_what_it_supersedes_and_a_partial_study_is_told() -> None:
    earlier = earlier_report(make_source())
    report = notice(
        ResultKind.SR, revision=2, predecessors=(earlier,), partial=True, received=3, expected=9
    )
    assert listed(report.PredecessorDocumentsSequence) == {earlier.sop_instance_uid}
    assert report.CompletionFlag == "PARTIAL"
    assert said(report, IMPRESSIONS)[3:] == [
        "PARTIAL STUDY: 3 of 9 images received.",
        "Revision 2: supersedes the earlier automated result of this study.",
    ]


def test_the_same_arguments_give_the_same_bytes_and_others_other_uids() -> None:
    header = make_header()
    first, again = (make_notices([header], REFUSAL, EVERY_KIND) for _ in range(2))
    assert [result.part10 for result in first] == [result.part10 for result in again]
    seen = uids(header)
    for other in (
        uids(header, refusal=replace(REFUSAL, cause=Cause.SIZE)),
        uids(header, refusal=replace(REFUSAL, detail="other")),
        uids(header, refusal=replace(REFUSAL, model=None)),
        uids(header, refusal=replace(REFUSAL, model=replace(MODEL, disclaimer="other"))),
        uids(header, revision=2),
        uids(header, pipeline="other"),
        uids(header, language="fr"),
        uids(header, make_header(2)),
    ):
        assert len(other) == 5
        assert not other & seen
        seen |= other


def test_images_of_two_patients_get_no_notice() -> None:
    with pytest.raises(PatientsDiffer):
        make_notices([make_header(), make_header(2, PatientID="OTHER")], REFUSAL, EVERY_KIND)
    with pytest.raises(ReportError):
        make_notices([], REFUSAL, EVERY_KIND)
