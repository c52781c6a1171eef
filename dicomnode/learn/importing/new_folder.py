"""A model folder that is made: whole and in its place, or not there at all."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dicomnode.errors import ModelError

__all__ = ["free_place", "made_aside"]

_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


def free_place(into: Path, folder: str) -> Path:
    """Where a new model folder of this name will be.

    Raises:
        ModelError: the name is none for a folder, or there is one already.
    """
    if not _FOLDER.fullmatch(folder):
        raise ModelError(f"{folder!r} is no name for a model folder: letters, digits, . _ - and @")
    if not into.is_dir():
        raise ModelError(f"{into}: is no folder; make it first: it holds one folder a model")
    place = into / folder
    if place.exists() or place.is_symlink():
        raise ModelError(
            f"{place}: is there already; give another name with --folder, or remove it"
        )
    return place


@contextmanager
def made_aside(place: Path) -> Iterator[Path]:
    """A folder beside `place` that becomes it at the end, or is gone if there is an error.

    Raises:
        ModelError: nothing can be written there.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    except OSError as error:
        raise ModelError(f"{place.parent}: cannot be written to: {error.strerror}") from error
    try:
        yield folder
        folder.chmod(0o755)  # as others have to read it: the node runs as another user
        folder.rename(place)
    except OSError as error:
        raise ModelError(f"{place}: cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
