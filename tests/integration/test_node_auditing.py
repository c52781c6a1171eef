"""The audit trail leaves the node whole: from the worklist, to receivers that come and go."""

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from dicomnode.audit import syslog
from dicomnode.audit.events import Deed
from dicomnode.audit.message import Message
from dicomnode.audit.syslog import Syslog
from dicomnode.config.current import Current
from dicomnode.config.load import load
from dicomnode.errors import AuditAway, DatabaseAway
from dicomnode.logbook import audit
from dicomnode.node import auditing
from dicomnode.node.auditing import Auditing
from dicomnode.node.parts import Parts
from dicomnode.storage.database import Database
from tests.audit_schema import parse
from tests.audited import Ear, follower, note
from tests.certificates import write_certificate
from tests.cli import configure
from tests.collector import Collector, xml_of
from tests.fakes import LeavingDatabase
from tests.running import until
from tests.worklist import NOW, after, delivered_job, enter


def test_each_deed_is_told_once_and_by_the_next_process_no_more(
    database: Database, tmp_path: Path
) -> None:
    ear = Ear()
    note(database, "login")
    note(database, "user.added", detail="bob: viewer")
    first = follower(database, tmp_path, ear)
    first.follow(NOW)
    first.follow(NOW)
    note(database, "logout")

    follower(database, tmp_path, ear).follow(NOW)

    assert ear.told == ["login", "user.added: bob: viewer", "logout"]


def test_what_a_receiver_did_not_hear_is_told_again_and_nothing_twice(
    database: Database, tmp_path: Path
) -> None:
    ear = Ear()
    follows = follower(database, tmp_path, ear)
    note(database, "login")
    ear.away = True
    for _ in range(3):
        with pytest.raises(AuditAway):
            follows.follow(NOW)
        note(database, "studies.searched")

    ear.away = False
    follower(database, tmp_path, ear).follow(NOW)

    assert ear.told == ["login", *["studies.searched"] * 3]


def test_what_was_told_and_not_noted_is_told_again(sqlite_url: str, tmp_path: Path) -> None:
    """At least once: between a receiver and the worklist there is no common transaction."""
    database = LeavingDatabase(sqlite_url)

    class LastWord(Ear):
        def write(self, messages: Sequence[Message]) -> None:
            super().write(messages)
            database.away = True

    ear = LastWord()
    note(database, "login")
    with pytest.raises(DatabaseAway):
        follower(database, tmp_path, ear).follow(NOW)
    database.away = False
    note(database, "logout")

    with pytest.raises(DatabaseAway):
        follower(database, tmp_path, ear).follow(NOW)

    assert ear.told == ["login", "login", "logout"]
    database.close()


def test_more_than_fit_at_once_are_all_told(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "_AT_ONCE", 3)
    ear = Ear()
    for number in range(10):
        note(database, "login", detail=str(number))

    follows = follower(database, tmp_path, ear)
    rounds = 1
    while follows.follow(NOW):
        rounds += 1

    assert rounds == 4
    assert ear.told == [f"login: {number}" for number in range(10)]


def test_a_line_whose_transaction_ends_late_is_told_too(postgres_url: str, tmp_path: Path) -> None:
    """On Postgres a smaller number may be seen after a larger one."""
    database = Database(postgres_url)
    ear = Ear()
    follows = follower(database, tmp_path, ear)
    note(database, "login")
    with database.transaction() as slow:
        audit.note(slow, Deed(at=NOW, user="ada", address="", action="user.added"))
        note(database, "logout")
        follows.follow(NOW)
        assert ear.told == ["login", "logout"]

    follows.follow(after(5))

    assert ear.told == ["login", "logout", "user.added"]
    database.close()


def test_who_is_away_from_the_first_hears_what_came_meanwhile_in_order_of_time(
    database: Database, tmp_path: Path
) -> None:
    ear = Ear()
    ear.away = True
    follows = follower(database, tmp_path, ear)
    note(database, "login")
    with pytest.raises(AuditAway):
        follows.follow(NOW)
    with database.transaction() as tx:
        enter(tx, 1, now=after(1))
        late = Deed(at=after(30), user="ada", address="10.0.0.7", action="logout")
        audit.note(tx, late)
    ear.away = False

    follows.follow(after(60))

    assert ear.told == ["login", "DICOM Instances Transferred", "logout"]


