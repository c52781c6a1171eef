"""Audit messages name patients: they leave this machine by TLS, unless somebody says otherwise."""

from pathlib import Path

import pytest

from dicomnode.config.load import load
from dicomnode.errors import ConfigError
from tests.cli import configure


def settings(folder: Path, syslog: str) -> None:
    load(configure(folder, node=f"[audit.syslog]\n{syslog}\n"))


def test_by_default_a_file_is_written_and_nothing_is_sent(tmp_path: Path) -> None:
    audit = load(configure(tmp_path)).node.audit

    assert (audit.file, audit.syslog.host, audit.syslog.transport) == (True, "", "tls")


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("host", ["10.0.0.5", "audit.example.org", "192.0.2.9"])
def test_what_anybody_can_read_does_not_leave_the_machine(
    tmp_path: Path, transport: str, host: str
) -> None:
    with pytest.raises(ConfigError, match=r"use tls, or set unprotected = true") as raised:
        settings(tmp_path, f'host = "{host}"\ntransport = "{transport}"')

    assert raised.value.mistakes[0].line is not None


@pytest.mark.parametrize(
    "said",
    [
        'host = "audit.example.org"',
        'host = "127.0.0.1"\ntransport = "udp"',
        'host = "localhost"\ntransport = "tcp"',
        'host = "::1"\ntransport = "tcp"',
        'host = "10.0.0.5"\ntransport = "udp"\nunprotected = true',
        'transport = "tcp"',
    ],
)
def test_what_is_safe_or_asked_for_is_taken(tmp_path: Path, said: str) -> None:
    settings(tmp_path, said)
