"""All workers of the node, and which of them is told first that a study is complete.

Images that come in are answered by one worker, which keeps what it said in memory. It is told of
the finished study a moment before the others; where it is busy then, another takes the study and
says the same again from the images.
"""

import threading
import zlib
from collections.abc import Callable, Collection, Sequence

__all__ = ["Crew", "is_mine"]

_HEAD_START_S = 0.05


def is_mine(study_uid: str, number: int, of: int) -> bool:
    """Is a study the affair of this worker before it is complete? Of one, for all its lives."""
    return zlib.crc32(study_uid.encode()) % of == number


class Crew:
    """Tells workers to look; `workers` gives who they are now, in the order of their numbers, each
    to be called with no arguments.
    """

    def __init__(self, workers: Callable[[], Sequence[Callable[[], None]]]) -> None:
        self._workers = workers

    def look(self) -> None:
        """There may be work for anyone."""
        for tell in self._workers():
            tell()

    def complete(self, study_uids: Collection[str]) -> None:
        """These studies may be taken: who knows them first, all the others a moment later."""
        workers = self._workers()
        many = len(workers)
        for number, tell in enumerate(workers):
            if any(is_mine(uid, number, many) for uid in study_uids):
                tell()
        if many > 1:
            late = threading.Timer(_HEAD_START_S, self.look)
            late.daemon = True
            late.start()
