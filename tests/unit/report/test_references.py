"""Lists of references: every instance once, below its series and its study."""

from dicomnode.records import InstanceRef
from dicomnode.report.references import by_series, evidence


def ref(study: int, series: int, instance: int) -> InstanceRef:
    return InstanceRef(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uid=f"2.25.{instance}",
        series_uid=f"2.25.{series}",
        study_uid=f"2.25.{study}",
    )


REFERENCES = [ref(1, 11, 111), ref(1, 12, 121), ref(2, 21, 211), ref(1, 11, 112), ref(1, 11, 111)]


def test_evidence_names_each_study_series_and_instance_once() -> None:
    assert {
        study.StudyInstanceUID: {
            series.SeriesInstanceUID: [
                item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence
            ]
            for series in study.ReferencedSeriesSequence
        }
        for study in evidence(REFERENCES)
    } == {
        "2.25.1": {"2.25.11": ["2.25.111", "2.25.112"], "2.25.12": ["2.25.121"]},
        "2.25.2": {"2.25.21": ["2.25.211"]},
    }


def test_a_series_lists_its_instances_under_the_keyword_that_its_module_has() -> None:
    (series,) = by_series([ref(1, 11, 111)], "ReferencedImageSequence")
    (item,) = series.ReferencedImageSequence
    assert item.ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.2"
    assert "ReferencedSOPSequence" not in series
