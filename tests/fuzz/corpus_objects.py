"""Odd and hostile objects with a name, kept as files beside the outcome that is right for each.

`python -m tests.fuzz.corpus_objects` writes them again, as
`tests/fuzz/corpus/objects/OUTCOME/NAME.dcm`. The file meta holds what the C-STORE command and the
presentation context say.
"""

import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
)

from dicomnode.receive.intake import file_header
from tests.factories import make_dataset, make_request, uid
from tests.fuzz.seeds import seeds
from tests.fuzz.tree import UNDEFINED, Item, Node, Order, copy, encode, head

__all__ = ["FOLDER", "MAX_OBJECT_BYTES", "cases"]

FOLDER = Path(__file__).parent / "corpus" / "objects"
MAX_OBJECT_BYTES = 1024 * 1024  #: of the intake that judges them

CT, REPORT, FRAMES, JPEG, RLE, PRIVATE = range(6)
SOP_CLASS, SOP_INSTANCE, STUDY, SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
ROWS, COLUMNS, NUMBER_OF_FRAMES, CHARSET, PATIENT_ID, PATIENT_NAME = (
    *(0x00280010, 0x00280011, 0x00280008, 0x00080005, 0x00100020, 0x00100010),
)
SEQUENCE, PIXELS = 0x00400275, 0x7FE00010


@dataclass(frozen=True, slots=True)
class Case:
    """One object and what must become of it: kept, or the name of an error."""

    outcome: str
    name: str
    data: bytes
    syntax: str = ExplicitVRLittleEndian

    def file(self) -> bytes:
        """As a Part 10 file."""
        nodes = {node.tag: node.value for node in _seed_of(self.name)}
        request = make_request(
            make_dataset(),
            sop_class_uid=nodes[SOP_CLASS].decode().rstrip("\x00"),
            sop_instance_uid=nodes[SOP_INSTANCE].decode().rstrip("\x00"),
            transfer_syntax_uid=str(self.syntax),
        )
        return file_header(request) + self.data


def cases() -> list[Case]:
    """All of them."""
    return [*_good(), *_forgiven(), *_too_short(), *_mixed_up(), *_deep(), *_bombs(), *_misnamed()]


def _seed_of(name: str) -> list[Node]:
    seeded = {"report": REPORT, "frames": FRAMES, "jpeg": JPEG, "rle": RLE, "private": PRIVATE}
    return seeds()[seeded.get(name.partition("-")[0], CT)]


# --- how they are made ----------------------------------------------------------------------


def _whole(
    seed: int = CT, *, explicit: bool = True, order: Order = "<", more: tuple[Node, ...] = ()
) -> bytes:
    return encode([*seeds()[seed], *more], explicit=explicit, order=order)


def _header() -> list[Node]:
    return [node for node in copy(seeds()[CT]) if node.tag != PIXELS]


def _with(*more: Node, explicit: bool = True) -> bytes:
    return encode([*_header(), *more], explicit=explicit)


def _changed(tag: int, value: bytes, seed: int = CT) -> bytes:
    nodes = copy(seeds()[seed])
    for node in nodes:
        if node.tag == tag:
            node.value = value
    return encode(nodes)


def _without(tag: int) -> bytes:
    return encode([node for node in seeds()[CT] if node.tag != tag])


def _sequence(*items: Item, **changes: int | bool | None) -> Node:
    node = Node(SEQUENCE, b"SQ", items=list(items))
    for name, value in changes.items():
        setattr(node, name, value)
    return node


def _item(*nodes: Node, **changes: int | bool | None) -> Item:
    item = Item(list(nodes) or [Node(0x00409999, b"LO", b"ab")])
    for name, value in changes.items():
        setattr(item, name, value)
    return item


def _nested(depth: int, vr: bytes = b"SQ", length: int | None = None) -> Node:
    inner = Node(0x00409999, b"LO", b"ab")
    for _ in range(depth):
        inner = Node(SEQUENCE, vr, items=[Item([inner], length=length)], length=length)
    return inner


def _deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def _value(vr: bytes, value: bytes, length: int | None = None) -> Node:
    return Node(0x00091001, vr, value, length=length)


# --- those that are kept --------------------------------------------------------------------


