"""DCMTK sends to the receiver; what it was told is kept is compared byte for byte."""

import subprocess
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from tests.certificates import write_certificate
from tests.factories import make_dataset, uid, write_part10
from tests.receiver import Receiver, running
from tests.tools import require

COMPRESSED = ["MR_small_RLE.dcm", "JPEG2000.dcm", "JPEG-lossy.dcm", "MR_small_jpeg_ls_lossless.dcm"]


@pytest.fixture(autouse=True)
def dcmtk() -> None:
    require("dcmtk")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Receiver]:
    with running(tmp_path / "node") as node:
        yield node


def run(
    program: str,
    node: Receiver,
    *arguments: object,
    calling: str = "MODALITY",
    called: str = "DICOMNODE",
) -> subprocess.CompletedProcess[str]:
    address = ["-aet", calling, "-aec", called, "127.0.0.1", node.server.port]
    return subprocess.run(
        [program, "-v", *map(str, [*address, *arguments])],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _inflated(datasets: dict[str, bytes]) -> dict[str, bytes]:
    return {
        name: zlib.decompressobj(-zlib.MAX_WBITS).decompress(data)
        for name, data in datasets.items()
    }


def dataset_bytes(path: Path) -> bytes:
    data = path.read_bytes()
    return data[144 + int.from_bytes(data[140:144], "little") :]


def write_study(folder: Path, count: int, syntax: UID = ExplicitVRLittleEndian) -> dict[str, bytes]:
    """Files of one series, and what should be kept of them."""
    folder.mkdir()
    paths = [
        write_part10(make_dataset(n, rows=64, columns=64), folder / f"{n}.dcm", syntax)
        for n in range(count)
    ]
    return {uid("instance", n): dataset_bytes(path) for n, path in enumerate(paths)}


@pytest.mark.parametrize(
    ("syntax", "command"),
    [
        (ImplicitVRLittleEndian, ["storescu", "-xi", "+sd"]),
        (ExplicitVRLittleEndian, ["storescu", "-x=", "+sd"]),
        (ExplicitVRLittleEndian, ["dcmsend", "-dn", "+sd"]),
        (ExplicitVRBigEndian, ["storescu", "-xb", "+sd"]),
        (DeflatedExplicitVRLittleEndian, ["storescu", "-xd", "+sd"]),
    ],
)
def test_files_arrive_as_they_are(
    node: Receiver, tmp_path: Path, syntax: UID, command: list[str]
) -> None:
    expected = write_study(tmp_path / "study", 3, syntax)
    program, *options = command
    done = run(program, node, *options, tmp_path / "study")
    assert done.returncode == 0, done.stderr
    kept = node.kept()
    if syntax == DeflatedExplicitVRLittleEndian:  # storescu deflates again, with other settings
        kept, expected = _inflated(kept), _inflated(expected)
    assert kept == expected


def test_four_storescu_at_once(node: Receiver, tmp_path: Path) -> None:
    expected = write_study(tmp_path / "study", 40)
    files = sorted((tmp_path / "study").iterdir())

    def store(part: int) -> int:
        return run("storescu", node, "-x=", *files[part::4]).returncode

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(store, range(4))) == [0, 0, 0, 0]
    assert node.kept() == expected
    assert node.listener.wait_ended(4)


@pytest.mark.parametrize("name", COMPRESSED)
def test_compressed_files_arrive_compressed(node: Receiver, name: str) -> None:
    path = Path(str(get_testdata_file(name)))
    done = run("dcmsend", node, "-dn", "-nuc", path)
    assert done.returncode == 0, done.stderr
    [kept] = node.store.waiting(2)
    sent, received = dcmread(path), dcmread(kept)
    assert received.file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID
    assert received.PixelData == sent.PixelData
    assert received.SOPInstanceUID == sent.SOPInstanceUID


def test_storescu_proposes_lossless_and_gets_it(node: Receiver, tmp_path: Path) -> None:
    path = write_part10(make_dataset(rows=64, columns=64), tmp_path / "one.dcm")
    packed = tmp_path / "packed.dcm"
    subprocess.run(["dcmcjpeg", path, packed], check=True, capture_output=True)
    done = run("storescu", node, "-xs", packed)
    assert done.returncode == 0, done.stderr
    [kept] = node.store.waiting(2)
    sent, received = dcmread(packed), dcmread(kept)
    assert received.file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID
    assert received.PixelData == sent.PixelData


def test_echoscu_is_answered(node: Receiver) -> None:
    assert run("echoscu", node).returncode == 0


@pytest.mark.parametrize(
    ("calling", "called", "words"),
    [
        ("MODALITY", "NOBODY", "Called AE Title Not Recognized"),
        ("STRANGER", "DICOMNODE", "Calling AE Title Not Recognized"),
    ],
)
def test_wrong_titles_are_rejected_in_words(
    node: Receiver, calling: str, called: str, words: str
) -> None:
    done = run("echoscu", node, calling=calling, called=called)
    assert done.returncode != 0
    assert words in done.stdout + done.stderr


def test_a_conflict_is_told_to_storescu(node: Receiver, tmp_path: Path) -> None:
    first = write_part10(make_dataset(), tmp_path / "first.dcm")
    other = write_part10(make_dataset(PatientID="SYN-0002"), tmp_path / "other.dcm")
    run("storescu", node, "-x=", first)
    done = run("storescu", node, "-x=", other)
    assert done.returncode != 0
    assert "CannotUnderstand" in done.stdout + done.stderr
    assert list(node.kept()) == [uid("instance", 1)]


def test_a_sender_with_small_pdus_is_served(node: Receiver, tmp_path: Path) -> None:
    path = write_part10(make_dataset(rows=512, columns=512), tmp_path / "one.dcm")
    done = run("storescu", node, "-x=", "--max-send-pdu", 4096, path)
    assert done.returncode == 0, done.stderr
    assert node.kept() == {uid("instance", 1): dataset_bytes(path)}


def test_an_echo_over_tls_where_both_show_a_certificate(tmp_path: Path) -> None:
    both = write_certificate(tmp_path)
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    with running(tmp_path / "node", tls_certificate=both, tls_client_ca=certificate) as node:
        shown = ["+tls", key, certificate, "+cf", certificate]
        assert run("echoscu", node, *shown).returncode == 0
        assert run("echoscu", node, "+tla", "+cf", certificate).returncode != 0
