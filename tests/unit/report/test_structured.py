"""The report's modules: what it is, what it refers to, what it replaces."""

from pydicom import Dataset

from tests.unit.report.samples import (
    earlier_report,
    made,
    make_ct,
    make_source,
    picture_of,
    report_of,
)
from tests.unit.report.test_tree import everything


def listed(sequence: list[Dataset]) -> set[str]:
    return {
        instance.ReferencedSOPInstanceUID
        for study in sequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }


def test_is_a_complete_preliminary_unverified_comprehensive_report() -> None:
    report = report_of(made())
    assert report.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.33"
    assert report.Modality == "SR"
    assert report.CompletionFlag == "COMPLETE"
    assert report.VerificationFlag == "UNVERIFIED"
    assert report.PreliminaryFlag == "PRELIMINARY"


def test_a_partial_study_makes_a_partial_report() -> None:
    report = report_of(made(partial=True, received=307, expected=412))
    assert report.CompletionFlag == "PARTIAL"
    assert "307 of 412" in report.CompletionFlagDescription


def test_the_evidence_is_exactly_what_the_tree_refers_to() -> None:
    for source, regions in ((make_source(), 2), (make_source(), 0), (make_ct(3), 1)):
        results = made(source, regions)
        report = report_of(results)
        referenced = {
            item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
            for item in everything(report)
            if item.ValueType == "IMAGE"
        }
        assert listed(report.CurrentRequestedProcedureEvidenceSequence) == referenced
        assert picture_of(results).SOPInstanceUID in referenced


def test_a_revision_names_the_report_it_supersedes() -> None:
    source = make_source()
    report = report_of(made(source, revision=2, predecessors=(earlier_report(source),)))
    assert listed(report.PredecessorDocumentsSequence) == {"2.25.4711"}
    assert "PredecessorDocumentsSequence" not in report_of(made(source))


def test_names_the_private_coding_scheme() -> None:
    (scheme,) = report_of(made()).CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == "99DICOMNODE"
