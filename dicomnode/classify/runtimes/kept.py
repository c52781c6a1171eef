"""Which runtime was the fastest for a model on this machine, and its files, kept on disk.

Nothing is lost with it: what is missing, broken or not readable is measured again.
"""

import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dicomnode.classify.card.card import Card

__all__ = ["Shelf", "machine", "place"]

_CHOICE = "choice.json"
_FORMAT = 1  #: one more when files or their meaning change
_MOST = 64  #: choices, with files of the size of the weights each
_LIBRARIES = ("dicomnode", "torch", "openvino", "onnxruntime")


def machine() -> dict[str, str]:
    """What tells one machine, and what is installed on it, from another."""
    facts = {"processor": _processor(), "cores": str(os.cpu_count())}
    for library in _LIBRARIES:
        try:
            facts[library] = version(library)
        except PackageNotFoundError:
            facts[library] = ""
    return facts


def place(card: Card, **facts: object) -> str:
    """A name for what is kept of a model, different for each card, machine and way of asking."""
    told = {"format": _FORMAT, "card": card.model_dump(mode="json"), **machine(), **facts}
    text = json.dumps(told, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Shelf:
    """Where one choice is kept; with `parent` None, nothing is."""

    def __init__(self, parent: Path | None, name: str) -> None:
        self._parent = parent
        self._name = name

    def find(self) -> tuple[str, Path] | None:
        """The runtime that was chosen and the folder of its files, if all of them are whole."""
        if self._parent is None:
            return None
        folder = self._parent / self._name
        try:
            choice = json.loads((folder / _CHOICE).read_text("utf-8"))
            files = {str(name): str(digest) for name, digest in choice["files"].items()}
            whole = all(_digest(folder / Path(name).name) == files[name] for name in files)
            return (str(choice["runtime"]), folder) if whole else None
        except (OSError, ValueError, LookupError, AttributeError, TypeError):
            return None

    @contextmanager
    def workshop(self) -> Iterator[Path]:
        """A folder to write files into, gone afterwards; beside the shelf if that can be."""
        if self._parent is not None:
            with suppress(OSError):
                self._parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            made = tempfile.mkdtemp(prefix=".", dir=self._parent)
        except OSError:
            made = tempfile.mkdtemp()
        try:
            yield Path(made)
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def keep(self, runtime: str, files: Path) -> None:
        """Keep a choice and a folder of its files, which is moved; where it cannot be, no harm."""
        if self._parent is None:
            return
        digests = {path.name: _digest(path) for path in files.iterdir() if path.is_file()}
        choice = {"runtime": runtime, "files": digests, "machine": machine()}
        target = self._parent / self._name
        with suppress(OSError):  # read-only, full, or another process was there first
            (files / _CHOICE).write_text(json.dumps(choice, indent=1), "utf-8")
            shutil.rmtree(target, ignore_errors=True)
            files.rename(target)
            self._forget_the_oldest(self._parent)

    def _forget_the_oldest(self, parent: Path) -> None:
        """Of other versions, cards and machines no more is kept than a few."""
        there = [path for path in parent.iterdir() if (path / _CHOICE).is_file()]
        there.sort(key=lambda path: path.stat().st_mtime)
        for path in there[:-_MOST]:
            shutil.rmtree(path, ignore_errors=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _processor() -> str:
    """The model of the CPU; Linux tells it in a file."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    wanted = ("model name", "flags", "Features", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(wanted)}))
