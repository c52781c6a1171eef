"""onnxruntime on the CPU, from a network of torch that was written as ONNX."""

import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from dicomnode.classify.runtimes.runtime import Said
from dicomnode.errors import ModelError

__all__ = ["OnOnnxruntime", "write_onnx"]

_FILE = "network.onnx"
_OPSET = 18
_BROKEN = (ort.Fail, ort.InvalidArgument, ort.InvalidGraph, ort.NoSuchFile, ort.NotImplemented)


def write_onnx(traced: torch.jit.ScriptModule, example: torch.Tensor, folder: Path) -> None:
    """Write a traced network for any number of images like those of `example`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this exporter is old: the new one takes a minute
        torch.onnx.export(
            traced,
            (example,),
            folder / _FILE,
            dynamo=False,
            opset_version=_OPSET,
            input_names=["images"],
            dynamic_axes={"images": {0: "number"}},
        )


class OnOnnxruntime:
    """A network as onnxruntime runs it.

    Raises:
        ModelError: the file is not there, or onnxruntime will not take it.
    """

    name = "onnxruntime"

    def __init__(self, folder: Path, threads: int) -> None:
        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                folder / _FILE, options, providers=["CPUExecutionProvider"]
            )
        except (*_BROKEN, ort.InvalidProtobuf) as error:
            raise ModelError(f"onnxruntime will not take the network: {error}") from error
        self._input = self._session.get_inputs()[0].name

    def run(self, images: torch.Tensor) -> Said:
        """Answers for float32 (images, ...)."""
        try:
            said = self._session.run(None, {self._input: images.contiguous().numpy()})
        except (*_BROKEN, ort.RuntimeException) as error:
            raise ModelError(f"onnxruntime cannot run the network: {error}") from error
        return Said(said[0].astype(np.float64), said[1] if len(said) > 1 else None)
