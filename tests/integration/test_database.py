import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa

from dicomnode.errors import DatabaseAway
from dicomnode.storage.columns import UTCDateTime, Words
from dicomnode.storage.database import Database, insert_new
from dicomnode.worklist import jobs
from dicomnode.worklist.schema import upgrade
from dicomnode.worklist.tables import studies
from tests.postgres import Postgres
from tests.worklist import NOW, enter, waiting_job


@pytest.fixture
def running(postgres: Postgres) -> Iterator[Postgres]:
    """The server, running again after the test whatever happened to it."""
    yield postgres
    postgres.stop()
    postgres.start()


def look(database: Database) -> None:
    with database.transaction() as tx:
        jobs.listed(tx)


# --- transactions ---------------------------------------------------------------------------


def test_what_was_committed_is_there_after_opening_the_database_again(
    database: Database, database_url: str
) -> None:
    with database.transaction() as tx:
        job = waiting_job(tx)
    database.close()

    again = Database(database_url)
    with again.reading() as tx:
        assert jobs.listed(tx) == [job]
    again.close()


def test_a_reader_sees_one_moment_and_keeps_no_writer_waiting(database: Database) -> None:
    with database.reading() as reading:
        assert jobs.listed(reading) == []
        with database.transaction() as writing:
            enter(writing)
        assert jobs.listed(reading) == []

    with database.reading() as reading:
        assert len(jobs.listed(reading)) == 1


def test_a_second_row_with_the_same_key_is_not_inserted(database: Database) -> None:
    row: dict[str, object] = {"study_uid": "1.2", "patient_id": "", "accession_number": ""}
    row |= {"study_date": "", "calling_ae": "A", "first_received_at": NOW, "last_received_at": NOW}
    with database.transaction() as tx:
        assert insert_new(tx, studies, [row], studies.c.study_uid) == [("1.2",)]
        other = row | {"calling_ae": "B"}
        new = insert_new(tx, studies, [other, row | {"study_uid": "1.3"}], studies.c.study_uid)
        assert new == [("1.3",)]
        assert tx.execute(sa.select(studies.c.calling_ae)).scalars().all() == ["A", "A"]


def test_an_error_of_the_database_quotes_no_patient(database: Database) -> None:
    with pytest.raises(sa.exc.IntegrityError) as caught, database.transaction() as tx:
        tx.execute(studies.insert().values(study_uid="1.2", patient_id="SYN-0001"))

    assert "SYN-0001" not in str(caught.value).partition("DETAIL")[0]


# --- times and words ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "at", [NOW, datetime(2025, 7, 1, 12, 0, 0, 1, timezone(timedelta(hours=5, minutes=30)))]
)
def test_a_time_comes_back_as_the_same_moment_in_utc(database: Database, at: datetime) -> None:
    with database.transaction() as tx:
        enter(tx, now=at)
        found = tx.execute(sa.select(studies.c.first_received_at)).scalar_one()
        (same,) = tx.execute(
            sa.select(studies.c.study_uid).where(studies.c.first_received_at == at)
        )

    assert found == at
    assert found.tzinfo is UTC
    assert same is not None


def test_a_time_without_a_zone_is_refused(database: Database) -> None:
    naive = datetime(2025, 1, 2)  # noqa: DTZ001  this is what must not get in
    with (
        pytest.raises(sa.exc.StatementError, match="without zone"),
        database.transaction() as tx,
    ):
        enter(tx, now=naive)


def test_no_time_and_no_words_stay_nothing(database: Database) -> None:
    with database.reading() as tx:
        nothing = sa.select(sa.literal(None, UTCDateTime), sa.literal(None, Words))
        assert tx.execute(nothing).one() == (None, None)


# --- the database is away -------------------------------------------------------------------


def test_a_stopped_server_is_away_and_then_back(running: Postgres) -> None:
    name = running.fresh()
    database = Database(running.url(name))
    look(database)
    running.stop()

    with pytest.raises(DatabaseAway, match="does not answer"):
        look(database)

    running.start()
    look(database)
    database.close()


