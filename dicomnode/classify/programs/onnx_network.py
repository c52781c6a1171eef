"""An ONNX file as a network of torch: onnxruntime computes, and there is no way back to the image.

It is what other runtimes have to agree with, and what occlusion asks.
"""

import numpy as np
import onnxruntime
import torch
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from dicomnode.classify.programs.onnx_graph import check_onnx
from dicomnode.errors import ModelError

__all__ = ["OnnxNetwork"]

_BROKEN = (
    ort.Fail,
    ort.InvalidArgument,
    ort.InvalidGraph,
    ort.InvalidProtobuf,
    ort.NotImplemented,
    ort.RuntimeException,
)


class OnnxNetwork(torch.nn.Module):
    """One tensor in, one out, from the bytes of a file; `what` names it in errors.

    Raises:
        ModelError: it is broken, does more than compute, or takes a fixed number of images.
    """

    def __init__(self, data: bytes, what: str) -> None:
        super().__init__()
        check_onnx(data, what)
        self._what = what
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                data, options, providers=["CPUExecutionProvider"]
            )
        except _BROKEN as error:
            raise ModelError(f"{what}: onnxruntime refuses it: {error}") from error
        (self._input,) = self._session.get_inputs()
        first = self._input.shape[0] if self._input.shape else None
        if first not in (None, 1) and not isinstance(first, str):
            raise ModelError(f"{what}: takes {first} images at a time; export it for any number")
        self._alone = first == 1

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """What the file says of (images, ...), on the device of the images."""
        given = np.ascontiguousarray(images.detach().float().cpu().numpy())
        parts = [given[i : i + 1] for i in range(len(given))] if self._alone else [given]
        try:
            said = [self._session.run(None, {self._input.name: part})[0] for part in parts]
        except _BROKEN as error:
            raise ModelError(f"{self._what}: onnxruntime cannot run it: {error}") from error
        return torch.from_numpy(np.concatenate(said)).to(images.device)
