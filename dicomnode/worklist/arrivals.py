"""Images that came in, and the jobs that they make or reopen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import NamedTuple

import sqlalchemy as sa

from dicomnode.records import InstanceRef, State
from dicomnode.storage.database import Connection, insert_new
from dicomnode.worklist import history
from dicomnode.worklist import jobs as _jobs
from dicomnode.worklist.jobs import move
from dicomnode.worklist.tables import instances, matches, results, studies

__all__ = ["Arrival", "Entry", "enter", "note_conflict"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One kept object, as the worklist needs to know it."""

    ref: InstanceRef
    sha256: str  #: of the dataset as received
    calling_ae: str
    received_at: datetime  #: aware, UTC
    patient_id: str
    accession_number: str
    study_date: str
    kind: str  #: modality and body part, in words
    own: bool  #: made by a dicomnode: never analysed
    pipelines: Mapping[str, int]  #: those it matches, each with its priority


class Entry(Enum):
    """What became of an arrival."""

    NEW = auto()
    KNOWN = auto()  #: the same bytes were here
    CONFLICT = auto()  #: the same UID was here with other bytes
    UNMATCHED = auto()  #: new, the first of its study, and of no pipeline


def enter(tx: Connection, arrivals: Sequence[Arrival], *, now: datetime) -> list[Entry]:
    """Note objects, and make or reopen the jobs that they concern; what became of each, in order.

    A job that still waits, or that no worker has taken, counts the images in; one that was taken
    gets a new revision; one that is cancelled or held stays so. Many at once come to the same
    as one after the other, with fewer questions to the database.
    """
    batch = _Batch(tx, arrivals, now)
    entries = [batch.enter(arrival) for arrival in arrivals]
    batch.finish()
    return entries


def note_conflict(tx: Connection, study_uid: str, sop_instance_uid: str, *, now: datetime) -> None:
    """Record that other bytes came under a UID that is kept, and were refused."""
    known = sa.select(sa.exists().where(studies.c.study_uid == study_uid))
    if tx.execute(known).scalar_one():
        words = f"{sop_instance_uid} came again with other bytes, and was refused"
        history.note(tx, study_uid, "conflict", now=now, detail=words)


