"""What came of a trial, as pages and interface show it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import dcmread

from dicomnode.answers import Presence, Score
from dicomnode.dicom.attributes import text
from dicomnode.errors import NotFound
from dicomnode.records import ResultKind
from dicomnode.web.showing import kinds
from dicomnode.web.showing.captions import caption
from dicomnode.web.showing.ranking import ranked
from dicomnode.web.showing.report_tree import Node, read_tree
from dicomnode.web.trials.trials import Trial

__all__ = ["ResultShown", "StudyShown", "result", "shown"]

_WHOSE = ("PatientID", "AccessionNumber")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultShown:
    """One object that would have been sent."""

    place: int  #: from 1, of all results of the trial
    kind: ResultKind
    name: str  #: of its kind, in words
    caption: str  #: what it shows, in its own words
    tree: Node | None  #: of a report


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyShown:
    """What came of one study."""

    study_uid: str
    patient_id: str  #: empty where no result says it
    accession_number: str
    images: int
    model: str
    findings: Mapping[str, Score]
    cause: str
    problem: str  #: why it is not analysed, in words
    results: Sequence[ResultShown]


def shown(trial: Trial) -> list[StudyShown]:
    """What the page shows; nothing while the trial runs."""
    files = iter(enumerate(trial.results, 1))
    return [_study(study, [next(files) for _ in study["results"]]) for study in trial.studies]


def _study(study: Mapping[str, Any], files: Sequence[tuple[int, Path]]) -> StudyShown:
    kinds_made = [ResultKind(each["kind"]) for each in study["results"]]
    patient_id, accession_number = _whose(path for _, path in files)
    return StudyShown(
        study_uid=study["study_uid"],
        patient_id=patient_id,
        accession_number=accession_number,
        images=study["images"],
        model=study["model"],
        findings=ranked({label: _score(each) for label, each in study["findings"].items()}),
        cause=study["cause"] or "",
        problem=study["problem"],
        results=[_result(*file, kind) for file, kind in zip(files, kinds_made, strict=True)],
    )


def _whose(results: Iterable[Path]) -> tuple[str, str]:
    """Patient ID and accession number, which results have from their images."""
    path = next((path for path in results if path.is_file()), None)
    if path is None:
        return "", ""
    header = dcmread(path, stop_before_pixels=True, specific_tags=[*_WHOSE])
    patient_id, accession_number = (text(header, name) for name in _WHOSE)
    return patient_id, accession_number


def result(trial: Trial, place: int) -> Path:
    """The file of a result; NotFound where there is none."""
    files = trial.results
    if not 1 <= place <= len(files) or not files[place - 1].is_file():
        raise NotFound("there is no such result")
    return files[place - 1]


def _result(place: int, path: Path, kind: ResultKind) -> ResultShown:
    tree = read_tree(dcmread(path)) if kind in kinds.TREES and path.is_file() else None
    name = kinds.NAMES[kind]
    return ResultShown(place=place, kind=kind, name=name, caption=caption(path), tree=tree)


def _score(said: Mapping[str, Any]) -> Score:
    return Score(**{**said, "presence": Presence(said["presence"])})
