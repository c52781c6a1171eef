from collections.abc import Iterator

import pytest

from dicomnode.deliver import commitment
from dicomnode.dicom.commitment import CommitmentReport, Reference, read_report
from dicomnode.errors import PeerAway, PeerRefused
from dicomnode.records import CommitmentMessage
from tests.commitment import CommittingPacs, committing_pacs, make_request
from tests.factories import make_peer, uid
from tests.pacs import free_port, pacs

CT = "1.2.840.10008.5.1.4.1.1.2"
ONE, TWO = (Reference(CT, uid("instance", number)) for number in (1, 2))
REQUEST = make_request(ONE, TWO)


@pytest.fixture
def other() -> Iterator[CommittingPacs]:
    with committing_pacs() as made:
        yield made


def ask(other: CommittingPacs, *, wait_s: float = 0.0, status: int = 0) -> list[CommitmentMessage]:
    heard: list[CommitmentMessage] = []

    def on_report(message: CommitmentMessage) -> int:
        heard.append(message)
        return status

    commitment.ask(other.peer, "DICOMNODE", REQUEST, on_report=on_report, wait_s=wait_s)
    return heard


def test_a_peer_is_asked_with_transaction_and_instances(other: CommittingPacs) -> None:
    assert ask(other) == []
    (asked,) = other.requests
    assert asked.TransactionUID == REQUEST.transaction_uid
    found = [item.ReferencedSOPInstanceUID for item in asked.ReferencedSOPSequence]
    assert found == [ONE.sop_instance_uid, TWO.sop_instance_uid]


def test_a_report_on_the_same_association_is_handed_on_as_it_came(other: CommittingPacs) -> None:
    expected = CommitmentReport(
        transaction_uid=REQUEST.transaction_uid, kept=(ONE,), failed=((TWO, 0x0110),)
    )
    other.at_once = lambda asked: expected
    (message,) = ask(other, wait_s=30.0)
    assert (message.kind, message.type_id, message.calling_ae) == ("report", 2, "PACS")
    assert message.sop_instance_uid == "1.2.840.10008.1.20.1.1"
    assert read_report(message.dataset, message.transfer_syntax_uid) == expected


@pytest.mark.parametrize(("status", "error"), [(0x0213, PeerAway), (0x0115, PeerRefused)])
def test_a_peer_that_will_not_take_the_question_says_whether_it_may_come_again(
    other: CommittingPacs, status: int, error: type[Exception]
) -> None:
    other.action_status = status
    with pytest.raises(error, match=f"0x{status:04X}"):
        ask(other)


def test_a_peer_that_hangs_up_on_the_question_is_away(other: CommittingPacs) -> None:
    other.hangs_up = True
    with pytest.raises(PeerAway, match="did not answer"):
        ask(other)


def test_a_report_is_sent_with_its_event_and_both_lists(other: CommittingPacs) -> None:
    answer = CommitmentReport(
        transaction_uid=REQUEST.transaction_uid, kept=(ONE,), failed=((TWO, 0x0112),)
    )
    commitment.report(other.peer, "DICOMNODE", answer)
    ((event_type, told),) = other.reports
    assert event_type == 2
    assert told.TransactionUID == REQUEST.transaction_uid
    assert [item.ReferencedSOPInstanceUID for item in told.ReferencedSOPSequence] == [
        ONE.sop_instance_uid
    ]
    (failed,) = told.FailedSOPSequence
    assert (failed.ReferencedSOPInstanceUID, failed.FailureReason) == (TWO.sop_instance_uid, 0x0112)


@pytest.mark.parametrize(("status", "error"), [(0x0110, PeerAway), (0x0119, PeerRefused)])
def test_a_peer_that_will_not_take_the_report_says_whether_it_may_come_again(
    other: CommittingPacs, status: int, error: type[Exception]
) -> None:
    other.report_statuses = [status]
    answer = CommitmentReport(transaction_uid=REQUEST.transaction_uid, kept=(ONE,), failed=())
    with pytest.raises(error, match=f"0x{status:04X}"):
        commitment.report(other.peer, "DICOMNODE", answer)


def test_a_peer_without_the_service_refuses_and_one_that_is_away_is_away() -> None:
    answer = CommitmentReport(transaction_uid=REQUEST.transaction_uid, kept=(ONE,), failed=())
    with pacs() as plain, pytest.raises(PeerRefused):
        commitment.report(plain.peer, "DICOMNODE", answer)
    with pytest.raises(PeerAway):
        commitment.report(make_peer(port=free_port()), "DICOMNODE", answer)
