import pytest
from pydicom import Dataset
from pydicom.uid import ComprehensiveSRStorage

from dicomnode.web.showing.report_tree import Node, Reference, read_tree
from tests.unit.report.samples import made, read, report_of


def code(value: str, scheme: str, meaning: str, keyword: str = "CodeValue") -> Dataset:
    item = Dataset()
    setattr(item, keyword, value)
    item.CodingSchemeDesignator, item.CodeMeaning = scheme, meaning
    return item


def item(kind: str, name: str = "Comment", **values: object) -> Dataset:
    """A content item with its name."""
    made = Dataset()
    made.ValueType = kind
    made.ConceptNameCodeSequence = [code("121106", "DCM", name)]
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def number(value: str, unit: str, meaning: str) -> Dataset:
    measured = Dataset()
    measured.NumericValue = value
    measured.MeasurementUnitsCodeSequence = [code(unit, "UCUM", meaning)]
    return item("NUM", "Diameter", MeasuredValueSequence=[measured])


def walk(node: Node) -> list[Node]:
    return [node, *(below for child in node.children for below in walk(child))]


@pytest.mark.parametrize(
    ("one", "value"),
    [
        (item("TEXT", TextValue="as before"), "as before"),
        (item("CODE", ConceptCodeSequence=[code("1", "SCT", "Chest")]), "Chest"),
        (number("12.5", "mm", "millimeter"), "12.5 millimeter"),
        (number("93.1", "%", "Percent"), "93.1 %"),
        (number("3", "1", "no units"), "3"),
        (item("DATE", Date="20250102"), "20250102"),
        (item("TIME", Time="030405"), "030405"),
        (item("DATETIME", DateTime="20250102030405"), "20250102030405"),
        (item("UIDREF", UID="1.2.3"), "1.2.3"),
        (item("PNAME", PersonName="SYNTHETIC^READER"), "SYNTHETIC^READER"),
        (
            item("SCOORD", GraphicType="POLYLINE", GraphicData=[1.0, 2.0, 3.0, 4.0]),
            "polyline, 2 points",
        ),
        (item("SCOORD3D", GraphicType="POINT", GraphicData=[1.0, 2.0, 3.0]), "point, 1 point"),
        (item("TCOORD", TemporalRangeType="SEGMENT"), "segment"),
        (item("CONTAINER"), ""),
        (item("NOVEL"), ""),
    ],
)
def test_each_value_type_is_read(one: Dataset, value: str) -> None:
    found = read_tree(one)
    assert (found.value, found.kind) == (value, one.ValueType)


def test_a_number_without_a_value_says_why() -> None:
    why = item("NUM", NumericValueQualifierCodeSequence=[code("114007", "DCM", "Not possible")])
    assert read_tree(why).value == "Not possible"


def test_a_code_may_be_long_or_an_address() -> None:
    urn = code("urn:lex:us:1", "99X", "Act", "URNCodeValue")
    found = read_tree(item("CODE", ConceptCodeSequence=[urn]))
    assert found.code == "(121106, DCM) = (urn:lex:us:1, 99X)"


def test_a_reference_names_the_object_and_its_frames() -> None:
    ref = Dataset()
    ref.ReferencedSOPClassUID, ref.ReferencedSOPInstanceUID = ComprehensiveSRStorage, "1.2.3"
    ref.ReferencedFrameNumber = [2, 5]
    (found,) = read_tree(item("IMAGE", ReferencedSOPSequence=[ref])).references
    assert found == Reference(
        sop_instance_uid="1.2.3", kind="Comprehensive SR Storage", frames=(2, 5)
    )


def test_an_item_that_only_points_at_another_says_so() -> None:
    by_reference = Dataset()
    by_reference.RelationshipType = "INFERRED FROM"
    by_reference.ReferencedContentItemIdentifier = [1, 2, 3]
    assert read_tree(by_reference).value == "see item 1.2.3"


def test_a_report_of_ours_is_read_whole() -> None:
    report = report_of(made())
    nodes = walk(read_tree(report))
    assert nodes[0].name == "Imaging Measurement Report"
    assert {"Image Library", "Imaging Measurements", "Qualitative Evaluations"} <= {
        node.name for node in nodes
    }
    (effusion,) = {node.percent for node in nodes if node.name == "Pleural effusion probability"}
    assert effusion == 97.0
    assert any(node.references for node in nodes)
    assert all(node.value or node.kind in ("CONTAINER", "IMAGE") for node in nodes)


def test_a_tree_that_is_too_deep_or_too_wide_is_cut_off() -> None:
    deep = item("CONTAINER")
    for _ in range(100):
        deep = item("CONTAINER", ContentSequence=[deep])
    assert len(walk(read_tree(deep))) == 65
    wide = item("CONTAINER", ContentSequence=[item("TEXT", TextValue="x") for _ in range(6000)])
    assert len(walk(read_tree(wide))) <= 5001


def test_a_document_without_content_has_none() -> None:
    assert read_tree(Dataset()).children == ()
    assert read(made()[0]) is not None
