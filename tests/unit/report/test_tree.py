"""The content tree: what no validator sees. What viewers need of it: test_viewers.py."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydicom import Dataset

from dicomnode.answers import Region
from dicomnode.records import ResultKind
from dicomnode.report.results import make_results
from tests.unit.report.samples import (
    ORDER,
    earlier_report,
    frame_of,
    made,
    make_ct,
    make_finding,
    make_prediction,
    make_source,
    picture_of,
    read,
    report_of,
)


def code_of(item: Dataset) -> str:
    name = item.ConceptNameCodeSequence[0]
    return str(name.get("CodeValue") or name.LongCodeValue)


def meaning_of(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeMeaning)


def children(item: Dataset, code: str | None = None) -> list[Dataset]:
    found = item.get("ContentSequence") or []
    return [child for child in found if code is None or code_of(child) == code]


def everything(item: Dataset) -> Iterator[Dataset]:
    for child in children(item):
        yield child
        yield from everything(child)


def groups(report: Dataset) -> list[Dataset]:
    (measurements,) = children(report, "126010")
    return children(measurements, "125007")


def evaluations(report: Dataset) -> list[Dataset]:
    (container,) = children(report, "C0034375")
    return children(container)


def numbers(group: Dataset) -> list[str]:
    return [meaning_of(child) for child in children(group) if child.ValueType == "NUM"]


def comments(report: Dataset) -> list[str]:
    return [child.TextValue for child in evaluations(report) if code_of(child) == "121106"]


def test_the_root_and_its_groups_name_their_templates() -> None:
    report = report_of(made())
    assert code_of(report) == "126000"
    for item, template in [(report, "1500"), *((group, "1410") for group in groups(report))]:
        (named,) = item.ContentTemplateSequence
        assert (named.MappingResource, named.TemplateIdentifier) == ("DCMR", template)


@pytest.mark.parametrize(("regions", "count"), [(0, 1), (1, 2), (3, 4)])
def test_every_group_has_tracking_and_coordinates_on_a_source_image(
    regions: int, count: int
) -> None:
    source = make_source()
    report = report_of(made(source, regions))
    assert len(groups(report)) == count
    for group in groups(report):
        identifier, uid = children(group)[:2]
        assert (code_of(identifier), code_of(uid)) == ("112039", "112040")
        assert identifier.RelationshipType == uid.RelationshipType == "HAS OBS CONTEXT"
        (outline,) = children(group, "111030")
        assert outline.GraphicType == "POLYLINE"
        assert outline.GraphicData[:2] == outline.GraphicData[-2:]
        (selected,) = children(outline, "111040")
        assert selected.RelationshipType == "SELECTED FROM"
        referenced = selected.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        assert referenced == source.headers[0].SOPInstanceUID
    uids = [children(group, "112040")[0].UID for group in groups(report)]
    assert len(set(uids)) == count


def test_every_probability_is_contained_in_percent_and_names_its_finding() -> None:
    report = report_of(made(regions=2))
    found = [
        item for group in groups(report) for item in children(group) if item.ValueType == "NUM"
    ]
    assert len(found) == 4 + 2
    for item in found:
        assert item.RelationshipType == "CONTAINS"
        (measured,) = item.MeasuredValueSequence
        assert measured.MeasurementUnitsCodeSequence[0].CodeValue == "%"
        (of,) = children(item, "121071")
        assert of.RelationshipType == "HAS CONCEPT MOD"
        finding = of.ConceptCodeSequence[0].CodeMeaning
        assert meaning_of(item) == f"{finding} probability"
    assert found[0].MeasuredValueSequence[0].NumericValue == 97


def test_a_region_is_outlined_in_the_pixels_of_its_frame_and_shown_by_its_picture() -> None:
    source = make_source()
    results = made(source, regions=1)
    region = groups(report_of(results))[1]
    finding = next(f for f in make_prediction(source).findings if f.regions)

    (outline,) = children(region, "111030")
    drawn = [float(number) for point in finding.regions[0].outline for number in point]
    assert list(outline.GraphicData) == pytest.approx(drawn, abs=1e-3)
    assert children(region, "121071")[0].ConceptCodeSequence[0].CodeValue == "60046008"
    (shown,) = children(region, "130401")
    assert (
        shown.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        == picture_of(results).SOPInstanceUID
    )


def test_an_outline_of_two_points_is_no_region() -> None:
    source = make_source()
    prediction = make_prediction(source)
    line = (Region(outline=((1.0, 1.0), (2.0, 2.0))),)
    thin = tuple(replace(f, regions=line) if f.regions else f for f in prediction.findings)

    results = make_results(source, replace(prediction, findings=thin), ORDER)

    (whole,) = groups(report_of(results))
    assert len(children(whole, "130401")) == 1


def test_findings_stand_with_the_frame_that_speaks_for_them() -> None:
    source = make_ct(4)
    prediction = make_prediction(source, regions=0)
    frames = prediction.frames
    findings = tuple(
        replace(finding, frame=frames[number])
        for finding, number in zip(prediction.findings, (3, 1, 3, 0), strict=True)
    )
    results = make_results(source, replace(prediction, findings=findings), ORDER)

    names = [children(group, "112039")[0].TextValue for group in groups(report_of(results))]
    assert names == ["Image number 4", "Image number 2", "Image number 1"]
    assert numbers(groups(report_of(results))[0]) == [
        "Nodule probability", "Cardiomegaly probability",
    ]  # fmt: skip


def test_a_frame_of_a_multi_frame_image_is_named_by_its_number() -> None:
    source = make_source()
    frames = tuple(frame_of(source.headers[0], number) for number in (1, 2, 3))
    findings = (make_finding("Nodule", frames[1], 0.2),)
    prediction = replace(make_prediction(source), frames=frames, findings=findings)

    results = make_results(source, prediction, ORDER)

    (group,) = groups(report_of(results))
    (selected,) = children(children(group, "111030")[0])
    assert selected.ReferencedSOPSequence[0].ReferencedFrameNumber == 2
    (library,) = children(report_of(results), "111028")
    (entry,) = children(children(library)[0])
    assert entry.ReferencedSOPSequence[0].ReferencedFrameNumber == [1, 2, 3]
    source_of_picture = picture_of(results).SourceImageSequence[0]
    assert source_of_picture.ReferencedFrameNumber == 1


def test_the_library_holds_every_image_that_was_analysed() -> None:
    source = make_ct(4)
    (library,) = children(report_of(made(source)), "111028")
    entries = children(children(library)[0])
    uids = [entry.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for entry in entries]
    assert uids == [header.SOPInstanceUID for header in source.headers]
    described = {code_of(item): item for item in children(entries[0])}
    assert set(described) == {"121139", "111060", "112227", "110910", "110911"}
    assert {item.RelationshipType for item in described.values()} == {"HAS ACQ CONTEXT"}


def test_every_finding_is_said_to_be_present_absent_or_undetermined() -> None:
    report = report_of(made())
    said = {
        meaning_of(item): item.ConceptCodeSequence[0].CodeMeaning
        for item in evaluations(report)
        if item.ValueType == "CODE"
    }
    assert said == {
        "Pleural effusion": "Present",
        "Nodule": "Undetermined",
        "Cardiomegaly": "Absent",
        "Pneumothorax": "Absent",
    }


def test_on_a_partial_study_nothing_is_said_to_be_absent() -> None:
    report = report_of(made(partial=True, received=1, expected=2))
    said = {
        meaning_of(item): item.ConceptCodeSequence[0].CodeValue
        for item in evaluations(report)
        if item.ValueType == "CODE"
    }
    assert said.pop("Pleural effusion") == "52101004"
    assert set(said) == {"Nodule", "Cardiomegaly", "Pneumothorax"}
    assert set(said.values()) == {"373068000"}


def test_the_tree_says_who_speaks_and_what_to_mind() -> None:
    source = make_source()
    report = report_of(
        made(
            source,
            0,
            partial=True,
            received=307,
            expected=412,
            revision=2,
            predecessors=(earlier_report(source),),
        )
    )
    said = " ".join(comments(report))
    assert comments(report)[0].startswith("No finding above its threshold.")
    assert "307 of 412 images" in said
    assert "supersedes" in said
    assert "Not for clinical use" in said
    assert "Automated result, not verified by a physician" in said
    parameters = [i.TextValue for i in evaluations(report) if code_of(i) == "111002"]
    assert f"SHA-256 of the weights: {'5e' * 32}" in parameters
    points = [i.TextValue for i in evaluations(report) if code_of(i) == "111081"]
    assert "Nodule: threshold 50.0 %." in points
    assert "Probabilities are not calibrated" in said


def test_without_pictures_the_tree_points_at_none() -> None:
    (only,) = made(kinds=frozenset({ResultKind.SR}))
    assert not [item for item in everything(read(only)) if code_of(item) == "130401"]
