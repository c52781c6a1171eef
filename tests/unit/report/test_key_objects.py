"""Key objects: the images that matter, what was made of them, in that order, and nothing else."""

from pydicom import Dataset

from dicomnode.answers import Finding, Presence
from dicomnode.records import ResultKind
from dicomnode.report.request import Source
from tests.unit.report.samples import (
    MODEL,
    frame_of,
    made,
    made_of,
    make_ct,
    make_finding,
    make_header,
    make_source,
    read,
)
from tests.unit.report.test_structured import listed
from tests.unit.report.test_tree import everything

WITH_OTHERS = frozenset(
    {ResultKind.SC, ResultKind.SEG, ResultKind.GSPS, ResultKind.SR, ResultKind.TEXT, ResultKind.KO}
)


def selection(source: Source, *findings: Finding) -> Dataset:
    (result,) = made_of(source, *findings, kinds=frozenset({ResultKind.KO}))
    return read(result)


def pointed(ds: Dataset) -> list[str]:
    return [
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in ds.ContentSequence
        if item.ValueType in ("IMAGE", "COMPOSITE")
    ]


def test_flags_the_image_then_its_pictures_then_the_reports() -> None:
    source = make_source()
    results = made(source, kinds=WITH_OTHERS)
    by_kind = {result.kind: result.ref.sop_instance_uid for result in results}
    ds = read(results[-1])
    assert results[-1].kind is ResultKind.KO
    assert pointed(ds) == [
        source.headers[0].SOPInstanceUID,
        by_kind[ResultKind.SC],
        by_kind[ResultKind.SR],
        by_kind[ResultKind.TEXT],
    ]
    assert [item.ValueType for item in ds.ContentSequence][-4:] == [
        "IMAGE", "IMAGE", "COMPOSITE", "COMPOSITE",
    ]  # fmt: skip
    assert listed(ds.CurrentRequestedProcedureEvidenceSequence) == set(pointed(ds))


def test_is_of_interest_by_template_2010_and_says_why_in_words() -> None:
    ds = read(made(kinds=frozenset({ResultKind.KO}))[0])
    assert ds.ConceptNameCodeSequence[0].CodeValue == "113000"
    assert ds.ContentTemplateSequence[0].TemplateIdentifier == "2010"
    assert ds.Modality == "KO"
    (why,) = [
        item for item in everything(ds) if item.ValueType == "TEXT" and "97.0 %" in item.TextValue
    ]
    assert why.ConceptNameCodeSequence[0].CodeValue == "113012"
    assert "Pleural effusion" in why.TextValue
    assert "not verified" in why.TextValue
    assert MODEL.disclaimer in why.TextValue


def test_of_many_slices_only_those_of_present_findings_most_probable_first() -> None:
    source = make_ct(9)
    frames = [frame_of(header) for header in source.headers]
    ds = selection(
        source,
        make_finding("Nodule", frames[2], 0.7),
        make_finding("Cardiomegaly", frames[6], 0.9),
        make_finding("Pleural effusion", frames[2], 0.6),
        make_finding("Pneumothorax", frames[4], 0.2),
    )
    assert pointed(ds) == [frames[6].image.sop_instance_uid, frames[2].image.sop_instance_uid]


def test_frames_of_one_image_are_one_item() -> None:
    source = make_source(make_header(NumberOfFrames=9))
    third, fifth = (frame_of(source.headers[0], number) for number in (3, 5))
    ds = selection(
        source, make_finding("Nodule", fifth, 0.7), make_finding("Cardiomegaly", third, 0.9)
    )
    (item,) = [item for item in ds.ContentSequence if item.ValueType == "IMAGE"]
    assert list(item.ReferencedSOPSequence[0].ReferencedFrameNumber) == [3, 5]


def test_where_nothing_is_present_there_is_none() -> None:
    assert made(regions=0, kinds=frozenset({ResultKind.KO})) == ()
    source = make_source()
    unsure = make_finding(
        "Nodule", frame_of(source.headers[0]), 0.5, presence=Presence.UNDETERMINED
    )
    assert made_of(source, unsure, kinds=frozenset({ResultKind.KO})) == ()


def test_speaks_the_language_of_the_order_and_the_same_bytes_each_time() -> None:
    first, again = (made(kinds=frozenset({ResultKind.KO}), language="de")[0] for _ in range(2))
    assert first.part10 == again.part10
    assert any(
        "Pleuraerguss" in item.TextValue
        for item in everything(read(first))
        if item.ValueType == "TEXT"
    )
