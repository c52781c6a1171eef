"""Odd and hostile associations with a name, kept as the bytes a caller sends.

`python -m tests.fuzz.corpus_streams` writes them again, as
`tests/fuzz/corpus/streams/OUTCOME/NAME.bin`. The outcome is the last that the receiver says.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from struct import pack

from tests.fuzz.streams import (
    ECHO_CONTEXT,
    STORE_CONTEXT,
    Piece,
    abort,
    associate,
    echo,
    encode,
    message,
    release,
    store,
)
from tests.fuzz.tree import Node
from tests.fuzz.tree import encode as encode_nodes

__all__ = ["FOLDER", "cases"]

FOLDER = Path(__file__).parent / "corpus" / "streams"

Case = tuple[str, str, bytes]


def cases() -> list[Case]:
    """Outcome, name and bytes of each."""
    return [*_greetings(), *_wrong_pdus(), *_data_values(), *_commands()]


def _changed(change: Callable[[Piece], None]) -> bytes:
    """A greeting that was changed, and a release."""
    greeting = associate()
    change(greeting)
    return encode([greeting, release()])


def _inside(*pieces: Piece) -> bytes:
    """What comes between a good greeting and a good release."""
    return encode([associate(), *pieces, release()])


def _command(nodes: list[Node]) -> bytes:
    return encode_nodes(nodes, explicit=False)


def _store(*sizes: int) -> list[Piece]:
    nodes, data = store(1)
    return message(STORE_CONTEXT, _command(nodes), data, sizes)


def _echo() -> list[Piece]:
    return message(ECHO_CONTEXT, _command(echo()), None, ())


def _no_syntaxes(greeting: Piece) -> None:
    for item in greeting.pieces:
        del item.pieces[1:]


def _no_abstract_syntax(greeting: Piece) -> None:
    del greeting.pieces[1].pieces[0]


def _role(scu: int, scp: int) -> Callable[[Piece], None]:
    """SCP/SCU Role Selection (PS3.7 D.3.3.4) for images."""

    def change(greeting: Piece) -> None:
        role = greeting.pieces[-1].pieces[3]
        role.data = role.data[:-2] + bytes((scu, scp))

    return change


def _head(at: int, value: bytes) -> Callable[[Piece], None]:
    def change(greeting: Piece) -> None:
        greeting.data = greeting.data[:at] + value + greeting.data[at + len(value) :]

    return change


def _item_length(length: int) -> Callable[[Piece], None]:
    return lambda greeting: setattr(greeting.pieces[0], "length", length)


def _greetings() -> Iterator[Case]:
    yield "released", "good", _inside(*_store(), *_echo())
    yield "released", "of-a-provider-of-images", _changed(_role(0, 1))
    yield "released", "without-any-role", _changed(_role(0, 0))
    yield "aborted", "without-transfer-syntaxes", _changed(_no_syntaxes)
    yield "aborted", "without-an-abstract-syntax", _changed(_no_abstract_syntax)
    yield "aborted", "with-a-length-too-long", _changed(_item_length(9999))
    yield "aborted", "with-an-item-too-short", _changed(_item_length(1))
    yield "aborted", "with-nothing-in-it", encode([Piece("pdu", 1), release()])
    yield "aborted", "of-four-gigabytes", _changed(lambda it: setattr(it, "length", 0xFFFFFFFF))
    yield "rejected", "to-another-node", _changed(_head(4, b"SOMEBODY ELSE   "))
    yield "rejected", "from-a-stranger", _changed(_head(20, b"STRANGER        "))
    yield "rejected", "in-another-protocol", _changed(_head(0, pack(">H", 2)))


def _wrong_pdus() -> Iterator[Case]:
    yield "aborted", "http-request", b"GET / HTTP/1.1\r\nHost: node\r\n\r\n"
    yield "aborted", "release-before-a-greeting", encode([release()])
    yield "aborted", "data-before-a-greeting", encode([*_store(), release()])
    yield "aborted", "second-greeting", _inside(associate())
    yield "aborted", "accept-from-the-caller", _inside(Piece("pdu", 2, bytes(68)))
    yield "aborted", "pdu-of-no-type", _inside(Piece("pdu", 0x42, bytes(10)))
    yield "aborted", "pdu-type-zero", _inside(Piece("pdu", 0))
    yield "accepted", "abort", encode([associate(), abort()])
    yield "accepted", "nothing-after-the-greeting", encode([associate()])
    yield "accepted", "half-a-header", encode([associate()]) + b"\x04\x00\x00"
    yield "accepted", "half-a-data-pdu", encode([associate(), *_store()])[:-40]


def _data_values() -> Iterator[Case]:
    def value(data: bytes, mark: int, context: int = STORE_CONTEXT, **more: int) -> Piece:
        piece = Piece("pdv", context, data, mark=mark)
        for name, number in more.items():
            setattr(piece, name, number)
        return Piece("pdu", 4, pieces=[piece])

    begun, data = store(1)
    begin = value(_command(begun), 3)
    yield "aborted", "data-pdu-of-four-gigabytes", _inside(Piece("pdu", 4, length=0xFFFFFFFF))
    yield "aborted", "data-pdu-without-values", _inside(Piece("pdu", 4))
    yield "aborted", "value-of-one-byte", _inside(Piece("pdu", 4, pack(">IB", 1, 1)))
    yield "aborted", "value-longer-than-its-pdu", _inside(value(b"ab", 3, length=400))
    yield "aborted", "even-context", _inside(value(_command(echo()), 3, context=2))
    yield "aborted", "context-nobody-agreed-on", _inside(value(_command(echo()), 3, context=99))
    yield "aborted", "dataset-without-a-command", _inside(value(data, 2))
    yield "aborted", "command-in-a-dataset", _inside(begin, value(data[:50], 0), *_echo())
    other = value(data, 2, context=ECHO_CONTEXT)
    yield "aborted", "dataset-on-another-context", _inside(begin, other)
    yield "aborted", "release-in-a-dataset", _inside(begin, value(data[:50], 0))
    yield "released", "dataset-in-single-bytes", _inside(*_store(*[1] * 60))
    yield "released", "dataset-with-empty-values", _inside(*_store(0, 0, 10, 0))


def _commands() -> Iterator[Case]:
    def echoed(change: Callable[[list[Node]], None]) -> bytes:
        nodes = echo()
        change(nodes)
        return _inside(*message(ECHO_CONTEXT, _command(nodes), None, ()))

    def no_field(nodes: list[Node]) -> None:
        del nodes[2]

    def field(number: int) -> Callable[[list[Node]], None]:
        return lambda nodes: setattr(nodes[2], "value", pack("<H", number))

    yield "aborted", "command-unknown", echoed(field(0x7777))
    yield "aborted", "command-empty", _inside(*message(ECHO_CONTEXT, b"", None, ()))
    noise = message(ECHO_CONTEXT, b"\xff" * 60, None, ())
    yield "aborted", "command-of-ones", _inside(*noise)
    yield "aborted", "command-without-its-field", echoed(no_field)
    yield "aborted", "command-cut", _inside(*message(ECHO_CONTEXT, _command(echo())[:-1], None, ()))
    begun, data = store(1)
    begun[-1].value = b"../../evil"
    path = message(STORE_CONTEXT, _command(begun), data, ())
    yield "released", "store-of-a-path", _inside(*path)
    begun[-1].value = b""
    unnamed = message(STORE_CONTEXT, _command(begun), data, ())
    yield "released", "store-without-a-uid", _inside(*unnamed)
    short = message(STORE_CONTEXT, _command(store(1)[0]), data[:-5], ())
    yield "released", "store-of-half-an-object", _inside(*short)
    wrong = message(ECHO_CONTEXT, _command(store(1)[0]), data, ())
    yield "released", "store-on-the-context-of-echo", _inside(*wrong)


def main() -> None:
    """Write them all."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    for outcome, name, data in cases():
        path = FOLDER / outcome / f"{name}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    print(f"{len(cases())} files under {FOLDER}")


if __name__ == "__main__":
    main()
