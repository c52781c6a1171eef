"""Files go to a peer over real associations; whatever it does, each gets an outcome."""

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from pydicom import Dataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    EnhancedSRStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)
from pynetdicom import evt
from pynetdicom.association import Association

from dicomnode.deliver.sender import send
from dicomnode.records import Outcome, Verdict
from tests.factories import encode, make_dataset, make_part10, make_peer, uid, write_part10
from tests.pacs import FakePacs, free_port, listening, pacs

US = "DICOMNODE"


@pytest.fixture
def fake() -> Iterator[FakePacs]:
    with pacs() as fake:
        yield fake


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    return [write_part10(make_dataset(n), tmp_path / f"{n}.dcm") for n in (1, 2, 3)]


def verdicts(outcomes: list[Outcome]) -> list[Verdict]:
    return [outcome.verdict for outcome in outcomes]


def test_files_arrive_in_order_over_one_association(fake: FakePacs, three: list[Path]) -> None:
    outcomes = send(three, fake.peer, US)

    uids = [uid("instance", n) for n in (1, 2, 3)]
    assert [outcome.sop_instance_uid for outcome in outcomes] == uids
    assert {(o.verdict, o.status, o.message) for o in outcomes} == {
        (Verdict.STORED, 0x0000, "stored")
    }
    assert fake.order == uids
    assert fake.associations == 1


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
    ],
)
def test_the_peer_gets_the_bytes_of_the_file(fake: FakePacs, tmp_path: Path, syntax: str) -> None:
    dataset = make_dataset(rows=300, columns=301)  # more than one PDU, last one not full
    path = write_part10(dataset, tmp_path / "a.dcm", syntax)

    assert verdicts(send([path], fake.peer, US)) == [Verdict.STORED]

    assert list(fake.stored.values()) == [encode(dataset, syntax)]


def test_odd_bytes_are_neither_mended_nor_dropped(fake: FakePacs, tmp_path: Path) -> None:
    """Padding after the dataset, as some devices write it, must come through."""
    path = write_part10(make_dataset(), tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes() + b"\xfc\xff\xfc\xff\x04\x00\x00\x00\x00\x00\x00\x00")

    send([path], fake.peer, US)

    assert list(fake.stored.values()) == [encode(make_dataset()) + path.read_bytes()[-12:]]


def test_compressed_pixels_are_offered_as_they_are_or_not_at_all(tmp_path: Path) -> None:
    plain = write_part10(make_dataset(1), tmp_path / "1.dcm")
    dataset = make_dataset(2)
    dataset.PixelData = b"\xfe\xff\x00\xe0\x00\x00\x00\x00\xfe\xff\xdd\xe0\x00\x00\x00\x00"
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    packed = write_part10(dataset, tmp_path / "2.dcm", JPEG2000Lossless)

    with pacs(sop_classes=[CTImageStorage], transfer_syntaxes=[ExplicitVRLittleEndian]) as fake:
        outcomes = send([packed, plain], fake.peer, US)

    assert verdicts(outcomes) == [Verdict.NEVER, Verdict.STORED]
    assert outcomes[0].message == (
        "PACS does not take CT Image Storage as JPEG 2000 Image Compression (Lossless Only)"
    )


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (0xA700, Verdict.LATER),
        (0xA900, Verdict.NEVER),
        (0xC000, Verdict.NEVER),
        (0xB000, Verdict.STORED),
        (0x0111, Verdict.STORED),
        (0x0122, Verdict.NEVER),
    ],
)
def test_a_status_speaks_for_one_object_only(
    fake: FakePacs, three: list[Path], status: int, verdict: Verdict
) -> None:
    fake.statuses = [0x0000, status]

    outcomes = send(three, fake.peer, US)

    assert verdicts(outcomes) == [Verdict.STORED, verdict, Verdict.STORED]
    assert outcomes[1].status == status


def test_a_sop_class_the_peer_does_not_take_is_never_delivered(three: list[Path]) -> None:
    with pacs(sop_classes=[EnhancedSRStorage]) as fake:
        outcomes = send(three, fake.peer, US)

    assert verdicts(outcomes) == [Verdict.NEVER] * 3
    assert outcomes[0].message == "PACS accepts none of the presentation contexts we offer"


