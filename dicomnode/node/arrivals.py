"""Which associations are bringing which study just now, to tell whether it is complete."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import TypeVar

from dicomnode.records import Association

__all__ = ["Arrivals"]

_REMEMBER_S = 3600.0  #: how long the release of a study's last association is of interest
_MOST_MISSING = 10_000  #: studies of which it is remembered that something was turned away

_Value = TypeVar("_Value")


class Arrivals:
    """Listens to the receiver; kept in memory only, as no association outlives the process.

    `wake` is called when an association ends: then its studies may be complete. What it brings
    before, the registrar finds by itself. `refused` is called with study and SOP Instance UID when
    other bytes came under a UID that is kept.
    """

    def __init__(
        self,
        wake: Callable[[], None],
        refused: Callable[[str, str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wake = wake
        self._refused = refused
        self._clock = clock
        self._lock = threading.Lock()
        self._bringing: dict[int, set[str]] = defaultdict(set)  #: association -> study UIDs
        self._turned_away: dict[int, int] = defaultdict(int)  #: association -> objects
        self._released: dict[str, float] = {}  #: study UID -> time of the clock, oldest first
        self._missing: dict[str, int] = {}  #: study UID -> objects its last association kept not

    def kept(self, association: Association, study_uid: str, sop_instance_uid: str) -> None:
        """An object is durable, and its sender is about to hear so."""
        with self._lock:
            self._bringing[association.id].add(study_uid)

    def conflict(self, association: Association, study_uid: str, sop_instance_uid: str) -> None:
        """Other bytes came under a UID that is kept."""
        self._refused(study_uid, sop_instance_uid)

    def turned_away(self, association: Association) -> None:
        """An object could not be kept; of which study, nobody has read."""
        with self._lock:
            self._turned_away[association.id] += 1

    def ended(self, association: Association) -> None:
        """An association was released, aborted or lost."""
        now = self._clock()
        with self._lock:
            brought = self._bringing.pop(association.id, set())
            missing = self._turned_away.pop(association.id, 0)
            for study_uid in brought:
                self._released.pop(study_uid, None)
                self._missing.pop(study_uid, None)
                self._released[study_uid] = now
                if missing:
                    self._missing[study_uid] = missing
            _forget(self._released, lambda at: now - at >= _REMEMBER_S)
            _forget(self._missing, lambda _: len(self._missing) > _MOST_MISSING)
        self._wake()

    def is_open(self, study_uid: str) -> bool:
        """Is an association open that has brought images of this study?"""
        with self._lock:
            return any(study_uid in studies for studies in self._bringing.values())

    def missing(self, study_uid: str) -> int:
        """How many objects this node itself turned away when the study was last brought.

        An upper bound where the association brought several studies.
        """
        with self._lock:
            return self._missing.get(study_uid, 0)

    def released_for_s(self, study_uid: str) -> float:
        """Seconds since the last association that brought the study ended; infinite if long ago."""
        with self._lock:
            at = self._released.get(study_uid)
        return float("inf") if at is None else self._clock() - at


def _forget(entries: dict[str, _Value], old: Callable[[_Value], bool]) -> None:
    """Remove the oldest entries."""
    while entries and old(entries[oldest := next(iter(entries))]):
        del entries[oldest]
