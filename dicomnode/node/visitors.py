"""Write down who came and how it went, for those who look after senders; never in anybody's way.

What is told is kept in memory until it is written, and there is a bound on that: where the database
is away for long, the oldest is forgotten and counted. Callers that come to nothing again and again
make one row an hour; those that vary what they say make a few, and then one.
"""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from dicomnode.errors import DatabaseAway
from dicomnode.logbook import associations
from dicomnode.logbook.associations import Ended
from dicomnode.records import Visit
from dicomnode.storage.database import Database

__all__ = ["Visitors"]

log = logging.getLogger(__name__)

_MOST_WAITING = 5000  #: rows that were not written yet
_MOST_OF_ONE = 60  #: rows an hour of callers at one address that come to nothing
_MOST_OF_ALL = 1000  #: the same, of all addresses
_ALIKE_FOR = timedelta(hours=1)  #: counted in one row
_WRITE_S = 1.0
_AGAIN = timedelta(seconds=10)  #: before a row that is counted on is written again
_LAST_S = 0.1  #: between looks who is still inside, once the node stops
_AWAY_S = 2.0
_FORGET = timedelta(minutes=10)

_Key = tuple[object, ...]


@dataclass(slots=True)
class _Alike:
    """What is counted in one row."""

    row: Ended
    written_at: datetime | None = None
    changed: bool = True


class Visitors:
    """`note` is called by whoever hears of a visit; one thread writes. `inside` says how many
    associations are open: of those it waits for the ends when it is asked to stop.
    """

    def __init__(
        self,
        database: Database,
        inside: Callable[[], int] = lambda: 0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._inside = inside
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: deque[Ended] = deque()
        self._alike: dict[_Key, _Alike] = {}
        self._of_each: Counter[str] = Counter()  #: of those, by address
        self._dropped = 0
        self._forgot_at = datetime.min.replace(tzinfo=UTC)

    def note(self, visit: Visit) -> None:
        """Keep this in mind; takes no time, and a bounded amount of memory."""
        now = self._clock()
        row = Ended(visit=visit, at=now - timedelta(seconds=visit.seconds), ended_at=now)
        with self._lock:
            if visit.stored or visit.refusals:
                self._waiting.append(row)
                self._bound()
            else:
                self._count(row, now)

    def run(self, stop: threading.Event) -> None:
        """Write until `stop`, and then what comes until nobody is inside any more."""
        away = False
        while not stop.is_set() or self._inside():
            if stop.wait(_WRITE_S):
                time.sleep(_LAST_S)
            try:
                self.write()
                away = False
            except DatabaseAway as error:
                if not away:
                    log.warning("associations.waiting", extra={"error": str(error)})
                away = True
                if stop.wait(_AWAY_S):
                    break
        try:
            self.write(last=True)
        except DatabaseAway as error:
            log.warning("associations.lost", extra={"error": str(error)})

    def write(self, *, last: bool = False) -> None:
        """Write what waits; of rows that are counted on, those that may be written again.

        Raises:
            DatabaseAway: nothing was written; it waits on.
        """
        now = self._clock()
        with self._lock:
            plain, alike = list(self._waiting), self._due(now, last=last)
            rows = [*plain, *(each.row for each in alike)]
        if not rows and now - self._forgot_at < _FORGET:
            return
        with self._database.transaction() as tx:
            numbers = associations.write(tx, rows)
            if now - self._forgot_at >= _FORGET:
                associations.forget(tx, now=now)
                self._forgot_at = now
        with self._lock:
            self._settle(plain, alike, rows[len(plain) :], numbers[len(plain) :], now)

    def _settle(
        self,
        plain: list[Ended],
        alike: list[_Alike],
        rows: list[Ended],
        numbers: list[int],
        now: datetime,
    ) -> None:
        """What was written waits no more; what was counted meanwhile is written again."""
        written = {id(each) for each in plain}
        self._waiting = deque(each for each in self._waiting if id(each) not in written)
        for each, row, number in zip(alike, rows, numbers, strict=True):
            each.changed = each.row is not row
            each.row, each.written_at = replace(each.row, id=number), now
        if self._dropped:
            log.warning("associations.dropped", extra={"count": self._dropped})
            self._dropped = 0

    def _due(self, now: datetime, *, last: bool) -> list[_Alike]:
        """Rows to be written; those that are over are forgotten here."""
        over = now - _ALIKE_FOR
        for key in [key for key, each in self._alike.items() if each.row.at < over]:
            if not self._alike[key].changed:
                self._drop(key)
        return [
            each
            for each in self._alike.values()
            if each.changed and (last or each.written_at is None or now - each.written_at >= _AGAIN)
        ]

    def _count(self, row: Ended, now: datetime) -> None:
        key, row = self._key(row)
        known = self._alike.get(key)
        if known is None or known.row.at < now - _ALIKE_FOR:
            if known is not None and known.changed:  # its last count must not be lost
                self._waiting.append(known.row)
                self._bound()
            self._drop(key)
            self._alike[key] = _Alike(row)
            self._of_each[row.visit.address] += 1
            return
        known.row = replace(
            known.row, visit=row.visit, ended_at=row.ended_at, count=known.row.count + 1
        )
        known.changed = True

    def _key(self, row: Ended) -> tuple[_Key, Ended]:
        """What it is counted with: its like; where there are too many kinds, what they share."""
        visit = row.visit
        key = _all_of(visit)
        if key in self._alike:
            return key, row
        if len(self._alike) >= _MOST_OF_ALL:
            visit = replace(_less(visit), address="")
        elif self._of_each[visit.address] >= _MOST_OF_ONE:
            visit = _less(visit)
        return _all_of(visit), replace(row, visit=visit)

    def _drop(self, key: _Key) -> None:
        known = self._alike.pop(key, None)
        if known is not None:
            self._of_each[known.row.visit.address] -= 1
            if not self._of_each[known.row.visit.address]:
                del self._of_each[known.row.visit.address]

    def _bound(self) -> None:
        while len(self._waiting) > _MOST_WAITING:
            self._waiting.popleft()
            self._dropped += 1


def _less(visit: Visit) -> Visit:
    """Without what the caller says."""
    return replace(visit, calling_ae="", called_ae="", refused_contexts={})


def _all_of(visit: Visit) -> _Key:
    contexts = tuple(sorted(visit.refused_contexts.items()))
    return (
        visit.state, visit.address, visit.calling_ae, visit.called_ae, visit.trouble, visit.words,
        contexts,
    )  # fmt: skip
