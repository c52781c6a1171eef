"""Who came is written down: in batches, bounded, and whatever the database does."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from dicomnode.errors import DatabaseAway, Trouble
from dicomnode.logbook import associations
from dicomnode.logbook.associations import Ended
from dicomnode.node import visitors as module
from dicomnode.node.visitors import Visitors
from dicomnode.records import Visit, VisitState
from dicomnode.storage.database import Database
from tests.fakes import LeavingDatabase
from tests.running import until


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def go_on(self, **time: float) -> None:
        self.now += timedelta(**time)


def stored(number: int = 1) -> Visit:
    return Visit(
        state=VisitState.RELEASED,
        address="10.0.0.1",
        calling_ae=f"CT{number}",
        called_ae="DICOMNODE",
        seconds=1.5,
        stored=number,
    )


def refused(calling: str = "STRANGER", address: str = "10.0.0.2") -> Visit:
    return Visit(
        state=VisitState.REJECTED,
        address=address,
        calling_ae=calling,
        called_ae="DICOMNODE",
        trouble=Trouble.CALLING_AE,
    )


def rows(database: Database) -> list[Ended]:
    with database.reading() as tx:
        return associations.listed(tx, limit=10_000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_each_association_that_brought_something_has_its_row(
    database: Database, clock: Clock
) -> None:
    visitors = Visitors(database, clock=clock)
    for number in (1, 2, 2):
        visitors.note(stored(number))
    visitors.write()
    found = rows(database)
    assert [row.visit.calling_ae for row in found] == ["CT2", "CT2", "CT1"]
    assert found[0].ended_at - found[0].at == timedelta(seconds=1.5)
    visitors.write()
    assert len(rows(database)) == 3


def test_refusals_that_are_alike_are_counted_in_one_row_for_an_hour(
    database: Database, clock: Clock
) -> None:
    visitors, began = Visitors(database, clock=clock), clock.now
    for _ in range(100):
        visitors.note(refused())
    visitors.write()
    clock.go_on(minutes=50)
    visitors.note(refused())
    visitors.write()
    [row] = rows(database)
    assert (row.count, row.at, row.ended_at) == (101, began, clock.now)
    clock.go_on(minutes=20)
    visitors.note(refused())
    visitors.write()
    assert [row.count for row in rows(database)] == [1, 101]


def test_a_row_that_is_counted_on_is_not_written_all_the_time(
    database: Database, clock: Clock
) -> None:
    visitors = Visitors(database, clock=clock)
    visitors.note(refused())
    visitors.write()
    visitors.note(refused())
    clock.go_on(seconds=1)
    visitors.write()
    assert [row.count for row in rows(database)] == [1]
    visitors.write(last=True)
    assert [row.count for row in rows(database)] == [2]


def test_a_caller_that_says_something_else_each_time_makes_few_rows(
    database: Database, clock: Clock
) -> None:
    visitors = Visitors(database, clock=clock)
    for number in range(500):
        visitors.note(refused(f"X{number}"))
    visitors.note(refused("CT9", "10.0.0.3"))
    visitors.write()
    found = rows(database)
    assert len(found) == module._MOST_OF_ONE + 2
    assert sum(row.count for row in found) == 501
    [rest] = [row for row in found if not row.visit.calling_ae]
    assert rest.visit.address == "10.0.0.2"
    assert rest.visit.trouble is Trouble.CALLING_AE


def test_callers_from_everywhere_make_a_bounded_number_of_rows(
    sqlite_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_OF_ALL", 50)
    database = Database(sqlite_url)
    visitors = Visitors(database, clock=clock)
    for number in range(5000):
        visitors.note(refused(f"X{number}", f"fe80::{number:x}"))
    assert len(visitors._alike) == 51
    visitors.write()
    assert sum(row.count for row in rows(database)) == 5000
    clock.go_on(hours=2)
    visitors.write()
    assert not visitors._alike
    assert not visitors._of_each
    database.close()


def test_while_the_database_is_away_it_waits_and_the_oldest_is_dropped_and_counted(
    sqlite_url: str,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "_MOST_WAITING", 3)
    database = LeavingDatabase(sqlite_url)
    database.away = True
    visitors = Visitors(database, clock=clock)
    for number in range(1, 6):
        visitors.note(stored(number))
    visitors.note(refused())
    with pytest.raises(DatabaseAway):
        visitors.write()
    database.away = False
    visitors.write()
    assert [row.visit.stored for row in rows(database)] == [0, 5, 4, 3]
    [record] = [each for each in caplog.records if each.msg == "associations.dropped"]
    assert vars(record)["count"] == 2
    database.close()


def test_what_ends_while_the_node_stops_is_written_too(sqlite_url: str) -> None:
    database, inside, stop = Database(sqlite_url), [1], threading.Event()
    visitors = Visitors(database, lambda: inside[0])
    thread = threading.Thread(target=visitors.run, args=(stop,))
    thread.start()
    visitors.note(stored(1))
    until(lambda: len(rows(database)) == 1)
    stop.set()
    visitors.note(stored(2))
    inside[0] = 0
    thread.join(10)
    assert not thread.is_alive()
    assert len(rows(database)) == 2
    database.close()


def test_to_wait_for_those_inside_takes_no_processor(sqlite_url: str) -> None:
    database, asked, stop = Database(sqlite_url), [], threading.Event()

    def inside() -> int:
        asked.append(time.monotonic())
        return time.monotonic() < asked[0] + 0.5

    stop.set()
    Visitors(database, inside).run(stop)
    assert len(asked) < 10
    database.close()


def test_what_the_stop_of_a_node_loses_is_said(
    sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    database, stop = LeavingDatabase(sqlite_url), threading.Event()
    database.away = True
    visitors = Visitors(database, lambda: 1)
    visitors.note(stored())
    stop.set()
    visitors.run(stop)
    assert caplog.messages == ["associations.waiting", "associations.lost"]
    database.close()
