"""One job through the thinking stages: images in, finished results out.

Only the worker's process imports this; torch, MONAI and highdicom come with it.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread

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
    NotFound,
    PatientsDiffer,
    ReportError,
    Unreadable,
)
from dicomnode.node.worker import Case
from dicomnode.records import FrameRef, Job, ModelRef, Prediction, Refusal, Result, ResultKind
from dicomnode.report.notice import make_notices
from dicomnode.report.results import Order, Source, make_results
from dicomnode.storage.objects import ObjectStore

__all__ = ["StudyAnalysis"]


class StudyAnalysis:
    """Classifies a job's images with its pipeline's model and builds what the pipeline orders.

    `load` gives a model that is ready to answer; `name` says which one it is without loading it, or
    None where even its card cannot be read.
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

    def destinations(self, job: Job) -> Mapping[str, frozenset[ResultKind]]:
        """Names of the peers that get results, each with the kinds that it gets."""
        return self._pipeline(job).wanted

    def destinations_of_notices(self, job: Job) -> Mapping[str, frozenset[ResultKind]]:
        """The same for notices; empty where nobody wants any."""
        return self._pipeline(job).wanted_notices

    def model(self, job: Job) -> str:
        """The pipeline's model, as `name@version`; empty where its card cannot be read."""
        model = self._name(self._pipeline(job).model)
        return model.tag if model else ""

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
        if not case.images:
            detail = "no image of this study belongs to the pipeline any more"
            raise NotAnalysable(detail, Cause.NO_IMAGE)
        headers = self._headers(case)
        mine = _in_order(case, headers)
        if len(mine) < len(case.images):
            gone = len(case.images) - len(mine)
            detail = f"images of this study that are gone from the disk, or unreadable: {gone}"
            raise NotAnalysable(detail, Cause.NO_IMAGE)
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
        return make_results(source, prediction, self._order(case, pipeline.wanted))

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
        refusal = Refusal(cause=cause, detail=detail, model=self._name(pipeline.model))
        return make_notices(about, refusal, self._order(case, pipeline.wanted_notices))

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
            return self._settings.pipelines[job.pipeline]
        except KeyError:
            raise NotFound(f"pipeline {job.pipeline} is no longer configured") from None

    def _classifier(self, name: str) -> Classifier:
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
