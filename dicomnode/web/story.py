"""What happened to a study, in words: what came, each step of its jobs, what peers said."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from dicomnode.answers import Presence
from dicomnode.records import DeliveryState, State
from dicomnode.report.wording import percent
from dicomnode.storage.database import Connection
from dicomnode.worklist import dossier, history, shadows
from dicomnode.worklist.dossier import Brought
from dicomnode.worklist.history import Event
from dicomnode.worklist.shadows import Opinion

__all__ = ["Moment", "tell"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something that happened to a study."""

    at: datetime
    job_id: int | None
    words: str
    detail: str = ""
    tone: str = ""  #: good, warn or bad


def tell(tx: Connection, study_uid: str, job_ids: Sequence[int]) -> list[Moment]:
    """All that happened to a study, and to these jobs of it, from its beginning."""
    story = [
        *map(_came, dossier.brought(tx, study_uid)),
        *map(_happened, history.of_study(tx, study_uid)),
        *map(_opinion, shadows.of_jobs(tx, job_ids)),
    ]
    return _together(sorted(story, key=lambda one: one.at))


#: What is said of an event, and how it is coloured.
_SAID: Mapping[str, tuple[str, str]] = {
    State.WAITING: ("Waits for images", ""),
    State.READY: ("Queued", ""),
    State.RUNNING: ("A worker begins", ""),
    State.REPORTED: ("To be sent", ""),
    State.DELIVERED: ("Delivered", "good"),
    State.NOT_ANALYSED: ("Not analysed, and everybody told", "warn"),
    State.WITHDRAWN: ("Withdrawn, and everybody told", "warn"),
    State.INCOMPLETE: ("Incomplete", "warn"),
    State.HELD: ("Held for a person to look", "bad"),
    State.FAILED: ("Failed", "bad"),
    State.UNDELIVERED: ("Not delivered", "bad"),
    State.CANCELLED: ("Cancelled", "warn"),
    "sent": ("Taken", "good"),
    "owed": ("Not taken yet, tried again", "warn"),
    "refused": ("Refused", "bad"),
    "confirmed": ("Confirmed", "good"),
    "unconfirmed": ("Not confirmed", "warn"),
    "promised": ("Promised", ""),
    "recalled": ("Recalled", "warn"),
    "priority": ("Priority", ""),
    "resent": ("Sent again", ""),
    "conflict": ("Conflict", "bad"),
    "unmatched": ("No pipeline", "warn"),
    "removed": ("Images removed", "warn"),
}


_OF_RESULTS = tuple(_SAID[state][0] for state in DeliveryState if state in _SAID)
_AT_ONCE = timedelta(minutes=1)


def _happened(event: Event) -> Moment:
    words, tone = _SAID.get(event.event, (event.event, ""))
    if event.event == State.READY and event.detail and "by " not in event.detail:
        words = "Complete" if "image" in event.detail or " of " in event.detail else words
    return Moment(at=event.at, job_id=event.job_id, words=words, detail=event.detail, tone=tone)


def _together(story: Iterable[Moment]) -> list[Moment]:
    """Results that one peer took at once are said in one line: "sc, sc, sr to pacs: stored"."""
    found: list[Moment] = []
    for one in story:
        last = found[-1] if found else None
        kind, to, rest = one.detail.partition(" to ")
        if (
            last is not None
            and (last.words, last.job_id) == (one.words, one.job_id)
            and one.words in _OF_RESULTS
            and last.detail.endswith(to + rest)
            and one.at - last.at < _AT_ONCE
        ):
            before = last.detail.removesuffix(to + rest)
            found[-1] = replace(last, detail=f"{before}, {kind}{to}{rest}")
        else:
            found.append(one)
    return found


def _came(some: Brought) -> Moment:
    one = "result" if some.own else "object"
    what = f"{one if some.count == 1 else f'{one}s'}{' of ours' if some.own else ''}"
    words = f"{some.count} {what} from {some.calling_ae or 'nobody'}"
    lasted = some.last_at - some.first_at
    detail = f"within {lasted.total_seconds():.0f} s" if lasted >= timedelta(seconds=1) else ""
    return Moment(at=some.first_at, job_id=None, words=words, detail=detail)


def _opinion(asked: Opinion) -> Moment:
    """What a candidate said in spare time."""
    said = asked.said
    present = [
        f"{label} {percent(score.probability)}"
        for label, score in said.summary.items()
        if score.presence is Presence.PRESENT
    ]
    if asked.seconds is None:
        detail = "no answer yet"
    elif said.refused is not None:
        detail = f"gave no answer: {said.because}"
    else:
        detail = f"in {asked.seconds:.1f} s: {', '.join(present) or 'nothing present'}; not sent"
    words = f"The candidate {said.model} was asked"
    return Moment(at=asked.asked_at, job_id=asked.job_id, words=words, detail=detail)
