"""The folder of TOML files to `Settings`; every mistake of every file is reported at once."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from dicomnode.config.fields import Name, Section
from dicomnode.config.mistakes import Source, explain
from dicomnode.config.peers import PeerSettings
from dicomnode.config.pipelines import PipelineSettings
from dicomnode.config.settings import NodeSettings
from dicomnode.errors import ConfigError, Mistake
from dicomnode.records import Peer

__all__ = ["Settings", "load"]

_Model = TypeVar("_Model", bound=Section)
_NAME: TypeAdapter[str] = TypeAdapter(Name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that an administrator decided; checked whole, and never changed afterwards."""

    node: NodeSettings
    peers: Mapping[str, Peer]  #: by name of `peers/NAME.toml`
    pipelines: Mapping[str, PipelineSettings]  #: by name of `pipelines/NAME.toml`


def load(folder: Path) -> Settings:
    """Read `node.toml`, `peers/*.toml` and `pipelines/*.toml`, or raise one ConfigError."""
    if not (folder / "node.toml").is_file():
        problem = "there is no node.toml here; `dicomnode init` writes a commented set of files"
        raise ConfigError(Mistake(file=folder, problem=problem))
    mistakes: list[Mistake] = []
    node = _read(folder / "node.toml", NodeSettings, mistakes)
    peers = _read_all(folder / "peers", PeerSettings, mistakes)
    known = {"peers": list(peers), "senders": _senders(folder, peers, mistakes)}
    pipelines = _read_all(folder / "pipelines", PipelineSettings, mistakes, known)
    if mistakes or node is None:
        raise ConfigError(*sorted(mistakes, key=lambda m: (m.file, m.line or 0)))
    return Settings(
        node=node,
        peers=MappingProxyType({name: read.peer(name) for name, read in peers.items() if read}),
        pipelines=MappingProxyType({name: read for name, read in pipelines.items() if read}),
    )


def _senders(
    folder: Path, peers: Mapping[str, PeerSettings | None], mistakes: list[Mistake]
) -> list[str] | None:
    """AE titles that may send, or None while a peer holds mistakes.

    One title names one sender: by nothing else can the node tell them apart.
    """
    names: dict[str, str] = {}
    for name, peer in peers.items():
        if peer is None or not peer.may_send:
            continue
        first = names.setdefault(peer.ae_title, name)
        if first != name:
            problem = f"peers/{first}.toml may send under the same AE title, {peer.ae_title}"
            mistakes.append(Mistake(file=folder / "peers" / f"{name}.toml", problem=problem))
    return None if None in peers.values() else list(names)


def _read_all(
    folder: Path,
    model: type[_Model],
    mistakes: list[Mistake],
    known: Mapping[str, object] | None = None,
) -> dict[str, _Model | None]:
    """Every `NAME.toml` of a folder by its name; None for one that holds mistakes."""
    found = {}
    for path in sorted(folder.glob("*.toml")):
        try:
            _NAME.validate_python(path.stem)
        except ValidationError as error:
            problem = error.errors()[0]["msg"].removeprefix("Value error, ")
            mistakes.append(Mistake(file=path, problem=f"the file's name: {problem}"))
        found[path.stem] = _read(path, model, mistakes, known)
    return found


def _read(
    path: Path,
    model: type[_Model],
    mistakes: list[Mistake],
    known: Mapping[str, object] | None = None,
) -> _Model | None:
    """Read and check one file; what is wrong is added to `mistakes`."""
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
        source = Source(file=path, text=text, table=tomllib.loads(text))
    except OSError as error:
        mistakes.append(Mistake(file=path, problem=f"cannot be read: {error.strerror}"))
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        mistakes.append(Mistake(file=path, line=line, problem="is not UTF-8 text"))
    except tomllib.TOMLDecodeError as error:
        mistakes.append(_not_toml(path, error))
    else:
        try:
            return model.model_validate(source.table, context=known)
        except ValidationError as error:
            mistakes.extend(explain(source, model, error))
    return None


def _not_toml(path: Path, error: tomllib.TOMLDecodeError) -> Mistake:
    place = re.search(r" \(at line (\d+), column \d+\)$", str(error))
    what = str(error)[: place.start()] if place else str(error)
    return Mistake(
        file=path,
        line=int(place[1]) if place else None,
        problem=f"is not TOML: {what}; texts stand in double quotes, lists in square brackets",
    )
