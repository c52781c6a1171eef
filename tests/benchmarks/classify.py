"""How fast a DenseNet-121 answers, from file to prediction, beside a plain MONAI loop.

    .venv/bin/python tests/benchmarks/classify.py
    .venv/bin/python tests/benchmarks/classify.py --runtime onnxruntime --files 4 --rounds 3

Plain is what a script would do: the network in `eval()` under `torch.no_grad()`, memory format and
threads as torch has them; files by `dcmread`, `pixel_array`, `apply_modality_lut`, `apply_voi_lut`,
MONAI's `ScaleIntensity` and `Resize`, one after the other. Both have the same files, the same
weights and the same process, and take turns; each is as fast as in its median round, and so is how
many times as fast ours is. The files are synthetic radiographs of 15 MB, uncompressed.

On a GPU (or with `--bare`) it also prints what share of the bare network's throughput is left: of
the same loop with its data on the device already, and answers that stay there. The goal is 85 %.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from monai.networks.nets import DenseNet121
from monai.transforms import Compose, EnsureChannelFirst, Resize, ScaleIntensity
from pydicom import dcmread
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from rich.console import Console
from rich.table import Table

from dicomnode.classify.card.architecture import Architecture
from dicomnode.classify.card.card import Card
from dicomnode.classify.card.explanation import Explanation
from dicomnode.classify.card.folder import read_card
from dicomnode.classify.card.input import Input
from dicomnode.classify.explaining.explainer import explainer
from dicomnode.classify.load import load_classifier
from dicomnode.classify.model_classifier import ModelClassifier
from dicomnode.classify.network import Answering, load_network
from dicomnode.classify.runtimes.agreement import clouds
from dicomnode.classify.runtimes.candidates import Loading, Wanted
from dicomnode.classify.runtimes.choice import choose
from dicomnode.classify.samples.images import decode
from dicomnode.classify.samples.preprocess import prepare
from dicomnode.classify.weights import load_weights
from dicomnode.dicom import pixels
from dicomnode.learn.synthetic import synthetic_dx
from tests.tiny_model import make_label, make_model

ROWS = 2710  #: of a synthetic radiograph, for 15 MB
SIZE, BATCH, FINDINGS = 224, 16, 14


class Turn(NamedTuple):
    """Something done in two ways, and how many images that is."""

    name: str
    images: int
    plain: Callable[[], object]
    ours: Callable[[], object]


class Plain:
    """The loop that everybody writes."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.network = DenseNet121(spatial_dims=2, in_channels=1, out_channels=FINDINGS)
        card = read_card(folder)
        self.network.load_state_dict(load_weights(folder, card.weights))
        self.network.to(device).eval()
        self.device = device
        self.transform = Compose(
            [EnsureChannelFirst(channel_dim="no_channel"), ScaleIntensity(), Resize((SIZE, SIZE))]
        )

    def answer(self, images: torch.Tensor) -> torch.Tensor:
        """Probabilities of prepared images."""
        with torch.no_grad():
            return torch.sigmoid(self.network(images.to(self.device))).cpu()

    def read(self, path: Path) -> torch.Tensor:
        """One file, prepared."""
        dataset = dcmread(path)
        shown = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
        scaled = self.transform(shown.astype(np.float32))
        return torch.as_tensor((scaled - 0.5) / 0.25)[None]

    def whole(self, paths: Sequence[Path]) -> None:
        """From files to probabilities."""
        for path in paths:
            self.answer(self.read(path))


