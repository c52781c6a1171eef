"""DCMTK's storescp at the other end: it takes, refuses, aborts and breaks off."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian

from dicomnode.deliver.sender import send
from dicomnode.dicom.network import echo
from dicomnode.records import Peer, Verdict
from tests.factories import encode, make_dataset, make_peer, write_part10
from tests.pacs import free_port
from tests.tools import require

US = "DICOMNODE"
HUNG_UP = [Verdict.LATER, Verdict.UNTRIED, Verdict.UNTRIED]


@pytest.fixture(autouse=True)
def _dcmtk() -> None:
    require("dcmtk")


@contextmanager
def storescp(folder: Path, *options: str) -> Iterator[Peer]:
    """A storescp that keeps bytes as they come (+B), ready to be sent to."""
    folder.mkdir()
    peer = make_peer(ae_title="STORESCP", port=free_port(), timeout_s=5.0)
    command = ["storescp", "--output-directory", str(folder), "+B", "+uf", *options, str(peer.port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            wait_for_port(peer, process)
            yield peer
        finally:
            process.terminate()


def wait_for_port(peer: Peer, process: subprocess.Popen[bytes]) -> None:
    """storescp binds at once; /proc tells without opening a connection it would count."""
    listening = f":{peer.port:04X} 00000000:0000 0A"
    for _ in range(200):
        assert process.poll() is None, process.stderr and process.stderr.read()
        if listening in Path("/proc/net/tcp").read_text():
            return
        time.sleep(0.02)
    pytest.fail("storescp does not listen")


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    return [write_part10(make_dataset(n), tmp_path / f"{n}.dcm") for n in (1, 2, 3)]


def test_storescp_gets_the_bytes_of_every_file(tmp_path: Path, three: list[Path]) -> None:
    implicit = make_dataset(4)
    files = [*three, write_part10(implicit, tmp_path / "4.dcm", ImplicitVRLittleEndian)]

    with storescp(tmp_path / "got", "+xa") as peer:
        outcomes = send(files, peer, US)

    assert [outcome.message for outcome in outcomes] == ["stored"] * 4
    got = {dcmread(p).SOPInstanceUID: p.read_bytes() for p in (tmp_path / "got").iterdir()}
    for number in (1, 2, 3):
        assert got[make_dataset(number).SOPInstanceUID].endswith(encode(make_dataset(number)))
    assert got[implicit.SOPInstanceUID].endswith(encode(implicit, ImplicitVRLittleEndian))


def test_storescp_answers_echo(tmp_path: Path) -> None:
    with storescp(tmp_path / "got") as peer:
        assert echo(peer, US).message == "STORESCP answers"


def test_nothing_is_tried_with_a_storescp_that_refuses(tmp_path: Path, three: list[Path]) -> None:
    with storescp(tmp_path / "got", "--refuse") as peer:
        outcomes = send(three, peer, US)

    assert [outcome.verdict for outcome in outcomes] == [Verdict.UNTRIED] * 3
    assert outcomes[0].message == "the peer rejected our association: it gave no reason"


@pytest.mark.parametrize("when", ["--abort-after", "--abort-during"])
def test_a_storescp_that_aborts_gets_the_object_again_later(
    tmp_path: Path, three: list[Path], when: str
) -> None:
    with storescp(tmp_path / "got", when) as peer:
        outcomes = send(three, peer, US)

    assert [outcome.verdict for outcome in outcomes] == HUNG_UP
    assert outcomes[0].message == "STORESCP hung up before it answered"


def test_storescp_without_the_transfer_syntax_never_takes_it(
    tmp_path: Path, three: list[Path]
) -> None:
    """Explicit VR files offered to a peer that takes implicit VR only are not encoded again."""
    with storescp(tmp_path / "got", "+xi") as peer:
        outcomes = send(three, peer, US)

    assert {outcome.verdict for outcome in outcomes} == {Verdict.NEVER}


def test_a_storescp_that_is_slower_than_our_patience_is_left(
    tmp_path: Path, three: list[Path]
) -> None:
    with storescp(tmp_path / "got", "--sleep-during", "30") as peer:
        started = time.monotonic()
        outcomes = send(three, make_peer(ae_title="STORESCP", port=peer.port, timeout_s=2.5), US)
        seconds = time.monotonic() - started

    assert [outcome.verdict for outcome in outcomes] == HUNG_UP
    assert outcomes[0].message.startswith("STORESCP did not answer within 2.5")
    assert seconds < 15
