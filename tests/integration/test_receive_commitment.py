"""Storage Commitment at the door: what a receiver lets in, takes, and answers with which status."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom.presentation import build_context, build_role

from dicomnode.config.settings import ReceiveSettings
from dicomnode.deliver.sender import send
from dicomnode.dicom.commitment import (
    PUSH_MODEL_INSTANCE,
    CommitmentReport,
    Reference,
    encode_request,
    read_report,
    read_request,
)
from dicomnode.dicom.network import associate
from dicomnode.dicom.sop_classes import STORAGE_COMMITMENT
from dicomnode.errors import PeerAway
from dicomnode.records import Peer, Verdict
from dicomnode.storage.spool import Spool
from tests.commitment import make_request, send_report, send_request
from tests.factories import make_dataset, make_peer, uid, write_part10
from tests.fakes import RememberingListener
from tests.node import make_store
from tests.receiver import ReceiverHere

MODALITY = make_peer()
PACS = make_peer(name="pacs", ae_title="PACS", may_send=False, storage_commitment=True)
PLAIN = make_peer(name="plain", ae_title="PLAIN", may_send=False)
ONE = Reference(CTImageStorage, uid("instance", 1))
REPORT = CommitmentReport(transaction_uid=uid("transaction"), kept=(ONE,), failed=())


class Door:
    """A receiver, its spool, and how to reach it."""

    def __init__(self, folder: Path) -> None:
        peers = {peer.name: peer for peer in (MODALITY, PACS, PLAIN)}
        settings = ReceiveSettings().model_copy(update={"port": 0, "idle_timeout_s": 60.0})
        self.server = ReceiverHere(settings, peers, make_store(folder), RememberingListener())
        self.spool = Spool(folder)

    @property
    def peer(self) -> Peer:
        return make_peer(name="node", ae_title="DICOMNODE", port=self.server.port, timeout_s=60.0)


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    made = Door(tmp_path / "node")
    made.server.start()
    yield made
    made.server.stop(0)


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
    ],
)
def test_a_request_in_any_transfer_syntax_is_taken(door: Door, syntax: str) -> None:
    request = make_request(ONE)
    with associate(
        door.peer, "MODALITY", [build_context(STORAGE_COMMITMENT, syntax)]
    ) as association:
        status, _ = association.send_n_action(
            encode_request(request), 1, STORAGE_COMMITMENT, PUSH_MODEL_INSTANCE
        )
    assert status.Status == 0x0000
    (path,) = door.spool.waiting("MODALITY")
    message = door.spool.read(path)
    assert (message.kind, message.transfer_syntax_uid) == ("request", syntax)
    assert read_request(message.dataset, syntax) == request


def test_who_may_not_send_may_report_where_it_is_asked_to_and_store_nothing(
    door: Door, tmp_path: Path
) -> None:
    assert send_report(door.peer, "PACS", REPORT) == 0x0000
    (path,) = door.spool.waiting("PACS")
    message = door.spool.read(path)
    assert message.kind == "report"
    assert read_report(message.dataset, message.transfer_syntax_uid) == REPORT
    image = write_part10(make_dataset(1), tmp_path / "1.dcm")
    (outcome,) = send([image], door.peer, "PACS")
    assert outcome.verdict is not Verdict.STORED


def test_who_may_not_send_and_is_not_asked_is_not_let_in(door: Door) -> None:
    with pytest.raises(PeerAway, match="AE title"):
        send_report(door.peer, "PLAIN", REPORT)


def test_the_role_that_a_reporting_peer_asks_for_is_accepted(door: Door) -> None:
    roles = [build_role(STORAGE_COMMITMENT, scp_role=True)]
    contexts = [build_context(STORAGE_COMMITMENT)]
    with associate(door.peer, "PACS", contexts, roles=roles) as association:
        (context,) = association.accepted_contexts
        assert (context.as_scu, context.as_scp) == (False, True)


@pytest.mark.parametrize(
    ("instance", "action", "dataset", "status"),
    [
        ("1.2.3", 1, encode_request(make_request(ONE)), 0x0112),
        (PUSH_MODEL_INSTANCE, 2, encode_request(make_request(ONE)), 0x0123),
        (PUSH_MODEL_INSTANCE, 1, None, 0x0114),
        (PUSH_MODEL_INSTANCE, 1, encode_request(make_request()), 0x0115),
    ],
)
def test_what_is_wrong_with_a_request_is_told_and_the_association_goes_on(
    door: Door, instance: str, action: int, dataset: Dataset | None, status: int
) -> None:
    with associate(door.peer, "MODALITY", [build_context(STORAGE_COMMITMENT)]) as association:
        answer, _ = association.send_n_action(dataset, action, STORAGE_COMMITMENT, instance)
        assert answer.Status == status
        answer, _ = association.send_n_action(
            encode_request(make_request(ONE)), 1, STORAGE_COMMITMENT, PUSH_MODEL_INSTANCE
        )
        assert answer.Status == 0x0000
    assert len(door.spool.waiting("MODALITY")) == 1


def test_images_and_a_request_may_come_on_one_association(door: Door) -> None:
    contexts = [build_context(CTImageStorage), build_context(STORAGE_COMMITMENT)]
    with associate(door.peer, "MODALITY", contexts) as association:
        image = make_dataset(1)
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        assert association.send_c_store(image).Status == 0x0000
        answer, _ = association.send_n_action(
            encode_request(make_request(ONE)), 1, STORAGE_COMMITMENT, PUSH_MODEL_INSTANCE
        )
        assert answer.Status == 0x0000


def test_a_list_of_five_thousand_instances_is_taken_whole(door: Door) -> None:
    many = make_request(*(Reference(CTImageStorage, uid("many", n)) for n in range(5000)))
    assert send_request(door.peer, "MODALITY", many) == 0x0000
    (path,) = door.spool.waiting("MODALITY")
    message = door.spool.read(path)
    assert len(read_request(message.dataset, message.transfer_syntax_uid).references) == 5000
