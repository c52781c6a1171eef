"""How often a login may be tried: a few times freely, then each wrong password doubles a wait.

Names and addresses are counted each by itself, in the memory of the page's process. A browser whose
address somebody logged in from before has a count of its own for that name: strangers who guess
cannot keep a person out.
"""

import hashlib
import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["Tries"]

_FREE = {"name": 5, "address": 20}  #: a hospital's people may share one address
_FIRST_S, _LONGEST_S = 5.0, 900.0
_FORGOTTEN_S = 3600.0  #: after so long without a wrong password
_MOST = 10_000  #: counts, and logins, that are remembered

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_Counted = tuple[str, str]  #: a key of _FREE, and what is counted


@dataclass(slots=True)
class _Count:
    wrong: int = 0
    last: float = 0.0

    def until(self, free: int) -> float:
        """When the next one may be tried."""
        if self.wrong < free:
            return self.last
        return self.last + min(_FIRST_S * 2.0 ** min(self.wrong - free, 20), _LONGEST_S)


class Tries:
    """Wrong passwords of late. Safe to share between threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: OrderedDict[_Counted, _Count] = OrderedDict()
        self._known: OrderedDict[str, None] = OrderedDict()

    def begin(self, name: str, address: str) -> float:
        """How many seconds to wait; 0: try it now. It counts as wrong until `right` is called, so
        that many at once are not free.
        """
        now = self._clock()
        with self._lock:
            counts = {each: self._count(each, now) for each in self._counted(name, address)}
            wait = max(count.until(_FREE[each[0]]) - now for each, count in counts.items())
            if wait > 0:
                return wait
            for count in counts.values():
                count.wrong += 1
                count.last = now
        return 0.0

    def right(self, name: str, address: str) -> None:
        """The password was right: the name is free again, the address has one wrong less.

        Else somebody with a password could guess others' in between.
        """
        with self._lock:
            for each in self._counted(name, address):
                count = self._counts.get(each)
                if count is not None:
                    count.wrong = 0 if each[0] == "name" else max(0, count.wrong - 1)
            _remember(self._known, _digest(name, _network(address)), None)

    def _counted(self, name: str, address: str) -> tuple[_Counted, _Counted]:
        place = _network(address)
        known = _digest(name, place)
        return ("address", place), ("name", known if known in self._known else _digest(name))

    def _count(self, each: _Counted, now: float) -> _Count:
        count = self._counts.get(each)
        if count is None or now - count.last > _FORGOTTEN_S:
            count = _Count(last=now)
        _remember(self._counts, each, count)
        return count


def _remember(held: "OrderedDict[_Key, _Value]", key: _Key, value: _Value) -> None:
    held[key] = value
    held.move_to_end(key)
    if len(held) > _MOST:
        held.popitem(last=False)


def _digest(*words: str) -> str:
    """People type passwords where the name belongs: those are not held either."""
    return hashlib.sha256("\n".join(words).encode(errors="replace")).hexdigest()


def _network(address: str) -> str:
    """An IPv6 address is one of a household's: they are counted together."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 6 and found.ipv4_mapped is None:
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
