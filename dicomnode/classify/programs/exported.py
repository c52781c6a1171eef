"""`torch.export` archives (.pt2), read by ourselves.

`torch.export.load` falls back to an unrestricted pickle, evaluates symbolic sizes as Python, and
writes names from the file into code that it runs. Here nothing of the file runs: its graph is a
list of ATen operators with literal arguments, which are called one after the other, and its weights
are raw numbers. What does not fit into that is refused by name.
"""

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from dicomnode.classify.programs.archives import Archive
from dicomnode.errors import ModelError

__all__ = ["Exported", "read_export"]

_ATEN = re.compile(r"torch\.ops\.aten\.([A-Za-z0-9_]+)\.([A-Za-z0-9_]+)")
_FORBIDDEN = {"from_file", "save"}  #: operators that touch the disk
#: Arithmetic on sizes.
_PLAIN = {
    f"_operator.{name}": getattr(operator, name)
    for name in ("add", "eq", "floordiv", "ge", "gt", "le", "lt", "mod", "mul", "ne", "neg", "sub")
}
# The numbers are those of torch/_export/serde/schema.py, which grows and never renumbers.
_DTYPES = {
    1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64,
    6: torch.float16, 7: torch.float32, 8: torch.float64, 12: torch.bool, 13: torch.bfloat16,
}  # fmt: skip
_FORMATS = {
    1: torch.contiguous_format,
    2: torch.channels_last,
    3: torch.channels_last_3d,
    4: torch.preserve_format,
}
_LITERAL = {"as_bool", "as_bools", "as_int", "as_ints", "as_int_lists", "as_string"}

Values = dict[str, Any]


class _Step(NamedTuple):
    """One operator: what it is given, what its results are called, and what is done with then."""

    call: Callable[..., Any]
    given: Sequence[tuple[str, bool, Mapping[str, Any]]]  #: name, by keyword?, argument
    made: Sequence[Any]  #: names, and lists of names; None of what nobody wants
    done: Sequence[str]  #: names that no later step asks for