def _good() -> Iterator[Case]:
    yield Case("kept", "explicit", _whole())
    yield Case("kept", "implicit", _whole(explicit=False), ImplicitVRLittleEndian)
    yield Case("kept", "big-endian", _whole(order=">"), ExplicitVRBigEndian)
    yield Case("kept", "deflated", _deflated(_whole()), DeflatedExplicitVRLittleEndian)
    yield Case("kept", "report-of-nested-sequences", _whole(REPORT))
    implicit = _whole(REPORT, explicit=False)
    yield Case("kept", "report-implicit", implicit, ImplicitVRLittleEndian)
    yield Case("kept", "report-big-endian", _whole(REPORT, order=">"), ExplicitVRBigEndian)
    yield Case("kept", "frames-with-functional-groups", _whole(FRAMES))
    yield Case("kept", "jpeg-in-fragments", _whole(JPEG), JPEGBaseline8Bit)
    yield Case("kept", "rle-in-fragments", _whole(RLE), RLELossless)
    yield Case("kept", "private-blocks-and-escapes", _whole(PRIVATE))


def _forgiven() -> Iterator[Case]:
    """What real senders send."""
    kept: dict[str, bytes] = {
        "odd-length": _with(_value(b"LO", b"odd")),
        "odd-long-length": _with(_value(b"OB", b"odd")),
        "trailing-padding": _with(Node(0xFFFCFFFC, b"OB", bytes(16))),
        "seven-zeros-at-the-end": _whole() + bytes(7),
        "stray-sequence-delimiter": _with() + head(0xFFFEE0DD) + bytes(4),
        "stray-item-delimiter": _with() + head(0xFFFEE00D) + bytes(4),
        "item-without-its-delimiter": _with(
            _sequence(_item(length=UNDEFINED, ends=False), length=UNDEFINED)
        ),
        "open-item-in-a-closed-sequence": _with(_sequence(_item(length=UNDEFINED, ends=False))),
        "empty-sequence": _with(_sequence()),
        "empty-items": _with(_sequence(Item(), Item(length=UNDEFINED))),
        "unknown-with-implicit-items": _with(
            Node(0x00291010, b"UN", items=[_item()], length=UNDEFINED)
        ),
        "unknown-with-explicit-items": _with(
            Node(0x00291010, b"UN", items=[_item(Node(1, b"LO", explicit=True))], length=UNDEFINED)
        ),
        "unknown-that-looks-like-an-item": _with(
            Node(0x00291010, b"UN", b"\xfe\xff\x00\xe0\xff\xff\xff\x7f not an item")
        ),
        "vr-of-the-future-short": _with(_value(b"ZZ", b"ab")),
        "group-lengths": encode([Node(0x00080000, b"UL", bytes(4)), *seeds()[CT]]),
        "one-element-implicit": _with(Node(0x00091001, b"LO", b"ab", explicit=False)),
        "elements-in-reverse": encode(seeds()[CT][::-1]),
        "named-twice-alike": encode([*seeds()[CT], *seeds()[CT][:4]]),
        "uid-padded-with-spaces": _changed(SERIES, uid("series").encode() + b" \x00"),
        "other-uid-in-an-item": _with(_sequence(_item(Node(SOP_INSTANCE, b"UI", b"9.9\x00")))),
        "command-group-in-the-dataset": encode([Node(0x00000002, b"UI", b"1.2\x00"), *_header()]),
        "file-meta-in-the-dataset": encode([Node(0x00020010, b"UI", b"1.2\x00"), *_header()]),
        "character-set-unknown": _changed(CHARSET, b"ISO_IR 999"),
        "character-sets-without-end": _changed(CHARSET, b"\\" * 200),
        "escape-cut-short": _changed(PATIENT_NAME, b"A^\x1b$B\x1b"),
        "text-with-nul": _changed(PATIENT_NAME, b"A\x00B^\x00C"),
        "path-as-patient-id": _changed(PATIENT_ID, b"../../etc/passwd"),
        "format-string-as-patient-id": _changed(PATIENT_ID, b"%s%n{0}$(id)"),
        "bytes-as-patient-id": _changed(PATIENT_ID, bytes(range(128, 192))),
        "frames-less-than-none": _changed(NUMBER_OF_FRAMES, b"-5", FRAMES),
        "frames-beyond-number": _changed(NUMBER_OF_FRAMES, b"99999999999999 ", FRAMES),
        "native-pixels-that-claim-more": _changed(ROWS, b"\xff\xff"),
        "rows-of-no-number": _changed(ROWS, b"abcdefgh"),
    }
    yield from (Case("kept", name, data) for name, data in kept.items())
    yield Case("kept", "implicit-although-not-said", _whole(explicit=False))
    yield Case("kept", "explicit-although-not-said", _whole(), ImplicitVRLittleEndian)
    odd = _whole(JPEG).replace(bytes(4) + head(0xFFFEE000), bytes(3) + head(0xFFFEE000))
    odd = odd.replace(head(0xFFFEE000) + b"\x04\x00", head(0xFFFEE000) + b"\x03\x00")
    yield Case("kept", "jpeg-with-an-odd-offset-table", odd, JPEGBaseline8Bit)
    none = _with(Node(PIXELS, b"OB", items=[], length=UNDEFINED))
    yield Case("kept", "encapsulated-without-fragments", none, JPEGBaseline8Bit)
    padded = _deflated(_whole()) + b"\x00"
    yield Case("kept", "deflated-and-padded", padded, DeflatedExplicitVRLittleEndian)


