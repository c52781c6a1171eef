"""What came of a trial, as pages and interface show it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import dcmread

from dicomnode.answers import Presence, Score
from dicomnode.errors import NotFound
from dicomnode.records import ResultKind
from dicomnode.web.showing import kinds
from dicomnode.web.showing.report_tree import Node, read_tree
from dicomnode.web.trials.trials import Trial

__all__ = ["ResultShown", "StudyShown", "result", "shown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultShown:
    """One object that would have been sent."""

    place: int  #: from 1, of all results of the trial
    kind: ResultKind
    name: str  #: of its kind, in words
    tree: Node | None  #: of a report


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyShown:
    """What came of one study."""

    images: int
    model: str
    findings: Mapping[str, Score]
    cause: str
    problem: str  #: why it is not analysed, in words
    results: Sequence[ResultShown]


def shown(trial: Trial) -> list[StudyShown]:
    """What the page shows; nothing while the trial runs."""
    files = iter(enumerate(trial.results, 1))
    return [
        StudyShown(
            images=study["images"],
            model=study["model"],
            findings={label: _score(each) for label, each in study["findings"].items()},
            cause=study["cause"] or "",
            problem=study["problem"],
            results=[_result(*next(files), ResultKind(each["kind"])) for each in study["results"]],
        )
        for study in trial.studies
    ]


def result(trial: Trial, place: int) -> Path:
    """The file of a result; NotFound where there is none."""
    files = trial.results
    if not 1 <= place <= len(files) or not files[place - 1].is_file():
        raise NotFound("there is no such result")
    return files[place - 1]


def _result(place: int, path: Path, kind: ResultKind) -> ResultShown:
    tree = read_tree(dcmread(path)) if kind in kinds.TREES and path.is_file() else None
    return ResultShown(place=place, kind=kind, name=kinds.NAMES[kind], tree=tree)


def _score(said: Mapping[str, Any]) -> Score:
    return Score(**{**said, "presence": Presence(said["presence"])})