class Exported(torch.nn.Module):
    """A program of ATen operators: one tensor in, one out.

    `numbers` are its weights by their names in the graph; those in `learned` are parameters. One
    that was exported for one image at a time is given them `alone`.
    """

    def __init__(
        self,
        steps: Sequence[_Step],
        ends: tuple[str, str],
        numbers: Values,
        learned: set[str],
        *,
        alone: bool,
    ) -> None:
        super().__init__()
        self._steps = steps
        self._input, self._output = ends
        self._alone = alone
        self._held = {name: f"number{index}" for index, name in enumerate(numbers)}
        for name, attribute in self._held.items():
            if name in learned and numbers[name].is_floating_point():
                self.register_parameter(attribute, torch.nn.Parameter(numbers[name]))
            else:
                self.register_buffer(attribute, numbers[name])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Whatever the program says of (images, ...)."""
        if self._alone and len(images) != 1:
            return torch.cat([self(image[None]) for image in images])
        values: Values = {name: getattr(self, held) for name, held in self._held.items()}
        values[self._input] = images
        for step in self._steps:
            given = [(n, key, _value(a, values, images.device)) for n, key, a in step.given]
            in_order = [value for _, keyword, value in given if not keyword]
            by_name = {name: value for name, keyword, value in given if keyword}
            _bind(step.made, step.call(*in_order, **by_name), values)
            for name in step.done:
                values.pop(name, None)
        said: torch.Tensor = values[self._output]
        return said


def read_export(data: bytes, what: str) -> Exported:
    """The program in a .pt2 archive; `what` names it in errors.

    Raises:
        ModelError: it is none, is broken, or holds what is not run here.
    """
    archive = Archive(data, what)
    models = [name for name in archive.names if re.fullmatch(r"models/[^/]+\.json", name)]
    if len(models) != 1:
        raise ModelError(f"{what}: is no archive of torch.export with one model")
    if compiled := [name for name in archive.names if "aotinductor" in name]:
        raise ModelError(f"{what}: holds compiled code, which is not run: {compiled[0]}")
    name = models[0].removeprefix("models/").removesuffix(".json")
    document = archive.json(models[0])
    try:
        return _program(document["graph_module"], _Numbers(archive, name, what), what)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{what}: is broken, or of another version: {error!r}") from error


# --- the graph ------------------------------------------------------------------------------


def _program(module: Mapping[str, Any], stored: "_Numbers", what: str) -> Exported:
    graph, signature = module["graph"], module["signature"]
    numbers, learned, inputs = _inputs(signature["input_specs"], stored, what)
    kinds = {kind for spec in signature["output_specs"] for kind in spec}
    if kinds != {"user_output"}:
        raise ModelError(f"{what}: changes itself while it answers; export it after .eval()")
    outputs = [spec["user_output"]["arg"].get("as_tensor") for spec in signature["output_specs"]]
    if len(inputs) != 1 or len(outputs) != 1 or outputs[0] is None:
        raise ModelError(f"{what}: takes or gives more than one tensor")
    output: str = outputs[0]["name"]
    kept = {output, *numbers}
    later: set[str] = set(kept)
    steps: list[_Step] = []
    for node in reversed(graph["nodes"]):
        given = [(i["name"], i.get("kind") == 2, i["arg"]) for i in node["inputs"]]
        used = {name for _, _, argument in given for name in _names(argument)}
        made = [_made(output) for output in node["outputs"]]
        steps.append(_Step(_operator(node["target"], what), given, made, sorted(used - later)))
        later |= used
    for step in steps:
        for _, _, argument in step.given:
            _check(argument, what)
    (batch, *_) = graph["tensor_values"][inputs[0]]["sizes"]
    if batch.get("as_int", 1) != 1:
        raise ModelError(
            f"{what}: takes {batch['as_int']} images at a time; export it for any number"
        )
    ends = (inputs[0], output)
    return Exported(steps[::-1], ends, numbers, learned, alone="as_int" in batch)


def _inputs(
    specs: Sequence[Mapping[str, Any]], stored: "_Numbers", what: str
) -> tuple[Values, set[str], list[str]]:
    """Weights by their names in the graph, which of them are learned, and the real inputs."""
    numbers: Values = {}
    learned: set[str] = set()
    inputs: list[str] = []
    for spec in specs:
        match spec:
            case {"parameter": {"arg": {"name": name}, "parameter_name": key}}:
                numbers[name] = stored.weight(key)
                learned.add(name)
            case {"buffer": {"arg": {"name": name}, "buffer_name": key, "persistent": kept}}:
                numbers[name] = stored.weight(key) if kept else stored.constant(key)
            case {"tensor_constant": {"arg": {"name": name}, "tensor_constant_name": key}}:
                numbers[name] = stored.constant(key)
            case {"user_input": {"arg": {"as_tensor": {"name": name}}}}:
                inputs.append(name)
            case _:
                raise ModelError(f"{what}: takes what is no tensor: {', '.join(spec)}")
    return numbers, learned, inputs


def _operator(target: str, what: str) -> Callable[..., Any]:
    if (plain := _PLAIN.get(target)) is not None:
        return plain  # type: ignore[no-any-return]  # the table is of operators
    named = _ATEN.fullmatch(target)
    if named is None or named[1] in _FORBIDDEN:
        raise ModelError(f"{what}: calls {target}, which is not run; it may call ATen only")
    found = getattr(getattr(torch.ops.aten, named[1], None), named[2], None)
    if not isinstance(found, torch._ops.OpOverload):
        raise ModelError(f"{what}: calls {target}, which this torch has not")
    return found


# --- arguments ------------------------------------------------------------------------------


def _names(argument: Mapping[str, Any]) -> set[str]:
    """Every value of the graph that an argument stands for."""
    names: set[str] = set()
    for kind, value in argument.items():
        if kind.startswith(("as_tensor", "as_optional_tensor", "as_sym")):
            for one in value if isinstance(value, list) else [value]:
                held = one.get("as_tensor") or one
                names |= {held[key] for key in ("name", "as_name") if key in held}
    return names


def _check(argument: Mapping[str, Any], what: str) -> None:
    known = {*_LITERAL, *_KNOWN}
    if len(argument) != 1 or not argument.keys() <= known:
        raise ModelError(f"{what}: has an argument that is not known: {', '.join(argument)}")


def _named(held: Any, values: Values) -> Any:
    """A value of the graph, or a number in its place; None where there is none."""
    match held:
        case {"name": name} | {"as_tensor": {"name": name}} | {"as_name": name}:
            return values[name]
        case {"as_none": _}:
            return None
    (number,) = held.values()
    return number


def _each(held: Any, values: Values) -> list[Any]:
    return [_named(one, values) for one in held]


#: Kinds of argument beside plain literals, and how each becomes a value.
_KNOWN: dict[str, Callable[[Any, Values], Any]] = {
    "as_none": lambda _held, _values: None,
    "as_tensor": _named,
    "as_optional_tensor": _named,
    "as_sym_int": _named,
    "as_sym_float": _named,
    "as_sym_bool": _named,
    "as_tensors": _each,
    "as_optional_tensors": _each,
    "as_sym_ints": _each,
    "as_float": lambda held, _values: float(held),  # infinity is written as a word
    "as_floats": lambda held, _values: [float(one) for one in held],
    "as_scalar_type": lambda held, _values: _DTYPES[held],
    "as_memory_format": lambda held, _values: _FORMATS[held],
    "as_layout": lambda _held, _values: torch.strided,
    "as_device": lambda _held, _values: None,
}


def _value(argument: Mapping[str, Any], values: Values, device: torch.device) -> Any:
    ((kind, held),) = argument.items()
    if kind == "as_device":
        return device  # that of the images: the file may come from another machine
    return held if kind in _LITERAL else _KNOWN[kind](held, values)


def _made(output: Mapping[str, Any]) -> Any:
    """What an output is called: a name, a list of names, or None."""
    ((kind, held),) = output.items()
    if kind.endswith("tensors") or kind == "as_sym_ints":
        return [next(iter(_names({"as_tensor": one})), None) for one in held]
    return next(iter(_names(output)), None)


def _bind(made: Sequence[Any], results: Any, values: Values) -> None:
    if len(made) == 1 and not isinstance(made[0], list):
        results = (results,)
    elif len(made) == 1:
        made, results = made[0], list(results)
    for name, result in zip(made, results, strict=False):
        if isinstance(name, list):
            _bind(name, result, values)
        elif name is not None:
            values[name] = result


# --- weights --------------------------------------------------------------------------------


class _Numbers:
    """The tensors of an archive: raw numbers, and for each where it lies in them."""

    def __init__(self, archive: Archive, model: str, what: str) -> None:
        self._archive = archive
        self._what = what
        self._config = {
            kind: archive.json(f"data/{kind}/{model}_{kind}_config.json")["config"]
            for kind in ("weights", "constants")
        }

    def weight(self, key: str) -> torch.Tensor:
        return self._tensor("weights", key)

    def constant(self, key: str) -> torch.Tensor:
        return self._tensor("constants", key)

    def _tensor(self, kind: str, key: str) -> torch.Tensor:
        entry = self._config[kind][key]
        if entry.get("use_pickle") or entry.get("tensor_meta") is None:
            raise ModelError(f"{self._what}: {key} is a pickle, which is never opened")
        meta = entry["tensor_meta"]
        sizes, strides = (tuple(one["as_int"] for one in meta[k]) for k in ("sizes", "strides"))
        raw = bytearray(self._archive.bytes_of(f"data/{kind}/{entry['path_name']}"))
        dtype = _DTYPES[meta["dtype"]]
        flat = torch.frombuffer(raw, dtype=dtype) if raw else torch.empty(0, dtype=dtype)
        if math.prod(sizes) > flat.numel():
            raise ModelError(f"{self._what}: {key} is larger than what is stored of it")
        return flat.as_strided(sizes, strides, meta["storage_offset"]["as_int"]).clone()
