"""One job through the thinking stages: images in, finished results out.

Only the worker's process imports this; torch, MONAI and highdicom come with it.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from dicomnode.classify.classifier import Classifier
from dicomnode.config.load import Settings
from dicomnode.config.pipelines import PipelineSettings
from dicomnode.dicom import attributes, pixels
from dicomnode.errors import NotAnalysable, NotFound
from dicomnode.records import FrameRef, InstanceRef, Job, Prediction, Result, ResultKind
from dicomnode.report.results import Order, Source, make_results
from dicomnode.storage.objects import ObjectStore

__all__ = ["StudyAnalysis"]


class StudyAnalysis:
    """Classifies a job's images with its pipeline's model and builds what the pipeline orders."""

    def __init__(
        self, settings: Settings, store: ObjectStore, load: Callable[[str], Classifier]
    ) -> None:
        self._settings = settings
        self._store = store
        self._load = load
        self._loaded: dict[str, Classifier] = {}

    def destinations(self, job: Job) -> Mapping[str, frozenset[ResultKind]]:
        """Names of the peers that get results, each with the kinds that it gets."""
        return self._pipeline(job).wanted

    def analyse(
        self, job: Job, images: Sequence[InstanceRef], supersedes: Sequence[InstanceRef]
    ) -> Sequence[Result]:
        """Results of one job; the same job gives the same bytes, however often it runs.

        Raises:
            NotAnalysable: the model cannot say anything of these images.
            ModelError: the model folder is incomplete or was altered.
            ReportError: no result can be built from this source.
            StoreError: an image cannot be read.
        """
        pipeline = self._pipeline(job)
        if not images:
            raise NotAnalysable("no image of this study belongs to the pipeline any more")
        paths = self._paths(images)
        headers = sorted((attributes.read_header(path) for path in paths.values()), key=_place)
        ordered = [paths[str(header.SOPInstanceUID)] for header in headers]
        prediction = self._classifier(pipeline.model).classify(ordered)
        source = Source(
            headers=_analysed(headers, prediction),
            display=lambda frame: _display(paths[frame.image.sop_instance_uid], frame),
        )
        return make_results(source, prediction, self._order(job, pipeline, supersedes))

    def _paths(self, images: Sequence[InstanceRef]) -> dict[str, Path]:
        """Where each image lies, by SOP Instance UID."""
        found = {
            image.sop_instance_uid: self._store.find(image.study_uid, image.sop_instance_uid)
            for image in images
        }
        paths = {uid: path for uid, path in found.items() if path is not None}
        if len(paths) < len(found):
            gone = len(found) - len(paths)
            raise NotAnalysable(f"images of this study that are no longer on the disk: {gone}")
        return paths

    def _pipeline(self, job: Job) -> PipelineSettings:
        try:
            return self._settings.pipelines[job.pipeline]
        except KeyError:
            raise NotFound(f"pipeline {job.pipeline} is no longer configured") from None

    def _classifier(self, name: str) -> Classifier:
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def _order(
        self, job: Job, pipeline: PipelineSettings, supersedes: Sequence[InstanceRef]
    ) -> Order:
        if job.ready_at is None:
            raise NotAnalysable("the job was never complete")
        return Order(
            pipeline=job.pipeline,
            revision=job.revision,
            made_at=job.ready_at.astimezone(),  # as the wall clock here shows it
            kinds=frozenset().union(*pipeline.wanted.values()),
            language=pipeline.language,
            ae_title=self._settings.node.receive.ae_title,
            received=job.received,
            expected=job.expected,
            partial=job.partial,
            predecessors=tuple(supersedes),
        )


def _place(header: Dataset) -> tuple[float, float, str]:
    """Where an image stands in its study: by series, by number, and always the same way."""
    numbers = (attributes.text(header, "SeriesNumber"), attributes.text(header, "InstanceNumber"))
    series, instance = (float(n) if n.lstrip("-").isdecimal() else np.inf for n in numbers)
    return series, instance, str(header.SOPInstanceUID)


def _analysed(headers: Sequence[Dataset], prediction: Prediction) -> list[Dataset]:
    """The headers of the images that the model was shown."""
    shown = {frame.image.sop_instance_uid for frame in prediction.frames}
    return [header for header in headers if str(header.SOPInstanceUID) in shown]


def _display(path: Path, frame: FrameRef) -> NDArray[np.uint8]:
    """A frame as seen, (rows, columns, 3)."""
    (shown,) = pixels.frames(dcmread(path), None if frame.frame is None else [frame.frame])
    return pixels.display(shown)
