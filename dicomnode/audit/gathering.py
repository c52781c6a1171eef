"""Single objects that travelled become transfers: one of each study, sender and receiver.

What is gathered and how far was read is one value, `Place`, that goes into the database as JSON:
after a crash or a restart nothing is lost, and at most what was told last is told again.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

__all__ = ["Gathered", "Marker", "Place"]

_QUIET = timedelta(seconds=10)  #: after the last object of a transfer
_LONGEST = timedelta(minutes=15)  #: then the part that came so far is told
_LATE = timedelta(minutes=10)  #: that a number may be seen after a larger one
_MOST_MISSING = 1000
_NOTHING: Mapping[str, Any] = {"after": 0, "missing": {}}


@dataclass(slots=True, kw_only=True)
class Marker:
    """How far the lines of a table were read, by their numbers.

    On Postgres a transaction that began earlier may end later: its numbers are smaller than some
    that were read, and are waited for.
    """

    after: int = 0
    missing: dict[int, datetime] = field(default_factory=dict)  #: numbers, with when it was noticed

    def read(self, numbers: Iterable[int], *, now: datetime) -> None:
        """These were read, in order."""
        for number in numbers:
            if number > self.after:
                first = max(self.after + 1, number - _MOST_MISSING)
                self.missing |= dict.fromkeys(range(first, number), now)
                self.after = number
            else:
                self.missing.pop(number, None)
        late = [number for number, since in self.missing.items() if now - since > _LATE]
        for number in [*late, *sorted(self.missing.keys() - late)[:-_MOST_MISSING]]:
            del self.missing[number]


@dataclass(slots=True, kw_only=True)
class Gathered:
    """A transfer of which there may be more to come."""

    sent: bool  #: by us, to the peer of this name; else from the AE of this title
    taken: bool  #: else the peer refused it
    other: str
    study_uid: str
    first_at: datetime
    last_at: datetime
    sop_classes: dict[str, int] = field(default_factory=dict)  #: objects by SOP Class UID


@dataclass(slots=True, kw_only=True)
class Place:
    """All that has to be remembered for one receiver of messages."""

    deeds: Marker = field(default_factory=Marker)
    arrived: int = 0  #: one thread enters objects: their numbers come in order
    history: Marker = field(default_factory=Marker)
    callers: Marker = field(default_factory=Marker)
    open: list[Gathered] = field(default_factory=list)

    def gather(
        self,
        *,
        sent: bool,
        taken: bool = True,
        other: str,
        study_uid: str,
        at: datetime,
        sop_class_uid: str,
    ) -> None:
        """One more object."""
        key = (sent, taken, other, study_uid)
        found = next((each for each in self.open if _key(each) == key), None)
        if found is None:
            found = Gathered(
                sent=sent, taken=taken, other=other, study_uid=study_uid, first_at=at, last_at=at
            )
            self.open.append(found)
        found.first_at, found.last_at = min(found.first_at, at), max(found.last_at, at)
        found.sop_classes[sop_class_uid] = found.sop_classes.get(sop_class_uid, 0) + 1

    def over(self, is_open: Callable[[str], bool], *, now: datetime) -> list[Gathered]:
        """Take out transfers that are over; `is_open` says whether a study is being received."""
        ended = [each for each in self.open if _is_over(each, is_open, now)]
        self.open = [each for each in self.open if each not in ended]
        return ended

    def as_json(self) -> dict[str, Any]:
        """To be kept."""
        return {
            "deeds": _marker(self.deeds),
            "arrived": self.arrived,
            "history": _marker(self.history),
            "callers": _marker(self.callers),
            "open": [
                asdict(each)
                | {"first_at": each.first_at.isoformat(), "last_at": each.last_at.isoformat()}
                for each in self.open
            ],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Place":
        """What was kept."""
        return cls(
            deeds=_marked(value["deeds"]),
            arrived=value["arrived"],
            history=_marked(value["history"]),
            callers=_marked(value.get("callers", _NOTHING)),  # it was added later
            open=[Gathered(**each | _times(each)) for each in value["open"]],
        )


def _is_over(each: Gathered, is_open: Callable[[str], bool], now: datetime) -> bool:
    if now - each.first_at >= _LONGEST:
        return True
    return now - each.last_at >= _QUIET and (each.sent or not is_open(each.study_uid))


def _key(each: Gathered) -> tuple[bool, bool, str, str]:
    return each.sent, each.taken, each.other, each.study_uid


def _times(each: Mapping[str, Any]) -> dict[str, datetime]:
    return {name: datetime.fromisoformat(each[name]) for name in ("first_at", "last_at")}


def _marker(marker: Marker) -> dict[str, Any]:
    missing = {str(number): since.isoformat() for number, since in marker.missing.items()}
    return {"after": marker.after, "missing": missing}


def _marked(value: Mapping[str, Any]) -> Marker:
    missing = {int(n): datetime.fromisoformat(at) for n, at in value["missing"].items()}
    return Marker(after=value["after"], missing=missing)
