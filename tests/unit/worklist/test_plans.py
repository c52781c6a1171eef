"""That a million studies are not read is seen from SQLite's plans: they need no million studies."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
import sqlalchemy as sa

from dicomnode.logbook import audit
from dicomnode.records import State
from dicomnode.storage.database import Connection, Database
from dicomnode.worklist import criteria, outbox, overview, search, shadows, to_audit
from dicomnode.worklist.criteria import Wanted
from dicomnode.worklist.search import Place
from dicomnode.worklist.tables import jobs
from tests.worklist import reported_job

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
PLACE = Place("20250102", NOW, "1.2.3")
WANTED = [
    Wanted(),
    Wanted(patient_id="SYN"),
    Wanted(accession_number="a1"),
    Wanted(date_from=date(2025, 1, 1)),
    Wanted(calling_ae="MODALITY"),
    Wanted(states=(State.FAILED,)),
    Wanted(pipeline="chest"),
    Wanted(states=(State.FAILED, State.HELD), pipeline="chest"),
    Wanted(finding="nodule"),
    Wanted(text="1.2.3 nodule"),
    Wanted(text="SYN 20250102"),
    Wanted(calling_ae="MODALITY", finding="nodule", date_to=date(2025, 1, 2)),
]


def plans(database: Database, do: Callable[[Connection], object]) -> list[str]:
    """Every line of the plans of what is asked."""
    asked: list[tuple[str, object]] = []

    def note(
        _connection: object, _cursor: object, statement: str, values: object, *_: object
    ) -> None:
        asked.append((statement, values))

    with database.transaction() as tx:
        reported_job(tx)
    with database.reading() as tx:
        sa.event.listen(tx, "before_cursor_execute", note)
        do(tx)
        sa.event.remove(tx, "before_cursor_execute", note)
        return [
            row[-1]
            for statement, values in asked
            for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)  # type: ignore[arg-type]  # as they came
        ]


def read_whole(lines: list[str]) -> list[str]:
    """Lines that go through a table, or sort what they went through."""
    tables = "studies|jobs|instances|findings|results|deliveries|history|associations|audit"
    return [line for line in lines if re.match(rf"SCAN ({tables})(_\d+)?$", line)]


@pytest.mark.parametrize("many", [False, True], ids=["rare", "frequent"])
@pytest.mark.parametrize("after", [None, PLACE], ids=["first", "next"])
@pytest.mark.parametrize("wanted", WANTED, ids=str)
def test_a_search_goes_along_indexes(
    sqlite_url: str,
    wanted: Wanted,
    after: Place | None,
    many: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if many:
        monkeypatch.setattr(search, "COUNTED", 0)
    lines = plans(Database(sqlite_url), lambda tx: search.search(tx, wanted, after=after))
    assert lines
    assert read_whole(lines) == []


def test_what_there_is_to_choose_from_goes_along_indexes(sqlite_url: str) -> None:
    def ask(tx: Connection) -> None:
        criteria.senders_known(tx)
        criteria.findings_known(tx)
        criteria.pipelines_known(tx)
        audit.actions(tx)
        outbox.peers_owed(tx)

    assert read_whole(plans(Database(sqlite_url), ask)) == []


def test_the_overview_goes_along_indexes(sqlite_url: str) -> None:
    def ask(tx: Connection) -> None:
        overview.received(tx, NOW)
        overview.states(tx, NOW)
        overview.times(tx, NOW)
        overview.hours(tx, NOW)
        overview.peers(tx, {"pacs": "PACS"})
        overview.models(tx, ["chest"])

    assert read_whole(plans(Database(sqlite_url), ask)) == []


def test_what_an_audit_trail_has_to_tell_goes_along_indexes(sqlite_url: str) -> None:
    def ask(tx: Connection) -> None:
        for ask_for in (to_audit.deeds, to_audit.sent, to_audit.turned_away):
            ask_for(tx, 9, [3, 5], limit=10)
        to_audit.arrived(tx, 9, limit=10)
        to_audit.newest(tx)

    assert read_whole(plans(Database(sqlite_url), ask)) == []


def test_a_candidate_is_given_jobs_of_the_last_days_without_reading_older_ones(
    sqlite_url: str,
) -> None:
    def ask(tx: Connection) -> None:
        shadows.without(tx, "chest", "other@1.0", since=NOW, now=NOW)

    lines = plans(Database(sqlite_url), ask)
    assert [line for line in lines if "jobs USING INDEX ix_jobs_state_updated_at" in line]


def test_reading_a_whole_table_would_be_seen(sqlite_url: str) -> None:
    def ask(tx: Connection) -> None:
        tx.execute(sa.select(jobs).where(jobs.c.reason == "no pixels"))

    assert read_whole(plans(Database(sqlite_url), ask)) == ["SCAN jobs"]
