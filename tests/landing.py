"""What lies where objects come down."""

from contextlib import suppress
from pathlib import Path

__all__ = ["being_received"]


def being_received(storage: Path) -> list[Path]:
    """Files with bytes of objects that are not kept: no blanks, nor what has its name elsewhere."""
    found = []
    for path in (storage / "landing").iterdir():
        with suppress(FileNotFoundError):  # it was removed at this moment
            about = path.stat()
            if about.st_size and about.st_nlink == 1:
                found.append(path)
    return found
