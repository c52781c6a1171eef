"""Syslog to a real collector over TLS: whole messages, known authorities, and no loss."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dicomnode.audit import syslog
from dicomnode.audit.events import Deed, deed_message
from dicomnode.audit.message import Message, Source
from dicomnode.audit.syslog import Syslog
from dicomnode.errors import AuditAway
from tests.audit_schema import parse
from tests.certificates import write_certificate
from tests.collector import Collector, xml_of


def message(number: int, *, done: bool = True) -> Message:
    deed = Deed(
        at=datetime(2026, 11, 21, tzinfo=UTC),
        user=f"user{number} é",
        address="",
        action="login",
        done=done,
    )
    return deed_message(deed, Source(id="NODE@here"))


def users(collector: Collector) -> list[str]:
    found = []
    for record in collector.messages:
        person = parse(xml_of(record)).find("ActiveParticipant")
        assert person is not None
        found.append(person.attrib["UserID"])
    return found


def numbered(*numbers: int) -> list[str]:
    return [f"user{number} é" for number in numbers]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def collector(certificate: Path) -> Iterator[Collector]:
    with Collector(certificate=certificate) as running:
        yield running


def to(collector: Collector, certificate: Path | None) -> Syslog:
    place = syslog.Collector(
        host="localhost" if certificate else "127.0.0.1",
        port=collector.port,
        transport="tls" if certificate else "tcp",
        ca=certificate.with_name("cert.pem") if certificate else None,
    )
    return Syslog(place)


def test_messages_arrive_whole_and_in_order(collector: Collector, certificate: Path) -> None:
    sink = to(collector, certificate)

    sink.write([message(1), message(2, done=False)])
    sink.write([message(3)])

    assert users(collector) == numbered(1, 2, 3)
    assert [record[:4] for record in collector.messages] == [b"<85>", b"<84>", b"<85>"]


def test_when_write_returns_they_were_heard(collector: Collector, certificate: Path) -> None:
    """Not only written into a socket: the collector has ended the connection after reading all."""
    to(collector, certificate).write([message(number) for number in range(2000)])

    assert len(collector.messages) == 2000


@pytest.mark.parametrize("after_bytes", [1, 300, 5000])
def test_a_collector_that_breaks_off_within_a_message_hears_all_again(
    collector: Collector, certificate: Path, after_bytes: int
) -> None:
    sink = to(collector, certificate)
    collector.break_after_bytes = after_bytes
    messages = [message(number) for number in range(5000)]

    with pytest.raises(AuditAway):
        sink.write(messages)
    sink.write(messages)

    assert users(collector)[-5000:] == numbered(*range(5000))


def test_a_collector_that_is_away_is_said_to_be(certificate: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    sink = Syslog(syslog.Collector(host="127.0.0.1", port=port))

    with pytest.raises(AuditAway, match="Connection refused"):
        sink.write([message(1)])


def test_a_stranger_with_a_certificate_of_its_own_hears_nothing(
    collector: Collector,
) -> None:
    sink = Syslog(syslog.Collector(host="localhost", port=collector.port))

    with pytest.raises(AuditAway, match="certificate verify failed"):
        sink.write([message(1)])

    assert collector.messages == []


def test_a_certificate_for_another_name_is_not_taken(
    collector: Collector, certificate: Path
) -> None:
    ca = certificate.with_name("cert.pem")
    sink = Syslog(syslog.Collector(host="127.0.0.1", port=collector.port, ca=ca))

    with pytest.raises(AuditAway, match="verify failed"):
        sink.write([message(1)])


def test_a_collector_that_wants_our_certificate_is_shown_it(certificate: Path) -> None:
    ca = certificate.with_name("cert.pem")
    with Collector(certificate=certificate, ca=ca) as collector:
        place = {"host": "localhost", "port": collector.port, "ca": ca}
        nameless = Syslog(syslog.Collector(**place))  # type: ignore[arg-type]  # as above
        known = Syslog(syslog.Collector(**place, certificate=certificate))  # type: ignore[arg-type]

        with pytest.raises(AuditAway):
            nameless.write([message(1)])
        known.write([message(2)])

        assert users(collector) == numbered(2)


def test_a_certificate_that_cannot_be_read_is_named(collector: Collector, tmp_path: Path) -> None:
    place = syslog.Collector(host="localhost", port=collector.port, ca=tmp_path / "gone.pem")

    with pytest.raises(AuditAway, match=r"gone\.pem: No such file"):
        Syslog(place).write([message(1)])


def test_plain_tcp_counts_octets_too() -> None:
    with Collector() as collector:
        to(collector, None).write([message(1), message(2)])

        assert users(collector) == numbered(1, 2)


def test_udp_sends_one_datagram_for_each_message() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heard:
        heard.bind(("127.0.0.1", 0))
        heard.settimeout(10)
        place = syslog.Collector(host="127.0.0.1", port=heard.getsockname()[1], transport="udp")

        Syslog(place).write([message(1), message(2)])

        assert [parse(xml_of(heard.recv(65536))) is not None for _ in range(2)] == [True, True]


def test_a_collector_that_never_ends_the_connection_is_not_told_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(syslog, "_FAREWELL_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = syslog.Collector(host="127.0.0.1", port=silent.getsockname()[1], transport="tcp")

        Syslog(place).write([message(1)])
