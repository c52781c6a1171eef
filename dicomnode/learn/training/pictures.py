"""Decoded images, prepared once as the node prepares its own, and kept in a file for every epoch.

The file is mapped into memory, so that the system keeps of it what there is room for. Grey is kept
in 16 bits: 65,536 levels from black to white.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dicomnode.classify.card.input import Input
from dicomnode.classify.samples.preprocess import prepare
from dicomnode.dicom.pixels import Frame
from dicomnode.errors import ConfigError, Mistake, NotAnalysable
from dicomnode.learn.cases import from_folder
from dicomnode.learn.manifest import Entry
from dicomnode.learn.training.files import disk_errors, write_whole

__all__ = ["Pictures", "keep_pictures", "read_frame", "shown_grey"]

_WHITE = 65535
_AT_ONCE = 64  #: images that are decoded before they are written
_TOLD = 20  #: files that cannot be decoded, named


class Pictures:
    """Grey images of one size, (images, size, size); any process may open the file again."""

    def __init__(self, path: Path, count: int, size: int, key: str) -> None:
        self.key = key  #: of what they were made of
        self._path = path
        self._shape = (count, size, size)
        self._mapped: NDArray[np.uint16] | None = None

    def __len__(self) -> int:
        return self._shape[0]

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_mapped": None}

    @property
    def size(self) -> int:
        """Edge in pixels."""
        return self._shape[-1]

    def __getitem__(self, index: int) -> torch.Tensor:
        """Grey from 0 to 1 of one image, float32 (1, size, size)."""
        if self._mapped is None:
            self._mapped = np.memmap(self._path, np.uint16, "r", shape=self._shape)
        return torch.from_numpy(self._mapped[index].astype(np.float32) / _WHITE)[None]


def keep_pictures(
    manifest: Path,
    entries: Sequence[Entry],
    given: Input,
    size: int,
    folder: Path,
    step: Callable[[], None] = lambda: None,
    threads: int = 1,
) -> Pictures:
    """Every image, decoded and prepared to `size`, in a file of `folder`, unless it is there.

    Raises:
        ConfigError: images that cannot be decoded, by their lines in the manifest.
        StoreError: there is no room for them.
    """
    key = _key(entries, _grey(given, size))
    path, mark = folder / f"pictures-{size}.bin", folder / f"pictures-{size}.key"
    pictures = Pictures(path, len(entries), size, key)
    if mark.is_file() and path.is_file() and mark.read_text("utf-8") == key:
        return pictures
    mark.unlink(missing_ok=True)
    mistakes = []
    with disk_errors(path), path.open("wb") as out, ThreadPoolExecutor(threads) as pool:
        for some in _some(entries):
            kept = pool.map(lambda entry: _bytes(entry.file, given, size), some)
            for entry, data in zip(some, kept, strict=True):
                if data is None:
                    problem = "is no image that can be decoded"
                    mistakes.append(Mistake(file=manifest, line=entry.line, problem=problem))
                out.write(data or b"")
                step()
        out.flush()
        os.fsync(out.fileno())
    if mistakes:
        raise ConfigError(*mistakes[:_TOLD])
    write_whole(mark, key.encode())
    return pictures


def _bytes(file: Path, given: Input, size: int) -> bytes | None:
    frame = read_frame(file)
    if frame is None:
        return None
    return (shown_grey(frame, given, size) * _WHITE).round().numpy().astype(np.uint16).tobytes()


def shown_grey(frame: Frame, given: Input, size: int) -> torch.Tensor:
    """A frame as a network is shown it, but grey from 0 to 1 of this size: (1, size, size)."""
    return prepare(frame, _grey(given, size)).tensor.clamp(0, 1)


def _grey(given: Input, size: int) -> Input:
    change = {"size_px": size, "channels": 1, "mean": (0.0,), "std": (1.0,)}
    return given.model_copy(update=change)


def read_frame(file: Path) -> Frame | None:
    """The first frame of a DICOM file or picture; None if there is none that can be decoded."""
    try:
        case = next(from_folder([file], {}), None)
    except NotAnalysable:
        return None
    return case.frame if case else None


def _some(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    for start in range(0, len(entries), _AT_ONCE):
        yield entries[start : start + _AT_ONCE]


def _key(entries: Sequence[Entry], grey: Input) -> str:
    """Of what the file was made: the same images, as they are now, in the same order."""
    made = hashlib.sha256(grey.model_dump_json().encode())
    for entry in entries:
        there = entry.file.stat()
        made.update(f"{entry.file}|{there.st_size}|{there.st_mtime_ns}\n".encode())
    return made.hexdigest()
