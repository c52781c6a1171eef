"""The folder of TOML files to `Settings`; every mistake of every file is reported at once.

The files are read first, as texts, and then checked: so a set of files can be checked that is not
written yet, and what was checked is what was read.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from dicomnode.config.fields import Name, Section
from dicomnode.config.mistakes import Source, explain, not_toml
from dicomnode.config.peers import PeerSettings
from dicomnode.config.pipelines import PipelineSettings
from dicomnode.config.settings import NodeSettings
from dicomnode.errors import ConfigError, Mistake
from dicomnode.records import Peer

__all__ = [
    "Settings",
    "check",
    "digest_of",
    "hand_over",
    "handed_over",
    "load",
    "load_right",
    "read",
]

_Model = TypeVar("_Model", bound=Section)
_FILES = ("node.toml", "peers/*.toml", "pipelines/*.toml")
_NAME: TypeAdapter[str] = TypeAdapter(Name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that an administrator decided; checked whole, and never changed afterwards."""

    node: NodeSettings
    peers: Mapping[str, Peer]  #: by name of `peers/NAME.toml`
    pipelines: Mapping[str, PipelineSettings]  #: by name of `pipelines/NAME.toml`
    #: the texts that say so, by names such as `peers/pacs.toml`
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def called(self) -> set[str]:
        """Names of the peers that the node opens associations to; others only send to it."""
        asked = {name for name, peer in self.peers.items() if peer.answers_find}
        return asked.union(*(pipe.destinations for pipe in self.pipelines.values()))

    @property
    def digest(self) -> str:
        """By which these are known, as `digest_of` gives it."""
        return digest_of(self.files)


def load(folder: Path) -> Settings:
    """Read `node.toml`, `peers/*.toml` and `pipelines/*.toml`, or raise one ConfigError."""
    return check(folder, read(folder))


def load_right(folder: Path) -> Settings:
    """What is right: node.toml, and each other file that holds no mistake. For who can do without.

    Raises:
        ConfigError: the mistakes of node.toml, or there is none.
    """
    texts, unreadable = _texts(folder)
    settings, mistakes = _checked(folder, texts)
    if settings is None:
        needed = (folder, folder / "node.toml")
        raise ConfigError(*(each for each in (*unreadable, *mistakes) if each.file in needed))
    return settings


def read(folder: Path) -> dict[str, str]:
    """The texts of a configuration's files by name, such as `peers/pacs.toml`, byte for byte.

    Bytes that are not UTF-8 become lone surrogates, which `check` finds.

    Raises:
        ConfigError: there are files that cannot be read; it names these only.
    """
    texts, mistakes = _texts(folder)
    if mistakes:
        raise ConfigError(*mistakes)
    return texts


def _texts(folder: Path) -> tuple[dict[str, str], list[Mistake]]:
    """The texts as `read` gives them, and which files cannot be read."""
    texts, mistakes = {}, []
    for path in sorted(path for files in _FILES for path in folder.glob(files)):
        if path.name.startswith("."):
            continue  # an editor's own
        try:
            text = path.read_bytes().decode(errors="surrogateescape")
            texts[path.relative_to(folder).as_posix()] = text
        except OSError as error:
            mistakes.append(Mistake(file=path, problem=f"cannot be read: {error.strerror}"))
    return texts, mistakes


def digest_of(files: Mapping[str, str]) -> str:
    """SHA-256 of names and texts: two sets of files have the same one if they are the same."""
    return hashlib.sha256(json.dumps(dict(files), sort_keys=True).encode()).hexdigest()


def check(folder: Path, files: Mapping[str, str]) -> Settings:
    """What texts say, named as `read` names them; `folder` is where mistakes say they are.

    Raises:
        ConfigError: it holds every mistake of every file.
    """
    settings, mistakes = _checked(folder, files)
    if mistakes or settings is None:
        raise ConfigError(*sorted(mistakes, key=lambda m: (m.file, m.line or 0)))
    return settings


def _checked(folder: Path, files: Mapping[str, str]) -> tuple[Settings | None, list[Mistake]]:
    """What is right of the texts, nothing where the node's is not; and every mistake."""
    if "node.toml" not in files:
        problem = "there is no node.toml here; `dicomnode init` writes a commented set of files"
        return None, [Mistake(file=folder, problem=problem)]
    mistakes: list[Mistake] = []
    node = _read(folder / "node.toml", files["node.toml"], NodeSettings, mistakes)
    peers = _read_all(folder, "peers", files, PeerSettings, mistakes)
    known = {
        "peers": list(peers),
        "portless": [name for name, peer in peers.items() if peer and peer.port is None],
        "senders": _senders(folder, peers, mistakes),
    }
    pipelines = _read_all(folder, "pipelines", files, PipelineSettings, mistakes, known)
    if node is None:
        return None, mistakes
    settings = Settings(
        node=node,
        peers=MappingProxyType({name: read.peer(name) for name, read in peers.items() if read}),
        pipelines=MappingProxyType({name: read for name, read in pipelines.items() if read}),
        files=MappingProxyType(dict(files)),
    )
    return settings, mistakes


def hand_over(settings: Settings) -> bytes:
    """Settings for a process of ours, on one line: the files may have changed since."""
    parts = {"node": settings.node, "peers": settings.peers, "pipelines": settings.pipelines}
    return json.dumps(parts, default=_plain).encode() + b"\n"


def handed_over(line: bytes) -> Settings:
    """What `hand_over` said; the texts stay behind."""
    parts = json.loads(line)
    pipelines = parts["pipelines"].items()
    return Settings(
        node=NodeSettings.model_validate(parts["node"]),
        peers={name: Peer(**peer) for name, peer in parts["peers"].items()},
        pipelines={name: PipelineSettings.model_validate(each) for name, each in pipelines},
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
    kind: str,
    files: Mapping[str, str],
    model: type[_Model],
    mistakes: list[Mistake],
    known: Mapping[str, object] | None = None,
) -> dict[str, _Model | None]:
    """Every `KIND/NAME.toml` by its name; None for one that holds mistakes."""
    found = {}
    for name, text in sorted(files.items()):
        path = folder / name
        if path.parent != folder / kind:
            continue
        try:
            _NAME.validate_python(path.stem)
        except ValidationError as error:
            problem = error.errors()[0]["msg"].removeprefix("Value error, ")
            mistakes.append(Mistake(file=path, problem=f"the file's name: {problem}"))
        found[path.stem] = _read(path, text, model, mistakes, known)
    return found


def _read(
    path: Path,
    text: str,
    model: type[_Model],
    mistakes: list[Mistake],
    known: Mapping[str, object] | None = None,
) -> _Model | None:
    """Check one file; what is wrong is added to `mistakes`."""
    try:
        text = text.encode(errors="surrogateescape").decode("utf-8-sig").replace("\r\n", "\n")
        source = Source(file=path, text=text, table=tomllib.loads(text))
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        mistakes.append(Mistake(file=path, line=line, problem="is not UTF-8 text"))
    except tomllib.TOMLDecodeError as error:
        mistakes.append(not_toml(path, text, error))
    except RecursionError:
        mistakes.append(Mistake(file=path, problem="nests lists or tables too deeply"))
    else:
        try:
            return model.model_validate(source.table, context=known)
        except ValidationError as error:
            mistakes.extend(explain(source, model, error))
    return None


def _plain(part: object) -> object:
    match part:
        case Section():
            return part.model_dump(mode="json")
        case Peer():
            return asdict(part)
        case _:
            return dict(cast("Mapping[str, object]", part))
