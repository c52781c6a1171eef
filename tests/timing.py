"""What may take no longer than so long, on a machine that has other things to do as well."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["soon_done"]


@contextmanager
def soon_done(seconds: float = 0.2) -> Iterator[None]:
    """This thread may compute for so long in the block; waiting for its turn does not count."""
    begun = time.thread_time()
    yield
    assert time.thread_time() - begun <= seconds
