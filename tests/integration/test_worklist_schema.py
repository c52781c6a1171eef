import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from dicomnode.records import State
from dicomnode.storage.database import Database
from dicomnode.worklist import criteria, findings, jobs, results, search
from dicomnode.worklist.schema import METADATA, is_there, upgrade
from dicomnode.worklist.tables import metadata
from tests.postgres import Postgres
from tests.worklist import waiting_job


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database without any table, once of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = server.empty()
    yield server.url(name)
    server.drop(name)


def comparable(_item: object, name: str | None, *_: object) -> bool:
    return name != "ix_jobs_in_order"  # Alembic cannot read a descending column back from SQLite


def test_the_migrations_make_exactly_the_tables_that_the_code_knows(database: Database) -> None:
    options = {"compare_type": True, "include_object": comparable}
    with database.transaction() as tx:
        context = MigrationContext.configure(tx, opts=options)
        differences = compare_metadata(context, METADATA)  # type: ignore[arg-type]  # it takes several

    assert differences == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ix_jobs_in_order", "(state, priority DESC, ready_at, id)"),
        ("ix_deliveries_owed", "(peer, id) WHERE"),
    ],
)
def test_the_special_indexes_are_the_ones_that_the_code_knows(
    database: Database, name: str, words: str
) -> None:
    catalogue = {
        "sqlite": "SELECT sql FROM sqlite_master WHERE name = :name",
        "postgresql": "SELECT indexdef FROM pg_indexes WHERE indexname = :name",
    }
    with database.transaction() as tx:
        look = sa.text(catalogue[tx.dialect.name])
        migrated = tx.execute(look, {"name": name}).scalar_one()
        tx.execute(sa.text(f"DROP INDEX {name}"))
        next(i for t in metadata.tables.values() for i in t.indexes if i.name == name).create(tx)
        known = tx.execute(look, {"name": name}).scalar_one()

    assert migrated == known
    assert words in known


def test_upgrading_twice_changes_nothing(database: Database) -> None:
    with database.transaction() as tx:
        job = waiting_job(tx)

    upgrade(database)

    with database.reading() as tx:
        assert jobs.listed(tx) == [job]


def test_nodes_that_start_together_on_an_empty_database_upgrade_it_once(empty_url: str) -> None:
    nodes = [Database(empty_url) for _ in range(3)]

    with ThreadPoolExecutor(3) as pool:
        for outcome in [pool.submit(upgrade, node) for node in nodes]:
            outcome.result(timeout=30)

    with nodes[0].transaction() as tx:
        waiting_job(tx)
    for node in nodes:
        node.close()


def test_a_worklist_of_the_first_version_keeps_its_jobs_and_results(empty_url: str) -> None:
    database = Database(empty_url)
    upgrade(database, to="0001")
    row = {"study_uid": "1.2.3", "at": "2025-01-02 00:00:00", "state": "delivered"}
    with database.transaction() as tx:
        for statement in _FIRST_ROWS:
            tx.execute(sa.text(statement), row)

    upgrade(database)

    with database.transaction() as tx:
        (job,) = jobs.listed(tx)
        (made,) = results.listed(tx)
        assert (job.state, job.refused, job.because) == (State.DELIVERED, None, "")
        assert (made.model, made.withdrawn_at, made.ref.sop_instance_uid) == ("", None, "1.2.3.4")
    database.close()


def test_what_earlier_results_said_is_searched_too(empty_url: str) -> None:
    database = Database(empty_url)
    upgrade(database, to="0005")
    present, absent = ({"probability": 0.75, "presence": each} for each in ("present", "absent"))
    said = json.dumps({"nodule": present, "mass": absent, "left épanchement": present})
    row = {"study_uid": "1.2.3", "at": "2025-01-02 00:00:00", "state": "delivered"}
    with database.transaction() as tx:
        for statement in _FIRST_ROWS:
            tx.execute(sa.text(statement), row)
        tx.execute(sa.text("UPDATE results SET summary = :said"), {"said": said})

    upgrade(database)

    with database.transaction() as tx:
        assert findings.of_jobs(tx, [1]) == {1: {"nodule": 0.75, "left épanchement": 0.75}}
        assert search.search(tx, criteria.Wanted(finding="nodule")).study_uids == ("1.2.3",)
    database.close()


_FIRST_ROWS = (
    "INSERT INTO studies (study_uid, patient_id, accession_number, study_date, calling_ae, "
    "first_received_at, last_received_at) VALUES (:study_uid, '', '', '', '', :at, :at)",
    "INSERT INTO jobs (id, study_uid, pipeline, revision, state, priority, attempts, partial, "
    "reason, not_before, created_at, updated_at) VALUES (1, :study_uid, 'chest', 1, :state, 0, 0, "
    "false, '', :at, :at, :at)",
    "INSERT INTO results (id, job_id, study_uid, sop_instance_uid, sop_class_uid, series_uid, "
    "kind, summary, created_at) "
    "VALUES (1, 1, :study_uid, '1.2.3.4', '1.2', '1.2.3.5', 'sr', '{}', :at)",
)


def test_looking_for_a_worklist_makes_none(empty_url: str, tmp_path: Path) -> None:
    database = Database(empty_url)
    assert not is_there(database)
    assert list(tmp_path.iterdir()) == []
    upgrade(database)
    assert is_there(database)
    database.close()


def test_a_database_of_somebody_else_is_no_worklist(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'other.db'}")
    with database.transaction() as tx:
        tx.execute(sa.text("CREATE TABLE other (id INTEGER)"))

    assert not is_there(database)
    database.close()
