"""How many streams of news each session has open."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Streams"]

_AT_ONCE = 4  #: of a session: a browser opens six connections to one place, and needs some itself


class Streams:
    """Counts them; asked in the thread of the event loop, but for `has_room`."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def has_room(self, session: str) -> bool:
        """May a session have one more?"""
        return self._open[session] < _AT_ONCE

    @contextmanager
    def one_more(self, session: str) -> Iterator[None]:
        """Of a session, while the block runs."""
        self._open[session] += 1
        try:
            yield
        finally:
            self._open[session] -= 1
            self._open += Counter()  # drops those of which none is left

    def __len__(self) -> int:
        """How many are open, of all sessions."""
        return self._open.total()
