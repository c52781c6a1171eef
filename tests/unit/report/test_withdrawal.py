"""Withdrawn results: an archive is told what to reject, people are told that and why."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from dicomnode.answers import Result
from dicomnode.records import InstanceRef, ResultKind, WithdrawalReason
from dicomnode.report.catalogue import LANGUAGES
from dicomnode.report.withdrawal import make_withdrawal
from tests.unit.report.samples import ORDER, made, make_header, make_source, read
from tests.unit.report.test_document import text
from tests.unit.report.test_structured import listed
from tests.unit.report.test_tree import everything

KINDS = frozenset({ResultKind.SC, ResultKind.SR, ResultKind.TEXT, ResultKind.GSPS})
REPORTS = (ResultKind.SR, ResultKind.TEXT)
RESULTS = made(kinds=KINDS)
WITHDRAWN = [result.ref for result in RESULTS]
TITLES = {
    WithdrawalReason.QUALITY: "113001",
    WithdrawalReason.SAFETY: "113037",
    WithdrawalReason.WORKLIST: "113038",
    WithdrawalReason.RETENTION: "113039",
}


def stored(kind: ResultKind) -> Dataset:
    return read(next(result for result in RESULTS if result.kind is kind))


def withdrawal(
    reason: WithdrawalReason = WithdrawalReason.SAFETY,
    refs: list[InstanceRef] = WITHDRAWN,
    **order: Any,
) -> tuple[Result, ...]:
    order = {"kinds": frozenset({ResultKind.KO, *REPORTS})} | order
    return make_withdrawal(stored(ResultKind.SR), refs, reason, replace(ORDER, **order))


def words(ds: Dataset) -> str:
    return " ".join(item.TextValue for item in everything(ds) if item.ValueType == "TEXT")


@pytest.mark.parametrize("reason", WithdrawalReason)
def test_the_note_rejects_exactly_what_is_withdrawn_under_the_title_of_its_reason(
    reason: WithdrawalReason,
) -> None:
    note = read(withdrawal(reason)[-1])
    assert note.ConceptNameCodeSequence[0].CodeValue == TITLES[reason]
    pointed = [item for item in everything(note) if item.ValueType in ("IMAGE", "COMPOSITE")]
    assert [p.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for p in pointed] == [
        ref.sop_instance_uid for ref in WITHDRAWN
    ]
    kinds = dict(zip([result.kind for result in RESULTS], pointed, strict=True))
    assert kinds[ResultKind.SC].ValueType == "IMAGE"
    assert kinds[ResultKind.SR].ValueType == kinds[ResultKind.GSPS].ValueType == "COMPOSITE"
    evidence = listed(note.CurrentRequestedProcedureEvidenceSequence)
    assert evidence == {ref.sop_instance_uid for ref in WITHDRAWN}


def test_only_rejected_for_quality_has_the_modifier_that_its_template_demands() -> None:
    for reason in WithdrawalReason:
        names = [
            item.ConceptNameCodeSequence[0].CodeValue
            for item in everything(read(withdrawal(reason)[-1]))
            if item.ValueType == "CODE"
        ]
        assert ("113011" in names) == (reason is WithdrawalReason.QUALITY)


def test_each_kind_of_report_gets_an_addendum_of_its_class_that_follows_it() -> None:
    results = withdrawal()
    assert [result.kind for result in results] == [*REPORTS, ResultKind.KO]
    for addendum, kind in zip(results, REPORTS, strict=False):
        ds, before = read(addendum), stored(kind)
        assert ds.SOPClassUID == before.SOPClassUID
        assert listed(ds.PredecessorDocumentsSequence) == {before.SOPInstanceUID}
        assert ds.SOPInstanceUID != before.SOPInstanceUID
        assert ds.ConceptNameCodeSequence[0].CodeValue != "126000"


def test_the_addendum_itself_is_not_rejected() -> None:
    results = withdrawal()
    rejected = listed(read(results[-1]).CurrentRequestedProcedureEvidenceSequence)
    assert not rejected & {result.ref.sop_instance_uid for result in results}


def test_where_no_report_was_sent_the_note_says_it_alone() -> None:
    pictures = [ref for ref in WITHDRAWN if ref.sop_class_uid.endswith(".7")]
    (note,) = withdrawal(refs=pictures, kinds=frozenset({ResultKind.KO}))
    assert note.kind is ResultKind.KO
    assert "WITHDRAWN" in words(read(note))


PAGES = frozenset({ResultKind.SC, ResultKind.PDF})


def test_pictures_and_documents_are_followed_by_pages_that_are_derived_from_nothing() -> None:
    results = withdrawal(kinds=PAGES | {ResultKind.KO, ResultKind.SR, ResultKind.GSPS})
    order = [ResultKind.SC, ResultKind.SR, ResultKind.PDF, ResultKind.KO]
    assert [result.kind for result in results] == order
    picture, _, page, note = (read(result) for result in results)
    for ds in (picture, page):
        assert ds.SeriesDescription.startswith("AI result WITHDRAWN: demonstration 1.0.0")
        assert ds.PatientID == stored(ResultKind.SR).PatientID
        assert "SourceImageSequence" not in ds
        assert "SourceInstanceSequence" not in ds
    assert not {ds.SOPInstanceUID for ds in (picture, page)} & listed(
        note.CurrentRequestedProcedureEvidenceSequence
    )
    assert len(np.unique(picture.pixel_array)) > 20


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_says_that_of_which_model_why_and_when_in_every_language(language: str) -> None:
    (page, _) = withdrawal(language=language, kinds=frozenset({ResultKind.PDF}))
    ds, say = read(page), replace(ORDER, language=language).words.say
    said = text(ds).replace(" ", "")
    model = say("withdrawal.what", name="demonstration", version="1.0.0")
    moment = say("withdrawal.when", moment="2025-03-04 23:30 +0000")
    for words in (model, moment, *map(say, ("withdrawal.safety", "withdrawal.meaning"))):
        assert words.replace(" ", "") in said
    assert ds.DocumentTitle == say("withdrawal.title")


def test_a_picture_says_its_reason_and_a_picture_alone_is_enough_to_copy_from() -> None:
    def drawn(reason: WithdrawalReason) -> Any:
        order = replace(ORDER, kinds=PAGES)
        picture, *_ = make_withdrawal(stored(ResultKind.SC), WITHDRAWN, reason, order)
        return read(picture).pixel_array

    pictures = [drawn(reason) for reason in (WithdrawalReason.SAFETY, WithdrawalReason.QUALITY)]
    assert (pictures[0] != pictures[1]).any()


@pytest.mark.parametrize("language", LANGUAGES)
def test_says_that_of_which_model_why_and_when_in_every_language(language: str) -> None:
    for result in withdrawal(language=language):
        ds = read(result)
        said = words(ds)
        assert "demonstration 1.0.0" in said
        assert "2025-03-04 23:30 +0000" in said
        say = replace(ORDER, language=language).words.say
        assert say("withdrawal.safety") in said
        assert say("withdrawal.meaning") in said
        assert "WITHDRAWN" in ds.SeriesDescription


def test_patient_and_study_are_those_of_the_result_and_the_node_is_the_one_who_speaks() -> None:
    for result in withdrawal():
        ds, before = read(result), stored(ResultKind.SR)
        for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "AccessionNumber"):
            assert ds[keyword].value == before[keyword].value
        device = next(i.TextValue for i in everything(ds) if i.get("ValueType") == "TEXT")
        assert device == "dicomnode"
        assert "109101" not in str(ds.ContributingEquipmentSequence)
        assert result.model == "demonstration@1.0.0"


def test_the_same_arguments_give_the_same_bytes_and_another_reason_other_objects() -> None:
    first, again = withdrawal(), withdrawal()
    assert [r.part10 for r in first] == [r.part10 for r in again]
    other = {r.ref.sop_instance_uid for r in withdrawal(WithdrawalReason.WORKLIST)}
    assert not other & {r.ref.sop_instance_uid for r in first}


def test_names_in_other_scripts_and_missing_values_come_through() -> None:
    header = make_header(PatientName="山田^太郎", PatientBirthDate=None, AccessionNumber=None)
    results = made(make_source(header), kinds=KINDS)
    report = read(next(result for result in results if result.kind is ResultKind.SR))
    order = replace(ORDER, kinds=frozenset({ResultKind.KO, ResultKind.SR}))
    for result in make_withdrawal(
        report, [r.ref for r in results], WithdrawalReason.QUALITY, order
    ):
        assert read(result).PatientName == "山田^太郎"
        assert read(result).AccessionNumber == ""
