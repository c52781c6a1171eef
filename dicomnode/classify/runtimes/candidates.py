"""Which ways there are to run a model's network on a device."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch

from dicomnode.classify.card.card import Card
from dicomnode.classify.network import Answering
from dicomnode.classify.runtimes.agreement import clouds
from dicomnode.classify.runtimes.eager import Eager
from dicomnode.classify.runtimes.on_cuda import OnCuda
from dicomnode.classify.runtimes.on_onnxruntime import OnOnnxruntime, write_onnx
from dicomnode.classify.runtimes.on_openvino import OnOpenVINO, can_bfloat16
from dicomnode.classify.runtimes.openvino_files import from_onnx, from_torch, reduced, write
from dicomnode.classify.runtimes.runtime import Runtime
from dicomnode.classify.weights import read_checked

__all__ = ["Candidate", "Loading", "Wanted", "candidates"]

#: As the setting `classify.runtime` names it.
Wanted = Literal["auto", "torch", "compiled", "onnxruntime", "openvino"]

_ROUNDED_BY, _SEED = 8, 1  #: images that tell what layers see; others than those that are checked


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One way of running a network: what it writes once, and how it starts from that."""

    name: str
    start: Callable[[Path], Runtime]
    write: Callable[[Path], None] | None = None  #: files into a folder


@dataclass(frozen=True, kw_only=True, eq=False)
class Loading:
    """A model that is being loaded."""

    folder: Path
    card: Card
    network: Answering
    device: torch.device
    threads: int  #: for runtimes whose threads sleep while they wait

    @cached_property
    def example(self) -> torch.Tensor:
        """Two images: of one, a batch would be taken for granted."""
        return clouds(self.card, 2, _SEED)

    @cached_property
    def traced(self) -> torch.jit.ScriptModule:
        """The network with logits and features, or the logits alone where there are none."""
        speaking = self.network if self.card.novelty is not None else _Alone(self.network)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # that it is old, and of sizes that it takes as given
            traced: torch.jit.ScriptModule = torch.jit.trace(  # type: ignore[no-untyped-call]
                speaking, self.example, check_trace=False
            )
        return traced

    @cached_property
    def on_openvino(self) -> Any:
        """The network as OpenVINO has it, in float32; its type comes from the package."""
        if self.card.architecture.kind == "onnx":
            return from_onnx(read_checked(self.folder, self.card.weights), self.card.input.shape)
        return from_torch(self.traced, self.example)


def candidates(loading: Loading, wanted: Wanted) -> Iterator[Candidate]:
    """torch, which is the measure of all, and then what else may be tried."""
    yield Candidate(name="torch", start=lambda _: Eager(loading.network, loading.device))
    if wanted == "compiled" and loading.card.architecture.kind != "onnx":
        yield Candidate(name="compiled", start=lambda _: _compiled(loading))
    if loading.device.type == "cpu":
        yield from _on_cpu(loading, wanted)
    elif loading.device.type == "cuda" and wanted == "auto":
        yield from _on_cuda(loading)


def _on_cpu(loading: Loading, wanted: Wanted) -> Iterator[Candidate]:
    kind, threads = loading.card.architecture, loading.threads
    if wanted in ("auto", "onnxruntime") and kind.kind != "onnx":  # there torch asks onnxruntime
        yield Candidate(
            name="onnxruntime",
            write=lambda folder: write_onnx(loading.traced, loading.example, folder),
            start=lambda folder: OnOnnxruntime(folder, threads),
        )
    if wanted not in ("auto", "openvino") or (kind.kind == "onnx" and kind.answers != "logits"):
        return
    yield Candidate(
        name="openvino",
        write=lambda folder: write(loading.on_openvino, folder),
        start=lambda folder: OnOpenVINO("openvino", folder, threads, "f32"),
    )
    if loading.card.running.reduced_precision and can_bfloat16():
        yield Candidate(
            name="openvino-bf16",
            write=lambda folder: reduced(
                loading.on_openvino, clouds(loading.card, _ROUNDED_BY, _SEED), folder, threads
            ),
            start=lambda folder: OnOpenVINO("openvino-bf16", folder, threads, "bf16"),
        )


def _on_cuda(loading: Loading) -> Iterator[Candidate]:
    if loading.card.architecture.kind == "onnx":
        return
    types = [torch.float32]
    if loading.card.running.reduced_precision:
        types += [torch.bfloat16, torch.float16]
    for dtype in types:
        name = f"cuda-{str(dtype).removeprefix('torch.')}"

        def start(_: Path, name: str = name, dtype: torch.dtype = dtype) -> Runtime:
            return OnCuda(name, loading.network, loading.device, dtype)

        yield Candidate(name=name, start=start)


def _compiled(loading: Loading) -> Runtime:
    """By torch.compile, which needs a compiler for C++ and a minute."""
    compiled = Eager(loading.network, loading.device, "compiled")
    compiled.compile()
    return compiled


class _Alone(torch.nn.Module):
    """A network that says its logits, and nothing beside."""

    def __init__(self, network: Answering) -> None:
        super().__init__()
        self._network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of (images, ...)."""
        logits: torch.Tensor = self._network(images)[0]
        return logits
