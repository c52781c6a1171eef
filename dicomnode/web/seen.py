"""Who has looked at which study lately: a look is noted once, not for each of its pictures."""

import threading
from collections import OrderedDict
from datetime import datetime, timedelta

__all__ = ["Seen"]

_LATELY = timedelta(hours=1)
_MOST = 10_000  #: looks that are remembered; who was forgotten is noted once more


class Seen:
    """Remembers looks; may be asked by many threads."""

    def __init__(self) -> None:
        self._looks: OrderedDict[tuple[str, str], datetime] = OrderedDict()
        self._lock = threading.Lock()

    def is_new(self, user: str, study_uid: str, *, now: datetime) -> bool:
        """Has this user not looked at this study within the hour? From now on, they have."""
        with self._lock:
            before = self._looks.pop((user, study_uid), None)
            new = before is None or now - before > _LATELY
            self._looks[user, study_uid] = now if before is None or new else before
            while len(self._looks) > _MOST:
                self._looks.popitem(last=False)
        return new
