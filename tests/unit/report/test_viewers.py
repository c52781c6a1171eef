"""What each viewer needs of a report, as was seen by trying or read in its source; by its name."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
from pydicom import Dataset

from dicomnode.answers import (
    Prediction,
    Presence,
    Refusal,
    Region,
)
from dicomnode.errors import Cause
from dicomnode.records import ResultKind
from dicomnode.report.notice import make_notices
from dicomnode.report.request import Source
from dicomnode.report.results import make_results
from tests.unit.report.samples import (
    MODEL,
    ORDER,
    frame_of,
    make_ct,
    make_finding,
    make_header,
    make_prediction,
    make_source,
    measured,
    read,
)
from tests.unit.report.test_tree import children, code_of, everything, groups, meaning_of, numbers

SOURCE, SERIES = make_source(), make_ct(4)


def multi_frame() -> Prediction:
    frames = tuple(frame_of(SOURCE.headers[0], number) for number in (1, 2, 3))
    findings = tuple(
        make_finding(label, frame, 0.9)
        for label, frame in zip(("Nodule", "Pneumothorax"), frames, strict=False)
    )
    return replace(make_prediction(SOURCE), frames=frames, findings=findings)


def unsure() -> Prediction:
    prediction = make_prediction(SOURCE, regions=0)
    findings = (replace(f, presence=Presence.UNDETERMINED) for f in prediction.findings)
    return replace(prediction, findings=tuple(findings))


CASES: dict[str, tuple[Source, Callable[[], Prediction]]] = {
    "positive": (SOURCE, lambda: measured(make_prediction(SOURCE))),
    "negative": (SOURCE, lambda: make_prediction(SOURCE, regions=0)),
    "undetermined": (SOURCE, unsure),
    "many regions": (SOURCE, lambda: make_prediction(SOURCE, regions=3)),
    "series": (SERIES, lambda: make_prediction(SERIES)),
    "multi-frame": (SOURCE, multi_frame),
}
MEASURED = (ResultKind.SR, ResultKind.SR3D)
IN_WORDS = (ResultKind.SR, ResultKind.SR3D, ResultKind.TEXT)


@cache
def report(case: str, kind: ResultKind) -> Dataset:
    source, prediction = CASES[case]
    kinds = frozenset({ResultKind.SC, kind})
    results = make_results(source, prediction(), replace(ORDER, kinds=kinds, language="de"))
    return read(next(result for result in results if result.kind is kind))


@cache
def notice(kind: ResultKind) -> Dataset:
    refusal = Refusal(cause=Cause.UNFAMILIAR, detail="score 9.1, at most 3.2", model=MODEL)
    order = replace(ORDER, kinds=frozenset({kind}), language="de")
    return read(make_notices(SERIES.headers, refusal, order)[0])


def outline(group: Dataset) -> Dataset:
    (found,) = (item for item in children(group) if item.ValueType == "SCOORD")
    return found


every_measured = pytest.mark.parametrize(
    ("case", "kind"), [(case, kind) for case in CASES for kind in MEASURED]
)
every_report = pytest.mark.parametrize(
    ("case", "kind"), [(case, kind) for case in CASES for kind in IN_WORDS]
)


@every_measured
def test_ohif_shows_a_measurement_report_and_no_black_viewport(case: str, kind: ResultKind) -> None:
    root = report(case, kind)
    assert code_of(root) == "126000"
    assert len(children(root, "126010")) == 1
    assert groups(root)
    for group in groups(root):
        assert children(group, "112039")[0].TextValue
        assert children(group, "112040")[0].UID
        assert outline(group).GraphicType in ("POINT", "POLYLINE")
        assert [item.ValueType for item in children(outline(group))] == ["IMAGE"]


@every_measured
def test_ohif_labels_each_outline_with_numbers_named_after_their_findings(
    case: str, kind: ResultKind
) -> None:
    for group in groups(report(case, kind)):
        assert numbers(group)
        for item in children(group):
            if item.ValueType == "NUM":
                finding = children(item, "121071")[0].ConceptCodeSequence[0].CodeMeaning
                assert finding in meaning_of(item)
                assert item.RelationshipType == "CONTAINS"


@every_measured
def test_ohif_takes_no_outline_for_a_rectangle_and_so_asks_nothing(
    case: str, kind: ResultKind
) -> None:
    for group in groups(report(case, kind)):
        assert len(outline(group).GraphicData) > 2 * 5


def test_ohif_asks_nothing_where_a_region_has_four_corners() -> None:
    square = Region(outline=((20.0, 20.0), (60.0, 20.0), (60.0, 80.0), (20.0, 80.0)))
    prediction = make_prediction(SOURCE)
    findings = tuple(replace(f, regions=(square,)) if f.regions else f for f in prediction.findings)

    root = read(make_results(SOURCE, replace(prediction, findings=findings), ORDER)[-1])

    drawn = list(outline(groups(root)[1]).GraphicData)
    corners = list(zip(drawn[::2], drawn[1::2], strict=True))
    assert corners == [
        (20, 20), (40, 20), (60, 20), (60, 50), (60, 80), (40, 80), (20, 80), (20, 50), (20, 20),
    ]  # fmt: skip


@pytest.mark.parametrize(("probability", "said"), [(1e-9, 1e-7), (0.00123456, 0.12), (0, 0)])
def test_ohif_leaves_nought_out_so_a_small_probability_is_none(
    probability: float, said: float
) -> None:
    finding = make_finding("Nodule", frame_of(SOURCE.headers[0]), probability)
    prediction = replace(make_prediction(SOURCE), findings=(finding,))
    root = read(make_results(SOURCE, prediction, ORDER)[-1])
    (number,) = (item for item in children(groups(root)[0]) if item.ValueType == "NUM")
    assert float(number.MeasuredValueSequence[0].NumericValue) == said


def test_ohif_shows_five_numbers_of_a_group_so_the_most_important_come_first() -> None:
    frame = frame_of(SOURCE.headers[0])
    absent = [make_finding(f"label {n}", frame, n / 40) for n in range(18)]
    findings = (*absent, make_finding("hit", frame, 0.3, presence=Presence.PRESENT))
    prediction = replace(make_prediction(SOURCE), findings=findings)

    root = read(make_results(SOURCE, prediction, ORDER)[-1])

    (only,) = groups(root)
    assert len(numbers(only)) == 19
    first = [name.removesuffix(" probability") for name in numbers(only)[:5]]
    assert first == ["hit", "label 17", "label 16", "label 15", "label 14"]


@pytest.mark.parametrize(("rows", "columns"), [(160, 160), (300, 100), (100, 300)])
def test_ohif_lays_no_banner_over_the_mark_of_the_whole_image(rows: int, columns: int) -> None:
    source = make_source(make_header(rows=rows, columns=columns))
    root = read(make_results(source, make_prediction(source, regions=0), ORDER)[-1])
    (group,) = groups(root)
    points = list(outline(group).GraphicData)
    assert all(0 < x < 0.1 * columns for x in points[::2])
    assert all(0.7 * rows < y < 0.9 * rows for y in points[1::2])


@pytest.mark.parametrize("kind", IN_WORDS)
def test_ohif_takes_a_notice_for_text_as_it_is_no_measurement_report(kind: ResultKind) -> None:
    root = notice(kind)
    assert code_of(root) != "126000"
    assert not [item for item in everything(root) if item.ValueType in ("NUM", "SCOORD")]


@pytest.mark.parametrize("case", CASES)
def test_stone_draws_polylines_selected_from_an_original_source(case: str) -> None:
    root = report(case, ResultKind.SR)
    assert root.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.33"
    assert root.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    for group in groups(root):
        assert group.ContentTemplateSequence[0].TemplateIdentifier == "1410"
        assert outline(group).GraphicType == "POLYLINE"
        (selected,) = children(outline(group))
        assert code_of(selected) == "111040"
        assert selected.RelationshipType == "SELECTED FROM"


@every_report
def test_weasis_and_dsr2html_write_every_item_with_its_name(case: str, kind: ResultKind) -> None:
    for root in (report(case, kind), notice(kind)):
        for item in (root, *everything(root)):
            assert meaning_of(item)
            if item.ValueType == "CONTAINER":
                assert item.ContinuityOfContent == "SEPARATE"
            if item.ValueType == "TEXT":
                assert item.TextValue.strip()


@every_report
def test_a_reader_of_plain_text_finds_the_outcome_in_one_sentence(
    case: str, kind: ResultKind
) -> None:
    said = [i.TextValue for i in everything(report(case, kind)) if i.ValueType == "TEXT"]
    first = ("Über dem Schwellenwert: ", "Kein Befund über seinem Schwellenwert.")
    assert len([text for text in said if text.startswith(first)]) == 1
    assert "Automatisch erstelltes Ergebnis, nicht ärztlich überprüft." in said


@pytest.mark.parametrize("case", CASES)
def test_ihe_air_finds_the_algorithm_with_every_group(case: str) -> None:
    root = report(case, ResultKind.SR3D)
    assert root.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.34"
    uids = [children(group, "112040")[0].UID for group in groups(root)]
    assert len(set(uids)) == len(uids)
    for group in groups(root):
        assert children(group, "111001")[0].TextValue == MODEL.name
        assert children(group, "111003")[0].TextValue == MODEL.version
