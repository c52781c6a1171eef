"""All that a study's page tells, put together: whose it is, its jobs, and what they said."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dicomnode.answers import Score
from dicomnode.dicom.attributes import read_header, text
from dicomnode.errors import Cause, StoreError, Unreadable
from dicomnode.records import (
    Delivery,
    DeliveryState,
    InstanceRef,
    Job,
    State,
)
from dicomnode.storage.database import Connection
from dicomnode.web.described import MOST_READ, Described, describe
from dicomnode.web.held import Held
from dicomnode.web.held import look as look_at_held
from dicomnode.web.showing.ranking import ranked
from dicomnode.web.site import Site
from dicomnode.web.story import Moment, tell
from dicomnode.worklist import commitments, dossier, jobs, outbox, results
from dicomnode.worklist.dossier import Study
from dicomnode.worklist.results import Made
from dicomnode.worklist.states import MOVES, OPEN
from dicomnode.worklist.studies import waits_for

__all__ = ["JobView", "StudyView", "Trouble", "frames_of", "read", "size_bytes"]

_MOST = 1000  #: jobs, and results, that one page shows

#: Of a refusal, what may be otherwise the next time, with the same images.
_MAY_PASS = (Cause.INCOMPLETE, Cause.MODEL_FAILED, Cause.RECALLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A job, what came of it, and what may be done with it."""

    job: Job
    model: str  #: by which it is done, or was: as name@version once it has spoken
    stands: bool  #: of its pipeline's revisions that have said something, it is the newest
    confirmed: bool  #: every peer that was asked keeps its results
    waits: str  #: what it waits for; empty where it does not
    findings: Mapping[str, Score]  #: by label, most probable first; empty where there are none
    results: Sequence[Made]  #: in the order in which they leave
    troubles: Sequence["Trouble"]  #: with what is not delivered
    peers: Sequence[str]  #: to whom results may be sent again
    can: frozenset[str]  #: of retry, cancel, hurry and resend, what would be done
    refused_again: bool  #: the same images and model would only be refused again


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why some results are not at a peer, or not yet."""

    peer: str
    words: str  #: what the peer said, or why it could not be asked
    count: int  #: of results
    attempts: int
    next_at: datetime | None  #: when they are tried again; none where they are not


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyView:
    """A study with its jobs, newest first, and its story, from its beginning."""

    study: Study
    described: Described
    jobs: Sequence[JobView]
    story: Sequence[Moment]
    held: Held | None  #: who is named by which image, where a job is held


def read(here: Site, tx: Connection, study_uid: str) -> StudyView:
    """What the worklist knows of a study.

    Raises:
        NotFound: there is no such study.
    """
    study = dossier.get(tx, study_uid)
    found = jobs.listed(tx, study_uid=study_uid, limit=_MOST)
    made = results.listed(tx, study_uid=study_uid, limit=_MOST)[::-1]
    confirmed = commitments.confirmed(tx, [job.id for job in found])
    views = [_view(here, tx, job, made, confirmed, found, study) for job in found]
    firsts = dossier.first_of_series(tx, study_uid, limit=MOST_READ)
    return StudyView(
        study=study,
        described=describe(here.store, firsts),
        jobs=views,
        story=tell(tx, study_uid, [job.id for job in found]),
        held=_held(here, tx, views),
    )


def _held(here: Site, tx: Connection, views: Sequence[JobView]) -> Held | None:
    held = next((each.job for each in views if each.job.state is State.HELD), None)
    if held is None:
        return None
    images = jobs.study_images(tx, held.study_uid)
    return look_at_held(here.store, held.study_uid, tuple(ref.sop_instance_uid for ref in images))


def size_bytes(here: Site, study_uid: str) -> int:
    """How much room a study's objects take; what moves just now may be left out."""
    folder: Path = here.store.path_of(study_uid, "0").parent
    try:
        return sum(file.stat().st_size for file in folder.iterdir())
    except OSError:
        return 0


def frames_of(here: Site, ref: InstanceRef) -> int:
    """How many frames an image has; 1 where it does not say, or cannot be read."""
    path = here.store.find(ref.study_uid, ref.sop_instance_uid)
    try:
        said = text(read_header(path), "NumberOfFrames") if path else ""
    except (StoreError, Unreadable):
        return 1
    return max(1, int(said)) if said.isdecimal() else 1


# --- jobs -----------------------------------------------------------------------------------


def _view(
    here: Site,
    tx: Connection,
    job: Job,
    made: Sequence[Made],
    confirmed: set[int],
    beside: Sequence[Job],
    study: Study,
) -> JobView:
    mine = [one for one in made if one.job_id == job.id]
    rules = here.settings().pipelines.get(job.pipeline)
    said = next((scores for _, scores in results.of_job(tx, job.id) if scores), {})
    owed = outbox.of_job(tx, job.id)
    later = [
        other
        for other in beside
        if other.pipeline == job.pipeline and other.revision > job.revision
    ]
    answered = any(one.job_id == other.id for one in made for other in later)
    waits = ""
    if job.state is State.WAITING and rules is not None:
        waits = waits_for(job, study.last_received_at, rules.complete)
    wanted = () if rules is None else rules.destinations
    known = here.settings().peers
    return JobView(
        job=job,
        model=next((one.model for one in mine if one.model), "")
        or job.model
        or (rules.model if rules else ""),
        stands=not answered and bool(mine or job.refused),
        confirmed=job.id in confirmed,
        waits=waits,
        findings=ranked(said),
        results=mine,
        troubles=_troubles(owed),
        peers=sorted({item.peer for item in owed if item.peer in known} | set(wanted)),
        can=frozenset(_possible(job, study, newest=not later, sends=bool(mine) and not answered)),
        refused_again=job.refused is not None and job.refused not in _MAY_PASS,
    )


def _troubles(owed: Iterable[Delivery]) -> list[Trouble]:
    """One for all results of which a peer said the same."""
    found: dict[tuple[str, str, bool], list[Delivery]] = {}
    for item in owed:
        if item.message and item.state is not DeliveryState.SENT:
            key = item.peer, item.message, item.state is DeliveryState.OWED
            found.setdefault(key, []).append(item)
    return [
        Trouble(
            peer=peer,
            words=words,
            count=len(items),
            attempts=max(item.attempts for item in items),
            next_at=min(item.not_before for item in items) if again else None,
        )
        for (peer, words, again), items in found.items()
    ]


def _possible(job: Job, study: Study, *, newest: bool, sends: bool) -> Iterator[str]:
    """What would not be refused at once."""
    if State.CANCELLED in MOVES[job.state]:
        yield "cancel"
    if job.state in (State.WAITING, State.READY):
        yield "hurry"
    if study.removed_at is not None:
        return
    if newest and job.state not in OPEN | {State.DELIVERED, State.HELD}:
        yield "retry"
    if sends:
        yield "resend"