class _Batch:
    """Objects that are entered in one transaction.

    The rows of studies and of instances are written first, all at once; then each object's part in
    the jobs of its study is looked at, in order. The studies' rows are locked from the first
    statement on, so that nobody closes, retries or revises their jobs meanwhile.
    """

    def __init__(self, tx: Connection, arrivals: Sequence[Arrival], now: datetime) -> None:
        self._tx = tx
        self._now = now
        self._own = _own(tx, arrivals)
        self._unseen = _touch_studies(tx, arrivals, self._own)  #: new studies, none looked at yet
        self._jobless = set(self._unseen)  #: studies that have no job in the database
        self._new = _insert(tx, arrivals, self._own)  #: SOP Instance UID -> number
        known = {arrival.ref.sop_instance_uid for arrival in arrivals} - self._new.keys()
        self._here = _here(tx, known)
        self._settled: set[tuple[str, str]] = set()  #: studies and pipelines whose job is right
        self._first_jobs: dict[tuple[str, str], int] = {}  #: to be made, each with its priority
        self._matches: list[dict[str, object]] = []  #: to be written

    def enter(self, arrival: Arrival) -> Entry:
        """The part of one object, in the order in which they came."""
        uid, study_uid = arrival.ref.sop_instance_uid, arrival.ref.study_uid
        is_first = study_uid in self._unseen
        self._unseen.discard(study_uid)
        instance_id = self._new.pop(uid, None)
        if instance_id is None:
            return self._known(arrival)
        self._here[uid] = _Here(arrival.sha256, study_uid)
        if uid in self._own:
            return Entry.NEW
        if is_first and not arrival.pipelines:
            words = f"no pipeline matches the first image: {arrival.kind}"
            history.note(self._tx, study_uid, "unmatched", now=self._now, detail=words)
            return Entry.UNMATCHED
        for pipeline, priority in arrival.pipelines.items():
            self._matches.append({"instance_id": instance_id, "pipeline": pipeline})
            self._concern(study_uid, pipeline, priority)
        return Entry.NEW

    def finish(self) -> None:
        """Write what was put off, to be written all at once."""
        _jobs.make(self._tx, self._first_jobs, now=self._now)
        if self._matches:
            self._tx.execute(sa.insert(matches), self._matches)
        self._jobless -= {study_uid for study_uid, _ in self._first_jobs}
        self._first_jobs, self._matches = {}, []

    def _concern(self, study_uid: str, pipeline: str, priority: int) -> None:
        key = study_uid, pipeline
        if study_uid in self._jobless:
            self._first_jobs[key] = priority
        elif key not in self._settled:
            _concern(self._tx, study_uid, pipeline, priority, now=self._now)
            self._settled.add(key)

    def _known(self, arrival: Arrival) -> Entry:
        """The UID is here already: the same object, or a contradiction that a person must see."""
        uid, study_uid = arrival.ref.sop_instance_uid, arrival.ref.study_uid
        first = self._here[uid]
        if first.sha256 == arrival.sha256:
            return Entry.KNOWN
        self.finish()
        words = f"{uid} arrived again with other bytes"
        history.note(self._tx, study_uid, "conflict", now=self._now, detail=words)
        if first.study_uid != study_uid:
            words = f"image {uid} is also, with other bytes, in study {first.study_uid}"
            _hold(self._tx, arrival, words, now=self._now)
            self._settled -= {(study_uid, pipeline) for pipeline in arrival.pipelines}
            self._jobless.discard(study_uid)
        return Entry.CONFLICT


# --- rows, all at once ----------------------------------------------------------------------


class _Here(NamedTuple):
    """What the worklist knows of an object."""

    sha256: str
    study_uid: str


def _own(tx: Connection, arrivals: Sequence[Arrival]) -> set[str]:
    """SOP Instance UIDs of what a dicomnode made: it says so itself, or we know it by its UID."""
    uids = [arrival.ref.sop_instance_uid for arrival in arrivals]
    ours = sa.select(results.c.sop_instance_uid).where(results.c.sop_instance_uid.in_(uids))
    told = {arrival.ref.sop_instance_uid for arrival in arrivals if arrival.own}
    return told | set(tx.execute(ours).scalars())


def _touch_studies(tx: Connection, arrivals: Sequence[Arrival], own: set[str]) -> set[str]:
    """Make or update the studies' rows, and return the UIDs of those that are new.

    A row's lock keeps `close` from looking meanwhile. A result of ours that comes back is no sign
    that the study's sender has more to send. The rows are taken in one order by everyone, so that
    two nodes on one database cannot block each other.
    """
    first: dict[str, Arrival] = {}
    last: dict[str, Arrival] = {}  #: that is no result of ours
    for arrival in arrivals:
        first.setdefault(arrival.ref.study_uid, arrival)
        if arrival.ref.sop_instance_uid not in own:
            last[arrival.ref.study_uid] = arrival
    rows = [
        {"study_uid": uid, "first_received_at": first[uid].received_at}
        | _seen(last.get(uid, first[uid]))
        for uid in sorted(first)
    ]
    new = {row.study_uid for row in insert_new(tx, studies, rows, studies.c.study_uid)}
    here = [{"uid": uid} | _seen(last.get(uid)) for uid in sorted(first) if uid not in new]
    if here:
        tx.execute(_UPDATE, here)
    return new


def _seen(arrival: Arrival | None) -> dict[str, object]:
    """What a study's row tells of its last image; None leaves it as it is."""
    if arrival is None:
        return dict.fromkeys(_SEEN)
    return {
        "patient_id": arrival.patient_id,
        "accession_number": arrival.accession_number,
        "study_date": arrival.study_date,
        "last_received_at": arrival.received_at,
        "calling_ae": arrival.calling_ae,
    }


