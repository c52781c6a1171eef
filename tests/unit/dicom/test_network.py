"""Echo and count over real loopback associations, and the words for what goes wrong."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.presentation import build_context

from dicomnode.dicom.network import associate, count_instances, echo
from dicomnode.errors import PeerAway
from tests.factories import STUDY_UID, make_peer
from tests.pacs import FakePacs, free_port, listening, pacs

US = "DICOMNODE"


@pytest.fixture
def fake() -> Iterator[FakePacs]:
    with pacs() as fake:
        yield fake


def study(count: object, study_uid: str = STUDY_UID) -> Dataset:
    found = Dataset()
    found.QueryRetrieveLevel = "STUDY"
    found.StudyInstanceUID = study_uid
    found.NumberOfStudyRelatedInstances = count
    return found


def test_a_peer_that_hears_us_answers_echo(fake: FakePacs) -> None:
    answer = echo(fake.peer, US)

    assert answer.ok
    assert answer.message == "PACS answers"
    assert 0 < answer.seconds < 2


def test_a_port_where_nothing_listens_is_called_refused() -> None:
    port = free_port()

    answer = echo(make_peer(port=port), US)

    assert not answer.ok
    assert answer.message == f"nothing listens on 127.0.0.1:{port}: connection refused"


def test_a_peer_without_a_port_is_not_called() -> None:
    answer = echo(make_peer(port=0), US)

    assert not answer.ok
    assert answer.message == "no port is configured for MODALITY, so nobody can call it"


def test_a_host_name_nobody_knows_is_named() -> None:
    answer = echo(make_peer(host="no-such-host.invalid"), US)

    assert not answer.ok
    assert answer.message.startswith("no-such-host.invalid cannot be found")


def test_a_called_title_the_peer_does_not_answer_to_is_named(fake: FakePacs) -> None:
    answer = echo(replace(fake.peer, ae_title="PASC"), US)

    assert not answer.ok
    assert answer.message.endswith("it does not answer to the AE title PASC")


def test_our_title_unknown_to_the_peer_is_named(fake: FakePacs) -> None:
    answer = echo(fake.peer, "STRANGER")

    assert not answer.ok
    assert answer.message.endswith("it does not know our AE title, STRANGER")


def test_a_peer_without_verification_is_told_from_one_that_is_away() -> None:
    with pacs(sop_classes=["1.2.840.10008.5.1.4.1.1.2"]) as fake:
        answer = echo(fake.peer, US)

    assert not answer.ok
    assert answer.message == "PACS accepts none of the presentation contexts we offer"


def test_a_peer_that_takes_the_connection_and_stays_silent_is_left_in_time() -> None:
    with listening(lambda connection: None) as port:
        answer = echo(make_peer(port=port, timeout_s=0.3), US)

    assert not answer.ok
    assert answer.message == "MODALITY did not answer our association request within 0.3 s"
    assert answer.seconds < 10


def test_a_peer_that_hangs_up_is_suspected_not_to_speak_dicom() -> None:
    with listening(lambda connection: connection.close()) as port:
        answer = echo(make_peer(port=port), US)

    assert not answer.ok
    assert answer.message.endswith("hung up on our association request; does it speak DICOM?")


def test_a_web_server_in_place_of_the_pacs_is_no_success() -> None:
    def http(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.close()

    with listening(http) as port:
        answer = echo(make_peer(port=port), US)

    assert not answer.ok


def test_a_peer_that_accepts_and_then_does_not_answer_echo_is_left_in_time(
    fake: FakePacs,
) -> None:
    over = threading.Event()
    fake.before_answer = lambda event: over.wait(60)

    answer = echo(replace(fake.peer, timeout_s=2.5), US)
    over.set()

    assert not answer.ok
    assert answer.message == "PACS accepted our association and then did not answer"


def test_counts_what_the_peer_has_of_a_study(fake: FakePacs) -> None:
    fake.matches = [study(412)]

    assert count_instances(fake.peer, US, STUDY_UID) == 412


@pytest.mark.parametrize(
    "matches",
    [
        pytest.param([], id="no such study"),
        pytest.param([study(None)], id="attribute not supported"),
        pytest.param([study(7, "1.2.3")], id="another study"),
        pytest.param([study(3), study(4)], id="two answers"),
    ],
)
def test_a_peer_that_cannot_tell_the_count_gives_none(
    fake: FakePacs, matches: list[Dataset]
) -> None:
    fake.matches = matches

    assert count_instances(fake.peer, US, STUDY_UID) is None


def test_a_failed_query_gives_no_count(fake: FakePacs) -> None:
    fake.find_status = 0xC000

    assert count_instances(fake.peer, US, STUDY_UID) is None


def test_a_peer_without_query_gives_no_count() -> None:
    with pacs(sop_classes=["1.2.840.10008.1.1"]) as fake:
        assert count_instances(fake.peer, US, STUDY_UID) is None


def test_counting_at_a_peer_that_is_away_says_so() -> None:
    with pytest.raises(PeerAway, match="connection refused"):
        count_instances(make_peer(port=free_port()), US, STUDY_UID)


def test_a_peer_that_hangs_up_during_the_query_is_away(fake: FakePacs) -> None:
    def abort(event: evt.Event) -> None:
        event.assoc.abort()

    fake.before_answer = abort

    with pytest.raises(PeerAway, match="hung up on our C-FIND, or did not answer it"):
        count_instances(fake.peer, US, STUDY_UID)


@pytest.mark.skipif(not hasattr(socket, "TCP_QUICKACK"), reason="only Linux can be told")
def test_what_a_peer_answers_is_acknowledged_at_once_after_every_message(fake: FakePacs) -> None:
    """DCMTK answers in two writes, and waits 40 ms between them for an acknowledgement."""
    with associate(fake.peer, US, [build_context("1.2.840.10008.1.1")]) as association:
        for _ in range(3):
            association.send_c_echo()
            transport = association.dul.socket
            assert transport is not None
            assert transport.socket is not None
            assert transport.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK)
