"""Many images at once come to the same as one after the other."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dicomnode.storage.database import Connection, Database
from dicomnode.worklist import arrivals, by_hand
from dicomnode.worklist.arrivals import Arrival, Entry
from dicomnode.worklist.tables import history, instances, jobs, matches, metadata, studies
from tests.factories import uid
from tests.worklist import (
    NOW,
    after,
    delivered_job,
    make_arrival,
    ready_job,
    running_job,
    waiting_job,
)

OTHERS = tuple(uid("study", name) for name in "ab")
HERE = uid("here before")  #: its first image came long ago, and its job is in some state

PIPELINES = st.sampled_from([{}, {"chest": 0}, {"chest": 0, "fracture": 5}])


@st.composite
def comers(draw: st.DrawFn) -> Arrival:
    """An image of one of a few, so that they meet: again, with other bytes, in another study."""
    study_uid = draw(st.sampled_from([*OTHERS, HERE]))
    number = draw(st.integers(1, 3))
    arrival = make_arrival(number, study_uid=study_uid, pipelines=draw(PIPELINES))
    strays = make_arrival(number, study_uid=draw(st.sampled_from([*OTHERS, HERE]))).ref
    uid_of = draw(st.sampled_from([arrival.ref, arrival.ref, strays])).sop_instance_uid
    return replace(
        arrival,
        ref=replace(arrival.ref, sop_instance_uid=uid_of),
        sha256=draw(st.sampled_from("abb")) * 64,
        received_at=after(draw(st.integers(1, 9))),
        patient_id=draw(st.sampled_from(["SYN-1", "SYN-2"])),
    )


BEGINNINGS: dict[str, Callable[[Connection], object]] = {
    "nothing": lambda tx: None,
    "waiting": lambda tx: waiting_job(tx, study_uid=HERE),
    "ready": lambda tx: ready_job(tx, study_uid=HERE),
    "running": lambda tx: running_job(tx, study_uid=HERE),
    "delivered": lambda tx: delivered_job(tx, study_uid=HERE),
    "cancelled": lambda tx: by_hand.cancel(tx, waiting_job(tx, study_uid=HERE).id, now=NOW),
}


def worklist(tx: Connection) -> dict[str, list[Any]]:
    """All that the worklist knows, but the rows' own numbers: their order within a study counts."""
    of_study = sa.select(history.c.study_uid, history.c.at, history.c.event, history.c.detail)
    lines = tx.execute(of_study.order_by(history.c.study_uid, history.c.id))
    told = [(*line[:3], re.sub(r"job \d+", "job", line.detail)) for line in lines]
    of_jobs = [column for column in jobs.c if column.name not in ("id", "last_instance_id")]
    of_images = [column for column in instances.c if column.name != "id"]
    matched = sa.select(instances.c.sop_instance_uid, matches.c.pipeline).join(instances)
    key = (jobs.c.study_uid, jobs.c.pipeline, jobs.c.revision)
    return {
        "studies": list(tx.execute(sa.select(studies).order_by(studies.c.study_uid))),
        "instances": list(tx.execute(sa.select(*of_images).order_by(instances.c.id))),
        "matches": sorted(tx.execute(matched)),
        "jobs": list(tx.execute(sa.select(*of_jobs).order_by(*key))),
        "history": told,
    }


def entered(
    database: Database, begin: str, images: list[Arrival], *, at_once: bool
) -> tuple[list[Entry], dict[str, list[Any]]]:
    """What becomes of the images, and of the worklist."""
    with database.transaction() as tx:
        for table in reversed(metadata.sorted_tables):
            tx.execute(table.delete())
        BEGINNINGS[begin](tx)
        groups = [images] if at_once else [[image] for image in images]
        found = [arrivals.enter(tx, group, now=after(60)) for group in groups]
        return list(chain(*found)), worklist(tx)


@pytest.fixture(scope="module")
def empty() -> Iterator[Database]:
    """A worklist in memory."""
    database = Database("sqlite://")
    with database.transaction() as tx:
        metadata.create_all(tx)
    yield database
    database.close()


def held() -> list[Arrival]:
    """A study with a waiting job gets an image, a contradiction, and another image."""
    first = make_arrival(1, study_uid=OTHERS[0])
    uid_of = first.ref.sop_instance_uid
    stray = make_arrival(9, study_uid=HERE, sha256="f" * 64)
    stray = replace(stray, ref=replace(stray.ref, sop_instance_uid=uid_of))
    return [first, make_arrival(2, study_uid=HERE), stray, make_arrival(3, study_uid=HERE)]


@example(begin="waiting", images=held())
@settings(max_examples=200, deadline=None)
@given(begin=st.sampled_from(sorted(BEGINNINGS)), images=st.lists(comers(), max_size=8))
def test_many_images_at_once_come_to_the_same_as_one_after_the_other(
    empty: Database, begin: str, images: list[Arrival]
) -> None:
    apart = entered(empty, begin, images, at_once=False)
    at_once = entered(empty, begin, images, at_once=True)

    assert at_once == apart


def test_images_of_many_studies_cost_few_questions(empty: Database) -> None:
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        asked.append(statement)

    many = [make_arrival(n, study_uid=uid("study", n % 100)) for n in range(300)]
    with empty.transaction() as tx:
        sa.event.listen(tx, "before_cursor_execute", note)
        assert set(arrivals.enter(tx, many, now=NOW)) == {Entry.NEW}

    assert len(asked) < 20
