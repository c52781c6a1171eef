"""`dicomnode bench soak`, the replaying sender behind it, and the benchmark of receivers."""

import csv
import json
import os
import re
import socket
import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from itertools import chain
from pathlib import Path

import pytest
from pydicom import dcmread

from dicomnode.cli.replay import SAMPLES, Message, ReplayAssociation, multiframe
from dicomnode.cli.running import free_port
from dicomnode.cli.soak import MEASURES, Sample, trend
from dicomnode.cli.soak_page import page
from dicomnode.errors import PeerAway
from tests.cli import call
from tests.factories import uid

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "receive.py"
RSS = MEASURES[0]
CALM = Sample(
    seconds=0.0,
    rss_mb=400.0,
    threads=20,
    descriptors=30,
    processes=3,
    cpu_percent=10.0,
    objects=0,
    problems=0,
    p50_ms=2.0,
    p99_ms=9.0,
)


def samples(*rss_mb: float) -> list[Sample]:
    """One a minute."""
    return [replace(CALM, seconds=60.0 * n, rss_mb=rss) for n, rss in enumerate(rss_mb)]


def pdus(data: bytes) -> list[tuple[int, int, bytes]]:
    """Length, message control header and value of each P-DATA-TF, with one PDV in each."""
    found, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at + 2 : at + 6], "big")
        found.append((length, data[at + 11], data[at + 12 : at + 6 + length]))
        at += 6 + length
    return found


# --- the sender -----------------------------------------------------------------------------


@pytest.mark.parametrize("max_pdu", [4096, 16384, 131072])
@pytest.mark.parametrize("name", ["tiny", "ct"])
def test_an_object_is_sent_whole_in_pdus_that_the_receiver_takes(name: str, max_pdu: int) -> None:
    sample = SAMPLES[name]
    message = Message(sample, uid("study"), uid("series"), max_pdu)
    one = f"2.25.{'1' * 31}"

    (_, _, command), *parts = pdus(b"".join(message.pieces(one)))

    assert one.encode() in command
    assert max(length for length, _, _ in parts) <= max_pdu
    assert [control for _, control, _ in parts] == [0] * (len(parts) - 1) + [2]
    ds = dcmread(BytesIO(b"".join(value for _, _, value in parts)), force=True)
    assert (ds.SOPInstanceUID, ds.StudyInstanceUID) == (one, uid("study"))
    assert len(ds.PixelData) == sample.pixel_bytes


def test_the_same_object_under_the_same_uid_is_the_same_bytes() -> None:
    message = Message(SAMPLES["tiny"], uid("study"), uid("series"), 16384)
    one, two = f"2.25.{'1' * 31}", f"2.25.{'2' * 31}"
    first = b"".join(message.pieces(one))

    assert b"".join(message.pieces(two)) != first
    assert b"".join(message.pieces(one)) == first


def test_a_very_large_object_is_sent_without_being_made() -> None:
    sample = multiframe(0.1)
    message = Message(sample, uid("study"), uid("series"), 131072)

    pieces = list(message.pieces(f"2.25.{'1' * 31}"))

    assert max(map(len, pieces)) <= 2 * 131072
    values = chain.from_iterable(pdus(bytes(piece)) for piece in pieces)
    assert sum(len(value) for _, control, value in values if control != 3) == message.bytes


def test_a_caller_that_is_hung_up_on_is_told_and_keeps_nothing_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        association = ReplayAssociation(port, "NODE", "SOAK", SAMPLES["tiny"], timeout_s=5)
        listener.accept()[0].close()

        with pytest.raises(PeerAway, match=r"hung up|does not answer"):
            association.accepted()

    assert association.socket.fileno() == -1


# --- does it grow? --------------------------------------------------------------------------


def test_a_measure_that_rises_all_the_time_grows() -> None:
    found = trend(samples(*(400.0 + 2 * n for n in range(60))), RSS)

    assert found is not None
    assert found.grows
    assert found.an_hour == pytest.approx(120)


@pytest.mark.parametrize(
    "rss_mb",
    [
        [400.0 + n % 3 for n in range(60)],
        [100.0 + 10 * n for n in range(15)] + [400.0] * 45,
        [400.0] * 35 + [900.0] * 5 + [400.0] * 20,
        [400.0 - n for n in range(60)],
    ],
    ids=["it trembles", "it warms up", "a peak that passes", "it falls"],
)
def test_a_measure_that_comes_to_rest_does_not_grow(rss_mb: list[float]) -> None:
    found = trend(samples(*rss_mb), RSS)

    assert found is not None
    assert not found.grows


def test_a_short_soak_says_nothing_of_growth() -> None:
    assert trend(samples(*range(10)), RSS) is None


def test_the_page_needs_nothing_but_itself_and_takes_no_word_for_markup() -> None:
    made = page("<b>", [("more & more", False)], {"stored": "7"}, samples(1.0, 2.0, 3.0))

    assert made.count("<svg") == 5
    assert "<b>" not in made
    assert '<li class="bad">more &amp; more</li>' in made
    assert not re.search(r"https?:|src=|href=", made)


# --- the commands ---------------------------------------------------------------------------


def test_a_soak_loads_a_node_and_says_what_became_of_it(tmp_path: Path) -> None:
    result = call(
        *("bench", "soak", "--hours", 6 / 3600, "--rate", 50, "--out", tmp_path), columns=120
    )

    assert result.exit_code == 0, result.output
    assert "too short to tell" in result.stdout
    with (tmp_path / "soak.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert int(rows[-1]["objects"]) > 0
    assert int(rows[-1]["problems"]) == 0
    assert "<svg" in (tmp_path / "soak.html").read_text()


@pytest.mark.parametrize("peer", ["nonsense", "NODE@127.0.0.1:104"])
def test_a_soak_of_another_node_must_know_its_process(peer: str, tmp_path: Path) -> None:
    assert call("bench", "soak", "--peer", peer, "--out", tmp_path).exit_code == 2


def test_a_soak_that_nobody_answers_says_so(tmp_path: Path) -> None:
    peer = f"NODE@127.0.0.1:{free_port()}"

    result = call(
        *("bench", "soak", "--hours", 2 / 3600, "--out", tmp_path),
        *("--peer", peer, "--pid", os.getpid()),
    )

    assert result.exit_code == 1
    assert "nobody listens" in result.stdout
    assert "nobody listens" in (tmp_path / "soak.html").read_text()


def test_the_benchmark_measures_the_node_and_the_disk(tmp_path: Path) -> None:
    options = ["--sets", "tiny", "--associations", "2", "--targets", "dicomnode,disk"]
    short = ["--count-scale", "0.005", "--repeat", "1", "--json", str(tmp_path / "found.json")]
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), *options, *short, "--folder", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=200,
    )

    assert done.returncode == 0, done.stderr
    assert "dicomnode / disk" in done.stdout
    node, disk = json.loads((tmp_path / "found.json").read_text())
    assert node["objects_per_s"] > 0
    assert disk["objects_per_s"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["found.json"]
