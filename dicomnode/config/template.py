"""The commented files that `dicomnode init` writes, made from the models that will read them."""

import json
import textwrap
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from dicomnode.config.fields import Section
from dicomnode.config.peers import PeerSettings
from dicomnode.config.pipelines import PipelineSettings
from dicomnode.config.settings import NodeSettings
from dicomnode.errors import ConfigError, Mistake

__all__ = ["commented", "new_file", "write_commented"]

_NODE = """\
This node. Remove the # before a key to set it; what follows the key is its default, or an
example where the default is to leave it out. `dicomnode check` reads all files and lists
every mistake. A running node takes over a change within seconds, and says in its log what counts
from the next start only."""

_PEER = """\
One remote AE, known to pipelines by the name of this file. Copy the file for each further AE."""

_PIPELINE = """\
One pipeline: which images go to which model, and which results to whom. An image may belong
to several pipelines. Copy the file for each further one."""

_ABSENT = object()
_SET_IN_PEER = {"ae_title": "ORTHANC", "host": "127.0.0.1", "port": 4242, "may_send": True}
_SET_IN_PIPELINE = {
    "model": "demonstration",
    "destinations": ("pacs",),
    "match": {"modality": ("DX", "CR")},
}


def write_commented(folder: Path, *, storage_folder: Path | None = None) -> tuple[Path, ...]:
    """Write node.toml, peers/pacs.toml and pipelines/chest.toml; never over an existing file."""
    receive = {"ae_title": "DICOMNODE", "address": "127.0.0.1", "port": 11112}
    storage = {"folder": storage_folder or Path("/var/lib/dicomnode")}
    files = {
        folder / "node.toml": _file(_NODE, NodeSettings, {"receive": receive, "storage": storage}),
        folder / "peers" / "pacs.toml": _file(_PEER, PeerSettings, _SET_IN_PEER),
        folder / "pipelines" / "chest.toml": _file(_PIPELINE, PipelineSettings, _SET_IN_PIPELINE),
    }
    there = [path for path in files if path.exists()]
    if there:
        problem = "exists already; nothing was written"
        raise ConfigError(*(Mistake(file=path, problem=problem) for path in there))
    for path, text in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as out:
                out.write(text)
        except OSError as error:
            problem = f"cannot be written: {error.strerror}"
            raise ConfigError(Mistake(file=path, problem=problem)) from error
    return tuple(files)


def new_file(model: type[Section]) -> str:
    """A commented file with nothing set, for a further peer or pipeline."""
    heading = {PeerSettings: _PEER, PipelineSettings: _PIPELINE}.get(model, _NODE)
    return _file(heading, model, {})


def commented(name: str, field: FieldInfo) -> str:
    """A key that is not set: its default, or an example, behind a #."""
    if field.is_required():
        return f"#{name} ="
    return f"#{name} = {_toml(_example(field))}"


def _file(heading: str, model: type[Section], values: Mapping[str, Any]) -> str:
    intro = "".join(f"# {line}\n" for line in heading.splitlines())
    return intro + "\n" + "\n".join(_table(model, values, ())).strip("\n") + "\n"


def _table(model: type[Section], values: Mapping[str, Any], way: tuple[str, ...]) -> Iterator[str]:
    """The lines of one table: its keys, then the tables within it."""
    if way:
        yield from ("", f"[{'.'.join(way)}]")
        yield from _comment(" ".join((model.__doc__ or "").split()))
    inner = []
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            inner.append((name, field.annotation))
            continue
        yield ""
        yield from _comment(field.description or "")
        value = values.get(name, _ABSENT)
        yield commented(name, field) if value is _ABSENT else f"{name} = {_toml(value)}"
    for name, section in inner:
        yield from _table(section, values.get(name, {}), (*way, name))


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, width=98, initial_indent="# ", subsequent_indent="# ")


def _example(field: FieldInfo) -> Any:
    """The default; an example where that is nothing."""
    return field.default or (field.examples or [field.default])[0]


def _toml(value: Any) -> str:
    """A value as TOML; its basic strings are those of JSON (TOML 1.0, "String")."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, int) and value >= 1_000_000:
        return f"{value:_}"
    return json.dumps(str(value) if isinstance(value, Path | StrEnum) else value)
