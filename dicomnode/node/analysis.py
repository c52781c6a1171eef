"""One job through the thinking stages: images in, finished results out.

Only the worker's process imports this; torch, MONAI and highdicom come with it.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread

from dicomnode.answers import (
    FrameRef,
    ModelRef,
    Prediction,
    Refusal,
    Result,
    Score,
)
from dicomnode.classify.classifier import Classifier
from dicomnode.config.load import Settings
from dicomnode.config.pipelines import PipelineSettings
from dicomnode.dicom import attributes, pixels
from dicomnode.dicom.appearance import appearance
from dicomnode.dicom.attributes import Header
from dicomnode.dicom.patient import disagreement
from dicomnode.errors import (
    Cause,
    NotAnalysable,
    PatientsDiffer,
    PipelineUnknown,
    ReportError,
    Unreadable,
)
from dicomnode.node.handling import Case
from dicomnode.records import InstanceRef, Job, ResultKind
from dicomnode.report.notice import make_notices
from dicomnode.report.results import Order, Source, make_results, scores
from dicomnode.storage.objects import ObjectStore

__all__ = ["StudyAnalysis"]

_PATIENCE_S = 2.0


class StudyAnalysis:
    """Classifies a job's images with its pipeline's model and builds what the pipeline orders.

    `load` gives a model that is ready to answer; `name` says which one it is without loading it, or
    None where even its card cannot be read. Several threads may ask at once; objects are built by
    one at a time, as typefaces and the makers of PDF are not made for more.
    """

    def __init__(
        self,
        settings: Settings,
        store: ObjectStore,
        load: Callable[[str], Classifier],
        name: Callable[[str], ModelRef | None],
    ) -> None:
        self._settings = settings
        self._store = store
        self._load = load
        self._name = name
        self._loaded: dict[str, Classifier] = {}
        self._asking = threading.Lock()
        self._loading: dict[str, threading.Lock] = {}  #: of each model
        self._building = threading.Lock()

    def destinations(self, job: Job) -> Mapping[str, frozenset[ResultKind]]:
        """Names of the peers that get results, each with the kinds that it gets."""
        return self._pipeline(job).wanted

    def destinations_of_notices(self, job: Job) -> Mapping[str, frozenset[ResultKind]]:
        """The same for notices; empty where nobody wants any."""
        return self._pipeline(job).wanted_notices

    def models(self, job: Job) -> tuple[str, ...]:
        """The pipeline's model and its members, as `name@version`; none if it is unreadable."""
        return self.tags_of(self._pipeline(job).model)

    def tags_of(self, model: str) -> tuple[str, ...]:
        """A model by its folder's name, and its members, as `name@version`; none if unreadable."""
        found = self._named(model)
        return found.tags if found else ()

    def models_of(self, pipeline: str) -> tuple[str, ...]:
        """The model of an enabled pipeline and its members; none where it cannot be used."""
        rules = self._settings.pipelines.get(pipeline)
        return self.tags_of(rules.model) if rules is not None and rules.enabled else ()

    def warm(self, pipeline: str) -> None:
        """Have the pipeline's model in memory.

        Raises:
            ModelError: its folder is incomplete or was altered, or it cannot be run.
            NotFound: there is no such model.
        """
        self._classifier(self._settings.pipelines[pipeline].model)

    def ahead(self, pipeline: str, image: InstanceRef) -> None:
        """Answer one image of a study that is not complete, if it is in its place on the disk.

        Raises:
            ModelError: the model cannot be run.
            StoreError: the image cannot be read.
        """
        path = self._store.path_of(image.study_uid, image.sop_instance_uid)
        if path.is_file():
            self._classifier(self._settings.pipelines[pipeline].model).ahead(path)

    def analyse(self, case: Case) -> Sequence[Result]:
        """Results of one job; the same job gives the same bytes, however often it runs.

        Raises:
            NotAnalysable: the model cannot say anything of these images.
            PatientsDiffer: the images of the study name more than one patient.
            ModelError: the model folder is incomplete or was altered.
            ReportError: no result can be built from this source.
            StoreError: an image cannot be read.
        """
        pipeline = self._pipeline(case.job)
        mine = self._mine(case)
        paths = {str(header.SOPInstanceUID): _path(header) for header in mine}
        prediction = self._classifier(pipeline.model).classify(list(paths.values()))

        @lru_cache(maxsize=1)  # several findings are shown on one frame
        def display(frame: FrameRef) -> NDArray[np.uint8]:
            return _display(paths[frame.image.sop_instance_uid], frame)

        source = Source(
            headers=_analysed(mine, prediction),
            display=display,
            look=lambda frame: appearance(
                dcmread(paths[frame.image.sop_instance_uid]), frame.frame or 1
            ),
        )
        with self._building:
            return make_results(source, prediction, self._order(case, pipeline.wanted))

    def opinion(self, case: Case, candidate: str) -> Mapping[str, Score]:
        """What another model than the pipeline's says of the same images, by label.

        Raises:
            NotAnalysable: it cannot say anything of these images.
            PatientsDiffer: the images of the study name more than one patient.
            ModelError: its folder is incomplete or was altered, or it cannot be run.
            NotFound: there is no such model.
            StoreError: an image cannot be read.
        """
        images = [_path(header) for header in self._mine(case)]
        return scores(self._classifier(candidate).classify(images, explained=False))

    def refuse(self, case: Case, cause: Cause, detail: str) -> Sequence[Result]:
        """Notices that a job has no results, and why.

        Raises:
            PatientsDiffer: the images of the study name more than one patient.
            ReportError: no notice can be built from this source.
            StoreError: an image cannot be read.
        """
        pipeline = self._pipeline(case.job)
        headers = self._headers(case)
        about = _in_order(case, headers) or list(headers.values())
        if not about:
            raise ReportError("no header of the study can be read")
        refusal = Refusal(cause=cause, detail=detail, model=self._named(pipeline.model))
        with self._building:
            return make_notices(about, refusal, self._order(case, pipeline.wanted_notices))

    def _mine(self, case: Case) -> list[Header]:
        """The headers of the job's own images, in order of the study, none missing."""
        if not case.images:
            detail = "no image of this study belongs to the pipeline any more"
            raise NotAnalysable(detail, Cause.NO_IMAGE)
        mine = _in_order(case, self._headers(case))
        if len(mine) < len(case.images):
            gone = len(case.images) - len(mine)
            detail = f"images of this study that are gone from the disk, or unreadable: {gone}"
            raise NotAnalysable(detail, Cause.NO_IMAGE)
        return mine

    def _headers(self, case: Case) -> dict[str, Header]:
        """The headers of all that is kept of the study and can be read, by SOP Instance UID.

        Each file is opened once, and all must be of one patient before anything is made of any.
        """
        found: dict[str, Header] = {}
        for ref in {ref.sop_instance_uid: ref for ref in (*case.study, *case.images)}.values():
            path = self._store.find(ref.study_uid, ref.sop_instance_uid)
            with suppress(Unreadable):
                if path is not None:
                    found[ref.sop_instance_uid] = attributes.read_header(path)
        if problem := disagreement(found.values()):
            raise PatientsDiffer(problem)
        return found

    def _pipeline(self, job: Job) -> PipelineSettings:
        try:
            rules = self._settings.pipelines[job.pipeline]
        except KeyError:
            raise PipelineUnknown(f"pipeline {job.pipeline} is not configured") from None
        return rules.model_copy(update={"model": job.model}) if job.model else rules

    def _named(self, model: str) -> ModelRef | None:
        """One that was loaded is what it was then, whatever lies in its folder now."""
        loaded = self._loaded.get(model)
        return loaded.model if loaded is not None else self._name(model)

    def _classifier(self, name: str) -> Classifier:
        with self._asking:
            loading = self._loading.setdefault(name, threading.Lock())
        with _patiently(loading):  # for a minute perhaps, which concerns no other model
            if name not in self._loaded:
                self._loaded[name] = self._load(name)
            return self._loaded[name]

    def _order(self, case: Case, wanted: Mapping[str, frozenset[ResultKind]]) -> Order:
        job = case.job
        if job.ready_at is None:
            raise ReportError("the job was never complete")
        return Order(
            pipeline=job.pipeline,
            revision=job.revision,
            made_at=job.ready_at.astimezone(),  # as the wall clock here shows it
            kinds=frozenset().union(*wanted.values()),
            language=self._pipeline(job).language,
            ae_title=self._settings.node.receive.ae_title,
            received=job.received,
            expected=job.expected,
            partial=job.partial,
            predecessors=tuple(case.supersedes),
        )