# --- those that are not ---------------------------------------------------------------------


def _too_short() -> Iterator[Case]:
    whole = _whole()
    cuts: dict[str, bytes] = {
        "cut-in-a-tag": _with(_value(b"LO", b"ab"))[:-9],
        "cut-in-a-length": _with(_value(b"OB", b"ab"))[:-4],
        "cut-in-a-uid": whole[: whole.index(b"UI") + 10],
        "cut-in-the-pixels": whole[:-1],
        "cut-before-the-pixels": whole[:-36],
        "length-off-by-one": _with(_value(b"OB", b"ab", 3)),
        "length-of-two-gigabytes": _with(_value(b"OB", b"ab", 0x7FFFFFFF)),
        "length-almost-undefined": _with(_value(b"OB", b"ab", 0xFFFFFFFE)),
        "sequence-longer-than-the-dataset": _with(_sequence(_item(), length=1000)),
        "item-longer-than-its-sequence": _with(_sequence(_item(length=11)), _value(b"UT", b"abc")),
        "element-longer-than-its-item": _with(
            _sequence(_item(_value(b"LO", b"ab", 9))), _value(b"UT", b"abcdefgh")
        ),
        "item-shorter-than-an-element": _with(_sequence(_item(length=7)), _value(b"UT", b"ab")),
        "sequence-without-end": _with(_sequence(_item(), length=UNDEFINED, ends=False)),
        "item-without-end": _with(
            _sequence(_item(length=UNDEFINED, ends=False), length=UNDEFINED, ends=False)
        ),
        "value-without-length-or-end": _with(_value(b"UT", b"words", UNDEFINED)),
        "ones-at-the-end": whole + b"\xff" * 7,
    }
    yield from (Case("Unreadable", name, data) for name, data in cuts.items())
    fragments = _whole(JPEG)
    yield Case("Unreadable", "jpeg-without-end", fragments[:-8], JPEGBaseline8Bit)
    yield Case("Unreadable", "jpeg-cut-in-a-fragment", fragments[:-20], JPEGBaseline8Bit)
    big = _whole(order=">")[:-3]
    yield Case("Unreadable", "big-endian-cut", big, ExplicitVRBigEndian)
    implicit = _whole(explicit=False)[:-3]
    yield Case("Unreadable", "implicit-cut", implicit, ImplicitVRLittleEndian)