def test_a_server_that_stops_within_a_transaction_is_away(running: Postgres) -> None:
    database = Database(running.url(running.fresh()))

    def work_while_it_stops() -> None:
        with database.transaction() as tx:
            enter(tx)
            running.stop()
            enter(tx, 2)

    with pytest.raises(DatabaseAway):
        work_while_it_stops()

    running.start()
    with database.reading() as tx:
        assert jobs.listed(tx) == []
    database.close()


def test_a_server_that_stops_before_the_commit_is_away(running: Postgres) -> None:
    database = Database(running.url(running.fresh()))

    def stop_before_commit() -> None:
        with database.transaction() as tx:
            enter(tx)
            running.stop()

    with pytest.raises(DatabaseAway):
        stop_before_commit()
    database.close()


def test_a_wrong_password_is_told_without_the_password(postgres: Postgres) -> None:
    database = Database(postgres.tcp_url("postgres", "guessed"))

    with pytest.raises(DatabaseAway, match="password authentication failed") as caught:
        look(database)

    assert "guessed" not in str(caught.value)
    assert "guessed" not in database.name


def test_the_password_is_read_from_its_file_at_each_new_connection(
    postgres: Postgres, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    url = sa.make_url(postgres.tcp_url(postgres.fresh()))
    right = url.password
    database = Database(url.set(password=None).render_as_string(), password_file=file)

    with pytest.raises(DatabaseAway, match="cannot read the password file"):
        look(database)
    file.write_text("guessed\n")
    with pytest.raises(DatabaseAway, match="password authentication failed"):
        look(database)
    file.write_text(f"{right}\nsecond line\n")
    look(database)
    database.close()


def test_a_wrong_port_is_away() -> None:
    database = Database(f"postgresql://dicomnode@127.0.0.1:{_closed_port()}/x")

    with pytest.raises(DatabaseAway, match="does not answer"):
        look(database)


def test_a_missing_database_is_away(postgres: Postgres) -> None:
    database = Database(postgres.url("nowhere"))

    with pytest.raises(DatabaseAway, match='database "nowhere" does not exist'):
        look(database)


def test_a_sqlite_file_that_another_process_has_locked_is_away(sqlite_url: str) -> None:
    script = (
        "import sqlite3, sys, time; tx = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "tx.execute('BEGIN IMMEDIATE'); print(flush=True); time.sleep(60)"
    )
    file = sa.make_url(sqlite_url).database
    database = Database(f"{sqlite_url}?timeout=0.1")
    with subprocess.Popen(
        [sys.executable, "-c", script, str(file)], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(DatabaseAway, match="locked"):
            look(database)
        with database.reading() as tx:
            assert jobs.listed(tx) == []
        os.kill(holder.pid, signal.SIGKILL)
    look(database)
    database.close()


def test_a_sqlite_file_that_may_only_be_read_is_away_for_writers(sqlite_url: str) -> None:
    file = sa.make_url(sqlite_url).database
    database = Database(f"sqlite:///file:{file}?mode=ro&uri=true")

    with pytest.raises(DatabaseAway, match="readonly"), database.transaction() as tx:
        enter(tx)
    database.close()


def test_a_sqlite_folder_that_is_not_there_is_away(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/missing/worklist.db")

    with pytest.raises(DatabaseAway, match="unable to open"):
        look(database)


def test_a_file_that_is_no_database_is_away(tmp_path: Path) -> None:
    file = tmp_path / "worklist.db"
    file.write_bytes(b"not a database" * 1000)
    database = Database(f"sqlite:///{file}")

    with pytest.raises(DatabaseAway, match="not a database"):
        upgrade(database)
    database.close()


def test_a_full_disk_is_away_and_then_back(sqlite_url: str) -> None:
    database = Database(sqlite_url)

    def fill() -> None:
        with database.transaction() as tx:
            pages = tx.exec_driver_sql("PRAGMA page_count").scalar_one()
            tx.exec_driver_sql(f"PRAGMA max_page_count={pages}")
            for number in range(1000):
                enter(tx, number, patient_id="x" * 4000, study_uid=f"1.2.{number}")

    with pytest.raises(DatabaseAway, match="full"):
        fill()
    database.close()
    with database.transaction() as tx:
        assert jobs.listed(tx) == []
        enter(tx)
    database.close()


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
