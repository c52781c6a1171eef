from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from dicomnode.records import Job, State
from dicomnode.storage.database import Connection, Database
from dicomnode.worklist import criteria, findings, jobs, recall, rows, search
from dicomnode.worklist.criteria import Wanted
from tests.factories import uid
from tests.worklist import (
    MODEL,
    after,
    delivered_job,
    enter,
    failed_job,
    make_ref,
    not_analysed_job,
    undelivered_job,
    waiting_job,
)


def study(number: int) -> str:
    return uid("study", number)


def make(tx: Connection, number: int, how: Callable[..., Job] = waiting_job, **changes: Any) -> str:
    """A study that came so many seconds after the test began."""
    usual = {
        "patient_id": f"SYN-{number:04}",
        "accession_number": f"ACC{number:04}",
        "study_date": f"202501{number:02}",
    }
    how(tx, study_uid=study(number), now=after(number), **(usual | changes))
    return study(number)


def found(tx: Connection, **wanted: Any) -> list[str]:
    return list(search.search(tx, Wanted(**wanted)).study_uids)


def test_studies_are_shown_newest_first(database: Database) -> None:
    with database.transaction() as tx:
        uids = [make(tx, number) for number in (1, 2, 3)]
        assert found(tx) == uids[::-1]


@pytest.mark.parametrize(
    "wanted",
    [
        {"patient_id": "SYN-0002"},
        {"patient_id": "syn-0002"},
        {"accession_number": "ACC0002"},
        {"accession_number": "acc0002"},
        {"date_from": date(2025, 1, 2), "date_to": date(2025, 1, 2)},
        {"calling_ae": "CT2"},
        {"states": (State.FAILED,)},
        {"states": (State.FAILED, State.HELD)},
        {"pipeline": "hand"},
        {"pipeline": "hand", "states": (State.FAILED,)},
        {"text": "SYN-0002"},
        {"text": "acc0002"},
        {"text": "2025-01-02"},
        {"text": "20250102"},
        {"text": "2.1.2025"},
        {"text": "02.01.2025"},
        {"text": "ct2"},
        {"text": "failed"},
        {"text": "hand"},
        {"text": study(2)},
        {"text": make_ref("image", 1, study_uid=study(2)).sop_instance_uid},
        {"text": "syn hand 20250102"},
    ],
    ids=str,
)
def test_each_thing_asked_finds_the_study_for_which_it_holds(
    database: Database, wanted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.transaction() as tx:
        make(tx, 1, delivered_job)
        second = make(tx, 2, failed_job, calling_ae="CT2", pipelines={"hand": 0})
        make(tx, 3)
        assert found(tx, **wanted) == [second]
        monkeypatch.setattr(search, "COUNTED", 0)  # as if it were frequent
        assert found(tx, **wanted) == [second]
        monkeypatch.setattr(search, "_STRETCH", 1)  # and long ago
        assert found(tx, **wanted) == [second]


@pytest.mark.parametrize(
    "wanted",
    [
        {"patient_id": "SYN-9"},
        {"patient_id": "0002"},
        {"patient_id": "SYN_0002"},
        {"date_from": date(2025, 1, 3)},
        {"date_to": date(2025, 1, 1)},
        {"calling_ae": "CT"},
        {"states": (State.HELD,)},
        {"pipeline": "chest", "states": (State.FAILED,)},
        {"text": "%"},
        {"text": "SYN-0002 SYN-0001"},
        {"text": "1.2.3"},
        {"text": "31.2.2025"},
        {"text": "not analysed"},
        {"finding": "nod"},
    ],
    ids=str,
)
def test_what_does_not_hold_finds_nothing(database: Database, wanted: dict[str, Any]) -> None:
    with database.transaction() as tx:
        make(tx, 2, failed_job, calling_ae="CT2", pipelines={"hand": 0})
        assert found(tx, **wanted) == []


def test_where_a_date_is_asked_the_last_day_comes_first(database: Database) -> None:
    with database.transaction() as tx:
        late = make(tx, 1, study_date="20250131")
        early = make(tx, 2, study_date="20250105")
        assert found(tx, date_from=date(2025, 1, 1)) == [late, early]
        assert found(tx) == [early, late]


@pytest.mark.parametrize("wanted", [{}, {"date_from": date(2025, 1, 1)}, {"pipeline": "chest"}])
@pytest.mark.parametrize("many", [False, True])
def test_paging_shows_each_study_once_while_others_come_in(
    database: Database, wanted: dict[str, Any], many: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if many:
        monkeypatch.setattr(search, "COUNTED", 3)
        monkeypatch.setattr(search, "_STRETCH", 4)
    with database.transaction() as tx:
        uids = [make(tx, number) for number in range(1, 10)]
    seen: list[str] = []
    place = None
    for number in range(10, 20):
        with database.reading() as tx:
            page = search.search(tx, Wanted(**wanted), after=place, limit=2)
        seen += page.study_uids
        place = page.next
        if place is None:
            break
        with database.transaction() as tx:
            make(tx, number)
    assert seen == uids[::-1]


def test_studies_of_one_moment_are_paged_too(database: Database) -> None:
    with database.transaction() as tx:
        for number in range(5):
            waiting_job(tx, study_uid=study(number))
        first = search.search(tx, Wanted(), limit=3)
        second = search.search(tx, Wanted(), after=first.next, limit=3)
    assert len({*first.study_uids, *second.study_uids}) == 5
    assert second.next is None


def test_the_count_is_exact_up_to_a_limit(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.transaction() as tx:
        for number in range(1, 6):
            make(tx, number)
        page = search.search(tx, Wanted(), limit=2)
        assert (page.count, page.exact) == (5, True)
        page = search.search(tx, Wanted(), after=page.next, limit=2)
        assert (page.count, page.exact) == (5, True)
        monkeypatch.setattr(search, "COUNTED", 3)
        for wanted in (Wanted(), Wanted(text="chest"), Wanted(calling_ae="MODALITY")):
            page = search.search(tx, wanted, limit=2)
            assert (page.count, page.exact) == (3, False)


@pytest.mark.parametrize("text", ["not analysed", "Not", "not-analysed"])
def test_a_state_is_found_by_the_words_that_people_read(database: Database, text: str) -> None:
    with database.transaction() as tx:
        make(tx, 1, delivered_job)
        second = make(tx, 2, not_analysed_job)
        make(tx, 3)
        assert found(tx, text=text) == [second]
        assert found(tx, text="waiting for images") == [study(3)]


def test_a_state_is_that_of_the_newest_revision(database: Database) -> None:
    with database.transaction() as tx:
        uid = make(tx, 1, failed_job)
        enter(tx, 2, study_uid=uid, now=after(60))
        assert found(tx, states=(State.FAILED,)) == []
        assert found(tx, states=(State.WAITING,)) == [uid]
        (row,) = rows.of_studies(tx, [uid])
    assert [(job.revision, job.state) for job in row.jobs] == [(2, State.WAITING)]


def test_a_finding_is_what_the_newest_answer_says(database: Database) -> None:
    with database.transaction() as tx:
        uid = make(tx, 1, delivered_job)
        make(tx, 2)
        assert found(tx, finding="nodule") == [uid]
        assert found(tx, text="nod") == [uid]
        assert criteria.findings_known(tx) == ["nodule"]
        enter(tx, 2, study_uid=uid, now=after(60))
        assert found(tx, finding="nodule") == [uid]  # while nothing newer is said


def test_what_was_not_analysed_or_is_withdrawn_found_nothing(database: Database) -> None:
    with database.transaction() as tx:
        make(tx, 1, not_analysed_job)
        uid = make(tx, 2, delivered_job)
        assert found(tx, finding="nodule") == [uid]
        (number,) = recall.jobs_of(tx, MODEL)
        recall.withdraw(tx, jobs.get(tx, number, lock=True), (), {}, "recalled", now=after(9))
        assert found(tx, finding="nodule") == []


def test_a_later_answer_takes_the_place_of_an_earlier_one(database: Database) -> None:
    with database.transaction() as tx:
        first = delivered_job(tx)
        enter(tx, 2, now=after(60))
        second = delivered_job(tx, now=after(60))
        assert second.revision == 2
        assert findings.of_jobs(tx, [first.id, second.id]) == {second.id: {"nodule": 0.75}}


def test_a_row_says_how_far_a_study_is(database: Database) -> None:
    with database.transaction() as tx:
        uid = make(tx, 1, undelivered_job)
        other = make(tx, 2, delivered_job, images=3)
        mine, its = rows.of_studies(tx, [uid, other])
    assert (mine.patient_id, mine.images, its.images) == ("SYN-0001", 1, 3)
    assert "0xA900" in mine.jobs[0].reason
    assert mine.jobs[0].seconds_to_result is None
    assert its.jobs[0].seconds_to_result == 0
    assert its.jobs[0].findings == {"nodule": 0.75}
