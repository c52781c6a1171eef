"""Small good objects that mutants are made of; between them they use all of PS3.5 section 7."""

from functools import lru_cache

from pydicom import Dataset
from pydicom.uid import (
    UID,
    ComprehensiveSRStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
)

from tests.factories import encode, make_dataset, uid
from tests.fuzz.tree import UNDEFINED, Item, Node, parse

__all__ = ["SYNTAXES", "seeds"]

SYNTAXES: tuple[UID, ...] = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
)


@lru_cache
def seeds() -> tuple[list[Node], ...]:
    """Trees; whoever changes one copies it first."""
    return (
        parse(encode(make_dataset(rows=4, columns=4))),
        _report(),
        _multi_frame(),
        _encapsulated([b"\x00\x00\x00\x00", b"\xff\xd8" + bytes(30) + b"\xff\xd9"]),
        _encapsulated([b"", b"\x01\x00\x00\x00\x40" + bytes(59) + b"\xe1\x00" * 4]),
        _private(),
    )


def _code(value: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "99TEST", "a word"
    return code


def _content(value_type: str, **more: object) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", value_type
    item.ConceptNameCodeSequence = [_code("1")]
    for keyword, value in more.items():
        setattr(item, keyword, value)
    return item


def _report() -> list[Node]:
    measured = Dataset()
    measured.NumericValue, measured.MeasurementUnitsCodeSequence = "1.5", [_code("mm")]
    inner = _content("NUM", MeasuredValueSequence=[measured])
    text = _content("TEXT", TextValue="some words", SpecificCharacterSet="ISO_IR 192")
    box = _content("CONTAINER", ContentSequence=[inner, text])
    ds = make_dataset(PixelData=None, Rows=None, Columns=None, SOPClassUID=ComprehensiveSRStorage)
    ds.ContentSequence = [_content("CONTAINER", ContentSequence=[box]), text]
    nodes = parse(encode(ds))
    nodes[-1].length = UNDEFINED
    return nodes


def _multi_frame() -> list[Node]:
    groups = []
    for number in range(3):
        place, content, group = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [0, 0, number]
        content.DimensionIndexValues = [1, number]
        group.PlanePositionSequence, group.FrameContentSequence = [place], [content]
        groups.append(group)
    ds = make_dataset(rows=2, columns=6, SOPClassUID=EnhancedCTImageStorage, NumberOfFrames=3)
    ds.PerFrameFunctionalGroupsSequence = groups
    ds.SharedFunctionalGroupsSequence = [Dataset()]
    ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence = []
    return parse(encode(ds))


def _encapsulated(fragments: list[bytes]) -> list[Node]:
    nodes = parse(encode(make_dataset(PixelData=None, NumberOfFrames=1)))
    items = [Item(fragment=fragment) for fragment in fragments]
    return [*nodes, Node(0x7FE00010, b"OB", items=items, length=UNDEFINED)]


def _private() -> list[Node]:
    """Private blocks, sequences in UN, character sets with escapes, overlays, padding."""
    ds = make_dataset(
        rows=2,
        columns=2,
        SpecificCharacterSet=["", "ISO 2022 IR 87"],
        PatientName="Yamada^Tarou=山田^太郎",
        SOPInstanceUID=uid("private"),
    )
    block = ds.private_block(0x0029, "TESTS", create=True)
    block.add_new(1, "OB", b"\x00\x01\x02\x03")
    block.add_new(2, "SQ", [_code("2"), _code("3")])
    block.add_new(3, "UT", "a long text")
    nodes = parse(encode(ds))
    inside = parse(encode(make_dataset(7, PixelData=None)))[:3]
    unknown = [Item(nodes=inside, length=UNDEFINED), Item(nodes=inside)]
    nodes += [
        Node(0x00290000 | 0x1010, b"UN", items=unknown, length=UNDEFINED),
        Node(0x00290000 | 0x1011, b"UN", b"\xfe\xff\x00\xe0 not an item"),
        Node(0x60003000, b"OW", bytes(8)),
        Node(0xFFFCFFFC, b"OB", bytes(10)),
    ]
    return sorted(nodes, key=lambda node: node.tag)
