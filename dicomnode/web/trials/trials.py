"""Pipelines tried on what somebody uploads: one at a time, in a process of its own, for an hour.

All of it lies in the storage folder's `partial/`, which the node empties when it starts. The
worklist never hears of it, and nothing is sent.
"""

import json
import logging
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from fastapi import HTTPException

from dicomnode.errors import NotFound, StoreFull, WrongStep
from dicomnode.storage.objects import ObjectStore
from dicomnode.web.trials.unpacking import unpack

__all__ = ["KEPT", "Trial", "Trials", "Wanted", "spool_uploads", "trial_command"]

log = logging.getLogger(__name__)

KEPT = timedelta(hours=1)
_LONGEST_S = 600.0
_NICE = 15  #: a trial gives way to the node's own work, that of its worker too
_STEPS = ("reading", "loading", "analysing")  #: how lines begin that say how it goes
_MOST_LINES = 50
_MOST_KEPT = 20  #: trials of all people; each new one ends the oldest


def spool_uploads(store: ObjectStore) -> None:
    """Have this process keep what is being uploaded in the storage folder: /tmp may be memory.

    Such files have no name, so that nothing is left of them, however the process ends.
    """
    place = _place(store)
    with suppress(OSError):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.tempdir = str(place)


def _place(store: ObjectStore) -> Path:
    return store.folder / "partial"


def trial_command(config: Path, pipeline: str, images: Path, out: Path) -> list[str]:
    """The command that tries a pipeline, with this Python."""
    command = [sys.executable, "-m", "dicomnode", "try", str(images), "--config", str(config)]
    return [*command, "--pipeline", pipeline, "--out", str(out), "--json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody wants tried, and within which bounds."""

    owner: str
    pipeline: str
    uploads: Sequence[BinaryIO]
    most_bytes: int  #: of all files, unpacked
    room_bytes: int  #: are left free on the disk
    at: datetime


@dataclass(slots=True, kw_only=True)
class Trial:
    """One of them, while it runs and after."""

    id: str
    owner: str  #: nobody else sees it
    pipeline: str
    files: int
    folder: Path
    began_at: datetime
    step: str = "starting"  #: what it is doing, in words
    answer: Mapping[str, Any] | None = None  #: what `dicomnode try --json` said
    problem: str = ""  #: why there is no answer, in words
    seen: bool = False  #: has its owner looked at what came of it?
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)
    over: threading.Timer | None = field(default=None, repr=False)  #: removes it

    @property
    def running(self) -> bool:
        """Is there neither an answer nor a problem yet?"""
        return self.answer is None and not self.problem

    @property
    def studies(self) -> Sequence[Mapping[str, Any]]:
        """What was said of each study."""
        found: Sequence[Mapping[str, Any]] = (self.answer or {}).get("studies", ())
        return found

    @property
    def results(self) -> list[Path]:
        """The objects that would have been sent, in that order."""
        return [
            self.folder / "out" / Path(str(result["file"])).name
            for study in self.studies
            for result in study["results"]
        ]


