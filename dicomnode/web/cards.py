"""What installed models say of themselves, wherever the page names one or shows its answers."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dicomnode.classify.card.card import Card
from dicomnode.classify.card.folder import SHIPPED, read_model
from dicomnode.errors import ModelError

__all__ = ["Cards", "Said", "Shelf"]

_Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a page repeats of a card, in its words; results say the same."""

    name: str
    tag: str  #: name@version
    disclaimer: str
    intended_use: str
    calibrated_on: str  #: the data, in words; empty where the card does not tell


class Shelf:
    """Cards at one moment, found by what jobs, results and pipelines call their models."""

    def __init__(self, found: Mapping[str, Said]) -> None:
        self._by_folder = found
        self._by_tag = {said.tag: said for said in found.values()}
        self._by_name = {said.name: said for said in found.values()}

    def of(self, model: str) -> Said | None:
        """By folder or by name@version; None where there is none.

        Another version speaks for one that is not here any more, but of its own calibration.
        """
        exactly = self._by_tag.get(model) or self._by_folder.get(model)
        like = self._by_name.get(model.partition("@")[0])
        return exactly or (replace(like, tag=model, calibrated_on="") if like else None)


class Cards:
    """Reads a card once, and again when its file changed; may be asked by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read: dict[Path, tuple[_Stamp, Said | None]] = {}

    def now(self, folders: Iterable[Path]) -> Shelf:
        """Of the models in these folders, and of those that ship; broken cards are left out."""
        found: dict[str, Said] = {}
        for parent in (SHIPPED, *folders):
            try:
                files = sorted(parent.glob("*/model.toml"))
            except OSError:
                continue  # the checks of the configuration say so
            for file in files:
                if file.parent.name.startswith("."):
                    continue  # it is being imported
                if said := self._of(file):
                    found.setdefault(file.parent.name, said)
        return Shelf(found)

    def _of(self, file: Path) -> Said | None:
        try:
            status = file.stat()
        except OSError:
            return None  # it was removed this moment
        stamp = status.st_mtime_ns, status.st_size, status.st_ino
        with self._lock:
            known = self._read.get(file)
            if known is None or known[0] != stamp:
                known = self._read[file] = stamp, _read(file.parent)
        return known[1]


def _read(folder: Path) -> Said | None:
    try:
        card = read_model(folder)
    except ModelError:
        return None  # `models show` and the node say what is wrong with it
    calibration = card.calibration if isinstance(card, Card) else None
    return Said(
        name=card.name,
        tag=card.tag,
        disclaimer=card.disclaimer,
        intended_use=card.intended_use,
        calibrated_on=calibration.dataset if calibration else "",
    )
