"""A model is asked about a manifest's images, DICOM and pictures, as the node asks it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread

from dicomnode.answers import (
    Finding,
    FrameRef,
    ModelRef,
    Prediction,
    Presence,
)
from dicomnode.classify.card.card import Card
from dicomnode.classify.card.output import Output
from dicomnode.dicom.pixels import frames
from dicomnode.errors import Cause, NotAnalysable, NotFound
from dicomnode.learn.asked import ask, beside
from dicomnode.learn.manifest import Columns, Manifest, read_manifest
from dicomnode.learn.predictions import Predictions
from dicomnode.records import InstanceRef
from tests.factories import make_dataset, write_part10
from tests.tiny_model import make_card, make_label

NOBODY = InstanceRef(sop_class_uid="", sop_instance_uid="", series_uid="", study_uid="")
FRAME = FrameRef(image=NOBODY, frame=None, rows=1, columns=1)


class Mean:
    """Says of each label how bright the image is, and will not look at black ones."""

    def __init__(self, card: Card) -> None:
        self._card = card
        self.shown: list[Dataset] = []

    @property
    def model(self) -> ModelRef:
        return self._card.model

    def classify(self, images: Sequence[Dataset | Path], *, explained: bool = True) -> Prediction:
        assert not explained, "nobody looks at where it lies"
        datasets = [one if isinstance(one, Dataset) else dcmread(one) for one in images]
        self.shown += datasets
        level = max(float(next(frames(dataset)).pixels.mean()) for dataset in datasets)
        if level == 0:
            raise NotAnalysable("an image shows 1", Cause.SIZE)
        findings = tuple(
            Finding(
                label=label.name,
                concept=label.concept,
                probability=round(level, 4),
                threshold=0.5,
                presence=Presence.ABSENT,
                frame=FRAME,
            )
            for label in self._card.labels
        )
        return Prediction(model=self.model, frames=(FRAME,), findings=findings)

    def ahead(self, image: Path) -> None:
        raise AssertionError("nothing is answered ahead")


def manifest(folder: Path, text: str, levels: Sequence[int], **columns: Any) -> Manifest:
    for number, level in enumerate(levels):
        Image.fromarray(np.full((5, 5), level, np.uint8)).save(folder / f"{number}.png")
    path = folder / "manifest.csv"
    path.write_text(text, "utf-8")
    return read_manifest(path, Columns(**columns))


TWO = "file,patient,sex,age,view,Bright_Light\n0.png,a,F,61,PA,1\n1.png,b,M,,AP,0\n"


def asked(folder: Path, text: str = TWO, **changes: Any) -> Predictions:
    card = make_card(labels=(make_label("bright light"),), **changes)
    return ask(Mean(card), card, manifest(folder, text, (255, 51, 0)))


def test_the_answers_stand_beside_the_truth(tmp_path: Path) -> None:
    found = asked(tmp_path)

    assert found.findings == ("bright light",)
    assert found.truth.tolist() == [[1], [0]]
    assert found.scores.tolist() == [[1.0], [0.2]]
    assert (found.images, found.patients) == (("0.png", "1.png"), ("a", "b"))
    assert found.facts == {"sex": ("F", "M"), "view": ("PA", "AP")}
    assert found.ages is not None
    assert found.ages[0] == 61
    assert np.isnan(found.ages[1])


def test_a_picture_is_shown_as_what_the_model_is_for(tmp_path: Path) -> None:
    card = make_card(labels=(make_label("bright light"),))
    model = Mean(card)

    found = ask(model, card, manifest(tmp_path, TWO, (255, 51)), modality="DX")

    assert [(ds.Modality, ds.ViewPosition) for ds in model.shown] == [("DX", "PA"), ("DX", "AP")]
    assert "2 pictures without DICOM attributes were taken for what tiny is for" in found.notes


@pytest.mark.parametrize(("kind", "most"), [(np.uint8, 255), (np.uint16, 65535)])
def test_a_picture_keeps_its_grey_values(tmp_path: Path, kind: type, most: int) -> None:
    grey: NDArray[Any] = np.linspace(0, most, 35).round().astype(kind).reshape(5, 7)
    there = manifest(tmp_path, TWO, (255, 51))
    Image.fromarray(grey).save(tmp_path / "0.png")
    card = make_card(labels=(make_label("bright light"),))
    model = Mean(card)

    ask(model, card, there)

    assert next(frames(model.shown[0])).pixels == pytest.approx(grey / most, abs=1e-6)


def test_an_image_that_was_not_analysed_is_counted_with_its_cause(tmp_path: Path) -> None:
    found = asked(tmp_path, TWO + "2.png,c,F,33,PA,1\n")

    assert np.isnan(found.scores[2, 0])
    assert "1 of 3 images were not analysed (size: 1) and are left out" in found.notes


def test_a_file_that_is_no_picture_is_not_analysed(tmp_path: Path) -> None:
    there = manifest(tmp_path, TWO, (255, 51))
    (tmp_path / "1.png").write_bytes(b"no picture")
    card = make_card(labels=(make_label("bright light"),))

    found = ask(Mean(card), card, there)

    assert "1 of 2 images were not analysed (pixels: 1) and are left out" in found.notes


def test_a_folder_is_one_study(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    for number, level in enumerate((0, 4095)):
        pixels = np.full((16, 16), level, "<u2").tobytes()
        ds = make_dataset(
            number, RescaleIntercept="0", WindowCenter="2048", WindowWidth="4096", PixelData=pixels
        )
        write_part10(ds, tmp_path / "study" / f"{number}.dcm")

    found = asked(tmp_path, TWO.replace("0.png", "study"))

    assert found.scores.tolist() == [[1.0], [0.2]]


def test_what_the_manifest_does_not_know_is_said(tmp_path: Path) -> None:
    card = make_card(labels=(make_label("bright light"), make_label("dark")))
    found = ask(Mean(card), card, manifest(tmp_path, TWO, (255, 51)))

    assert found.findings == ("bright light",)
    assert "the manifest does not tell the truth about: dark" in found.notes


def test_a_manifest_of_other_findings_is_refused(tmp_path: Path) -> None:
    card = make_card(labels=(make_label("dark"),))

    with pytest.raises(NotFound, match="has no column for what tiny finds: dark"):
        ask(Mean(card), card, manifest(tmp_path, TWO, (255, 51)))


def test_of_grades_each_is_asked_as_this_one_or_a_higher(tmp_path: Path) -> None:
    text = "file,patient,none,some,much\n0.png,a,1,0,0\n1.png,b,0,1,0\n2.png,c,0,0,1\n"
    labels = tuple(make_label(name) for name in ("none", "some", "much"))
    card = make_card(labels=labels, output=Output(kind="ordinal"))

    found = ask(Mean(card), card, manifest(tmp_path, text, (51, 102, 255)))

    assert found.findings == ("some", "much")
    assert found.truth.tolist() == [[0, 0], [1, 0], [1, 1]]


def test_another_model_stands_beside_with_its_own_thresholds(tmp_path: Path) -> None:
    ours = asked(tmp_path)
    other = make_card(name="other", labels=(make_label("bright light", threshold=0.3),))

    (opinion,) = beside(ours, ours, other).opinions

    assert (opinion.name, opinion.binary) == ("other@0.1", False)
    assert opinion.thresholds == {"bright light": 0.3}


def test_another_model_has_to_answer_about_something_of_ours(tmp_path: Path) -> None:
    ours = asked(tmp_path)
    text = TWO.replace("Bright_Light", "dark")
    card = make_card(labels=(make_label("dark"),))
    theirs = ask(Mean(card), card, manifest(tmp_path, text, (255, 51)))

    with pytest.raises(NotFound, match="none of these findings"):
        beside(ours, theirs, card)