@contextmanager
def _patiently(lock: threading.Lock) -> Iterator[None]:
    """Hold a lock while the block runs, however long it takes to get it.

    Each call waits a few seconds: waiting for another that gets on is not hanging (`watch.py`).
    """
    while not _tried(lock):
        pass
    try:
        yield
    finally:
        lock.release()


def _tried(lock: threading.Lock) -> bool:
    return lock.acquire(timeout=_PATIENCE_S)


def _in_order(case: Case, headers: Mapping[str, Header]) -> list[Header]:
    """The headers of the job's own images, in order of the study."""
    uids = [image.sop_instance_uid for image in case.images]
    return sorted((headers[uid] for uid in uids if uid in headers), key=_place)


def _path(header: Header) -> Path:
    """The file that a header was read from."""
    return Path(str(header.filename))


def _place(header: Header) -> tuple[float, float, str]:
    """Where an image stands in its study: by series, by number, and always the same way."""
    numbers = (attributes.text(header, "SeriesNumber"), attributes.text(header, "InstanceNumber"))
    series, instance = (float(n) if n.lstrip("-").isdecimal() else np.inf for n in numbers)
    return series, instance, str(header.SOPInstanceUID)


def _analysed(headers: Sequence[Header], prediction: Prediction) -> list[Header]:
    """The headers of the images that the model was shown."""
    shown = {frame.image.sop_instance_uid for frame in prediction.frames}
    return [header for header in headers if str(header.SOPInstanceUID) in shown]


def _display(path: Path, frame: FrameRef) -> NDArray[np.uint8]:
    """A frame as seen, (rows, columns, 3)."""
    (shown,) = pixels.frames(dcmread(path), None if frame.frame is None else [frame.frame])
    return pixels.display(shown)
