"""Results as a whole: repeatable, in order, whole files."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from dicomnode.answers import Prediction, Presence, Result
from dicomnode.dicom.patient import disagreement
from dicomnode.dicom.uids import IMPLEMENTATION_CLASS_UID
from dicomnode.errors import PatientsDiffer, ReportError
from dicomnode.records import ResultKind
from dicomnode.report.request import Order, Source
from dicomnode.report.results import make_results
from tests.unit.report.samples import (
    ORDER,
    earlier_report,
    made,
    make_ct,
    make_header,
    make_prediction,
    make_source,
    read,
    report_of,
)


def test_the_same_arguments_give_the_same_bytes() -> None:
    assert [r.part10 for r in made(make_ct())] == [r.part10 for r in made(make_ct())]


def test_that_all_images_are_of_one_patient_is_asked_once_whatever_is_ordered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def ask(headers: Sequence[Dataset]) -> str:
        asked.append(headers)
        return disagreement(headers)

    monkeypatch.setattr("dicomnode.report.identity.disagreement", ask)
    made(make_ct(), kinds=frozenset(ResultKind))
    assert len(asked) == 1


def test_of_images_of_two_patients_no_result_is_made() -> None:
    with pytest.raises(PatientsDiffer):
        made(make_source(make_header(1), make_header(2, PatientID="OTHER")))


def uids(source: Source, prediction: Prediction, order: Order) -> list[str]:
    return [result.ref.sop_instance_uid for result in make_results(source, prediction, order)]


def test_any_change_of_what_was_asked_changes_every_uid() -> None:
    source = make_source()
    prediction = make_prediction(source)
    model = prediction.model
    seen = set(uids(source, prediction, ORDER))
    assert len(seen) == 2
    changed = [
        (prediction, replace(ORDER, pipeline="other")),
        (prediction, replace(ORDER, revision=2)),
        (prediction, replace(ORDER, kinds=frozenset({ResultKind.SR}))),
        (prediction, replace(ORDER, partial=True)),
        (prediction, replace(ORDER, received=2)),
        (prediction, replace(ORDER, predecessors=(earlier_report(source),))),
        (replace(prediction, model=replace(model, name="other")), ORDER),
        (replace(prediction, model=replace(model, version="2")), ORDER),
        (replace(prediction, model=replace(model, digest="00" * 32)), ORDER),
        (replace(prediction, model=replace(model, disclaimer="other")), ORDER),
        (replace(prediction, left_out=1), ORDER),
        (replace(prediction, findings=prediction.findings[:-1]), ORDER),
        (_with_another(prediction, threshold=0.6), ORDER),
        (_with_another(prediction, regions=()), ORDER),
        (prediction, replace(ORDER, ae_title="OTHER")),
    ]
    for other_prediction, other_order in changed:
        new = set(uids(source, other_prediction, other_order))
        assert not new & seen
        seen |= new
    other = make_source(make_header(2))
    assert not set(uids(other, make_prediction(other), ORDER)) & seen


def _with_another(prediction: Prediction, **changes: Any) -> Prediction:
    """Its findings, the present one changed."""
    changed = [
        replace(finding, **changes) if finding.presence is Presence.PRESENT else finding
        for finding in prediction.findings
    ]
    return replace(prediction, findings=tuple(changed))


def test_running_later_does_not_change_the_uids() -> None:
    source = make_source()
    later = replace(ORDER, made_at=ORDER.made_at + timedelta(hours=1))
    prediction = make_prediction(source)
    assert uids(source, prediction, ORDER) == uids(source, prediction, later)


def test_the_same_images_in_another_study_have_other_results() -> None:
    here, there = make_source(), make_source(make_header(StudyInstanceUID="1.2.3"))
    ours, theirs = (uids(s, make_prediction(s), ORDER) for s in (here, there))
    assert not set(ours) & set(theirs)


def test_pictures_leave_before_the_report_and_each_kind_only_where_asked() -> None:
    def kinds(results: tuple[Result, ...]) -> list[ResultKind]:
        return [result.kind for result in results]

    assert kinds(made()) == [ResultKind.SC, ResultKind.SR]
    assert kinds(made(kinds=frozenset({ResultKind.SR}))) == [ResultKind.SR]
    assert kinds(made(kinds=frozenset({ResultKind.SC}))) == [ResultKind.SC]


def test_a_result_is_a_whole_file_and_is_what_its_reference_says() -> None:
    for result in made():
        ds = read(result)
        assert result.part10[128:132] == b"DICM"
        assert ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert ds.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
        assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
        assert ds.SOPClassUID == result.ref.sop_class_uid
        assert ds.SOPInstanceUID == result.ref.sop_instance_uid
        assert ds.SeriesInstanceUID == result.ref.series_uid
        assert ds.StudyInstanceUID == result.ref.study_uid
        assert ds.SOPInstanceUID != ds.SeriesInstanceUID
        assert result.summary["Pleural effusion"].probability == 0.97


def test_our_times_stand_in_the_zone_that_the_object_declares() -> None:
    ds = report_of(made(make_source(make_header(TimezoneOffsetFromUTC="+0200"))))
    assert ds.TimezoneOffsetFromUTC == "+0200"
    assert (ds.ContentDate, ds.ContentTime) == ("20250305", "013000")


def test_refuses_a_prediction_of_another_study_or_without_frames() -> None:
    source = make_source()
    other = make_source(make_header(StudyInstanceUID="1.2.3"))
    with pytest.raises(ReportError):
        make_results(source, make_prediction(other), ORDER)
    with pytest.raises(ReportError):
        make_results(source, make_prediction(source, frames=()), ORDER)


def test_refuses_a_frame_whose_header_is_missing() -> None:
    whole = make_ct(3)
    short = make_source(*whole.headers[:2])
    with pytest.raises(ReportError):
        make_results(short, make_prediction(whole), ORDER)
