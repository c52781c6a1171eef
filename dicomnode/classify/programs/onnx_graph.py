"""ONNX files, looked through before a runtime opens them: one image in, the standard's operators.

Nothing is run here, and no other file is opened: numbers that lie outside the file are refused.
"""

from collections.abc import Iterator

import onnx
from google.protobuf.message import DecodeError

from dicomnode.errors import ModelError

__all__ = ["check_onnx", "read_onnx"]

_DOMAINS = {"", "ai.onnx", "ai.onnx.ml"}  #: whose operators every runtime has


def read_onnx(data: bytes, what: str) -> onnx.ModelProto:
    """The model in a file's bytes; `what` names it in a ModelError where it is none."""
    try:
        model: onnx.ModelProto = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise ModelError(f"{what}: is no ONNX model, or ends early") from error
    if not model.graph.node:
        raise ModelError(f"{what}: is no ONNX model, or an empty one")
    return model


def check_onnx(data: bytes, what: str) -> onnx.ModelProto:
    """The model, if it may be run.

    Raises:
        ModelError: it has operators of others, numbers in other files, or takes or gives more than
            one tensor.
    """
    model = read_onnx(data, what)
    nodes = [*_nodes(model.graph), *(node for made in model.functions for node in made.node)]
    own = {(made.domain, made.name) for made in model.functions}
    for node in nodes:
        if node.domain not in _DOMAINS and (node.domain, node.op_type) not in own:
            raise ModelError(f"{what}: calls {node.domain}.{node.op_type}, which ONNX has not")
    if outside := next(filter(_is_outside, _tensors(model)), None):
        raise ModelError(f"{what}: its numbers lie in another file: {_place(outside)!r}")
    held = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in held]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise ModelError(f"{what}: takes or gives more than one tensor")
    return model


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor, also those in attributes of nodes and in graphs inside them."""
    yield from _held(model.graph)
    for made in model.functions:
        for node in made.node:
            yield from _attached(node)


def _held(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        yield from _attached(node)


def _attached(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    for attribute in node.attribute:
        yield from (attribute.t, *attribute.tensors)
        for inner in (attribute.g, *attribute.graphs):
            yield from _held(inner)


def _is_outside(tensor: onnx.TensorProto) -> bool:
    return tensor.data_location == onnx.TensorProto.EXTERNAL or bool(tensor.external_data)


def _place(tensor: onnx.TensorProto) -> str:
    return next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