def _mixed_up() -> Iterator[Case]:
    nothing = {
        "http-request": b"GET / HTTP/1.1\r\nHost: node\r\nUser-Agent: scanner\r\n\r\n",
        "random-bytes": Random(5).randbytes(500),  # noqa: S311
        "ones": b"\xff" * 300,
        "part-10-file": bytes(128) + b"DICM" + _whole(),
        "big-endian-although-not-said": _whole(order=">"),
        "named-twice-otherwise": _whole(more=(Node(SOP_INSTANCE, b"UI", b"1.2.3\x00"),)),
        "uid-of-500-characters": _changed(SOP_INSTANCE, b"1" * 500),
        "uid-as-a-sequence": _with(Node(STUDY, b"SQ", items=[_item()])),
        "elements-where-items-belong": _with(
            Node(SEQUENCE, b"SQ", encode([_value(b"LO", b"abcd")]))
        ),
        "item-without-length-at-the-top": _with() + head(0xFFFEE000) + b"\xff" * 4,
        "fragment-without-length": _with(
            Node(PIXELS, b"OB", items=[Item(length=UNDEFINED)], length=UNDEFINED)
        ),
        "vr-in-small-letters": _with(_value(b"ob", b"\x00\x00\x00\x7f")),
    }
    yield from (Case("Unreadable", name, data) for name, data in nothing.items())
    deflated = DeflatedExplicitVRLittleEndian
    packed = _deflated(_whole())
    yield Case("Unreadable", "deflated-and-cut", packed[:-30], deflated)
    yield Case("Unreadable", "deflated-and-spoiled", b"\xff\xff" + packed[2:], deflated)
    yield Case("Unreadable", "deflated-as-zlib", zlib.compress(_whole()), deflated)
    yield Case("Unreadable", "deflated-although-not-done", _whole(), deflated)


def _deep() -> Iterator[Case]:
    for depth, outcome in ((63, "kept"), (70, "Unreadable")):
        yield Case(outcome, f"nested-{depth}-with-lengths", _with(_nested(depth)))
        data = _with(_nested(depth, length=UNDEFINED))
        yield Case(outcome, f"nested-{depth}-with-delimiters", data)
        data = _with(_nested(depth, b"UN"))
        yield Case(outcome, f"nested-{depth}-in-unknown", data)
        data = _with(_nested(depth), explicit=False)
        yield Case(outcome, f"nested-{depth}-implicit", data, ImplicitVRLittleEndian)
    start = encode([_sequence(Item(length=UNDEFINED, ends=False), length=UNDEFINED, ends=False)])
    yield Case("Unreadable", "nested-150-and-never-closed", _with() + start * 150)


def _bombs() -> Iterator[Case]:
    tail = encode([_value(b"OB", bytes(2 * MAX_OBJECT_BYTES))])
    bomb = _deflated(_with() + tail)
    yield Case("TooLarge", "deflated-bomb", bomb, DeflatedExplicitVRLittleEndian)
    zeros = _deflated(_with() + bytes(2 * MAX_OBJECT_BYTES))
    yield Case("TooLarge", "deflated-bomb-of-elements", zeros, DeflatedExplicitVRLittleEndian)
    for name, tag, value in (
        ("rle-that-claims-rows", ROWS, b"\xff\xff"),
        ("rle-that-claims-frames", NUMBER_OF_FRAMES, b"2147483647"),
    ):
        yield Case("Unreadable", name, _changed(tag, value, RLE), RLELossless)


def _misnamed() -> Iterator[Case]:
    mismatch: dict[str, bytes] = {
        "empty": b"",
        "zeros": bytes(300),
        "sop-instance-is-another": _changed(SOP_INSTANCE, b"1.2.3\x00"),
        "sop-instance-missing": _without(SOP_INSTANCE),
        "sop-instance-is-a-path": _changed(SOP_INSTANCE, b"../../evil"),
        "sop-instance-with-nul": _changed(SOP_INSTANCE, uid("instance", 1).encode() + b"\x00.1"),
        "sop-instance-twice-in-one": _changed(SOP_INSTANCE, uid("instance", 1).encode() + b"\\1.2"),
        "sop-class-is-another": _changed(SOP_CLASS, b"1.2.840.10008.1.1\x00"),
        "sop-class-missing": _without(SOP_CLASS),
    }
    yield from (Case("Mismatch", name, data) for name, data in mismatch.items())
    values: dict[str, bytes] = {
        "missing": b"",
        "is-a-path": b"/etc/passwd\x00",
        "of-65-characters": b"1" * 65,
        "with-nul": b"1.2\x00.3 ",
        "with-letters": b"1.2.abc ",
        "in-other-digits": "1.\u0662".encode(),
        "with-a-line-end": b"1.2\n\x00",
        "with-two-dots": b"1..2",
    }
    for name, value in values.items():
        yield Case("BadUID", f"study-{name}", _changed(STUDY, value))
        yield Case("BadUID", f"series-{name}", _changed(SERIES, value))


def main() -> None:
    """Write them all."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    for case in cases():
        path = FOLDER / case.outcome / f"{case.name}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(case.file())
    print(f"{len(cases())} files under {FOLDER}")


if __name__ == "__main__":
    main()
