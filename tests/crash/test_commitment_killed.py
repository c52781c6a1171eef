"""A request for storage commitment that was acknowledged is answered, whatever is killed."""

from pathlib import Path

import pytest

from dicomnode.dicom.commitment import Reference
from dicomnode.records import Verdict
from tests.commitment import committing_pacs, make_request, send_request
from tests.factories import make_dataset, uid, write_part10
from tests.pacs import free_port
from tests.running import node, until

CT = "1.2.840.10008.5.1.4.1.1.2"
KEPT, UNKNOWN = Reference(CT, uid("instance", 1)), Reference(CT, uid("instance", 2))


@pytest.mark.timeout(180)
def test_an_acknowledged_request_is_answered_after_the_node_was_killed(tmp_path: Path) -> None:
    port = free_port()
    with node(tmp_path, port) as running:
        image = write_part10(make_dataset(1), tmp_path / "1.dcm")
        assert [outcome.verdict for outcome in running.send([image])] == [Verdict.STORED]
        request = make_request(KEPT, UNKNOWN)
        assert send_request(running.peer, "PACS", request) == 0x0000
        running.kill()
        with committing_pacs(port=port) as archive:
            running.start()
            until(lambda: len(archive.reports) > 0)
            running.stop()
        ((event_type, report),) = archive.reports
        assert event_type == 2
        assert report.TransactionUID == request.transaction_uid
        (kept,), (failed,) = report.ReferencedSOPSequence, report.FailedSOPSequence
        assert kept.ReferencedSOPInstanceUID == KEPT.sop_instance_uid
        assert failed.ReferencedSOPInstanceUID == UNKNOWN.sop_instance_uid
        assert failed.FailureReason == 0x0112
