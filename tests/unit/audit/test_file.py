"""The audit file: its owner's alone, whole lines, bounded."""

import errno
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dicomnode.audit.events import Deed, deed_message
from dicomnode.audit.file import AuditFile
from dicomnode.audit.message import Message, Source, as_xml
from dicomnode.errors import AuditAway
from tests.audit_schema import parse


def message(number: int) -> Message:
    deed = Deed(
        at=datetime(2026, 11, 21, tzinfo=UTC),
        user=f"user{number}",
        address="",
        action="login",
        done=True,
    )
    return deed_message(deed, Source(id="NODE@here"))


def users(path: Path) -> list[str]:
    found = []
    for line in path.read_text("utf-8").splitlines():
        person = parse(line).find("ActiveParticipant")
        assert person is not None
        found.append(person.attrib["UserID"])
    return found


def test_each_message_is_a_line_and_only_the_owner_may_read_it(tmp_path: Path) -> None:
    file = AuditFile(tmp_path / "audit", most_bytes=10**6, kept=3)

    file.write([message(1), message(2)])
    file.write([message(3)])

    log = tmp_path / "audit" / "audit.log"
    assert users(log) == ["user1", "user2", "user3"]
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.parent.stat().st_mode) == 0o700


def test_a_full_file_is_put_aside_and_the_oldest_go(tmp_path: Path) -> None:
    size = len(as_xml(message(1))) + 1
    file = AuditFile(tmp_path, most_bytes=2 * size, kept=2)

    for number in range(1, 8):
        file.write([message(number)])

    assert users(tmp_path / "audit.log") == ["user7"]
    assert users(tmp_path / "audit.log.1") == ["user5", "user6"]
    assert users(tmp_path / "audit.log.2") == ["user3", "user4"]
    assert len(list(tmp_path.iterdir())) == 3


def test_a_line_that_a_crash_cut_spoils_none_that_follow(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text("<AuditMessage><Ev")

    AuditFile(tmp_path, most_bytes=10**6, kept=2).write([message(1)])

    half, whole = log.read_text().splitlines()
    assert half == "<AuditMessage><Ev"
    assert parse(whole) is not None


def test_a_disk_that_is_full_keeps_no_half_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = AuditFile(tmp_path, most_bytes=10**6, kept=2)
    file.write([message(1)])
    real, calls = os.write, []

    def fill(descriptor: int, data: bytes) -> int:
        calls.append(data)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, bytes(data)[:10])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fill)
        with pytest.raises(AuditAway, match="No space left"):
            file.write([message(2)])

    file.write([message(2)])
    assert users(tmp_path / "audit.log") == ["user1", "user2"]


def test_a_link_that_somebody_put_there_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "audit.log").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(AuditAway):
        AuditFile(tmp_path, most_bytes=10**6, kept=2).write([message(1)])

    assert not (tmp_path / "elsewhere").exists()
