"""Malformed associations, made from good ones by changing their structure.

`python -m tests.fuzz.pdus --seed 7 --count 100000` tries more than the tests do.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from tests.fuzz import objects, order
from tests.fuzz.streams import (
    COMMITMENT_CONTEXT,
    ECHO_CONTEXT,
    STORE_CONTEXT,
    Piece,
    abort,
    action,
    associate,
    copy,
    echo,
    encode,
    message,
    pieces_in,
    release,
    store,
)
from tests.fuzz.tree import Node
from tests.fuzz.tree import copy as copy_nodes
from tests.fuzz.tree import encode as encode_nodes

__all__ = ["UNHEARD", "Stream", "mutate", "stream"]

UNHEARD = 100  #: objects from this number on come from callers that do not wait for an answer

KINDS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 0x10, 0x20, 0x30, 0x40, 0x50, 0x51, 0x54, 0x58, 0x80, 0xFF)
LENGTHS = (0, 1, 2, 3, 5, 6, 0x7F, 0xFF, 0xFFFF, 0x10000, 0x20000, 0x7FFFFFFF, 0xFFFFFFFF)
DATA = (b"", b"\x00", bytes(20), b"\xff" * 70, b"1.2", b"1" * 65, b"../../evil", b"A\\B\x00\n")

Pieces = list[Piece]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """All that one caller sends, and how it parts."""

    data: bytes
    waits: bool  #: for what the receiver says, until it hangs up; otherwise it is gone at once
    changes: tuple[str, ...]


def stream(seed: int, number: int) -> Stream:
    """One of them, from its own number."""
    return mutate(Random(f"{seed} {number}"))  # noqa: S311  the same every time


def mutate(random: Random) -> Stream:
    """One more; chance decides everything."""
    waits = random.random() < 0.9
    pieces = _recording(random, 0 if waits else UNHEARD)
    changes = random.choices(TO_PIECES, k=random.choice((0, 1, 1, 1, 2, 3)))
    for change in changes:
        change(random, pieces)
    data = encode(pieces)
    late = random.choices(objects.TO_BYTES, k=random.choice((0, 0, 0, 1)))
    for spoil in late:
        data = spoil(random, data)
    names = (*(each.__name__ for each in changes), *(each.__name__ for each in late))
    return Stream(data=data, waits=waits, changes=names)


# --- good associations, but for their commands ----------------------------------------------


def _recording(random: Random, first: int) -> Pieces:
    pieces = [associate()]
    for _ in range(random.choice((0, 1, 1, 2, 4))):
        pieces += random.choice((_store, _store, _echo, _action))(random, first)
    return [*pieces, random.choice((release, release, release, abort))()]


def _store(random: Random, first: int) -> Pieces:
    command, data = store(first + random.randrange(20))
    sizes = random.choice(((), (), (100,), (1, 1, 50), (0,), (2, 0, 0)))
    if random.random() < 0.1:
        data = objects.mutate(random).data
    return message(STORE_CONTEXT, _spoiled(random, command), data, sizes)


def _echo(random: Random, first: int) -> Pieces:
    return message(ECHO_CONTEXT, _spoiled(random, echo()), None, ())


def _action(random: Random, first: int) -> Pieces:
    command, data = action(first + random.randrange(20))
    return message(COMMITMENT_CONTEXT, _spoiled(random, command), data, ())


def _spoiled(random: Random, command: list[Node]) -> bytes:
    nodes = copy_nodes(command)
    if random.random() < 0.2:
        random.choice(TO_COMMANDS)(random, nodes)
    return encode_nodes(nodes, explicit=random.random() < 0.01)


def _set_number(random: Random, nodes: list[Node]) -> None:
    numbers = [node for node in nodes if node.vr == b"US"]
    if numbers:
        random.choice(numbers).value = random.randbytes(random.choice((0, 1, 2, 2, 2, 4)))


TO_COMMANDS = (
    *(objects.retag, objects.lie_about_length, objects.set_value, objects.delete),
    *(objects.duplicate, objects.reorder, objects.widen, _set_number),
)


# --- changes of structure -------------------------------------------------------------------


def _pick(random: Random, pieces: Pieces) -> tuple[Pieces, int]:
    return random.choice([*pieces_in(pieces)] or [([release()], 0)])


def _piece(random: Random, pieces: Pieces) -> Piece:
    siblings, place = _pick(random, pieces)
    return siblings[place]


def another_kind(random: Random, pieces: Pieces) -> None:
    """Another type of PDU or item, another context: an even one, one that was not agreed on."""
    _piece(random, pieces).kind = random.choice(KINDS)


def another_mark(random: Random, pieces: Pieces) -> None:
    """Other control bits; a reserved byte that is not zero."""
    _piece(random, pieces).mark = random.choice((0, 1, 2, 3, 4, 0xFF))


def lie_about_length(random: Random, pieces: Pieces) -> None:
    """A length that is off by little, or huge."""
    piece = _piece(random, pieces)
    near = len(piece.data) + random.choice((-2, -1, 1, 2, 3))
    piece.length = max(0, random.choice((near, random.choice(LENGTHS), random.getrandbits(16))))


def set_data(random: Random, pieces: Pieces) -> None:
    """Other bytes: a UID that is none, an AE title with a line end."""
    _piece(random, pieces).data = random.choice((*DATA, random.randbytes(random.randrange(80))))


def spoil_data(random: Random, pieces: Pieces) -> None:
    """Some bytes of it are others, missing, or twice there."""
    piece = _piece(random, pieces)
    piece.data = random.choice(objects.TO_BYTES)(random, piece.data)


def delete(random: Random, pieces: Pieces) -> None:
    """One less."""
    siblings, place = _pick(random, pieces)
    del siblings[place]


def duplicate(random: Random, pieces: Pieces) -> None:
    """One more of the same; or very many."""
    siblings, place = _pick(random, pieces)
    count = random.choice((1, 1, 1, 130))
    siblings[place:place] = copy([siblings[place]] * count)


def reorder(random: Random, pieces: Pieces) -> None:
    """Two change places, or all."""
    order.reorder(random, *_pick(random, pieces))


def move_elsewhere(random: Random, pieces: Pieces) -> None:
    """One goes to another level: an item among PDUs, a PDU in an item."""
    order.move(lambda: _pick(random, pieces))


def interleave(random: Random, pieces: Pieces) -> None:
    """A whole PDU comes where none can be: a release in a dataset, a second greeting."""
    odd = random.choice((release(), abort(), associate(), Piece("pdu", 4)))
    pieces.insert(random.randint(0, len(pieces)), odd)


def join(random: Random, pieces: Pieces) -> None:
    """All data values travel in one PDU."""
    values = [value for piece in pieces if piece.kind == 4 for value in piece.pieces]
    pieces[1:-1] = [Piece("pdu", 4, pieces=values)]


def repeat(random: Random, pieces: Pieces) -> None:
    """Everything once more: after a release, or a second association in the first."""
    pieces += copy(pieces)


TO_PIECES: tuple[Callable[[Random, Pieces], None], ...] = (
    *(another_kind, another_mark, lie_about_length, lie_about_length, set_data, spoil_data),
    *(delete, duplicate, reorder, move_elsewhere, interleave, join, repeat),
)


def main() -> None:
    """Send many to a receiver; say what is wrong with it at the end."""
    from tests.fuzz.target import attacked  # it starts processes, a generator does not

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=40_000)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        print(attacked(Path(folder), options.seed, options.count))


if __name__ == "__main__":
    main()