def main() -> None:
    """Print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--runtime", default="auto")
    arguments.add_argument("--device", default="auto")
    arguments.add_argument("--files", type=int, default=BATCH)
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--bare", action="store_true")
    given = arguments.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [_file(folder / f"{index}.dcm", index) for index in range(given.files)]
        make_densenet121(folder / "model")
        began = time.perf_counter()
        classifier = _loaded(folder, given.runtime, given.device)
        first_s = time.perf_counter() - began
        began = time.perf_counter()
        _loaded(folder, given.runtime, given.device)
        again_s = time.perf_counter() - began
        console.print(
            f"{_cores()} cores, {paths[0].stat().st_size / 1e6:.0f} MB a file; "
            f"loading: {first_s:.1f} s with the first measurement, {again_s:.1f} s after it"
        )
        bench = Bench(folder, paths, classifier, given.runtime, given.device)
        console.print(bench.beside_plain(given.rounds))
        console.print(bench.stages(given.rounds))
        if given.bare or bench.there.type == "cuda":
            console.print(bench.beside_bare(given.rounds))


class Bench:
    """Both ways, ready to be measured."""

    def __init__(
        self, folder: Path, paths: list[Path], ours: ModelClassifier, runtime: Wanted, device: str
    ) -> None:
        self.paths, self.ours, self.folder = paths, ours, folder
        model = folder / "model"
        self.card = read_card(model)
        self.there = there = torch.device("cuda" if _on_gpu(device) else "cpu")
        self.network = load_network(model, self.card).to(there)
        self.loading = Loading(
            folder=model, card=self.card, network=Answering(self.network, self.card).eval(),
            device=there, threads=_cores(),
        )  # fmt: skip
        self.plain = Plain(model, there)
        self.runtime = choose(self.loading, runtime, folder / "kept")
        self.batch = clouds(self.card, BATCH, 9)

    def beside_plain(self, rounds: int) -> Table:
        """Images a second, and how many times as many as plain."""
        one, batch, first = self.batch[:1], self.batch, self.paths[:1]
        several = self.paths
        turns = [
            Turn("network, batch of 1", 1,
                 lambda: self.plain.answer(one), lambda: self.runtime.run(one)),
            Turn(f"network, batch of {BATCH}", BATCH,
                 lambda: self.plain.answer(batch), lambda: self.runtime.run(batch)),
            Turn("file to prediction, one", 1,
                 lambda: self.plain.whole(first), lambda: self.ours.classify(first)),
            Turn(f"files to prediction, {len(several)}", len(several),
                 lambda: self.plain.whole(several), lambda: self.ours.classify(several)),
        ]  # fmt: skip
        columns = ["", "plain ms", "ours ms", "plain images/s", "ours images/s", "times"]
        table = Table(*columns, title=f"{self.runtime.name}: medians of {rounds} rounds")
        for turn in turns:
            plain_s, ours_s = _in_turn(turn, rounds)
            times = median(p / o for p, o in zip(plain_s, ours_s, strict=True))
            plain, ours = median(plain_s), median(ours_s)
            table.add_row(
                turn.name, f"{plain * 1e3:.0f}", f"{ours * 1e3:.0f}",
                f"{turn.images / plain:.1f}", f"{turn.images / ours:.1f}", f"{times:.1f} x",
            )  # fmt: skip
        return table

    def beside_bare(self, rounds: int) -> Table:
        """Share of the images a second that the network has with its data on the device."""
        there = self.batch.to(self.there)
        (frame,) = decode(self.paths[0], [1])
        recipe = self.card.input

        def bare() -> None:
            with torch.no_grad():
                self.plain.network(there)

        def from_frames() -> None:
            ready = [prepare(frame, recipe, self.there).tensor for _ in range(BATCH)]
            self.runtime.run(torch.stack(ready))

        turns = [
            Turn("data on the device", BATCH, bare, lambda: self.runtime.run(there)),
            Turn("data on the host", BATCH, bare, lambda: self.runtime.run(self.batch)),
            Turn("decoded frames, resized there", BATCH, bare, from_frames),
        ]
        columns = ["", "bare images/s", "ours images/s", "share"]
        table = Table(*columns, title=f"{self.runtime.name} on {self.there}, batches of {BATCH}")
        for turn in turns:
            bare_s, ours_s = _in_turn(turn, rounds)
            share = median(b / o for b, o in zip(bare_s, ours_s, strict=True))
            of_both = (f"{BATCH / median(seconds):.1f}" for seconds in (bare_s, ours_s))
            table.add_row(turn.name, *of_both, f"{share:.0%}")
        return table

    def stages(self, rounds: int) -> Table:
        """Milliseconds of each stage for one file, alone."""
        path = self.paths[0]
        (frame,) = decode(path, [1])
        prepared = prepare(frame, self.card.input, self.there)
        one = prepared.tensor[None]
        explain = explainer(self.network, self.card)
        found: dict[str, float] = {
            "read and decode": _median(lambda: pixels.stored(dcmread(path), 1), rounds),
            "to display values": _median(lambda: list(decode(path, [1])), rounds),
            "resize, normalise": _median(
                lambda: prepare(frame, self.card.input, self.there), rounds
            ),
            "network": _median(lambda: self.runtime.run(one), rounds),
            "whole": _median(lambda: self.ours.classify([path]), rounds),
            "explanation of one finding": _median(lambda: explain.shown(prepared, [0]), rounds),
        }
        found["to display values"] -= found["read and decode"]
        named = ("read and decode", "to display values", "resize, normalise", "network")
        found["rest"] = found["whole"] - sum(found[name] for name in named)
        table = Table("stage", "ms", title=f"One file of {path.stat().st_size / 1e6:.0f} MB")
        for name in (*named, "rest", "whole", "explanation of one finding"):
            table.add_row(name, f"{found[name] * 1e3:.1f}")
        return table


def make_densenet121(folder: Path) -> Card:
    """A model folder with MONAI's DenseNet-121 of random weights, that never finds anything."""
    return make_model(
        folder,
        architecture=Architecture(
            kind="densenet",
            params={"init_features": 64, "growth_rate": 32, "block_config": [6, 12, 24, 16]},
        ),
        input=Input(size_px=SIZE, channels=1, resize="pad", mean=(0.5,), std=(0.25,)),
        labels=tuple(make_label(f"finding {index}", 1.0) for index in range(FINDINGS)),
        explanation=Explanation(method="grad-cam", layer="features.denseblock4"),
    )


def _loaded(folder: Path, runtime: Wanted, device: str) -> ModelClassifier:
    loaded = load_classifier(folder / "model", device, runtime=runtime, cache=folder / "kept")
    assert isinstance(loaded, ModelClassifier)
    return loaded


def _in_turn(turn: Turn, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of each round, plain and ours; one more round first, for warming up."""
    plain_s, ours_s = [], []
    for _ in range(rounds + 1):
        threads = torch.get_num_threads()
        torch.set_num_threads(_cores())
        torch.use_deterministic_algorithms(False)
        plain_s.append(_seconds(turn.plain))
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(True, warn_only=True)
        ours_s.append(_seconds(turn.ours))
    return plain_s[1:], ours_s[1:]


def _median(work: Callable[[], object], rounds: int) -> float:
    work()
    return median(_seconds(work) for _ in range(rounds))


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def _file(path: Path, seed: int) -> Path:
    synthetic_dx(seed, ["nodule"], rows=ROWS).save_as(path, enforce_file_format=True)
    return path


def _cores() -> int:
    return os.cpu_count() or 1


def _on_gpu(device: str) -> bool:
    return device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())


if __name__ == "__main__":
    main()
