"""Malformed objects, made from good ones by changing their structure; the same seed, the same ones.

`python -m tests.fuzz.objects --seed 7 --count 100000` tries more than the tests do.
"""

import argparse
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from struct import pack

from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

from tests.fuzz import order
from tests.fuzz.seeds import SYNTAXES, seeds
from tests.fuzz.tree import UNDEFINED, Item, Node, copy, encode, head, items_in, nodes_in

__all__ = ["Mutant", "mutant", "mutants", "mutate"]

Nodes = list[Node]

TAGS = (
    *(0x00080005, 0x00080016, 0x00080018, 0x0020000D, 0x0020000E, 0x00280010, 0x00280008),
    *(0x00400275, 0x00081140, 0x52009230, 0x7FE00010, 0x7FE00008, 0x00091001, 0x00090010),
    *(0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD, 0xFFFE0000, 0xFFFCFFFC, 0x00020010, 0x00000000),
    *(0xFFFFFFFF, 0x00080000, 0x60003000, 0x50003000, 0x00420011),
)
VRS = (
    *b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI".split(),
    *b"UL UN UR US UT UV ZZ ob ?? OX".split(),
    b"\x00\x00",
    b"\xff\xff",
    b" \x00",
)
LENGTHS = (0, 1, 2, 3, 7, 8, 9, 0xFE, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFE, UNDEFINED)
VALUES = (
    *(b"", b"\x00", bytes(64), b"\xff" * 9, b" " * 16, b"\\" * 30, b"^=^=^", b"\x1b$B\x1b(B\x1b"),
    *(b"../../evil", b"/etc/passwd\x00", b"1.2.\x00.3 ", b"1" * 65, b"1." * 40, b"1.2\\1.3 "),
    *(
        b"1..2",
        b"01.2",
        b"None",
        b"CON ",
        b"%s%n",
        b"1.2\n",
        b"\xef\xbc\x91.2",
        b"1.2.840.10008.1.1",
    ),
    *(b"ISO 2022 IR 87\\ISO 2022 IR 159", b"\\ISO_IR 999", b"GB18030 ", b"UTF-16", b"\\\\"),
    *(b"99999999999999", b"-1", b"1e308", b"NaN ", b"20251399", b"\xfe\xff\x00\xe0", b"\x00\x80"),
    *(b"\xfe\xff\x00\xe0\x08\x00\x00\x00\x08\x00\x16\x00UI\x00\x00", b"1.2.3\xe4\xf6\xfc"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A dataset as it would travel, and what was done to it."""

    data: bytes
    syntax: str  #: as its presentation context would say
    changes: tuple[str, ...]


def mutants(seed: int, count: int, first: int = 0) -> Iterator[Mutant]:
    """As many as asked for, each from its own number."""
    return (mutant(seed, number) for number in range(first, first + count))


def mutant(seed: int, number: int) -> Mutant:
    """One of them."""
    return mutate(Random(f"{seed} {number}"))  # noqa: S311  the same every time


def mutate(random: Random) -> Mutant:
    """One more; chance decides everything."""
    nodes = copy(random.choice(seeds()))
    changes = random.choices(TO_TREES, k=random.choice((0, 1, 1, 1, 2, 3)))
    if changes.count(nest) > 1:  # deeper than Python could write
        changes = [nest]
    for change in changes:
        change(random, nodes)
    syntax = random.choice(SYNTAXES)
    explicit, big = syntax != ImplicitVRLittleEndian, syntax == ExplicitVRBigEndian
    data = encode(nodes, explicit=explicit, order=">" if big else "<")
    late = random.choices(TO_BYTES, k=random.choice((0, 0, 1) if changes else (1, 2)))
    for spoil in late:
        data = spoil(random, data)
    if syntax == DeflatedExplicitVRLittleEndian:
        data = random.choice(PACKINGS)(random, data)
    if random.random() < 0.05:
        syntax = random.choice(SYNTAXES)
    names = (*(each.__name__ for each in changes), *(each.__name__ for each in late))
    return Mutant(data=data, syntax=str(syntax), changes=names)


# --- changes of one element -----------------------------------------------------------------


def _pick(random: Random, nodes: Nodes) -> tuple[Nodes, int]:
    return random.choice([*nodes_in(nodes)] or [([Node(0x00080016, b"UI")], 0)])


def _pick_item(random: Random, nodes: Nodes) -> tuple[list[Item], int]:
    return random.choice([*items_in(nodes)] or [([Item()], 0)])


def _node(random: Random, nodes: Nodes) -> Node:
    siblings, place = _pick(random, nodes)
    return siblings[place]


def _length(random: Random, true: int) -> int:
    near = true + random.choice((-2, -1, 1, 2, 8, -8))
    return max(0, random.choice((near, random.choice(LENGTHS), random.getrandbits(32))))


def retag(random: Random, nodes: Nodes) -> None:
    """Another tag: a wanted one, a delimiter, a group that has no place here."""
    _node(random, nodes).tag = random.choice((*TAGS, random.getrandbits(32)))


def change_vr(random: Random, nodes: Nodes) -> None:
    """Another VR, with a length of another width perhaps; or none at all."""
    _node(random, nodes).vr = random.choice(VRS)


def lie_about_length(random: Random, nodes: Nodes) -> None:
    """A length that is off by little, odd, huge or undefined."""
    node = _node(random, nodes)
    node.length = _length(random, len(node.value))


def lie_about_item(random: Random, nodes: Nodes) -> None:
    """The same of an item or a fragment."""
    items, place = _pick_item(random, nodes)
    items[place].length = _length(random, len(encode(items[place].nodes)))


def set_value(random: Random, nodes: Nodes) -> None:
    """A value that is none of its VR: path tricks, NULs, escapes, numbers without end."""
    _node(random, nodes).value = random.choice((*VALUES, random.randbytes(random.randrange(40))))


def set_identity(random: Random, nodes: Nodes) -> None:
    """The same of an element that names the object."""
    wanted = [node for node in nodes if node.tag in TAGS[:7]]
    if wanted:
        random.choice(wanted).value = random.choice(VALUES)


def claim_pixels(random: Random, nodes: Nodes) -> None:
    """Rows, columns or frames far beyond what was sent."""
    for node in nodes:
        if node.tag in (0x00280010, 0x00280011):
            node.value = b"\xff\xff"
        elif node.tag == 0x00280008:
            node.value = b"2147483647 " if random.random() < 0.5 else b"-5"


# --- changes of order and nesting -----------------------------------------------------------


def delete(random: Random, nodes: Nodes) -> None:
    """An element less."""
    siblings, place = _pick(random, nodes)
    del siblings[place]


def duplicate(random: Random, nodes: Nodes) -> None:
    """The same element again, perhaps with another value."""
    siblings, place = _pick(random, nodes)
    (twin,) = copy([siblings[place]])
    if random.random() < 0.5:
        twin.value = random.choice(VALUES)
    siblings.insert(random.randint(place, len(siblings)), twin)


def reorder(random: Random, nodes: Nodes) -> None:
    """Two elements change places, or all."""
    order.reorder(random, *_pick(random, nodes))


def move_elsewhere(random: Random, nodes: Nodes) -> None:
    """An element goes to another level."""
    order.move(lambda: _pick(random, nodes))


def nest(random: Random, nodes: Nodes) -> None:
    """An element goes into a sequence, and that into another, up to far too deep."""
    siblings, place = _pick(random, nodes)
    inner = siblings[place]
    length = random.choice((None, UNDEFINED))
    for _ in range(random.choice((1, 2, 20, 63, 64, 65, 70))):
        inner = Node(0x00400275, b"SQ", items=[Item([inner], length=length)], length=length)
    siblings[place] = inner


def widen(random: Random, nodes: Nodes) -> None:
    """Many elements, or items, where one was."""
    siblings, place = _pick(random, nodes)
    siblings[place:place] = copy([siblings[place]] * random.choice((10, 100)))


def undefine(random: Random, nodes: Nodes) -> None:
    """A sequence or value without a length, with its delimiter or without."""
    node = _node(random, nodes)
    node.length, node.ends = UNDEFINED, random.random() < 0.5
    for item in node.items or ():
        item.length = random.choice((None, UNDEFINED))
        item.ends = random.random() < 0.7


def change_item(random: Random, nodes: Nodes) -> None:
    """An item that is a delimiter or something else; one less; one more; an empty one."""
    items, place = _pick_item(random, nodes)
    what = random.randrange(4)
    if what == 0:
        items[place].tag = random.choice(TAGS)
    elif what == 1:
        del items[place]
    elif what == 2:
        items.insert(place, Item(fragment=random.randbytes(random.randrange(20))))
    else:
        items[place].ends = False
        items[place].length = UNDEFINED


def rewrite_otherwise(random: Random, nodes: Nodes) -> None:
    """An element with its VR among those without, or the other way round."""
    _node(random, nodes).explicit = random.random() < 0.5


def hide_in_unknown(random: Random, nodes: Nodes) -> None:
    """A sequence in a UN, or a value that looks like one."""
    node = _node(random, nodes)
    node.vr = b"UN"
    if node.items is None:
        node.value = head(0xFFFEE000) + pack("<I", _length(random, 8)) + node.value


def add_private(random: Random, nodes: Nodes) -> None:
    """A private block, with its creator or without."""
    nodes.append(Node(0x00110010, b"LO", b"SOMEBODY"))
    vr, value = random.choice(VRS), random.choice(VALUES)
    nodes.append(Node(0x00110000 | random.getrandbits(16), vr, value))


TO_TREES: tuple[Callable[[Random, Nodes], None], ...] = (
    *(retag, change_vr, lie_about_length, lie_about_length, lie_about_item, set_value),
    *(set_identity, claim_pixels, delete, duplicate, reorder, move_elsewhere, nest, widen),
    *(undefine, change_item, rewrite_otherwise, hide_in_unknown, add_private),
)


# --- changes of bytes -----------------------------------------------------------------------


def cut(random: Random, data: bytes) -> bytes:
    """The end is missing."""
    return data[: random.randint(0, len(data))]


def flip(random: Random, data: bytes) -> bytes:
    """Some bytes are others."""
    spoiled = bytearray(data)
    for _ in range(random.choice((1, 2, 8))):
        if spoiled:
            spoiled[random.randrange(len(spoiled))] = random.choice(
                (0, 0xFF, random.getrandbits(8))
            )
    return bytes(spoiled)


def splice(random: Random, data: bytes) -> bytes:
    """A part is missing, is there twice, or comes from nowhere."""
    start, end = sorted((random.randint(0, len(data)), random.randint(0, len(data))))
    between = random.choice((b"", data[start:end] * 2, random.randbytes(random.randrange(12))))
    return data[:start] + between + data[end:]


def pad(random: Random, data: bytes) -> bytes:
    """Something follows the end."""
    return data + random.choice((bytes(random.randrange(20)), b"\x00\xff", b"\r\n", data))


TO_BYTES: tuple[Callable[[Random, bytes], bytes], ...] = (cut, cut, flip, splice, pad)


def deflated(random: Random, data: bytes) -> bytes:
    """As it should be (PS3.5 A.5)."""
    packer = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def deflated_and_spoiled(random: Random, data: bytes) -> bytes:
    """A stream that breaks off, has wrong bytes, or goes on behind its end."""
    return random.choice(TO_BYTES)(random, deflated(random, data))


def deflated_as_zlib(random: Random, data: bytes) -> bytes:
    """With the zlib header that has no place there."""
    return zlib.compress(data, 1)


def deflated_with_a_tail(random: Random, data: bytes) -> bytes:
    """A value of zeros without end: small to send, large to keep."""
    size = random.choice((1 << 8, 1 << 12, 1 << 16))
    return deflated(random, data + b"\x09\x00\x01\x10OB\x00\x00" + pack("<I", size) + bytes(size))


PACKINGS: tuple[Callable[[Random, bytes], bytes], ...] = (
    *(deflated, deflated, deflated_and_spoiled, deflated_as_zlib, deflated_with_a_tail),
)


def main() -> None:
    """Try many; stop at the first that breaks a promise."""
    from tests.fuzz.promises import Judge  # it writes to a folder, a generator does not

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=60_000)
    options = parser.parse_args()
    with Judge() as judge:
        for number in range(options.count):
            judge.check(mutant(options.seed, number), f"{options.seed} {number}")
        print(judge.summary())


if __name__ == "__main__":
    main()
