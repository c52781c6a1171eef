"""Images answered while their study is still coming in, by several threads, in shared batches."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydicom import Dataset

from dicomnode.answers import Prediction
from dicomnode.classify.asking import Asking
from dicomnode.classify.card.card import Card
from dicomnode.classify.each_image import Aside
from dicomnode.classify.explaining.explain import Explainer
from dicomnode.classify.explaining.twin import twin
from dicomnode.classify.model_classifier import ModelClassifier
from dicomnode.classify.network import Answering
from dicomnode.classify.remembered import Known, Remembered
from dicomnode.classify.runtimes.batched import Batched
from dicomnode.classify.runtimes.eager import Eager
from dicomnode.classify.runtimes.runtime import Said
from dicomnode.classify.samples.images import decode
from dicomnode.classify.samples.preprocess import Prepared, prepare
from dicomnode.dicom.pixels import Frame
from dicomnode.errors import NotAnalysable
from tests.factories import make_dataset, write_part10
from tests.tiny_model import Brightness, make_card, make_label


class Counting(Eager):
    """A runtime that writes down how large its batches are."""

    def __init__(self, card: Card) -> None:
        super().__init__(Answering(Brightness(len(card.labels)), card), torch.device("cpu"))
        self.batches: list[int] = []

    def run(self, images: torch.Tensor) -> Said:
        self.batches.append(len(images))
        return super().run(images)


def built(**changes: Any) -> tuple[ModelClassifier, Counting]:
    card = make_card(**({"labels": (make_label(threshold=0.3),)} | changes))
    runtime = Counting(card)
    explainer = Explainer(Brightness(), card.explanation)
    return ModelClassifier(card, Batched(runtime), explainer), runtime


def image(number: int, *levels: float) -> Dataset:
    """An image with a frame of each level, 0 black to 1 white."""
    stored = [np.full((16, 16), round(level * 4095), dtype="<u2").tobytes() for level in levels]
    return make_dataset(
        number,
        RescaleIntercept="0",
        WindowCenter="2048",
        WindowWidth="4096",
        PixelData=b"".join(stored),
        NumberOfFrames=len(levels) if len(levels) > 1 else None,
    )


def study(folder: Path) -> list[Path]:
    levels = [(0.2,), (0.4, 0.8, 0.3), (0.1,)]
    return [
        write_part10(image(number, *level), folder / f"{number}.dcm")
        for number, level in enumerate(levels, 1)
    ]


def said(prediction: Prediction) -> tuple[Any, ...]:
    found = [(f.probability, f.presence, f.frame, f.regions) for f in prediction.findings]
    return prediction.frames, found, prediction.left_out


def test_images_of_one_study_share_a_batch(tmp_path: Path) -> None:
    classifier, runtime = built()
    classifier.classify(study(tmp_path))
    assert runtime.batches == [5]


def test_what_was_answered_ahead_is_not_decoded_nor_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = study(tmp_path)
    classifier, runtime = built()
    expected = said(built()[0].classify(images))
    for path in images[:2]:
        classifier.ahead(path)
    assert runtime.batches == [1, 3]
    decoded: list[object] = []

    def watched(image: Path, numbers: Sequence[int]) -> Iterator[Frame]:
        decoded.append(image)
        return decode(image, numbers)

    monkeypatch.setattr("dicomnode.classify.each_image.decode", watched)
    assert said(classifier.classify(images)) == expected
    assert runtime.batches == [1, 3, 1]
    assert decoded == [images[2]]
    classifier.ahead(images[0])
    assert runtime.batches == [1, 3, 1]


def test_a_file_that_was_replaced_is_answered_anew(tmp_path: Path) -> None:
    classifier, _ = built()
    path = write_part10(image(1, 0.2), tmp_path / "1.dcm")
    classifier.ahead(path)
    before = classifier.classify([path]).findings[0].probability
    write_part10(image(1, 0.9), tmp_path / "other.dcm").replace(path)
    assert classifier.classify([path]).findings[0].probability > before


def test_nothing_is_answered_ahead_where_not_every_image_is_wanted(tmp_path: Path) -> None:
    recipe = make_card().input
    for changes in ({"images": "first"}, {"max_images": 2}):
        classifier, runtime = built(input=recipe.model_copy(update=changes))
        classifier.ahead(study(tmp_path)[1])
        assert runtime.batches == []


def test_what_cannot_be_answered_ahead_is_said_by_classify(tmp_path: Path) -> None:
    broken = image(1, 0.5)
    broken.PixelData = broken.PixelData[:10]
    path = write_part10(broken, tmp_path / "1.dcm")
    classifier, _ = built()
    classifier.ahead(path)
    classifier.ahead(tmp_path / "missing.dcm")
    with pytest.raises(NotAnalysable, match="ends early"):
        classifier.classify([path])


def test_an_image_that_the_model_is_not_for_is_remembered_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_card().input.model_copy(update={"modalities": ("DX",)})
    classifier, _ = built(input=recipe)
    path = write_part10(image(1, 0.5), tmp_path / "1.dcm")
    classifier.ahead(path)
    monkeypatch.setattr("dicomnode.classify.each_image.header_of", None)
    with pytest.raises(NotAnalysable, match="modality CT"):
        classifier.classify([path])


def test_memory_forgets_what_was_used_least_recently(tmp_path: Path) -> None:
    files = [tmp_path / str(number) for number in range(3)]
    for file in files:
        file.write_bytes(b"")
    remembered = Remembered(most_bytes=5000)  # an image takes 2048
    for file in files[:2]:
        remembered.keep(file, Known(frames=1))
    remembered.get(files[0])
    remembered.keep(files[2], Known(frames=1))
    assert [remembered.get(file) is not None for file in files] == [True, False, True]
    remembered.keep(files[2], Known(frames=2))
    assert [remembered.get(file) is not None for file in files] == [True, False, True]
    remembered.keep(tmp_path / "gone", Known(frames=1))
    assert remembered.get(tmp_path / "gone") is None


def test_threads_get_the_answers_that_one_alone_would(tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(6)]
    studies: list[Sequence[Path]] = []
    for number, folder in enumerate(folders):
        folder.mkdir()
        level = 0.3 + number / 20
        studies.append([write_part10(image(number, level, 0.2), folder / "image.dcm")])
    expected = [said(built()[0].classify(images)) for images in studies]
    classifier, _ = built()
    start = threading.Barrier(6)

    def work(images: Sequence[Path]) -> tuple[Any, ...]:
        start.wait(5)
        for path in images:
            classifier.ahead(path)
        return said(classifier.classify(images))

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(work, studies)) == expected


def test_studies_that_are_prepared_at_the_same_time_share_a_batch(tmp_path: Path) -> None:
    card = make_card()
    runtime = Counting(card)
    asking = Asking(card, Batched(runtime, wait_s=30))
    (frame,) = decode(write_part10(image(1, 0.5), tmp_path / "1.dcm"), [1])
    sample = prepare(frame, card.input)
    both = threading.Barrier(2)

    def samples(number: int) -> Iterator[tuple[int, Prepared]]:
        both.wait(10)
        yield number, sample

    def ask(number: int) -> list[int]:
        return [number for number, _ in asking.outcomes(samples(number))]

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(ask, (0, 1), timeout=20)) == [[0], [1]]
    assert runtime.batches == [2]


def test_a_twin_shares_the_numbers_and_none_of_the_hooks() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2))
    other = twin(network)
    seen: list[object] = []
    other.get_submodule("0").register_forward_hook(lambda *_: seen.append(1))
    network.eval()(torch.zeros(1, 1, 2, 2))
    assert seen == []
    pairs = zip(network.state_dict().values(), other.state_dict().values(), strict=True)
    assert all(one.data_ptr() == same.data_ptr() for one, same in pairs)


@pytest.mark.parametrize("ahead", [False, True])
def test_a_large_study_keeps_only_what_leads_and_answers_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: bool
) -> None:
    levels = [0.5, 0.4, 0.9, 0.3, 0.6]
    images = [write_part10(image(1, *levels), tmp_path / "1.dcm")]
    expected = said(built()[0].classify(images))
    monkeypatch.setattr("dicomnode.classify.each_image._KEPT_BYTES", 0)
    classifier, _ = built()
    if ahead:
        classifier.ahead(images[0])
    looks = classifier.looks(images, [])
    kept = [not isinstance(look.sample, Aside) for look in looks]
    assert kept == [True, False, True, False, False]
    assert said(classifier.classify(images)) == expected
    (again,) = classifier.shown(looks[1], [0])
    (before,) = built()[0].shown(built()[0].looks(images, [])[1], [0])
    assert np.array_equal(again.heat, before.heat)