def test_what_was_in_the_worklist_before_there_was_a_trail_is_not_told(
    database: Database, tmp_path: Path
) -> None:
    with database.transaction() as tx:
        delivered_job(tx)
    ear = Ear()
    follows = follower(database, tmp_path, ear)

    follows.follow(NOW)
    follows.follow(after(3600))

    assert ear.told == []


def test_a_collector_away_for_a_while_and_restarted_hears_all(
    sqlite_url: str, tmp_path: Path
) -> None:
    database = Database(sqlite_url)
    certificate = write_certificate(tmp_path)
    with Collector(certificate=certificate) as first:
        port = first.port
        place = syslog.Collector(host="localhost", port=port, ca=tmp_path / "cert.pem")
        follows = follower(database, tmp_path, Syslog(place))
        note(database, "login", detail="0")
        follows.follow(NOW)
        before = [xml_of(each) for each in first.messages]
    for number in range(1, 50):
        note(database, "login", detail=str(number))
    for _ in range(2):
        with pytest.raises(AuditAway):
            follows.follow(NOW)
    with Collector(port, certificate) as second:
        second.break_after_bytes = 2000  # it dies within a message, once more
        with pytest.raises(AuditAway):
            follows.follow(NOW)
        del second.messages[:]
        follows.follow(NOW)
        heard = before + [xml_of(each) for each in second.messages]

    words = [parse(xml).findtext("EventIdentification/EventOutcomeDescription") for xml in heard]
    assert words == [f"login: {number}" for number in range(50)]
    database.close()


def test_the_node_notes_its_life_and_its_last_words_are_told(
    sqlite_url: str, tmp_path: Path
) -> None:
    database = Database(sqlite_url)
    current = Current(load(configure(tmp_path)))
    parts = Parts()
    trail = Auditing(database, current, "DICOMNODE@here", lambda study: False)
    log = tmp_path / "node" / "audit" / "audit.log"

    parts.become(trail.parts)
    until(lambda: log.exists() and "node.started" in log.read_text())
    parts.end()
    parts.join(10)

    lines = [parse(line) for line in log.read_text().splitlines()]
    types = [each.find("EventIdentification/EventTypeCode") for each in lines]
    assert [each.attrib["csd-code"] for each in types if each is not None] == ["110120", "110121"]
    database.close()


def test_a_database_that_is_away_and_comes_back_stops_nothing(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "_LOOK_S", 0.05)
    monkeypatch.setattr(auditing, "_LONGEST_WAIT_S", 0.1)
    database = LeavingDatabase(sqlite_url)
    database.away = True
    current = Current(load(configure(tmp_path)))
    parts = Parts()
    log = tmp_path / "node" / "audit" / "audit.log"
    parts.become(Auditing(database, current, "DICOMNODE@here", lambda study: False).parts)

    database.away = False
    until(lambda: log.exists() and "node.started" in log.read_text())
    database.away = True
    parts.end()
    parts.join(10)

    assert log.read_text().count("node.started") == 1
    database.close()


def test_turning_the_file_off_ends_its_follower_only(sqlite_url: str, tmp_path: Path) -> None:
    database = Database(sqlite_url)
    current = Current(load(configure(tmp_path)))
    trail = Auditing(database, current, "DICOMNODE@here", lambda study: False)
    assert list(trail.parts()) == ["audit", "audit file"]

    off = configure(tmp_path, node='[audit]\nfile = false\n[audit.syslog]\nhost = "there"\n')
    current.take(load(off))

    assert list(trail.parts()) == ["audit", "audit syslog"]
    database.close()


def test_one_that_is_asked_to_end_at_once_tells_what_is_there(
    sqlite_url: str, tmp_path: Path
) -> None:
    database = Database(sqlite_url)
    ear = Ear()
    follows = follower(database, tmp_path, ear)
    stop, last_word = threading.Event(), threading.Event()
    note(database, "login")
    stop.set()
    last_word.set()

    follows.run(stop, last_word)

    assert ear.told == ["login"]
    database.close()
