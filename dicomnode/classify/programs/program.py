"""Models that come as a program: TorchScript, `torch.export` and ONNX.

A program is looked through before it is opened: it may compute, and nothing else.
"""

import io
import tokenize
import warnings
from pathlib import Path
from typing import Literal

import torch

from dicomnode.classify.card.card import Card
from dicomnode.classify.programs.archives import Archive
from dicomnode.classify.programs.exported import read_export
from dicomnode.classify.programs.onnx_network import OnnxNetwork
from dicomnode.classify.weights import read_checked
from dicomnode.errors import ModelError

__all__ = ["Program", "load_program", "open_program", "squashed_by"]

#: What TorchScript knows beyond computing: the disk, the network, Python.
_FORBIDDEN = {
    "IgnoredPythonOp", "PythonOp", "_print", "from_file", "fork", "rpc_async", "rpc_remote",
    "rpc_sync", "save",
}  # fmt: skip
_NAMESPACES = {"aten", "prim", "quantized", "mkldnn_prepacked"}  #: of operators, that torch brings
_SUREST = 1e-7  #: a program's own probability is taken for no surer than that


class Program(torch.nn.Module):
    """A program that answers with logits, whatever the one inside does."""

    def __init__(self, inner: torch.nn.Module, squashed: Literal["", "sigmoid", "softmax"]) -> None:
        super().__init__()
        self.inner = inner
        self._squashed = squashed
        # A frozen program has no parameter left that would tell its device.
        self.device = torch.nn.Parameter(torch.empty(0), requires_grad=False)

    def __deepcopy__(self, _memo: object) -> "Program":
        return self  # no hooks reach into a program: two uses of one see nothing of each other

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (images, outputs)."""
        said = self.inner(images)
        if isinstance(said, tuple | list):
            said = said[0]
        if not isinstance(said, torch.Tensor) or said.ndim != 2:
            raise ModelError("the program does not answer with a row of numbers for each image")
        if self._squashed == "softmax":
            return said.float().clamp(min=_SUREST).log()
        return said.float().logit(_SUREST) if self._squashed else said.float()


def load_program(folder: Path, card: Card) -> Program:
    """The program of a model folder, ready to answer with logits.

    Raises:
        ModelError: the file is not the one the card names, or `open_program` refuses it.
    """
    data = read_checked(folder, card.weights)
    inner = open_program(data, card.architecture.kind, f"{folder / card.weights.file}")
    return Program(inner, squashed_by(card)).eval()


def squashed_by(card: Card) -> Literal["", "sigmoid", "softmax"]:
    """What made probabilities of the logits inside the program; empty where nothing did."""
    if card.architecture.answers == "logits":
        return ""
    return "softmax" if card.output.softmax else "sigmoid"


def open_program(data: bytes, kind: str, what: str) -> torch.nn.Module:
    """A program of a kind, from the bytes of its file; `what` names it in errors.

    Raises:
        ModelError: it is broken, or would do more than compute.
    """
    if kind == "torchscript":
        return _open_torchscript(data, what)
    return (read_export(data, what) if kind == "export" else OnnxNetwork(data, what)).eval()


def _open_torchscript(data: bytes, what: str) -> torch.nn.Module:
    archive = Archive(data, what)
    sources = [n for n in archive.names if n.startswith("code/") and n.endswith(".py")]
    if not sources or "constants.pkl" not in archive.names:
        raise ModelError(f"{what}: is no TorchScript")
    for source in sources:
        _look_through(archive.text(source), f"{what}: {source}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # hospitals have files of years ago
        try:
            program = torch.jit.load(io.BytesIO(data), map_location="cpu")  # type: ignore[no-untyped-call]
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"{what}: cannot be opened as TorchScript") from error
    opened: torch.nn.Module = program.eval()
    return opened


def _look_through(code: str, what: str) -> None:
    """Every word of the code: none may name an operator that does more than compute."""
    words: list[str] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type in (tokenize.NAME, tokenize.OP):
                words.append(token.string)
    except (tokenize.TokenError, SyntaxError) as error:
        raise ModelError(f"{what} cannot be read") from error
    if forbidden := _FORBIDDEN.intersection(words):
        raise ModelError(f"{what} calls {min(forbidden)}, which does more than compute")
    for first, dot, namespace in zip(words, words[1:], words[2:], strict=False):
        if (first, dot) == ("ops", ".") and namespace not in _NAMESPACES:
            raise ModelError(f"{what} calls operators that torch does not bring: {namespace}")
