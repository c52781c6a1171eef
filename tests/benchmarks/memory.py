"""Memory that is there: a virtual machine's host gives a page when it is used for the first time.

Without this, whoever is measured first pays for the pages in which files are cached.
"""

import mmap

__all__ = ["use_memory"]

_MARGIN_BYTES = 256 * 1024 * 1024


def use_memory(size: int) -> None:
    """Use so much memory and some more, once, and give it back to the system."""
    length = size + _MARGIN_BYTES
    with mmap.mmap(-1, length) as memory:
        for at in range(0, length, mmap.PAGESIZE):
            memory[at] = 1