class Trials:
    """Those of this page's life; may be asked by many threads."""

    def __init__(
        self,
        command: Callable[[Path, str, Path, Path], Sequence[str]] = trial_command,
        longest_s: float = _LONGEST_S,
    ) -> None:
        self._command = command
        self._longest_s = longest_s
        self._trials: dict[str, Trial] = {}
        self._busy = threading.Lock()  #: held while one is received or runs
        self._lock = threading.Lock()

    def begin(self, store: ObjectStore, config: Path, wanted: Wanted) -> Trial:
        """Take the files and begin.

        Raises:
            WrongStep: another one is going on.
            StoreFull: there is no room for it.
            HTTPException: the files are too many or too large, or a zip is broken.
        """
        if not self._busy.acquire(blocking=False):
            raise WrongStep("one trial at a time: another one is going on; try again in a minute")
        with ExitStack() as undo:
            undo.callback(self._busy.release)
            trial = self._take(store, wanted)
            self._run(config, trial)
            undo.pop_all()  # from here on it is its own thread that ends it
        return trial

    def get(self, number: str, owner: str) -> Trial:
        """One's own; NotFound where there is none, or no more."""
        with self._lock:
            found = self._trials.get(number)
        if found is None or found.owner != owner:
            raise NotFound("there is no such trial, or its hour is over")
        return found

    def of(self, owner: str) -> list[Trial]:
        """Somebody's, the newest first."""
        with self._lock:
            mine = [trial for trial in self._trials.values() if trial.owner == owner]
        return mine[::-1]

    def remove(self, number: str) -> None:
        """End it, and forget it with all its files; may be called twice."""
        with self._lock:
            trial = self._trials.pop(number, None)
        if trial is not None:
            if trial.over is not None:
                trial.over.cancel()
            if (process := trial.process) is not None:
                process.kill()
            shutil.rmtree(trial.folder, ignore_errors=True)

    def close(self) -> None:
        """End all, and forget them."""
        with self._lock:
            numbers = list(self._trials)
        for number in numbers:
            self.remove(number)

    def _take(self, store: ObjectStore, wanted: Wanted) -> Trial:
        place = _place(store)
        for number in list(self._trials)[: 1 - _MOST_KEPT]:
            self.remove(number)
        self._sweep(place)
        if not store.has_room(wanted.room_bytes + sum(map(_size, wanted.uploads))):
            raise StoreFull("the disk has no room for this; free some space first")
        number = secrets.token_urlsafe(12)
        folder = place / f"trial.{number}"
        try:
            (folder / "in").mkdir(mode=0o700, parents=True)
            folder.chmod(0o700)
            files = unpack(wanted.uploads, folder / "in", wanted.most_bytes)
        except (HTTPException, OSError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, OSError):
                raise StoreFull(f"the disk does not take it: {error.strerror}") from error
            raise
        trial = Trial(
            id=number,
            owner=wanted.owner,
            pipeline=wanted.pipeline,
            files=files,
            folder=folder,
            began_at=wanted.at,
        )
        with self._lock:
            self._trials[number] = trial
        return trial

    def _sweep(self, place: Path) -> None:
        """Remove what an earlier life of the page left."""
        with self._lock:
            known = {trial.folder for trial in self._trials.values()}
        for left in place.glob("trial.*"):
            if left not in known:
                shutil.rmtree(left, ignore_errors=True)

    def _run(self, config: Path, trial: Trial) -> None:
        """Start the process, and a thread that waits for it."""
        images, out = trial.folder / "in", trial.folder / "out"
        try:
            with (trial.folder / "answer.json").open("wb") as answer:
                trial.process = subprocess.Popen(  # noqa: S603  our own program
                    list(self._command(config, trial.pipeline, images, out)),
                    stdin=subprocess.DEVNULL,
                    stdout=answer,
                    stderr=subprocess.PIPE,
                )
        except OSError as error:
            self.remove(trial.id)
            raise StoreFull(f"nothing can be tried now: {error.strerror}") from error
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, trial.process.pid, _NICE)
        threading.Thread(target=self._watch, args=(trial, trial.process), daemon=True).start()
        trial.over = threading.Timer(KEPT.total_seconds(), self.remove, (trial.id,))
        trial.over.daemon = True
        trial.over.start()

    def _watch(self, trial: Trial, process: "subprocess.Popen[bytes]") -> None:
        """Follow what it says until it ends; it has so long, and no longer."""
        late = threading.Timer(self._longest_s, process.kill)
        late.start()
        try:
            said = _follow(trial, process)
            process.wait()
            in_time = late.is_alive()
            late.cancel()
            if not in_time:
                trial.problem = f"it took longer than {self._longest_s:.0f} s, and was ended"
            else:
                _read_answer(trial, said)
        except Exception:  # whatever broke, somebody waits for an end
            log.exception("trial.failed")
            trial.problem = "something went wrong that nobody foresaw; see the log"
        finally:
            late.cancel()
            shutil.rmtree(trial.folder / "in", ignore_errors=True)
            trial.process = None
            with self._lock:
                known = trial.id in self._trials
            if not known:  # it was removed while it ran
                shutil.rmtree(trial.folder, ignore_errors=True)
            self._busy.release()


def _follow(trial: Trial, process: "subprocess.Popen[bytes]") -> list[str]:
    """What it said beside its steps."""
    said: list[str] = []
    assert process.stderr is not None  # noqa: S101  it is a pipe
    with process.stderr as lines:
        for line in lines:
            words = line.decode(errors="replace").strip()
            if words.startswith(_STEPS):
                trial.step = words
            elif words and len(said) < _MOST_LINES:
                said.append(words)
    return said


def _read_answer(trial: Trial, said: Sequence[str]) -> None:
    try:
        text = (trial.folder / "answer.json").read_text("utf-8")
    except OSError:  # it was removed meanwhile
        text = ""
    answer = json.loads(text) if text.startswith("{") else None
    if isinstance(answer, dict):
        trial.answer = answer
    else:
        trial.problem = " ".join(said) or "the process that tried it died"


def _size(upload: BinaryIO) -> int:
    upload.seek(0, os.SEEK_END)
    size = upload.tell()
    upload.seek(0)
    return size
