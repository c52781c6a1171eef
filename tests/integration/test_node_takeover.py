"""A running node whose files are changed: nothing that is under way is lost."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pynetdicom.presentation import build_context

from dicomnode.config.load import load
from dicomnode.dicom.network import associate, echo
from dicomnode.learn.synthetic import synthetic_dx
from dicomnode.logbook import standing
from dicomnode.logbook.standing import Node
from dicomnode.node.build import open_worklist
from dicomnode.records import State
from tests.factories import uid
from tests.pacs import FakePacs
from tests.running import RunningNode, node, until

LONG_S = 180  #: for what a busy machine does in seconds
NEW = 'ae_title = "NEW"\nhost = "127.0.0.1"\nport = 104\nmay_send = true\n'


@pytest.fixture
def running(tmp_path: Path, archive: FakePacs) -> Iterator[RunningNode]:
    # an association that is silent for six quiet times holds its study no longer
    with node(tmp_path, archive.peer.port, quiet_s=2) as running:
        yield running


@pytest.fixture
def stands(running: RunningNode) -> Iterator[Callable[[], Node]]:
    """How the node says it stands."""
    database = open_worklist(running.settings)

    def known() -> list[Node]:
        with database.reading() as tx:
            return standing.nodes_known(tx)

    until(lambda: "node.ready" in running.log and bool(known()), timeout_s=LONG_S)
    yield lambda: known()[0]
    database.close()


def radiograph(folder: Path, study: int, image: int = 1) -> Path:
    ds = synthetic_dx(study, (), rows=128, number=image, study_uid=uid("takeover", study))
    path = folder / f"{study}-{image}.dcm"
    ds.save_as(path, enforce_file_format=True)
    return path


def in_force(running: RunningNode, stands: Callable[[], Node]) -> None:
    """Wait until the files as they are have been taken over."""
    digest = load(running.config).digest
    until(lambda: stands().digest == digest and not stands().mistakes, timeout_s=LONG_S)


def test_a_peer_is_added_while_an_association_sends(
    running: RunningNode, stands: Callable[[], Node], tmp_path: Path
) -> None:
    first, second = (dcmread(radiograph(tmp_path, 1, image)) for image in (1, 2))
    assert not echo(running.peer, "NEW").ok
    context = build_context(first.SOPClassUID, first.file_meta.TransferSyntaxUID)
    with associate(running.peer, "PACS", [context]) as association:
        assert association.send_c_store(first).Status == 0x0000

        (running.config / "peers" / "new.toml").write_text(NEW)
        in_force(running, stands)

        assert echo(running.peer, "NEW").ok
        assert association.send_c_store(second).Status == 0x0000
    assert [job.received for job in running.wait_for_studies(1, timeout_s=LONG_S)] == [2]
    assert running.log.count("process.started") == 1  # a peer is no reason for another worker

    (running.config / "peers" / "new.toml").unlink()
    in_force(running, stands)
    assert not echo(running.peer, "NEW").ok


def test_of_a_wrong_file_the_last_good_one_stays_in_force_and_the_mistake_is_said(
    running: RunningNode, stands: Callable[[], Node]
) -> None:
    before = stands().digest
    peer = running.config / "peers" / "new.toml"
    peer.write_text(NEW.replace("104", "0"))
    until(lambda: bool(stands().mistakes), timeout_s=LONG_S)

    (mistake,) = stands().mistakes
    assert mistake.startswith("peers/new.toml:3  port = 0: ")
    assert stands().digest == before
    assert running.log.count("config.wrong") == 1
    assert echo(running.peer, "PACS").ok
    assert not echo(running.peer, "NEW").ok

    assert running.kill_worker()  # what is started meanwhile goes by the last good one as well
    until(lambda: running.log.count("process.started") == 2, timeout_s=LONG_S)
    peer.write_text(NEW)
    in_force(running, stands)
    assert echo(running.peer, "NEW").ok
    assert running.log.count("process.died") == 1


def test_a_pipeline_is_added_and_the_worker_is_followed_by_another_without_losing_a_job(
    running: RunningNode, stands: Callable[[], Node], archive: FakePacs, tmp_path: Path
) -> None:
    running.send([radiograph(tmp_path, 1)])
    until(lambda: "job.started" in running.log, timeout_s=LONG_S)
    (running.config / "pipelines" / "second.toml").write_text(
        'destinations = ["pacs"]\nresults = ["sr"]\n[complete]\nquiet_s = 0.5\n'
    )
    in_force(running, stands)
    running.send([radiograph(tmp_path, 2)])

    until(lambda: len(running.jobs()) == 3, timeout_s=LONG_S)
    until(lambda: {job.state for job in running.jobs()} == {State.DELIVERED}, timeout_s=LONG_S)

    third, second, first = sorted(running.jobs(), key=lambda job: -job.id)
    assert first.pipeline == "all"
    assert {second.pipeline, third.pipeline} == {"all", "second"}
    assert running.log.count("job.started") == 3
    assert running.log.count("process.started") == 2
    lost = ("process.died", "process.killed", "job.deferred", "job.lost", "lease.expired")
    assert [event for event in lost if event in running.log] == []


def test_what_needs_a_restart_is_said_and_the_rest_is_in_force(
    running: RunningNode, stands: Callable[[], Node]
) -> None:
    file = running.config / "node.toml"
    port = running.settings.node.receive.port
    text = file.read_text().replace(f"port = {port}", "port = 104\nmax_associations = 1")
    file.write_text(text + '\n[log]\nformat = "json"\n')
    in_force(running, stands)

    assert stands().restart == ("receive.port",)
    assert stands().port == port
    assert "config.restart problem='after a restart: receive.port'" not in running.log
    assert '"event": "config.restart", "problem": "after a restart: receive.port"' in running.log
    context = build_context("1.2.840.10008.1.1")
    with associate(running.peer, "PACS", [context]):
        assert not echo(running.peer, "PACS").ok  # as only one may be inside

    assert running.stop() == 0
