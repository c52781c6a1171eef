"""Answers of models of every kind, from images to finished results."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset

from dicomnode.answers import FrameRef, Prediction
from dicomnode.classify.load import load_classifier
from dicomnode.dicom import pixels
from dicomnode.dicom.appearance import appearance
from dicomnode.records import ResultKind
from dicomnode.report.request import Source
from dicomnode.report.results import make_results
from tests.phantom import Ball, Geometry, enhanced, make_ball_finder, slices
from tests.unit.report.samples import ORDER, read

GEOMETRY = Geometry(rows=64, columns=64)
KINDS = {
    "slices": lambda: slices(GEOMETRY, Ball()),
    "a multi-frame image": lambda: [enhanced(GEOMETRY, Ball())],
}


def source(images: Sequence[Dataset]) -> Source:
    by_uid = {image.SOPInstanceUID: image for image in images}

    def display(frame: FrameRef) -> NDArray[np.uint8]:
        image = by_uid[frame.image.sop_instance_uid]
        (shown,) = pixels.frames(image, [frame.frame or 1])
        return pixels.display(shown)

    return Source(
        headers=images,
        display=display,
        look=lambda frame: appearance(by_uid[frame.image.sop_instance_uid], frame.frame or 1),
    )


def answered(name: str, folder: Path) -> tuple[list[Dataset], Prediction]:
    make_ball_finder(folder)
    images = KINDS[name]()
    return images, load_classifier(folder, device="cpu", threads=1).classify(images)


@pytest.mark.parametrize("name", KINDS)
def test_a_finding_on_a_slice_is_said_in_every_kind_of_result(name: str, tmp_path: Path) -> None:
    images, prediction = answered(name, tmp_path)
    assert prediction.together
    (finding,) = prediction.findings
    made = make_results(source(images), prediction, replace(ORDER, kinds=frozenset(ResultKind)))
    assert {result.kind for result in made} == set(ResultKind)
    objects = {result.kind: read(result) for result in made}
    (shown,) = objects[ResultKind.SC].SourceImageSequence
    assert shown.ReferencedSOPInstanceUID == finding.frame.image.sop_instance_uid
    assert shown.get("ReferencedFrameNumber") == finding.frame.frame
    (state,) = objects[ResultKind.GSPS].ReferencedSeriesSequence
    (referenced,) = state.ReferencedImageSequence
    assert referenced.get("ReferencedFrameNumber") == finding.frame.frame
