"""What a caller sends, as a tree: PDUs, their items, their presentation data values (PS3.8 9.3).

Every length, type and number can be a lie.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from struct import pack
from typing import Literal

from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian

from dicomnode.dicom.sop_classes import STORAGE_COMMITMENT, VERIFICATION
from dicomnode.dicom.uids import IMPLEMENTATION_CLASS_UID
from tests.factories import encode as encode_dataset
from tests.factories import make_dataset, uid
from tests.fuzz.tree import Item, Node
from tests.fuzz.tree import encode as encode_tree

__all__ = [
    "Piece",
    "abort",
    "action",
    "associate",
    "copy",
    "echo",
    "encode",
    "message",
    "pieces_in",
    "release",
    "store",
]

STORE_CONTEXT, ECHO_CONTEXT, COMMITMENT_CONTEXT = 1, 3, 5
_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
_SOP_CLASS, _FIELD, _MESSAGE_ID, _PRIORITY, _HAS_DATASET, _SOP_INSTANCE = (
    *(0x00000002, 0x00000100, 0x00000110, 0x00000700, 0x00000800, 0x00001000),
)

Layout = Literal["pdu", "item", "pdv"]


@dataclass(slots=True)
class Piece:
    """A header with a length, and what it is the length of."""

    layout: Layout
    kind: int  #: of a PDU or an item; of a data value its context
    data: bytes = b""
    pieces: list["Piece"] = field(default_factory=list)  #: behind the data
    length: int | None = None  #: told instead of the true one
    mark: int = 0  #: a reserved byte; of a data value its control header


def encode(pieces: Sequence[Piece]) -> bytes:
    """The bytes, lies included."""
    return b"".join(map(_piece, pieces))


def _piece(piece: Piece) -> bytes:
    body = piece.data + encode(piece.pieces)
    kind, mark = piece.kind & 0xFF, piece.mark & 0xFF
    if piece.layout == "pdv":
        length = len(body) + 2 if piece.length is None else piece.length
        return pack(">IBB", length & 0xFFFFFFFF, kind, mark) + body
    length = len(body) if piece.length is None else piece.length
    if piece.layout == "pdu":
        return pack(">BBI", kind, mark, length & 0xFFFFFFFF) + body
    return pack(">BBH", kind, mark, length & 0xFFFF) + body


def copy(pieces: Sequence[Piece]) -> list[Piece]:
    """The same once more, to be changed."""
    return [replace(piece, pieces=copy(piece.pieces)) for piece in pieces]


def pieces_in(pieces: list[Piece]) -> Iterator[tuple[list[Piece], int]]:
    """Where each piece stands: a list, and the place in it."""
    for place, piece in enumerate(pieces):
        yield pieces, place
        yield from pieces_in(piece.pieces)


# --- PDUs -----------------------------------------------------------------------------------


def associate() -> Piece:
    """An A-ASSOCIATE-RQ that is accepted, with user items of every kind."""
    user = [
        Piece("item", 0x51, pack(">I", 16384)),
        Piece("item", 0x52, IMPLEMENTATION_CLASS_UID.encode()),
        Piece("item", 0x53, pack(">HH", 1, 1)),
        _user_item(0x54, str(CTImageStorage), b"\x01\x00"),
        Piece("item", 0x55, b"FUZZ"),
        _user_item(0x56, str(CTImageStorage), b"\x00\x01"),
    ]
    contexts = [
        _context(STORE_CONTEXT, str(CTImageStorage)),
        _context(ECHO_CONTEXT, VERIFICATION),
        _context(COMMITMENT_CONTEXT, STORAGE_COMMITMENT),
    ]
    head = pack(">HH16s16s32x", 1, 0, b"DICOMNODE".ljust(16), b"MODALITY".ljust(16))
    application = Piece("item", 0x10, _APPLICATION_CONTEXT.encode())
    return Piece("pdu", 1, head, [application, *contexts, Piece("item", 0x50, pieces=user)])


def _context(number: int, sop_class: str) -> Piece:
    syntaxes = [
        Piece("item", 0x30, sop_class.encode()),
        Piece("item", 0x40, str(ImplicitVRLittleEndian).encode()),
    ]
    return Piece("item", 0x20, bytes((number, 0, 0, 0)), syntaxes)


def _user_item(kind: int, sop_class: str, rest: bytes) -> Piece:
    return Piece("item", kind, pack(">H", len(sop_class)) + sop_class.encode() + rest)


def release() -> Piece:
    """An A-RELEASE-RQ."""
    return Piece("pdu", 5, bytes(4))


def abort() -> Piece:
    """An A-ABORT."""
    return Piece("pdu", 7, bytes(4))


def message(context: int, command: bytes, data: bytes | None, sizes: Sequence[int]) -> list[Piece]:
    """P-DATA of a message: its dataset in fragments of these sizes, and the rest."""
    values = [Piece("pdv", context, command, mark=3)]
    if data is not None:
        at = 0
        for size in sizes:
            values.append(Piece("pdv", context, data[at : at + size], mark=0))
            at += size
        values.append(Piece("pdv", context, data[at:], mark=2))
    return [Piece("pdu", 4, pieces=[value]) for value in values]


# --- commands (PS3.7 9.3 and 10.3) ----------------------------------------------------------


def store(number: int) -> tuple[list[Node], bytes]:
    """C-STORE-RQ and dataset of the object with this number."""
    fields = {_FIELD: 0x0001, _MESSAGE_ID: 7, _PRIORITY: 0, _HAS_DATASET: 1}
    nodes = _command(fields, {_SOP_CLASS: CTImageStorage, _SOP_INSTANCE: uid("instance", number)})
    ds = make_dataset(number, rows=2, columns=2)
    return nodes, encode_dataset(ds, ImplicitVRLittleEndian)


def echo() -> list[Node]:
    """C-ECHO-RQ."""
    fields = {_FIELD: 0x0030, _MESSAGE_ID: 8, _HAS_DATASET: 0x0101}
    return _command(fields, {_SOP_CLASS: VERIFICATION})


def action(number: int) -> tuple[list[Node], bytes]:
    """N-ACTION-RQ for storage commitment (PS3.4 J.3.2), and what it asks for."""
    fields = {_FIELD: 0x0130, _MESSAGE_ID: 9, _HAS_DATASET: 1, 0x00001008: 1}
    names = {0x00000003: STORAGE_COMMITMENT, 0x00001001: "1.2.840.10008.1.20.1.1"}
    reference = Node(0x00081150, b"UI", _padded(CTImageStorage))
    instance = Node(0x00081155, b"UI", _padded(uid("instance", number)))
    return _command(fields, names), _asked(number, reference, instance)


def _asked(number: int, *reference: Node) -> bytes:
    transaction = Node(0x00081195, b"UI", _padded(uid("transaction", number)))
    sequence = Node(0x00081199, b"SQ", items=[Item(list(reference))])
    return encode_tree([transaction, sequence], explicit=False)


def _command(numbers: dict[int, int], names: dict[int, str]) -> list[Node]:
    nodes = [Node(tag, b"US", pack("<H", number)) for tag, number in numbers.items()]
    nodes += [Node(tag, b"UI", _padded(name)) for tag, name in names.items()]
    nodes.sort(key=lambda node: node.tag)
    size = sum(8 + len(node.value) for node in nodes)
    return [Node(0x00000000, b"UL", pack("<I", size)), *nodes]


def _padded(name: str) -> bytes:
    return name.encode() + b"\x00" * (len(name) % 2)
