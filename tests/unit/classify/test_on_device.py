"""Frames are prepared where the network is, and kept on the host afterwards.

There is no GPU here: moving to one is watched, and nothing moves.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dicomnode.answers import FrameRef
from dicomnode.classify.card.card import Card
from dicomnode.classify.card.input import Input
from dicomnode.classify.explaining.explainer import explainer
from dicomnode.classify.load import load_classifier
from dicomnode.classify.model_classifier import ModelClassifier
from dicomnode.classify.network import Answering, load_network
from dicomnode.classify.runtimes.batched import Batched
from dicomnode.classify.runtimes.eager import Eager
from dicomnode.classify.samples import preprocess
from dicomnode.classify.samples.preprocess import HOST, prepare
from dicomnode.classify.samples.views import Views
from dicomnode.dicom.pixels import Frame
from tests.phantom import make_bright_finder
from tests.unit.classify.test_findings import image
from tests.unit.classify.test_preprocess import frame, recipe

GPU = torch.device("cuda")
INPUT = Input(size_px=64, channels=1, resize="pad", mean=(0.5,), std=(0.25,), min_contrast=0.01)
LAYER = {"method": "hires-cam", "layer": "features.denseblock1"}


class FakeGpu:
    """What was asked of the way to a GPU and back, in order."""

    def __init__(self) -> None:
        self.done: list[tuple[str, tuple[int, ...]]] = []

    def pinned(self, values: torch.Tensor) -> torch.Tensor:
        self.done.append(("pinned", tuple(values.shape)))
        return values

    def to(self, values: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if args == (GPU,):
            assert kwargs == {"non_blocking": True}
            self.done.append(("sent", tuple(values.shape)))
        return values

    def back(self, values: torch.Tensor) -> torch.Tensor:
        self.done.append(("back", tuple(values.shape)))
        return values


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> FakeGpu:
    fake = FakeGpu()
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda values: fake.pinned(values))
    monkeypatch.setattr(torch.Tensor, "to", lambda *args, **more: fake.to(*args, **more))
    monkeypatch.setattr(torch.Tensor, "cpu", lambda values: fake.back(values))
    return fake


def noise(rows: int, columns: int) -> Frame:
    pixels = np.random.default_rng(1).random((rows, columns), dtype=np.float32)
    return frame(pixels)


@pytest.mark.parametrize("resize", ["pad", "stretch", "crop"])
def test_a_frame_is_sent_once_as_it_was_decoded_and_prepared_there(
    gpu: FakeGpu, resize: str
) -> None:
    three = recipe(channels=3, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3), resize=resize)
    there, here = prepare(noise(40, 60), three, GPU), prepare(noise(40, 60), three)
    shape = (40, 40) if resize == "crop" else (40, 60)
    assert gpu.done == [("pinned", shape), ("sent", shape)]
    assert torch.allclose(there.tensor, here.tensor, rtol=0, atol=1e-5)
    assert there.placement == here.placement


@pytest.mark.parametrize("problem", [torch.OutOfMemoryError, RuntimeError])
def test_what_a_gpu_cannot_shrink_is_shrunk_on_the_host_and_sent(
    gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch, problem: type[RuntimeError]
) -> None:
    right, real, calls = prepare(noise(40, 60), recipe()).tensor, preprocess._resized, []

    def fails_once(*args: Any) -> torch.Tensor:
        calls.append(args)
        if len(calls) == 1:
            raise problem("Too much shared memory required")
        return real(*args)

    monkeypatch.setattr(preprocess, "_resized", fails_once)
    assert torch.equal(prepare(noise(40, 60), recipe(), GPU).tensor, right)
    assert [shape for what, shape in gpu.done if what == "sent"] == [(40, 60), (1, 16, 16)]


def test_on_the_host_an_error_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: Any) -> torch.Tensor:
        raise RuntimeError("no")

    monkeypatch.setattr(preprocess, "_resized", fails)
    with pytest.raises(RuntimeError, match="no"):
        prepare(noise(8, 8), recipe())


def made(folder: Path, device: torch.device) -> ModelClassifier:
    """The model, its runtime on the host, its frames prepared on `device`."""
    card: Card = make_bright_finder(folder, 300.0, input=INPUT, explanation=LAYER)
    network = load_network(folder, card)
    runtime = Batched(Eager(Answering(network, card), HOST))
    return ModelClassifier(card, runtime, explainer(network, card), device=device)


def test_a_study_is_answered_alike_and_what_is_kept_comes_back(
    gpu: FakeGpu, tmp_path: Path
) -> None:
    there, here = made(tmp_path, GPU), made(tmp_path, HOST)
    said = there.classify([image(0.8), image(0.3)])
    sent = [what for what, _ in gpu.done]
    assert sent.count("sent") == sent.count("pinned") == 2
    assert gpu.done.count(("back", (1, 64, 64))) == 2
    expected = here.classify([image(0.8), image(0.3)])
    assert [f.probability for f in said.findings] == [f.probability for f in expected.findings]
    heat, right = said.findings[0].heat, expected.findings[0].heat
    assert heat is not None
    assert right is not None
    assert np.allclose(heat, right, atol=1e-5)


def test_without_a_gpu_frames_are_prepared_on_the_host(tmp_path: Path) -> None:
    make_bright_finder(tmp_path, 300.0, input=INPUT, explanation=LAYER)
    classifier = load_classifier(tmp_path, device="cpu", threads=1)
    assert isinstance(classifier, ModelClassifier)
    assert classifier._device == HOST


def test_views_come_back_whole(gpu: FakeGpu) -> None:
    parts = tuple(prepare(noise(8, 8), recipe(), GPU) for _ in range(2))
    kept = Views(tensor=torch.cat([part.tensor for part in parts]), parts=parts).kept()
    assert [shape for what, shape in gpu.done if what == "back"] == [
        (1, 16, 16), (1, 16, 16), (2, 16, 16)
    ]  # fmt: skip
    assert [type(ref) for ref in kept.frames] == [FrameRef, FrameRef]
