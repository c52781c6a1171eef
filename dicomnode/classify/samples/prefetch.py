"""The next images are decoded in threads while the one before is looked at."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["ahead"]

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


def ahead(
    work: Callable[[_Given], _Made], items: Iterable[_Given], threads: int = 2
) -> Iterator[_Made]:
    """What `work` makes of each item, in order, a few items ahead of what is asked for.

    What it raises is raised when it is the item's turn; later ones are given up then, and also
    when nobody asks for more.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    waiting: deque[Future[_Made]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
