"""Storage Commitment between a whole node and a PACS, in both directions, over the network."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset

from dicomnode.dicom.commitment import CommitmentReport, Reference
from dicomnode.learn.synthetic import synthetic_dx
from dicomnode.node.build import open_worklist
from dicomnode.records import Verdict
from dicomnode.worklist import commitments, outbox
from tests.commitment import (
    CommittingPacs,
    committing_pacs,
    make_request,
    send_report,
    send_request,
)
from tests.factories import uid
from tests.running import RunningNode, node, until


@pytest.fixture
def archive() -> Iterator[CommittingPacs]:
    with committing_pacs() as archive:
        yield archive


@pytest.fixture
def running(tmp_path: Path, archive: CommittingPacs) -> Iterator[RunningNode]:
    with node(tmp_path, archive.peer.port, start=False) as running:
        file = running.config / "peers" / "pacs.toml"
        file.write_text(file.read_text("utf-8") + "storage_commitment = true\n", "utf-8")
        running.start()
        yield running


def send_radiograph(running: RunningNode, folder: Path) -> Reference:
    ds = synthetic_dx(1, ("cardiomegaly",), rows=128, study_uid=uid("commitment"))
    ds.save_as(folder / "1.dcm", enforce_file_format=True)
    assert [o.verdict for o in running.send([folder / "1.dcm"])] == [Verdict.STORED]
    return Reference(str(ds.SOPClassUID), str(ds.SOPInstanceUID))


def asked_about(request: Dataset) -> tuple[Reference, ...]:
    return tuple(
        Reference(str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID))
        for item in request.ReferencedSOPSequence
    )


def everything_kept(request: Dataset) -> CommitmentReport:
    return CommitmentReport(
        transaction_uid=str(request.TransactionUID), kept=asked_about(request), failed=()
    )


def nothing_kept(request: Dataset) -> CommitmentReport:
    failed = tuple((reference, 0x0112) for reference in asked_about(request))
    return CommitmentReport(transaction_uid=str(request.TransactionUID), kept=(), failed=failed)


def confirmed(running: RunningNode) -> bool:
    """Is the one job confirmed?"""
    database = open_worklist(running.settings)
    with database.reading() as tx:
        found = commitments.confirmed(tx, [1]) == {1}
    database.close()
    return found


def attempts(running: RunningNode) -> set[int]:
    database = open_worklist(running.settings)
    with database.reading() as tx:
        found = {item.attempts for item in outbox.of_job(tx, 1)}
    database.close()
    return found


@pytest.mark.timeout(120)
def test_a_node_promises_what_it_was_sent(
    running: RunningNode, archive: CommittingPacs, tmp_path: Path
) -> None:
    kept = send_radiograph(running, tmp_path)
    request = make_request(kept)

    assert send_request(running.peer, "PACS", request) == 0x0000

    until(lambda: len(archive.reports) > 0)
    ((event_type, report),) = archive.reports
    assert event_type == 1
    assert report.TransactionUID == request.transaction_uid
    assert asked_about(report) == (kept,)
    assert "FailedSOPSequence" not in report


@pytest.mark.timeout(180)
def test_results_that_the_pacs_does_not_keep_are_sent_again_until_it_confirms_them(
    running: RunningNode, archive: CommittingPacs, tmp_path: Path
) -> None:
    answers = [nothing_kept, everything_kept]
    archive.at_once = lambda request: answers.pop(0)(request)
    send_radiograph(running, tmp_path)
    running.wait_for_studies(1)

    until(lambda: confirmed(running))

    first, second = archive.requests
    assert asked_about(first) == asked_about(second)
    assert first.TransactionUID != second.TransactionUID
    assert attempts(running) == {2}
    assert len(archive.pacs.order) == 2 * len(archive.pacs.stored)


@pytest.mark.timeout(180)
def test_a_report_on_an_association_of_its_own_after_a_kill_confirms_the_job(
    running: RunningNode, archive: CommittingPacs, tmp_path: Path
) -> None:
    send_radiograph(running, tmp_path)
    running.wait_for_studies(1)
    until(lambda: len(archive.requests) > 0)
    running.kill()
    running.start()
    assert not confirmed(running)

    report = everything_kept(archive.requests[0])
    assert send_report(running.peer, "PACS", report) == 0x0000

    until(lambda: confirmed(running))
    assert len(archive.requests) == 1
