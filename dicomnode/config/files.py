"""Files of a configuration, as texts by name: compared, and written so that each is always whole.

They are read and checked by `load.py`.
"""

import difflib
import fcntl
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from dicomnode.errors import ConfigError, Mistake

__all__ = ["Texts", "difference", "locked", "told", "unwritable", "write"]

Texts = Mapping[str, str]  #: by name, as `load.read` gives them


def told(before: Texts, after: Texts) -> list[str]:
    """Which files differ, and how: peers/ct.toml added."""
    found = []
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            what = "added" if name not in before else "removed" if name not in after else "changed"
            found.append(f"{name} {what}")
    return found


def difference(before: Texts, after: Texts) -> str:
    """What changes, as a unified diff; empty where nothing does."""
    lines: list[str] = []
    for name in sorted({*before, *after}):
        old, new = before.get(name, ""), after.get(name, "")
        if old == new and (name in before) == (name in after):
            continue
        lines += difflib.unified_diff(
            old.splitlines(),
            new.splitlines(),
            name if name in before else "(not there)",
            name if name in after else "(removed)",
            lineterm="",
        )
    return "\n".join(lines).encode(errors="surrogateescape").decode(errors="replace")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else who asks for it changes these files while the block runs.

    Raises:
        ConfigError: there is no such folder.
    """
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        problem = f"cannot be opened: {error.strerror}"
        raise ConfigError(Mistake(file=folder, problem=problem)) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def write(folder: Path, changes: Mapping[str, str | None]) -> None:
    """Write files, or remove those that are None, one after the other, each whole and synced.

    All are written beside their places before the first takes its place; what others need comes
    first, what goes away goes last. After a crash in between each file is the old or the new one.

    Raises:
        ConfigError: the disk refused; which file, and why.
    """
    order = sorted(changes, key=lambda name: (changes[name] is None, name))
    made: dict[str, Path] = {}
    name = ""
    try:
        for name in order:
            if (text := changes[name]) is not None:
                made[name] = _write_beside(
                    _place(folder, name), text.encode(errors="surrogateescape")
                )
        for name in order:
            place = _place(folder, name)
            if name in made:
                made.pop(name).replace(place)
            else:
                place.unlink(missing_ok=True)
            _sync(place.parent)
    except OSError as error:
        problem = f"cannot be written: {error.strerror}"
        raise ConfigError(Mistake(file=folder / name, problem=problem)) from error
    finally:
        for left in made.values():
            left.unlink(missing_ok=True)


def unwritable(folder: Path) -> list[Path]:
    """Folders in which this process may make no files, as it does to write one anew."""
    kinds = (folder / "peers", folder / "pipelines")
    wanted = [folder, *(kind for kind in kinds if kind.is_dir())]
    return [each for each in wanted if not os.access(each, os.W_OK | os.X_OK)]


def _place(folder: Path, name: str) -> Path:
    """Where a file lies; what a link points to is written, and the link stays."""
    path = folder / name
    return path.resolve() if path.is_file() else path


def _write_beside(place: Path, content: bytes) -> Path:
    """Write and sync a file that is to take `place`, with the rights of what is there.

    One that a crash has left is written over; as its name ends, nobody reads it.
    """
    if not place.parent.is_dir():
        place.parent.mkdir(parents=True)
        _sync(place.parent.parent)
    beside = place.with_name(f".{place.name}.new")
    with beside.open("wb") as out:
        out.write(content)
        if place.exists():
            there = place.stat()
            os.fchmod(out.fileno(), stat.S_IMODE(there.st_mode))
            with suppress(PermissionError):  # another's file stays readable by its group at best
                os.fchown(out.fileno(), there.st_uid, there.st_gid)
        out.flush()
        os.fsync(out.fileno())
    return beside


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
