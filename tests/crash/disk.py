"""A disk of our own: it fails when it is told to, and after a power cut it holds what was synced.

`disk.c` stands between a process and the kernel and writes a journal; here the journal is played
back. The model is the least that Linux file systems with a journal of their own promise (ext4, XFS,
btrfs): a file's bytes are there once it was synced, a name once its folder was, and a rename is in
both of its folders or in neither.
"""

import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

from tests.tools import require

__all__ = ["Disk"]


class Disk:
    """What processes started with its `environment` take for a disk: the folder `folder`."""

    def __init__(self, root: Path) -> None:
        require("cc")
        self.folder = root / "disk"
        self._journal = root / "journal"
        self._trouble = root / "trouble"
        self.folder.mkdir()
        self._begin()
        library = root / "disk.so"
        source = Path(__file__).with_name("disk.c")
        flags = ["-std=gnu11", "-O1", "-shared", "-fPIC"]
        subprocess.run(["cc", *flags, "-o", library, source, "-ldl"], check=True)
        self.environment = {
            "LD_PRELOAD": str(library),
            "DISK_FOLDER": str(self.folder),
            "DISK_JOURNAL": str(self._journal),
            "DISK_TROUBLE": str(self._trouble),
        }

    @contextmanager
    def trouble(self, call: str, number: int = 1) -> Iterator[None]:
        """Every such call fails with this errno, or as `disk.c` says, while the block runs."""
        line = self._trouble.with_suffix(".new")
        line.write_text(f"{call} {number}\n")
        line.rename(self._trouble)
        try:
            yield
        finally:
            self._trouble.unlink()

    def steps(self) -> list[tuple[str, str, str]]:
        """The journal: what happened, to which file (a name for each that ever was), and the rest.

        A file's name is not its inode: the kernel gives that to the next file.
        """
        files: dict[str, str] = {}
        found = []
        journal = self._journal / "journal"
        for number, line in enumerate(journal.read_text().splitlines() if journal.exists() else ()):
            what, inode, rest = line.split(" ", 2)
            if what == "new":
                files[inode] = f"{inode} of {number}"
            found.append((what, files.get(inode, inode), rest))
        return found

    def cut_power(self, *, names_survive: bool = False) -> None:
        """Turn the folder into what would be found after a power cut; its processes are gone.

        What nobody synced may be there all the same. With `names_survive` every name is, and of
        the bytes only what was synced; without, there is nothing that was not synced.
        """
        disk = self._played_back(names_survive=names_survive)
        shutil.rmtree(self.folder)
        self.folder.mkdir(mode=0o700)
        disk.write(self.folder)
        self._begin()

    def _played_back(self, *, names_survive: bool) -> "_Durable":
        disk = _Durable(self.folder, self._journal)
        for what, file, rest in self.steps():
            disk.play(what, file, rest)
        if names_survive:
            disk.take_names(self.folder)
        return disk

    def _begin(self) -> None:
        """A new journal, in which all that is in the folder now is durable."""
        shutil.rmtree(self._journal, ignore_errors=True)
        self._journal.mkdir()
        with (self._journal / "journal").open("w") as journal:
            for number, path in enumerate([self.folder, *self.folder.rglob("*")]):
                blob, inode = self._journal / f"0-{number}", path.stat().st_ino
                if path.is_dir():
                    blob.write_text("\n".join(_listing(path)))
                else:
                    shutil.copyfile(path, blob)
                what = "folder" if path.is_dir() else "synced"
                print(f"{what} {inode} {blob.name}", file=journal)


class _Durable:
    """What the disk holds, as far as the journal was played."""

    def __init__(self, root: Path, blobs: Path) -> None:
        self._root = root
        self._blobs = blobs
        self._bytes: dict[str, Path] = {}  #: file -> copy of what was synced last
        self._names: dict[Path, dict[str, str]] = defaultdict(dict)  #: folder -> name -> file
        self._moved: dict[str, Path] = {}  #: file -> where it was moved, durable or not
        self._files: dict[str, str] = {}  #: inode -> the file that has it now
        self._read_at: dict[str, int] = {}  #: file or folder -> when it was read for its sync

    def play(self, what: str, file: str, rest: str) -> None:
        """One more step of the journal."""
        self._files[file.split(" ", 1)[0]] = file
        if what == "moved":
            self._moved[file] = Path(rest)
        elif what == "synced" and self._is_news(file, rest):
            self._bytes[file] = self._blobs / rest
        elif what == "folder" and self._is_news(file, rest):
            self._sync_names(*(self._blobs / rest).read_text().splitlines())

    def _is_news(self, file: str, blob: str) -> bool:
        """Was it read later than what is known of the file or folder?"""
        read_at = int(blob.split("-", 1)[0])
        known = self._read_at.setdefault(file, read_at)
        self._read_at[file] = max(known, read_at)
        return known <= read_at

    def take_names(self, folder: Path) -> None:
        """Make every name durable that is there now."""
        for path in [folder, *(each for each in folder.rglob("*") if each.is_dir())]:
            self._sync_names(*_listing(path))

    def write(self, folder: Path) -> None:
        """Write what is reached by durable names."""
        for name, file in self._names[folder].items():
            path = folder / name.rstrip("/")
            if name.endswith("/"):
                path.mkdir(mode=0o700)
                self.write(path)
            elif file in self._bytes:
                shutil.copyfile(self._bytes[file], path)
            else:
                path.touch()

    def _sync_names(self, folder: str, *lines: str) -> None:
        path, before = Path(folder), self._names[Path(folder)]
        pairs = [line.split(" ", 1) for line in lines]
        after = self._names[path] = {
            name: "" if name.endswith("/") else self._files.get(inode, inode)
            for inode, name in pairs
        }
        for file in set(before.values()) - set(after.values()):
            if file in self._moved:
                self._arrive(file, self._moved[file])

    def _arrive(self, file: str, path: Path) -> None:
        """A rename is durable in both folders, and so are the folders it leads through."""
        self._names[path.parent][path.name] = file
        for folder in takewhile(lambda folder: folder != self._root, path.parents):
            self._names[folder.parent].setdefault(f"{folder.name}/", "")


def _listing(folder: Path) -> list[str]:
    """A folder as `disk.c` lists it: its path, then inode and name of each entry."""
    return [
        str(folder),
        *(f"{each.stat().st_ino} {each.name}{'/' * each.is_dir()}" for each in folder.iterdir()),
    ]
