"""Try a pipeline on files: what it finds, and the results it would send. Nothing is sent or noted.

The same analysis as of a job, on images that lie anywhere. That the sender is one of the pipeline's
is not asked, as files do not tell; nor whether the pipeline is enabled.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydicom.datadict import tag_for_keyword

from dicomnode.answers import Result
from dicomnode.config.load import Settings
from dicomnode.config.matching import misses
from dicomnode.config.pipelines import MatchSettings
from dicomnode.dicom.attributes import MANUFACTURER
from dicomnode.dicom.outline import Outline, read_outline
from dicomnode.dicom.uids import is_uid
from dicomnode.errors import (
    Cause,
    DicomnodeError,
    NotAnalysable,
    NotFound,
    PatientsDiffer,
    Unreadable,
)
from dicomnode.node.analysis import StudyAnalysis
from dicomnode.node.handling import Case
from dicomnode.records import InstanceRef, Job, State
from dicomnode.storage.objects import ObjectStore

__all__ = ["Files", "Sorted", "Study", "Trial", "sort_files", "try_pipeline"]

_PATIENT = 0x0010  #: the group of what is about the patient


@dataclass(slots=True, kw_only=True)
class Study:
    """Objects of one study."""

    images: list[InstanceRef] = field(default_factory=list)  #: that the pipeline takes
    objects: list[InstanceRef] = field(default_factory=list)  #: all of them


@dataclass(slots=True, kw_only=True)
class Sorted:
    """What files are."""

    studies: Mapping[str, Study]
    paths: Mapping[str, Path]  #: by SOP Instance UID
    unreadable: int  #: files that are no DICOM objects
    missed: Mapping[str, str]  #: rules that said no, each with what most images have instead


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of one study."""

    study_uid: str
    study: Study
    results: Sequence[Result] = ()
    cause: Cause | None = None  #: why it is not analysed; the results are notices then
    problem: str = ""  #: the same in words


class Files(ObjectStore):
    """Objects that lie anywhere."""

    def __init__(self, folder: Path, paths: Mapping[str, Path]) -> None:
        super().__init__(folder)
        self._paths = paths

    def find(self, study_uid: str, name: str) -> Path | None:
        """See `ObjectStore`."""
        return self._paths.get(name)


def sort_files(files: Iterable[Path], match: MatchSettings) -> Sorted:
    """See which files are images that a pipeline takes; what this node made is left out."""
    studies: dict[str, Study] = defaultdict(Study)
    paths: dict[str, Path] = {}
    unreadable, missed = 0, Counter[tuple[str, str]]()
    rules = match.model_copy(update={"calling_ae": ()})
    for file in files:
        outline = _outline(file, rules)
        if outline is None:
            unreadable += 1
            continue
        ref = outline.ref
        if ref.sop_instance_uid in paths or outline.text("Manufacturer") == MANUFACTURER:
            continue
        paths[ref.sop_instance_uid] = file
        studies[ref.study_uid].objects.append(ref)
        why = misses(rules, outline.header, "")
        missed.update((rule, _told(rule, values)) for rule, values in why.items())
        if not why:
            studies[ref.study_uid].images.append(ref)
    return Sorted(studies=studies, paths=paths, unreadable=unreadable, missed=_most(missed))


def try_pipeline(
    settings: Settings,
    name: str,
    found: Sorted,
    analysis: StudyAnalysis,
    tell: Callable[[str], None] = lambda words: None,
) -> list[Trial]:
    """What a pipeline makes of each study that has an image for it. `tell` hears how it goes.

    Raises:
        NotFound: there is no such pipeline or model.
        ModelError: the model cannot be run.
        ReportError: no result can be built.
        StoreError: a file cannot be read.
    """
    if name not in settings.pipelines:
        known = ", ".join(sorted(settings.pipelines)) or "none"
        raise NotFound(f"there is no pipeline {name}; known: {known}")
    mine = {uid: study for uid, study in found.studies.items() if study.images}
    tell("loading the model")
    analysis.warm(name)
    trials = []
    for number, (uid, study) in enumerate(mine.items(), 1):
        which = f"study {number} of {len(mine)}" if len(mine) > 1 else "the study"
        count = len(study.images)
        tell(f"analysing {which}: {count} {'image' if count == 1 else 'images'}")
        trials.append(_try(settings, name, uid, study, analysis))
    return trials


def _try(
    settings: Settings, name: str, study_uid: str, study: Study, analysis: StudyAnalysis
) -> Trial:
    case = Case(
        job=_job(study_uid, name, len(study.objects)),
        images=study.images,
        study=study.objects,
        supersedes=(),
    )
    try:
        return Trial(study_uid=study_uid, study=study, results=analysis.analyse(case))
    except PatientsDiffer as error:
        return Trial(study_uid=study_uid, study=study, problem=str(error))
    except NotAnalysable as error:
        cause, problem = error.cause, str(error)
    notices: Sequence[Result] = ()
    if settings.pipelines[name].wanted_notices:
        try:
            notices = analysis.refuse(case, cause, problem)
        except DicomnodeError as error:
            problem += f"; no notice could be made: {error}"
    return Trial(study_uid=study_uid, study=study, results=notices, cause=cause, problem=problem)


def _job(study_uid: str, pipeline: str, received: int) -> Job:
    now = datetime.now(UTC)
    return Job(
        id=1,
        study_uid=study_uid,
        pipeline=pipeline,
        revision=1,
        state=State.RUNNING,
        priority=0,
        attempts=1,
        lease=None,
        received=received,
        expected=None,
        partial=False,
        reason="",
        ready_at=now,
        not_before=now,
        updated_at=now,
    )


def _outline(file: Path, rules: MatchSettings) -> Outline | None:
    """None where it is no DICOM object that a sender could send."""
    keywords = ("Modality", "BodyPartExamined", "Manufacturer", *rules.attributes)
    try:
        outline = read_outline(file, keywords)
    except Unreadable:
        return None
    ref = outline.ref
    uids = (ref.sop_class_uid, ref.sop_instance_uid, ref.series_uid, ref.study_uid)
    return outline if all(map(is_uid, uids)) else None


def _told(rule: str, values: Iterable[str]) -> str:
    """What an image has, unless that is about the patient."""
    tag = tag_for_keyword(rule.removeprefix("attributes."))
    if tag is not None and tag >> 16 == _PATIENT:
        return "another value"
    return ", ".join(values)[:200] or "nothing"


def _most(missed: Counter[tuple[str, str]]) -> dict[str, str]:
    """For each rule the value that was there most often."""
    found: dict[str, str] = {}
    for (rule, value), _ in missed.most_common():
        found.setdefault(rule, value)
    return found
