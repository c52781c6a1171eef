"""From files to results: what only the whole file tells reaches the object that has to say it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from pydicom import Dataset, dcmread

from dicomnode.classify.classifier import Classifier
from dicomnode.learn.synthetic import synthetic_dx
from dicomnode.node.analysis import StudyAnalysis
from dicomnode.node.worker import Case
from dicomnode.records import FrameRef, InstanceRef, Job, Prediction, ResultKind, State
from tests.unit.report.samples import MODEL, frame_of, make_finding, ring

NOW = datetime(2025, 3, 4, 23, 30, tzinfo=UTC)


class SeesNodules:
    """A model that finds a nodule in the middle of whatever it is shown."""

    def classify(self, paths: Sequence[Path]) -> Prediction:
        frames: list[FrameRef] = [frame_of(dcmread(path)) for path in paths]
        middle = (ring(frames[0], 0.5, 0.5),)
        finding = make_finding("Nodule", frames[0], 0.9, regions=middle)
        return Prediction(model=MODEL, frames=tuple(frames), findings=(finding,))


def job(image: InstanceRef) -> Job:
    return Job(
        id=1, study_uid=image.study_uid, pipeline="chest", revision=1, state=State.RUNNING,
        priority=0, attempts=1, lease="here", received=1, expected=1, partial=False, reason="",
        ready_at=NOW, not_before=NOW, updated_at=NOW,
    )  # fmt: skip


def presentation_state(path: Path) -> Dataset:
    """What the node makes of one image when presentation states are all that is wanted."""
    pipeline = SimpleNamespace(
        model="nodules", language="en", wanted={"pacs": frozenset({ResultKind.GSPS})}
    )
    receive = SimpleNamespace(ae_title="DICOMNODE")
    settings: Any = SimpleNamespace(
        pipelines={"chest": pipeline}, node=SimpleNamespace(receive=receive)
    )
    store: Any = SimpleNamespace(find=lambda study_uid, name: path)
    model = cast(Classifier, SeesNodules())
    analysis = StudyAnalysis(settings, store, lambda name: model, lambda name: MODEL)
    image = frame_of(dcmread(path)).image
    case = Case(job=job(image), images=[image], study=[image], supersedes=[])
    (result,) = analysis.analyse(case)
    return dcmread(BytesIO(result.part10))


def test_an_image_without_a_window_is_marked_in_the_window_of_its_pixels(tmp_path: Path) -> None:
    ds = synthetic_dx(1, rows=64)
    for keyword in ("WindowCenter", "WindowWidth"):
        ds.pop(keyword, None)
    path = tmp_path / "image.dcm"
    ds.save_as(path, enforce_file_format=True)
    values = ds.pixel_array.astype(np.int64)
    (window,) = presentation_state(path).SoftcopyVOILUTSequence
    assert window.WindowWidth == values.max() - values.min() + 1


def test_a_voi_lut_which_no_header_carries_is_in_the_presentation_state(tmp_path: Path) -> None:
    ds = synthetic_dx(1, rows=64)
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4096, 0, 12])
    item.add_new("LUTData", "OW", np.arange(4096, dtype="<u2")[::-1].tobytes())
    ds.VOILUTSequence = [item]
    path = tmp_path / "image.dcm"
    ds.save_as(path, enforce_file_format=True)
    (window,) = presentation_state(path).SoftcopyVOILUTSequence
    assert window.VOILUTSequence[0].LUTData == item.LUTData