_SEEN = ("patient_id", "accession_number", "study_date", "last_received_at", "calling_ae")

_UPDATE = (
    sa.update(studies)
    .where(studies.c.study_uid == sa.bindparam("uid"))
    .values(removed_at=None)
    .values(
        {
            name: sa.func.coalesce(sa.bindparam(name, type_=studies.c[name].type), studies.c[name])
            for name in _SEEN
        }
    )
)


def _insert(tx: Connection, arrivals: Sequence[Arrival], own: set[str]) -> dict[str, int]:
    """Insert what is not here; of the new ones the numbers, which ascend in order of arrival."""
    rows: dict[str, dict[str, object]] = {}
    for arrival in arrivals:
        ref = arrival.ref
        row = {
            "sop_instance_uid": ref.sop_instance_uid,
            "sop_class_uid": ref.sop_class_uid,
            "series_uid": ref.series_uid,
            "study_uid": ref.study_uid,
            "sha256": arrival.sha256,
            "calling_ae": arrival.calling_ae,
            "own": ref.sop_instance_uid in own,
            "received_at": arrival.received_at,
        }
        rows.setdefault(ref.sop_instance_uid, row)
    columns = instances.c.sop_instance_uid, instances.c.id
    new = insert_new(tx, instances, list(rows.values()), *columns)
    return {row.sop_instance_uid: row.id for row in new}


def _here(tx: Connection, uids: set[str]) -> dict[str, _Here]:
    """What the worklist knows of these objects."""
    if not uids:
        return {}
    found = sa.select(instances.c.sop_instance_uid, instances.c.sha256, instances.c.study_uid)
    rows = tx.execute(found.where(instances.c.sop_instance_uid.in_(uids)))
    return {uid: _Here(sha256, study_uid) for uid, sha256, study_uid in rows}


# --- jobs -----------------------------------------------------------------------------------


def _concern(
    tx: Connection, study_uid: str, pipeline: str, priority: int, *, now: datetime
) -> None:
    """An image came for this pipeline: let the study's newest job wait for more, or make one."""
    newest = _jobs.newest(tx, study_uid, pipeline)
    if newest is None:
        _jobs.make(tx, {(study_uid, pipeline): priority}, now=now)
        return
    job_id, state = newest
    if state is State.WAITING or state in _LEFT_ALONE:
        return
    job = _jobs.get(tx, job_id, lock=True)  # a worker may be taking it at this moment
    if job.state in (State.READY, State.INCOMPLETE):
        move(tx, job, State.WAITING, now=now, detail="another image came", values=_REOPENED)
    elif job.state not in _LEFT_ALONE:
        revision = job.revision + 1
        words = f"an image came after job {job.id}: revision {revision}"
        made = {(study_uid, pipeline): priority}
        _jobs.make(tx, made, now=now, revision=revision, detail=words)


#: A person decides: what came meanwhile counts when the job is retried.
_LEFT_ALONE = frozenset({State.CANCELLED, State.HELD})
_REOPENED = {
    "last_instance_id": None,
    "ready_at": None,
    "partial": False,
    "reason": "",
    "refused": None,
    "because": "",
}


def _hold(tx: Connection, arrival: Arrival, reason: str, *, now: datetime) -> None:
    """Let a study's jobs fail at once, for a person to look at, instead of saying nothing."""
    study_uid = arrival.ref.study_uid
    for pipeline, priority in arrival.pipelines.items():
        job = _jobs.latest(tx, study_uid, pipeline)
        if job is None:
            _concern(tx, study_uid, pipeline, priority, now=now)
            job = _jobs.latest(tx, study_uid, pipeline)
        if job is not None and job.state is State.WAITING:
            values = {"reason": reason, "last_instance_id": 0}
            move(tx, job, State.FAILED, now=now, detail=reason, values=values)
