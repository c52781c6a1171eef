"""The receiver on a loopback socket, spoken to by pynetdicom."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    MRImageStorage,
)
from pynetdicom import AE, build_context
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import PresentationContext

from dicomnode.dicom.sop_classes import VERIFICATION
from dicomnode.errors import StoreError
from tests.factories import encode, make_dataset, make_part10, uid
from tests.receiver import Receiver, running

CONTEXTS = [build_context(VERIFICATION), build_context(CTImageStorage)]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Receiver]:
    with running(tmp_path) as node:
        yield node


def call(
    node: Receiver,
    contexts: list[PresentationContext] | None = None,
    *,
    calling: str = "MODALITY",
    called: str = "DICOMNODE",
) -> Association:
    """An association; again where pynetdicom takes an answer at once for no connection."""
    ae = AE(calling)
    ae.dimse_timeout = 5
    for _ in range(3):
        assoc = ae.associate(
            "127.0.0.1", node.server.port, contexts=contexts or CONTEXTS, ae_title=called
        )
        if not assoc.is_aborted:
            break
    return assoc


def part10(ds: Dataset, syntax: str = ImplicitVRLittleEndian) -> Dataset:
    return dcmread(BytesIO(make_part10(ds, syntax)))


def store_raw(
    assoc: Association, context_id: int, data: bytes | None, **changes: object
) -> Dataset:
    """A C-STORE with bytes of our choice; returns the response."""
    request = C_STORE()
    request.MessageID = 7
    request.Priority = 2
    values = {
        "AffectedSOPClassUID": CTImageStorage,
        "AffectedSOPInstanceUID": uid("instance", 1),
    } | changes
    for keyword, value in values.items():
        setattr(request, keyword, value)
    if data is not None:
        request.DataSet = BytesIO(data)
    assoc._reactor_checkpoint.clear()
    assoc.dimse.send_msg(request, context_id)
    _, response = assoc.dimse.get_msg(block=True)
    assoc._reactor_checkpoint.set()
    assert isinstance(response, C_STORE)
    status = Dataset()
    status.Status = response.Status
    status.ErrorComment = response.ErrorComment
    return status


def test_keeps_what_it_acknowledges_byte_for_byte(node: Receiver) -> None:
    assoc = call(node)
    for number in range(3):
        assert assoc.send_c_store(part10(make_dataset(number))).Status == 0
    assoc.release()
    assert node.kept() == {
        uid("instance", number): encode(make_dataset(number), ImplicitVRLittleEndian)
        for number in range(3)
    }
    assert node.listener.kept_uids == [uid("instance", number) for number in range(3)]


def test_four_associations_at_once(node: Receiver) -> None:
    def send(first: int) -> list[int]:
        assoc = call(node)
        numbers = range(first, first + 5)
        statuses = [assoc.send_c_store(part10(make_dataset(n))).Status for n in numbers]
        assoc.release()
        return statuses

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(send, (0, 5, 10, 15))) == [[0] * 5] * 4
    assert set(node.kept()) == {uid("instance", number) for number in range(20)}
    assert node.listener.wait_ended(4)
    assert len({end.id for end in node.listener.ends}) == 4


def test_answers_an_echo(node: Receiver) -> None:
    assoc = call(node)
    assert assoc.send_c_echo().Status == 0
    assoc.release()


def test_large_objects_arrive_in_many_fragments(tmp_path: Path) -> None:
    ds = make_dataset(rows=600, columns=600)
    with running(tmp_path, max_pdu_bytes=4096) as node:
        assoc = call(node)
        assert assoc.send_c_store(part10(ds)).Status == 0
        assoc.release()
        assert node.kept() == {uid("instance", 1): encode(ds, ImplicitVRLittleEndian)}


def test_the_same_object_twice_is_kept_once(node: Receiver) -> None:
    assoc = call(node)
    statuses = [assoc.send_c_store(part10(make_dataset())).Status for _ in range(2)]
    assoc.release()
    assert statuses == [0, 0]
    assert len(node.kept()) == 1


@pytest.mark.parametrize(("conflict", "status", "count"), [("refuse", 0xC002, 1), ("keep", 0, 2)])
def test_other_bytes_under_one_uid(tmp_path: Path, conflict: str, status: int, count: int) -> None:
    with running(tmp_path, conflict=conflict) as node:
        assoc = call(node)
        assoc.send_c_store(part10(make_dataset()))
        answer = assoc.send_c_store(part10(make_dataset(PatientID="SYN-0002")))
        assoc.release()
        assert answer.Status == status
        assert len(node.kept()) == count
        told = node.listener.conflicts
        assert told == ([make_dataset().SOPInstanceUID] if conflict == "refuse" else [])


@pytest.mark.parametrize(
    ("calling", "called", "reason"),
    [("MODALITY", "WRONG", 7), ("STRANGER", "DICOMNODE", 3), ("DEAF", "DICOMNODE", 3)],
)
def test_wrong_titles_are_rejected_for_good(
    node: Receiver, caplog: pytest.LogCaptureFixture, calling: str, called: str, reason: int
) -> None:
    with caplog.at_level(logging.INFO, "dicomnode"):
        assoc = call(node, calling=calling, called=called)
    assert assoc.is_rejected
    answer = assoc.acceptor.primitive
    assert answer is not None
    assert (answer.result, answer.result_source, answer.diagnostic) == (1, 1, reason)
    assert {record.msg for record in caplog.records if "rejected" in record.msg} == {
        "association.rejected"
    }
    assert node.listener.ends == []


def test_one_association_too_many_is_refused_for_the_moment(tmp_path: Path) -> None:
    with running(tmp_path, max_associations=1) as node:
        first = call(node)
        second = call(node)
        assert second.is_rejected
        answer = second.acceptor.primitive
        assert answer is not None
        assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)
        first.release()
        assert node.listener.wait_ended(1)
        third = call(node)
        assert third.is_established
        third.release()


def test_the_senders_first_transfer_syntax_is_taken(node: Receiver) -> None:
    proposed: list[str | UID] = [JPEGLSLossless, ExplicitVRBigEndian, ImplicitVRLittleEndian]
    assoc = call(node, [build_context(CTImageStorage, proposed)])
    assert [context.transfer_syntax for context in assoc.accepted_contexts] == [[JPEGLSLossless]]
    assoc.release()


def test_each_context_has_its_own_transfer_syntax(node: Receiver) -> None:
    proposed = [
        build_context(CTImageStorage, JPEGLSLossless),
        build_context(CTImageStorage, [ExplicitVRLittleEndian, ImplicitVRLittleEndian]),
        build_context("1.2.840.10008.5.1.4.1.1.5", ImplicitVRLittleEndian),
        build_context("1.2.840.10008.5.1.4.1.2.2.1", ImplicitVRLittleEndian),
        build_context(MRImageStorage, "1.2.3.4"),
    ]
    assoc = call(node, proposed)
    accepted = [
        (context.context_id, context.transfer_syntax[0]) for context in assoc.accepted_contexts
    ]
    assoc.release()
    assert accepted == [
        (1, JPEGLSLossless),
        (3, ExplicitVRLittleEndian),
        (5, ImplicitVRLittleEndian),
    ]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (encode(make_dataset(), ImplicitVRLittleEndian)[:-4], 0xC000),
        (None, 0xC000),
        (encode(make_dataset(2), ImplicitVRLittleEndian), 0xA900),
        (encode(make_dataset(StudyInstanceUID=None), ImplicitVRLittleEndian), 0x0117),
    ],
    ids=["cut short", "none", "another object", "no study"],
)
def test_a_bad_dataset_is_answered_and_the_association_goes_on(
    node: Receiver, data: bytes | None, status: int
) -> None:
    assoc = call(node)
    answer = store_raw(assoc, 3, data)
    assert answer.Status == status
    assert answer.ErrorComment
    assert assoc.send_c_store(part10(make_dataset())).Status == 0
    assoc.release()
    assert len(node.kept()) == 1


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("keyword", ["AffectedSOPClassUID", "AffectedSOPInstanceUID"])
@pytest.mark.parametrize("value", [None, "../../evil"])
def test_a_command_without_a_uid_is_answered(
    node: Receiver, tmp_path: Path, keyword: str, value: str | None
) -> None:
    assoc = call(node)
    answer = store_raw(assoc, 3, encode(make_dataset(), ImplicitVRLittleEndian), **{keyword: value})
    assoc.release()
    assert answer.Status == 0x0117
    assert node.kept() == {}


def test_an_image_on_the_verification_context_is_refused(node: Receiver) -> None:
    assoc = call(node)
    answer = store_raw(assoc, 1, encode(make_dataset(), ImplicitVRLittleEndian))
    assoc.release()
    assert answer.Status == 0xA900
    assert node.kept() == {}


def test_an_object_over_the_limit_is_refused(tmp_path: Path) -> None:
    with running(tmp_path, max_object_bytes=1000) as node:
        assoc = call(node)
        assert assoc.send_c_store(part10(make_dataset(rows=100, columns=100))).Status == 0xC001
        assoc.release()
        assert node.kept() == {}


@pytest.mark.parametrize(
    ("problem", "status"),
    [(StoreError("the disk answered: no"), 0xA701), (RuntimeError("SYNTHETIC^ONE"), 0xC211)],
)
def test_what_goes_wrong_is_answered_and_logged_without_the_patient(
    node: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    problem: Exception,
    status: int,
) -> None:
    def fail(*_: object) -> None:
        raise problem

    assoc = call(node)
    with monkeypatch.context() as patch, caplog.at_level(logging.INFO, "dicomnode"):
        patch.setattr(node.store, "admit", fail)
        assert assoc.send_c_store(part10(make_dataset())).Status == status
    assert assoc.send_c_store(part10(make_dataset())).Status == 0
    assoc.release()
    [record] = [record for record in caplog.records if record.msg.startswith("store.")]
    assert "SYNTHETIC" not in str(
        {k: v for k, v in vars(record).items() if k != "exc_text"} | {"exc_info": None}
    )


@pytest.mark.parametrize("end", [Association.release, Association.abort])
def test_the_end_is_told_once_and_logged_once(
    node: Receiver, caplog: pytest.LogCaptureFixture, end: Callable[[Association], None]
) -> None:
    with caplog.at_level(logging.INFO, "dicomnode"):
        assoc = call(node)
        assoc.send_c_store(part10(make_dataset()))
        end(assoc)
        assert node.listener.wait_ended(1)
        node.server.stop(5)
    [record] = [record for record in caplog.records if record.msg == "association.ended"]
    assert (vars(record)["stored"], vars(record)["refused"]) == (1, 0)
    assert len(node.listener.ends) == 1
    assert node.listener.ends[0].calling_ae == "MODALITY"


def test_stopping_lets_open_associations_end(tmp_path: Path) -> None:
    node = Receiver(tmp_path)
    node.server.start()
    assoc = call(node)
    with ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(node.server.stop, 10)
        assert assoc.send_c_store(part10(make_dataset())).Status == 0
        assoc.release()
        stopping.result(5)
    assert len(node.kept()) == 1


def test_stopping_aborts_who_does_not_end(tmp_path: Path) -> None:
    node = Receiver(tmp_path)
    node.server.start()
    assoc = call(node)
    node.server.stop(0.1)
    assoc.join(5)
    assert assoc.is_aborted
    assert len(node.listener.ends) == 1


def test_a_port_that_is_taken_is_an_error(node: Receiver, tmp_path: Path) -> None:
    second = Receiver(tmp_path, port=node.server.port)
    with pytest.raises(OSError, match="in use"):
        second.server.start()
    second.server.stop(0)
