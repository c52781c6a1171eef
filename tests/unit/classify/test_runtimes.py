"""Real runtimes on a tiny network: they say what torch says, of any number of images."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dicomnode.classify.card.card import Card
from dicomnode.classify.card.fitted import Novelty
from dicomnode.classify.card.input import Input, Volume
from dicomnode.classify.card.running import Running
from dicomnode.classify.card.tables import Weights
from dicomnode.classify.load import load_classifier
from dicomnode.classify.network import Answering, build_network
from dicomnode.classify.runtimes.agreement import clouds
from dicomnode.classify.runtimes.candidates import Candidate, Loading, Wanted, candidates
from dicomnode.classify.runtimes.eager import Eager
from dicomnode.classify.runtimes.on_cuda import filled_up
from dicomnode.classify.runtimes.on_openvino import can_bfloat16
from dicomnode.errors import ModelError
from tests.tiny_model import Brightness, make_card, make_label, make_model

pytest.importorskip("openvino")

_LAYERED = make_card().explanation.model_copy(update={"layer": "features.denseblock1"})
NOVELTY = Novelty(
    layer="features.conv0", grid=2, threshold=1.0, dataset="none", images=1, accepted=0.0,
    numbers=Weights(file="usual.safetensors", sha256="0" * 64),
)  # fmt: skip
LABELS = tuple(make_label(name) for name in ("one", "two", "three"))
SQUARE = Input(size_px=32, channels=1, resize="pad", mean=(0.5,), std=(0.25,))
VOLUME = Input(
    kind="volume", channels=1, mean=(0.5,), std=(0.25,),
    volume=Volume(size_vox=(16, 32, 32), intensity=(0, 1)),
)  # fmt: skip


def loaded(card: Card) -> Loading:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = build_network(card).eval()
    return Loading(
        folder=Path("/nowhere"),
        card=card,
        network=Answering(network, card).eval(),
        device=torch.device("cpu"),
        threads=1,
    )


def loaded_tiny() -> Loading:
    return loaded(make_card(input=SQUARE, explanation=_LAYERED))


def ways(loading: Loading, wanted: Wanted) -> dict[str, Candidate]:
    return {way.name: way for way in candidates(loading, wanted)}


def off(loading: Loading, way: Candidate, folder: Path) -> tuple[float, float]:
    """The largest difference of a logit, and of a feature, over batches of several sizes."""
    images = clouds(loading.card, 7, 5)
    right = Eager(loading.network, loading.device).run(images)
    assert way.write is not None
    way.write(folder)
    runtime = way.start(folder)
    parts = [runtime.run(part) for part in (images[:1], images[1:3], images[3:])]
    logits = np.concatenate([part.logits for part in parts])
    assert logits.dtype == np.float64
    seen = [part.features for part in parts if part.features is not None]
    if right.features is None:
        assert not seen
        return float(np.abs(logits - right.logits).max()), 0.0
    features = np.abs(np.concatenate(seen) - right.features)
    return float(np.abs(logits - right.logits).max()), float(features.max())


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
@pytest.mark.parametrize(
    "card",
    [
        make_card(input=SQUARE, labels=LABELS, explanation=make_card().explanation),
        make_card(input=SQUARE, labels=LABELS, novelty=NOVELTY),
        make_card(input=VOLUME, labels=LABELS),
    ],
    ids=["image", "novelty", "volume"],
)
def test_says_what_torch_says(card: Card, name: str, tmp_path: Path) -> None:
    card = card.model_copy(update={"explanation": _LAYERED})
    loading = loaded(card)
    assert max(off(loading, ways(loading, "auto")[name], tmp_path)) < 1e-4


@pytest.mark.skipif(not can_bfloat16(), reason="this processor has no bfloat16")
def test_bfloat16_comes_near_with_a_head_in_float32(tmp_path: Path) -> None:
    card = make_card(input=SQUARE, labels=LABELS, novelty=NOVELTY, explanation=_LAYERED)
    loading = loaded(card)
    logits, features = off(loading, ways(loading, "openvino")["openvino-bf16"], tmp_path)
    assert 0 < logits < 0.01
    assert features < 0.05
    assert {path.name for path in tmp_path.iterdir()} >= {"network.xml", "head.xml"}


@pytest.mark.skipif(not can_bfloat16(), reason="this processor has no bfloat16")
def test_bfloat16_runs_convolutions_in_groups(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = torch.nn.Sequential(
            torch.nn.Conv2d(1, 8, 3),
            torch.nn.ReLU(),
            torch.nn.Conv2d(8, 16, 3, groups=4),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
            torch.nn.Linear(16, 3),
        )
    card = make_card(input=SQUARE, labels=LABELS)
    loading = replace(loaded_tiny(), card=card, network=Answering(network, card).eval())
    assert off(loading, ways(loading, "openvino")["openvino-bf16"], tmp_path)[0] < 0.005


def test_what_the_card_forbids_is_not_tried() -> None:
    card = make_card(input=SQUARE, explanation=_LAYERED, running=Running(reduced_precision=False))
    assert set(ways(loaded(card), "openvino")) == {"torch", "openvino"}
    assert set(ways(loaded(card), "torch")) == {"torch"}
    assert set(ways(loaded(card), "compiled")) == {"torch", "compiled"}
    assert set(ways(loaded(card), "onnxruntime")) == {"torch", "onnxruntime"}


def test_a_gpu_has_ways_of_its_own() -> None:
    loading = loaded_tiny()
    on_gpu = replace(loading, device=torch.device("cuda"))
    names = ["torch", "cuda-float32", "cuda-bfloat16", "cuda-float16"]
    assert list(ways(on_gpu, "auto")) == names
    assert [filled_up(count) for count in (1, 3, 16, 33, 100)] == [1, 4, 16, 64, 100]


def test_files_that_are_not_there_are_said(tmp_path: Path) -> None:
    loading = loaded_tiny()
    for name, way in ways(loading, "auto").items():
        if name != "torch":
            with pytest.raises(ModelError):
                way.start(tmp_path)


def test_images_that_do_not_fit_are_a_model_error(tmp_path: Path) -> None:
    loading = loaded_tiny()
    two = torch.zeros(1, 2, 32, 32)
    for name in ("torch", "onnxruntime", "openvino"):
        way = ways(loading, "auto")[name]
        if way.write is not None:
            way.write(tmp_path)
        with pytest.raises(ModelError, match="network"):
            way.start(tmp_path).run(two)


def test_torch_says_out_of_memory_as_it_is() -> None:
    class Full(Brightness):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            raise torch.OutOfMemoryError

    eager = Eager(Answering(Full(), make_card()), torch.device("cpu"))
    with pytest.raises(torch.OutOfMemoryError):
        eager.run(torch.zeros(1, 1, 16, 16))


def test_a_folder_becomes_a_classifier_with_a_remembered_runtime(tmp_path: Path) -> None:
    make_model(tmp_path / "model")
    for _ in range(2):
        load_classifier(tmp_path / "model", "cpu", 1, runtime="openvino", cache=tmp_path / "kept")
    (kept,) = (tmp_path / "kept").iterdir()
    assert (kept / "network.xml").is_file()


def test_openvino_comes_in_without_what_reports_its_use() -> None:
    code = (
        "import sys, threading\n"
        "from dicomnode.classify.runtimes.openvino_door import openvino\n"
        "ov = openvino()\n"
        "ov.convert_model\n"
        "import openvino.tools.ovc.telemetry_utils as used\n"
        "assert used.tm.__name__.endswith('telemetry_stub'), used.tm\n"
        "assert not any(name.startswith('openvino_telemetry.') for name in sys.modules)\n"
        "assert threading.active_count() == 1\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


_DROPPED_ELSEWHERE = """
import gc, os, signal, sys, threading
from pathlib import Path

import numpy as np

from dicomnode.classify.runtimes.on_openvino import OnOpenVINO
from dicomnode.classify.runtimes.openvino_door import openvino
from dicomnode.classify.runtimes.openvino_files import NETWORK

folder = Path(sys.argv[1])
ov = openvino()
given = ov.opset13.parameter([-1, 4], np.float32)
model = ov.Model([ov.opset13.result(ov.opset13.relu(given))], [given])
ov.save_model(model, folder / NETWORK)
there = [OnOpenVINO("openvino", folder, 1, "f32")]


def drop():
    there.clear()
    gc.collect()


thread = threading.Thread(target=drop)
thread.start()
thread.join()
signal.signal(signal.SIGUSR1, lambda number, frame: print("heard"))
os.kill(os.getpid(), signal.SIGUSR1)
"""


def test_a_signal_is_heard_when_another_thread_dropped_the_runtime(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _DROPPED_ELSEWHERE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)

    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr
