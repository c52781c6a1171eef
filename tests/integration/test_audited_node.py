"""A whole node: its audit trail reaches file and collector, it is measured, and no log names whom.

The collector is away from the start and comes back; the node is killed and started again.
"""

import re
import socket
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from pydicom import dcmread

from dicomnode.learn.synthetic import synthetic_dx
from tests.audit_schema import parse
from tests.certificates import write_certificate
from tests.collector import Collector, xml_of
from tests.factories import uid
from tests.pacs import FakePacs, free_port
from tests.running import RunningNode, node, until

pytestmark = pytest.mark.timeout(900)

LONG_S = 240  #: for what a busy machine does in seconds

PATIENT, ACCESSION = "PAT-4711-KNOWN", "ACC-0815-KNOWN"


@pytest.fixture
def collector_port() -> int:
    return free_port()


@pytest.fixture
def running(tmp_path: Path, archive: FakePacs, collector_port: int) -> Iterator[RunningNode]:
    write_certificate(tmp_path)
    syslog = (
        f'\n[audit.syslog]\nhost = "localhost"\nport = {collector_port}\n'
        f'ca = "{tmp_path / "cert.pem"}"\n'
    )
    with node(tmp_path, archive.peer.port, start=False, more=syslog) as running:
        file = running.config / "node.toml"
        file.write_text(
            file.read_text().replace("on = false", f"on = true\nport = {free_port()}", 1)
        )
        running.__post_init__()
        running.start()
        yield running


def radiograph(folder: Path, number: int) -> Path:
    ds = synthetic_dx(number, ("cardiomegaly",), rows=128, study_uid=uid("audited", number))
    ds.PatientID, ds.AccessionNumber = PATIENT, ACCESSION
    path = folder / f"{number}.dcm"
    ds.save_as(path, enforce_file_format=True)
    return path


def told(lines: Sequence[str]) -> list[tuple[str, str, str]]:
    """Of each message: event, first and second participant."""
    found = []
    for line in lines:
        root = parse(line)
        event = root.find("EventIdentification/EventID")
        kind = root.find("EventIdentification/EventTypeCode")
        assert event is not None
        who = [each.attrib["UserID"].partition("@")[0] for each in root.iter("ActiveParticipant")]
        name = event.attrib["originalText"] if kind is None else kind.attrib["originalText"]
        found.append((name, who[0], who[-1]))
    return found


STARTED = ("Application Start", "DICOMNODE", "DICOMNODE")
STOPPED = ("Application Stop", "DICOMNODE", "DICOMNODE")
CAME = ("DICOM Instances Transferred", "PACS", "DICOMNODE")
WENT = ("DICOM Instances Transferred", "DICOMNODE", "PACS")


def test_what_happens_to_a_study_is_told_measured_and_not_logged(
    running: RunningNode, archive: FakePacs, tmp_path: Path, collector_port: int
) -> None:
    page = f"http://127.0.0.1:{running.settings.node.web.port}"
    log = tmp_path / "node" / "audit" / "audit.log"

    def ready() -> bool:
        try:
            return httpx.get(f"{page}/health/ready", timeout=10).status_code == 200
        except httpx.HTTPError:
            return False

    until(ready, timeout_s=LONG_S)
    assert httpx.get(f"{page}/metrics", timeout=30).status_code == 200  # counting begins
    path = radiograph(tmp_path, 1)
    running.send([path])
    running.wait_for_studies(1, timeout_s=LONG_S)
    until(lambda: {CAME, WENT} <= set(told(log.read_text().splitlines())), timeout_s=LONG_S)

    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert PATIENT in log.read_text()
    assert "audit.waiting problem=syslog" in running.log

    metrics = measured(page)

    running.kill()
    with Collector(collector_port, tmp_path / "both.pem") as collector:
        running.start()
        until(lambda: told(lines(collector)).count(STARTED) == 2, timeout_s=LONG_S)
        assert running.stop() == 0
        until(lambda: told(lines(collector))[-1] == STOPPED, timeout_s=LONG_S)
        heard = told(lines(collector))

    assert heard == told(log.read_text().splitlines())
    assert sorted(heard) == sorted([STARTED, CAME, WENT, STARTED, STOPPED])

    found = dcmread(path)
    assert found.PatientID == PATIENT
    for secret in (PATIENT, ACCESSION, str(found.PatientName)):
        assert secret not in running.log + metrics


def measured(page: str) -> str:
    """What a scrape says after one study went through."""
    metrics = httpx.get(f"{page}/metrics", timeout=30).text
    assert 'dicomnode_studies_received_total{peer="pacs"} 1.0' in metrics
    assert 'dicomnode_job_moves_total{pipeline="all",state="delivered"} 1.0' in metrics
    assert re.search(r'dicomnode_results_delivered_total{kind="sr",peer="pacs"} 1\.0', metrics)
    assert re.search(r'dicomnode_node_up{node="DICOMNODE@[^"]+"} 1\.0', metrics)
    return metrics


def lines(collector: Collector) -> list[str]:
    return [xml_of(each) for each in collector.messages]


def test_a_syslog_host_that_swallows_everything_holds_nothing_up(
    tmp_path: Path, archive: FakePacs
) -> None:
    """It takes the connection and says nothing: TLS never comes to be."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        syslog = f'\n[audit.syslog]\nhost = "localhost"\nport = {silent.getsockname()[1]}\n'
        with node(tmp_path, archive.peer.port, more=syslog) as running:
            running.send([radiograph(tmp_path, 2)])
            running.wait_for_studies(1, timeout_s=LONG_S)
            log = tmp_path / "node" / "audit" / "audit.log"
            until(
                lambda: log.exists() and WENT in told(log.read_text().splitlines()),
                timeout_s=LONG_S,
            )

            assert running.stop() == 0
