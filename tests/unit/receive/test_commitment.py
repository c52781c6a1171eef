import logging
from pathlib import Path
from typing import Any

import pytest

from dicomnode.dicom.commitment import CommitmentReport, Reference
from dicomnode.errors import StoreError, StoreFull
from dicomnode.receive.commitment import take
from dicomnode.records import CommitmentMessage
from dicomnode.storage.spool import Spool
from tests.commitment import make_message, make_report_message, make_request
from tests.factories import uid

REQUEST = make_request(Reference("1.2.840.10008.5.1.4.1.1.2", uid("instance", 1)))
REPORT = CommitmentReport(transaction_uid=uid("transaction"), kept=(), failed=())


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    (tmp_path / "partial").mkdir()
    return Spool(tmp_path)


@pytest.mark.parametrize(
    "message", [make_message(REQUEST), make_report_message(REPORT, calling_ae="MODALITY")]
)
def test_what_is_in_order_is_kept_and_answered_with_success(
    spool: Spool, message: CommitmentMessage
) -> None:
    assert take(spool, message) == 0x0000
    assert [spool.read(path) for path in spool.waiting("MODALITY")] == [message]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"sop_instance_uid": "1.2.3"}, 0x0112),
        ({"sop_instance_uid": ""}, 0x0112),
        ({"type_id": 2}, 0x0123),
        ({"kind": "report", "type_id": 3}, 0x0113),
        ({"dataset": b""}, 0x0114),
        ({"dataset": b"garbage"}, 0x0115),
        ({"dataset": bytes(1000)}, 0x0115),
        ({"transfer_syntax_uid": "1.2.840.10008.1.2.1"}, 0x0115),
    ],
)
def test_what_is_wrong_gets_its_status_and_is_not_kept(
    spool: Spool, changes: dict[str, Any], status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert take(spool, make_message(REQUEST, **changes)) == status
    assert spool.waiting("MODALITY") == []
    assert [record.message for record in caplog.records] == ["commitment.refused"]


def test_a_request_that_names_nothing_is_an_invalid_argument(spool: Spool) -> None:
    assert take(spool, make_message(make_request())) == 0x0115


@pytest.mark.parametrize(
    ("error", "status"), [(StoreFull("no room"), 0x0213), (StoreError("read-only"), 0x0110)]
)
def test_a_disk_that_refuses_is_told_as_what_it_is(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, error: StoreError, status: int
) -> None:
    def refuse(message: CommitmentMessage) -> None:
        raise error

    monkeypatch.setattr(spool, "put", refuse)
    assert take(spool, make_message(REQUEST)) == status
