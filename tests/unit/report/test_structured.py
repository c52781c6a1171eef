"""The report's modules: what it is, what it refers to, what it replaces."""

from pydicom import Dataset

from dicomnode.records import ResultKind
from tests.unit.report.samples import (
    earlier_report,
    made,
    make_ct,
    make_source,
    picture_of,
    read,
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


def test_the_3d_report_says_the_same_under_its_own_class_and_uids() -> None:
    both = made(kinds=frozenset({ResultKind.SR, ResultKind.SR3D}))
    flat, deep = (read(result) for result in both)
    assert deep.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.34"
    assert deep.SOPInstanceUID != flat.SOPInstanceUID
    assert deep.SeriesInstanceUID != flat.SeriesInstanceUID
    assert deep.SeriesNumber != flat.SeriesNumber

    def said(report: Dataset) -> list[tuple[str, str]]:
        return [
            (item.ValueType, item.ConceptNameCodeSequence[0].CodeMeaning)
            for item in everything(report)
        ]

    assert said(deep) == said(flat)
