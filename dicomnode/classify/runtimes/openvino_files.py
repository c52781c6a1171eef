"""A network as files of OpenVINO: as it is, or made ready for bfloat16.

For bfloat16 the weights are rounded so that their errors cancel (`rounding.py`), and the last
multiplication, whose rounding nothing averages away, is cut off as a head of its own that stays in
float32. Both together bring a DenseNet-121 of random weights from 2e-3 of probability off to 3e-4.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dicomnode.classify.runtimes.openvino_door import core, openvino
from dicomnode.classify.runtimes.rounding import rounded
from dicomnode.errors import ModelError

__all__ = ["HEAD", "NETWORK", "from_onnx", "from_torch", "reduced", "write"]

NETWORK = "network.xml"
HEAD = "head.xml"

_PARTS = 2  #: along each edge of an image, that are averaged each for itself

_Model = Any  # openvino.Model; the package may be absent
_Node = Any
_Floats = NDArray[np.float32]


def from_torch(traced: torch.jit.ScriptModule, example: torch.Tensor) -> _Model:
    """A traced network, converted; it takes any number of images like those of `example`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        model = openvino().convert_model(traced, example_input=example)
    return _for_any_number(model, example.shape[1:])


def from_onnx(data: bytes, shape: tuple[int, ...]) -> _Model:
    """The network in an ONNX file, for any number of images of a shape."""
    return _for_any_number(core().read_model(model=data), shape)


def write(model: _Model, folder: Path) -> None:
    """Write a model as it is."""
    openvino().save_model(model, folder / NETWORK, compress_to_fp16=False)


def reduced(model: _Model, images: torch.Tensor, folder: Path, threads: int) -> None:
    """Write a model made ready for bfloat16; `images` tell what its layers see."""
    model = model.clone()
    layers = list(_weighing(model))
    for layer, seen in zip(layers, _seen(model, images, threads), strict=True):
        _round(layer, seen)
    trunk, head = _cut(model)
    openvino().save_model(trunk, folder / NETWORK, compress_to_fp16=False)
    if head is not None:
        openvino().save_model(head, folder / HEAD, compress_to_fp16=False)


def _for_any_number(model: _Model, shape: tuple[int, ...]) -> _Model:
    if len(model.inputs) != 1:
        raise ModelError("a network of more than one input")
    model.reshape([-1, *shape])
    return model


# --- rounding -------------------------------------------------------------------------------


def _weighing(model: _Model) -> Iterator[_Node]:
    """Every layer whose second input is a table of weights in float32, in order."""
    for node in model.get_ordered_ops():
        if node.get_type_name() in ("Convolution", "GroupConvolution", "MatMul"):
            table = _weights(node)
            known = table.get_type_name() == "Constant" and table.data.dtype == np.float32
            if known and (node.get_type_name() != "MatMul" or table.data.ndim == 2):
                yield node


def _weights(layer: _Node) -> _Node:
    return layer.input(1).get_source_output().get_node()


def _seen(model: _Model, images: torch.Tensor, threads: int) -> list[_Floats]:
    """What each of those layers sees on average: (examples, inputs), a few examples an image."""
    ov = openvino()
    probe = model.clone()
    layers = list(_weighing(probe))
    results = [ov.opset13.result(_average(layer)) for layer in layers]
    config = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    asked = core().compile_model(ov.Model(results, probe.get_parameters()), "CPU", config)
    request = asked.create_infer_request()
    examples: list[list[_Floats]] = [[] for _ in layers]
    for image in np.split(images.contiguous().numpy(), len(images)):
        said = request.infer([image])
        for at, layer in enumerate(layers):
            inputs = -1 if layer.get_type_name() == "MatMul" else 1
            seen = np.moveaxis(said[at], inputs, -1).reshape(-1, said[at].shape[inputs])
            examples[at].append(seen.mean(0, keepdims=True) if inputs < 0 else seen)
    return [np.concatenate(of_layer) for of_layer in examples]


def _average(layer: _Node) -> Any:
    """What a convolution sees, (images, inputs, parts of the image); of others, all they see."""
    ops = openvino().opset13
    source = layer.input(0).get_source_output()
    if layer.get_type_name() == "MatMul":
        return source
    parts = np.full(len(source.get_partial_shape()) - 2, _PARTS, dtype=np.int64)
    return ops.adaptive_avg_pool(source, ops.constant(parts)).output(0)


def _round(layer: _Node, seen: _Floats) -> None:
    """Put rounded weights in the place of a layer's own."""
    weights: _Floats = _weights(layer).data
    kind = layer.get_type_name()
    turned = kind == "MatMul" and not layer.get_attributes()["transpose_b"]
    rows = weights.T if turned else weights
    groups = rows if kind == "GroupConvolution" else rows[np.newaxis]
    of_groups = np.split(seen, len(groups), axis=1)
    new = np.stack(
        [_of_group(group, part) for group, part in zip(groups, of_groups, strict=True)]
    ).reshape(rows.shape)
    table = openvino().opset13.constant(np.ascontiguousarray(new.T if turned else new))
    layer.input(1).replace_source_output(table.output(0))


def _of_group(weights: _Floats, seen: _Floats) -> _Floats:
    """Of weights (outputs, inputs, ...)."""
    flat = np.ascontiguousarray(weights.reshape(len(weights), -1))
    return rounded(flat, seen, flat.shape[1] // weights.shape[1])


# --- the head -------------------------------------------------------------------------------


def _cut(model: _Model) -> tuple[_Model, _Model | None]:
    """The model up to its last multiplication, and from there; or as it is, where none ends it."""
    ov = openvino()
    logits, *others = model.get_results()
    last = _last_multiplication(logits)
    if last is None:
        return model, None
    source = last.input(0).get_source_output()
    given = ov.opset13.parameter(source.get_partial_shape(), np.float32)
    last.input(0).replace_source_output(given.output(0))
    trunk = ov.Model([ov.opset13.result(source), *others], model.get_parameters())
    return trunk, ov.Model([logits], [given])


def _last_multiplication(result: _Node) -> _Node | None:
    """The MatMul that a result comes from, by nothing but additions and other shapes."""
    node = result.input(0).get_source_output().get_node()
    while node.get_type_name() in ("Add", "Reshape", "Squeeze"):
        node = node.input(0).get_source_output().get_node()
    weighs = node.get_type_name() == "MatMul" and _weights(node).get_type_name() == "Constant"
    return node if weighs else None
