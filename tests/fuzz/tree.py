"""Datasets as trees that can be written wrongly: every length, tag and delimiter can be a lie."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from struct import pack, unpack_from
from typing import Literal

__all__ = [
    "UNDEFINED",
    "Item",
    "Node",
    "Order",
    "copy",
    "encode",
    "head",
    "items_in",
    "nodes_in",
    "parse",
]

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_SWAPPED = {b"US": 2, b"SS": 2, b"OW": 2, b"AT": 2, b"UL": 4, b"SL": 4, b"FL": 4, b"FD": 8}

Order = Literal["<", ">"]


@dataclass(slots=True)
class Node:
    """One element; `items` where it is a sequence or holds fragments."""

    tag: int
    vr: bytes
    value: bytes = b""
    items: list["Item"] | None = None
    length: int | None = None  #: told instead of the true one
    ends: bool = True  #: written with its delimiter, where its length is undefined
    explicit: bool | None = None  #: written otherwise than the rest


@dataclass(slots=True)
class Item:
    """One item: elements, or the bytes of a fragment."""

    nodes: list[Node] = field(default_factory=list)
    fragment: bytes = b""
    tag: int = ITEM
    length: int | None = None
    ends: bool = True


def head(tag: int, order: Order = "<") -> bytes:
    """A tag as it is written."""
    return pack(order + "HH", tag >> 16 & 0xFFFF, tag & 0xFFFF)


def encode(nodes: Sequence[Node], *, explicit: bool = True, order: Order = "<") -> bytes:
    """The dataset as the tree says, lies included."""
    return b"".join(_node(node, explicit, order) for node in nodes)


def _node(node: Node, explicit: bool, order: Order) -> bytes:
    explicit = explicit if node.explicit is None else node.explicit
    value = _swapped(node, order) if node.items is None else _items_of(node, explicit, order)
    length = len(value) if node.length is None else node.length
    start = head(node.tag, order)
    if not explicit:
        return start + pack(order + "I", length & UNDEFINED) + value
    if node.vr in LONG_VRS:
        return start + node.vr + b"\x00\x00" + pack(order + "I", length & UNDEFINED) + value
    return start + node.vr + pack(order + "H", length & 0xFFFF) + value


def _items_of(node: Node, explicit: bool, order: Order) -> bytes:
    """Inside a UN everything is Implicit VR Little Endian (PS3.5 6.2.2)."""
    if node.vr == b"UN":
        explicit, order = False, "<"
    value = b"".join(_item(item, explicit, order) for item in node.items or ())
    if node.length == UNDEFINED and node.ends:
        value += head(SEQUENCE_END, order) + bytes(4)
    return value


def _item(item: Item, explicit: bool, order: Order) -> bytes:
    value = item.fragment + encode(item.nodes, explicit=explicit, order=order)
    length = len(value) if item.length is None else item.length
    if item.length == UNDEFINED and item.ends:
        value += head(ITEM_END, order) + bytes(4)
    return head(item.tag, order) + pack(order + "I", length & UNDEFINED) + value


def _swapped(node: Node, order: Order) -> bytes:
    size = _SWAPPED.get(node.vr, 1)
    if order == "<" or size == 1 or len(node.value) % size:
        return node.value
    return b"".join(node.value[at : at + size][::-1] for at in range(0, len(node.value), size))


def parse(data: bytes) -> list[Node]:
    """A well-formed dataset in Explicit VR Little Endian as a tree."""
    nodes, at = _nodes(data, 0, len(data))
    assert at == len(data)
    return nodes


def _nodes(data: bytes, at: int, end: int) -> tuple[list[Node], int]:
    nodes: list[Node] = []
    while at < end:
        tag, length = _tag(data, at), unpack_from("<I", data, at + 4)[0]
        if tag == ITEM_END:
            return nodes, at + 8
        node = Node(tag, data[at + 4 : at + 6])
        if node.vr in LONG_VRS:
            (length,) = unpack_from("<I", data, at + 8)
            at += 12
        else:
            (length,) = unpack_from("<H", data, at + 6)
            at += 8
        if node.vr == b"SQ" or length == UNDEFINED:
            node.length = UNDEFINED if length == UNDEFINED else None
            inside_end = end if length == UNDEFINED else at + length
            node.items, at = _items(data, at, inside_end, fragments=node.vr != b"SQ")
        else:
            node.value = data[at : at + length]
            at += length
        nodes.append(node)
    return nodes, at


def _items(data: bytes, at: int, end: int, *, fragments: bool) -> tuple[list[Item], int]:
    items: list[Item] = []
    while at < end:
        tag, (length,) = _tag(data, at), unpack_from("<I", data, at + 4)
        at += 8
        if tag == SEQUENCE_END:
            return items, at
        inside_end = end if length == UNDEFINED else at + length
        item = Item(length=UNDEFINED if length == UNDEFINED else None)
        if fragments:
            item.fragment, at = data[at:inside_end], inside_end
        else:
            item.nodes, at = _nodes(data, at, inside_end)
        items.append(item)
    return items, at


def _tag(data: bytes, at: int) -> int:
    group, number = unpack_from("<HH", data, at)
    return int(group << 16 | number)


def copy(nodes: Sequence[Node]) -> list[Node]:
    """The same tree once more, to be changed."""
    return [
        replace(
            node,
            items=node.items and [replace(item, nodes=copy(item.nodes)) for item in node.items],
        )
        for node in nodes
    ]


def nodes_in(nodes: list[Node]) -> Iterator[tuple[list[Node], int]]:
    """Where each element of the tree stands: a list, and the place in it."""
    for place, node in enumerate(nodes):
        yield nodes, place
        for item in node.items or ():
            yield from nodes_in(item.nodes)


def items_in(nodes: list[Node]) -> Iterator[tuple[list[Item], int]]:
    """Where each item of the tree stands."""
    for node in nodes:
        for place, item in enumerate(node.items or ()):
            yield node.items or [], place
            yield from items_in(item.nodes)
