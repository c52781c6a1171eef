"""Associations as they are written and read, on both databases."""

from datetime import UTC, datetime, timedelta

import pytest

from dicomnode.errors import Trouble
from dicomnode.logbook import associations
from dicomnode.logbook.associations import Ended, Search
from dicomnode.records import Visit, VisitState
from dicomnode.storage.database import Database

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def make_row(
    calling: str = "CT1", minutes: float = 0, trouble: Trouble | None = None, **changes: object
) -> Ended:
    """One that ended so many minutes before noon."""
    at = NOON - timedelta(minutes=minutes)
    count = changes.pop("count", 1)
    number = changes.pop("id", 0)
    assert isinstance(count, int)
    assert isinstance(number, int)
    told: dict[str, object] = {
        "state": VisitState.REJECTED if trouble else VisitState.RELEASED,
        "address": "10.0.0.1",
        "calling_ae": calling,
        "called_ae": "DICOMNODE",
        "trouble": trouble,
    }
    visit = Visit(**(told | changes))  # type: ignore[arg-type]
    return Ended(visit=visit, at=at - timedelta(seconds=2), ended_at=at, count=count, id=number)


def titles(rows: list[Ended]) -> list[str]:
    return [row.visit.calling_ae for row in rows]


def test_what_was_written_is_read(database: Database) -> None:
    row = make_row(
        trouble=Trouble.OBJECTS,
        seconds=2.0,
        words="in words",
        refused_contexts={"1.2": ("1.2.3", "1.2.4")},
        stored=3,
        refusals={"Conflict": 2, "": 1},
    )
    with database.transaction() as tx:
        [number] = associations.write(tx, [row])
        [found] = associations.listed(tx)
    assert found == Ended(
        visit=row.visit, at=row.at, ended_at=row.ended_at, count=row.count, id=number
    )


def test_a_row_that_is_counted_on_takes_the_place_of_the_one_before_and_is_the_newest(
    database: Database,
) -> None:
    with database.transaction() as tx:
        first, _ = associations.write(tx, [make_row("A"), make_row("B")])
        associations.write(tx, [make_row("A", count=5, id=first)])
        found = associations.listed(tx)
    assert titles(found) == ["A", "B"]
    assert found[0].count == 5


def test_rows_are_numbered_in_the_order_in_which_they_ended(database: Database) -> None:
    with database.transaction() as tx:
        numbers = associations.write(tx, [make_row("B", 1), make_row("C", 0), make_row("A", 2)])
        found = associations.listed(tx)
    assert titles(found) == ["C", "B", "A"]
    assert {row.visit.calling_ae: row.id for row in found} == dict(zip("BCA", numbers, strict=True))


def test_pages_stay_whole_while_rows_are_added(database: Database) -> None:
    with database.transaction() as tx:
        associations.write(tx, [make_row(f"CT{n}") for n in range(5)])
        first = associations.listed(tx, limit=2)
        associations.write(tx, [make_row("NEW")])
        second = associations.listed(tx, before=first[-1].id, limit=10)
    assert titles(first) + titles(second) == ["CT4", "CT3", "CT2", "CT1", "CT0"]


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        (Search(), ["MR_1", "STRANGER", "CT1"]),
        (Search(ae="ct"), ["CT1"]),
        (Search(ae="r_"), ["MR_1"]),
        (Search(ae="dicomnod"), ["MR_1", "STRANGER", "CT1"]),
        (Search(address="10.0."), ["MR_1", "CT1"]),
        (Search(outcome="trouble"), ["STRANGER"]),
        (Search(outcome="rejected"), ["STRANGER"]),
        (Search(outcome="released"), ["MR_1", "CT1"]),
        (Search(outcome="lost"), []),
    ],
)
def test_every_filter(database: Database, search: Search, expected: list[str]) -> None:
    with database.transaction() as tx:
        associations.write(
            tx,
            [
                make_row("CT1"),
                make_row("STRANGER", trouble=Trouble.CALLING_AE, address="192.168.0.9"),
                make_row("MR_1"),
            ],
        )
        assert titles(associations.listed(tx, search)) == expected


def test_what_went_wrong_is_grouped_by_caller_and_kind(database: Database) -> None:
    wrong = Trouble.CALLED_AE
    rows = [
        make_row("OLD", 60 * 25, wrong),
        make_row("CT1", 50, wrong, count=3),
        make_row("CT1", 40, wrong),
        make_row("CT1", 30, Trouble.OBJECTS, refusals={"Conflict": 1}),
        make_row("CT1", 20, Trouble.CONTEXTS, refused_contexts={"1.2": ("1.3",)}),
        make_row("CT1", 10, Trouble.CONTEXTS, refused_contexts={"1.4": ("1.3",)}),
        make_row("FINE", 5),
    ]
    with database.transaction() as tx:
        associations.write(tx, rows)
        found = associations.troubles(tx, since=NOON - timedelta(days=1))
    assert [(each.last.visit.trouble, each.count) for each in found] == [
        (Trouble.CONTEXTS, 1),
        (Trouble.CONTEXTS, 1),
        (Trouble.OBJECTS, 1),
        (Trouble.CALLED_AE, 4),
    ]


def test_what_is_old_or_too_much_is_forgotten(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(associations, "MOST", 3)
    day = 24 * 60
    with database.transaction() as tx:
        associations.write(tx, [make_row("OLD", 31 * day), make_row("KEPT", 29 * day)])
        associations.forget(tx, now=NOON)
        assert titles(associations.listed(tx)) == ["KEPT"]
        associations.write(tx, [make_row(f"CT{n}") for n in range(3)])
        associations.forget(tx, now=NOON)
        assert titles(associations.listed(tx)) == ["CT2", "CT1", "CT0"]
