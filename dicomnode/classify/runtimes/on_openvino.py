"""OpenVINO on the CPU: from the files that `openvino_files.py` writes."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dicomnode.classify.runtimes.openvino_door import core
from dicomnode.classify.runtimes.openvino_files import HEAD, NETWORK
from dicomnode.classify.runtimes.runtime import Said
from dicomnode.errors import ModelError

__all__ = ["OnOpenVINO", "can_bfloat16"]


def can_bfloat16() -> bool:
    """Can this processor compute in bfloat16? False also where OpenVINO is not installed."""
    try:
        abilities = core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    except (ModelError, RuntimeError):
        return False
    return "BF16" in abilities


class OnOpenVINO:
    """A network as OpenVINO runs it; where there is a head beside it, that in float32.

    `precision` is "f32" or "bf16".

    Raises:
        ModelError: the files are not there, or OpenVINO will not take them.
    """

    def __init__(self, name: str, folder: Path, threads: int, precision: str) -> None:
        self.name = name
        self._network = _request(folder / NETWORK, threads, precision)
        head = folder / HEAD
        self._head = _request(head, 1, "f32") if head.is_file() else None

    def run(self, images: torch.Tensor) -> Said:
        """Answers for float32 (images, ...)."""
        said = _infer(self._network, images.contiguous().numpy())
        logits = said[0] if self._head is None else _infer(self._head, said[0])[0]
        return Said(logits.astype(np.float64), said[1] if len(said) > 1 else None)


def _request(path: Path, threads: int, precision: str) -> Any:
    """A model that is ready to be asked; its type comes from the package, which may be absent."""
    config = {
        "PERFORMANCE_HINT": "LATENCY",  # one call at a time has all the threads
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": precision,
        "ENABLE_CPU_PINNING": False,  # another process may want the same core
    }
    try:
        network = core().read_model(path)
        return core().compile_model(network, "CPU", config).create_infer_request()
    except RuntimeError as error:
        raise ModelError(f"OpenVINO will not take the network: {_first_line(error)}") from error


def _infer(request: Any, given: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    try:
        answer = request.infer([given], share_inputs=True)
    except RuntimeError as error:
        raise ModelError(f"OpenVINO cannot run the network: {_first_line(error)}") from error
    return [answer[index] for index in range(len(answer))]


def _first_line(error: RuntimeError) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