def test_what_is_no_dicom_file_stops_nobody(fake: FakePacs, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("patient feels better", encoding="utf-8")
    empty = tmp_path / "empty.dcm"
    empty.touch()
    image = write_part10(make_dataset(), tmp_path / "1.dcm")
    header_only = tmp_path / "2.dcm"
    header_only.write_bytes(image.read_bytes()[: -len(encode(make_dataset()))])

    outcomes = send([text, image, empty, header_only, tmp_path / "absent"], fake.peer, US)

    assert verdicts(outcomes) == [
        Verdict.NEVER, Verdict.STORED, Verdict.NEVER, Verdict.NEVER, Verdict.LATER,
    ]  # fmt: skip
    assert outcomes[0].message == "not a DICOM file with its meta information (PS3.10 7.1)"
    assert outcomes[3].message.startswith("the file holds no dataset")
    assert outcomes[4].message == "the file cannot be read: No such file or directory"


@pytest.mark.filterwarnings("ignore::UserWarning")  # of pydicom, of odd values
def test_garbled_meta_information_is_refused_and_raises_nothing(tmp_path: Path) -> None:
    whole = make_part10(make_dataset())
    away = make_peer(port=free_port())
    files = []
    for seed in range(300):
        random = Random(seed)  # noqa: S311  not for secrets
        garbled = bytearray(whole[: random.randrange(100, 700)])
        for _ in range(4):
            garbled[random.randrange(len(garbled))] = random.randrange(256)
        files.append(tmp_path / f"{seed}.dcm")
        files[-1].write_bytes(garbled)

    outcomes = send(files, away, US)

    assert Verdict.NEVER in verdicts(outcomes)
    assert set(verdicts(outcomes)) <= {Verdict.NEVER, Verdict.UNTRIED}


def test_a_file_that_breaks_while_it_is_sent_ends_the_association(
    fake: FakePacs, three: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half an object is on the wire: what comes next must not be taken for its other half."""
    real = Association.send_c_store

    def broken(self: Association, path: Path, msg_id: int) -> Dataset:
        if path == three[1]:
            raise OSError(5, "Input/output error")
        return real(self, path, msg_id=msg_id)

    monkeypatch.setattr(Association, "send_c_store", broken)

    outcomes = send(three, fake.peer, US)

    assert verdicts(outcomes) == [Verdict.STORED, Verdict.LATER, Verdict.UNTRIED]
    assert outcomes[1].message == "the file cannot be read: Input/output error"


def test_an_association_lost_between_two_objects_leaves_the_rest_untried(
    fake: FakePacs, three: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Association.send_c_store

    def lost(self: Association, path: Path, msg_id: int) -> Dataset:
        if path == three[1]:
            self.abort()
        return real(self, path, msg_id=msg_id)

    monkeypatch.setattr(Association, "send_c_store", lost)

    outcomes = send(three, fake.peer, US)

    assert verdicts(outcomes) == [Verdict.STORED, Verdict.UNTRIED, Verdict.UNTRIED]
    assert outcomes[1].message == "PACS hung up"


def test_nothing_to_send_opens_no_association(fake: FakePacs) -> None:
    assert send([], fake.peer, US) == []
    assert fake.associations == 0


def test_each_outcome_is_told_before_the_next_object_leaves(
    fake: FakePacs, three: list[Path]
) -> None:
    told: list[tuple[Path, int]] = []

    send(three, fake.peer, US, on_outcome=lambda path, _: told.append((path, len(fake.order))))

    assert told == [(three[0], 1), (three[1], 2), (three[2], 3)]


def test_an_error_of_the_caller_ends_the_association(fake: FakePacs, three: list[Path]) -> None:
    def fail(path: Path, outcome: Outcome) -> None:
        raise LookupError("the worklist is gone")

    with pytest.raises(LookupError):
        send(three, fake.peer, US, on_outcome=fail)

    assert len(fake.order) == 1


def test_in_order_nothing_overtakes_what_has_to_wait(fake: FakePacs, three: list[Path]) -> None:
    fake.statuses = [0x0000, 0xA700]

    outcomes = send(three, fake.peer, US, in_order=True)

    assert verdicts(outcomes) == [Verdict.STORED, Verdict.LATER, Verdict.UNTRIED]
    assert len(fake.order) == 2


def test_in_order_a_missing_file_holds_back_the_rest(fake: FakePacs, three: list[Path]) -> None:
    three[0].unlink()

    outcomes = send(three, fake.peer, US, in_order=True)

    assert verdicts(outcomes) == [Verdict.LATER, Verdict.UNTRIED, Verdict.UNTRIED]
    assert not fake.order


def test_nothing_is_tried_with_a_peer_that_is_away(three: list[Path]) -> None:
    outcomes = send(three, make_peer(port=free_port()), US)

    assert verdicts(outcomes) == [Verdict.UNTRIED] * 3
    assert outcomes[2].sop_instance_uid == uid("instance", 3)
    assert "connection refused" in outcomes[2].message


def test_nothing_is_tried_with_a_peer_that_does_not_know_us(
    fake: FakePacs, three: list[Path]
) -> None:
    """An administrator of the PACS may enter our AE title; then the results must still come."""
    outcomes = send(three, fake.peer, "STRANGER")

    assert verdicts(outcomes) == [Verdict.UNTRIED] * 3
    assert outcomes[0].message.endswith("it does not know our AE title, STRANGER")


def test_a_peer_that_aborts_keeps_what_it_confirmed(fake: FakePacs, three: list[Path]) -> None:
    def abort_at_the_second(event: evt.Event) -> None:
        if fake.order:
            event.assoc.abort()

    fake.before_answer = abort_at_the_second

    outcomes = send(three, fake.peer, US)

    assert verdicts(outcomes) == [Verdict.STORED, Verdict.LATER, Verdict.UNTRIED]
    assert outcomes[1].message == "PACS hung up before it answered"


def test_a_peer_that_answers_too_late_is_left(fake: FakePacs, three: list[Path]) -> None:
    over = threading.Event()
    fake.before_answer = lambda event: over.wait(60)

    started = time.monotonic()
    outcomes = send(three, replace(fake.peer, timeout_s=2.5), US)
    seconds = time.monotonic() - started
    over.set()

    assert verdicts(outcomes) == [Verdict.LATER, Verdict.UNTRIED, Verdict.UNTRIED]
    assert outcomes[0].message.startswith("PACS did not answer within 2.5")
    assert seconds < 20


def test_a_peer_that_stops_reading_is_left(fake: FakePacs, tmp_path: Path) -> None:
    """The association stands, and then no byte is taken any more: buffers fill, nothing moves."""
    big = write_part10(make_dataset(rows=4000, columns=4000), tmp_path / "big.dcm")

    def relay_the_answer_to_the_request_only(connection: socket.socket) -> None:
        with socket.create_connection((fake.peer.host, fake.peer.port)) as real:
            real.sendall(connection.recv(65536))
            connection.sendall(real.recv(65536))
            over.wait(60)

    over = threading.Event()
    with listening(relay_the_answer_to_the_request_only) as port:
        started = time.monotonic()
        outcomes = send([big], replace(fake.peer, port=port, timeout_s=2.5), US)
        seconds = time.monotonic() - started
        over.set()

    assert verdicts(outcomes) == [Verdict.LATER]
    assert seconds < 20


def test_more_kinds_of_object_than_one_association_can_offer(
    fake: FakePacs, tmp_path: Path
) -> None:
    files = []
    for number in range(130):
        dataset = make_dataset(number, SOPClassUID=f"1.2.3.{number}")
        files.append(write_part10(dataset, tmp_path / f"{number}.dcm"))
    last = make_dataset(200, SOPClassUID=DigitalXRayImageStorageForPresentation)
    files.append(write_part10(last, tmp_path / "last.dcm"))
    files.append(write_part10(make_dataset(201), tmp_path / "ct.dcm"))

    outcomes = send(files, fake.peer, US)

    assert verdicts(outcomes) == [Verdict.NEVER] * 130 + [Verdict.STORED] * 2


def test_the_same_file_may_be_sent_again(fake: FakePacs, three: list[Path]) -> None:
    first = send(three, fake.peer, US)
    kept = dict(fake.stored)

    assert send(three, fake.peer, US) == first
    assert fake.stored == kept
