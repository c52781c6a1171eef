"""What is about to be changed in the files: compared with what is there, and checked as a whole."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from dicomnode.config.edit import Unset, set_values
from dicomnode.config.fields import Name, Section
from dicomnode.config.files import Texts, difference
from dicomnode.config.load import check, digest_of, read
from dicomnode.config.peers import PeerSettings
from dicomnode.config.pipelines import PipelineSettings
from dicomnode.config.settings import NodeSettings
from dicomnode.config.statements import Way
from dicomnode.errors import ConfigChanged, ConfigError, Mistake, NotFound

__all__ = [
    "KINDS",
    "NODE",
    "Changes",
    "Proposal",
    "as_written",
    "demand_unchanged",
    "file_of",
    "mistakes_of",
    "model_of",
    "names_of",
    "propose",
    "renamed",
    "said",
    "seen",
    "writing",
]

Changes = Mapping[str, str | None]  #: texts by the names of files; None: it goes

NODE = "node.toml"
#: Folders with one file for each thing of a kind.
KINDS: Mapping[str, type[Section]] = {"peers": PeerSettings, "pipelines": PipelineSettings}
_NAME: TypeAdapter[str] = TypeAdapter(Name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Changes that nobody has made yet."""

    changes: Changes  #: those that change something
    seen: str  #: digest of the files that would change, as they are
    difference: str  #: as a unified diff
    before: Texts  #: all files
    after: Texts  #: all files, with the changes
    mistakes: tuple[Mistake, ...]  #: that forbid it: of the changed files, and new ones elsewhere
    elsewhere: tuple[Mistake, ...]  #: that were there before, in other files


def file_of(kind: str, name: str) -> str:
    """The name of the file of a peer or pipeline.

    Raises:
        NotFound: there is no such kind.
        ConfigError: nothing can have such a name.
    """
    if kind not in KINDS:
        raise NotFound(f"there are no {kind} in a configuration")
    try:
        return f"{kind}/{_NAME.validate_python(name)}.toml"
    except ValidationError as error:
        problem = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(Mistake(file=Path(kind), key="name", problem=problem)) from error


def model_of(file: str) -> type[Section]:
    """What reads a file; NotFound where it is none of a configuration."""
    if file == NODE:
        return NodeSettings
    kind, _, rest = file.partition("/")
    if rest != f"{rest.removesuffix('.toml')}.toml" or file_of(kind, rest[:-5]) != file:
        raise NotFound(f"{file} is no file of a configuration")
    return KINDS[kind]


def names_of(texts: Texts, kind: str) -> list[str]:
    """The peers, or the pipelines, that have a file."""
    return [Path(file).stem for file in sorted(texts) if file.startswith(f"{kind}/")]


def said(text: str) -> dict[str, object]:
    """What a file says, unchecked; nothing where it is no TOML."""
    try:
        return tomllib.loads(text.removeprefix("\ufeff").replace("\r\n", "\n"))
    except (tomllib.TOMLDecodeError, RecursionError):  # the same mistakes as `check` tells
        return {}


def as_written(text: str, before: str) -> str:
    """What came out of a browser's text field, with the ends of lines that the file has."""
    lines = text.replace("\r\n", "\n")
    return lines.replace("\n", "\r\n") if "\r\n" in before else lines


def mistakes_of(folder: Path, texts: Texts) -> tuple[Mistake, ...]:
    """Every mistake of a set of files."""
    try:
        check(folder, texts)
    except ConfigError as error:
        return error.mistakes
    return ()


def seen(texts: Texts, files: Mapping[str, object]) -> str:
    """The digest by which it is known whether some files are still as they were."""
    return digest_of({file: texts[file] for file in files if file in texts})


def propose(folder: Path, texts: Texts, changes: Changes) -> Proposal:
    """What it would be to make changes to these files.

    A file that was wrong before does not forbid to change another: files are mended one by one.
    """
    for file in changes:
        model_of(file)
    changes = {file: text for file, text in changes.items() if texts.get(file) != text}
    changed = {file: text for file, text in changes.items() if text is not None}
    after = {file: text for file, text in texts.items() if file not in changes} | changed
    before = {(each.file, each.key, each.problem) for each in mistakes_of(folder, texts)}
    mine = {folder / file for file in changes}
    found = mistakes_of(folder, after)
    new = [each for each in found if each.file in mine or _named(each) not in before]
    return Proposal(
        changes=changes,
        seen=seen(texts, changes),
        difference=difference(texts, after),
        before=texts,
        after=after,
        mistakes=tuple(new),
        elsewhere=tuple(each for each in found if each not in new),
    )


def renamed(folder: Path, texts: Texts, kind: str, old: str, new: str) -> Changes:
    """The changes that give a peer or pipeline another name, wherever it is named.

    Raises:
        NotFound: there is none of the old name.
        ConfigError: there is one of the new name, or it can be none.
    """
    before, after = file_of(kind, old), file_of(kind, new)
    if before not in texts:
        raise NotFound(f"there is no {before}")
    if after in texts:
        raise ConfigError(Mistake(file=folder / after, problem="there is one of this name already"))
    changes: dict[str, str | None] = {before: None, after: texts[before]}
    for file, text in texts.items():
        if kind == "peers" and file.startswith("pipelines/"):
            values = _renamed_in(said(text), old, new)
            changes[file] = set_values(folder / file, text, PipelineSettings, values)
    return changes


def writing(folder: Path, changes: Changes, digest: str) -> Proposal:
    """What is about to be written; to be called, as `files.write` is, while they are `locked`.

    Raises:
        ConfigChanged: the files are not those that `digest` is of.
        ConfigError: the mistakes that forbid it.
    """
    texts = read(folder)
    demand_unchanged(folder, texts, changes, digest)
    proposal = propose(folder, texts, changes)
    if proposal.mistakes:
        raise ConfigError(*proposal.mistakes)
    return proposal


def demand_unchanged(folder: Path, texts: Texts, files: Mapping[str, object], digest: str) -> None:
    """Raise ConfigChanged unless some files are still those that `digest` is of."""
    if seen(texts, files) != digest:
        problem = "somebody has changed this meanwhile; look at what is there now"
        raise ConfigChanged(*(Mistake(file=folder / file, problem=problem) for file in files))


def _renamed_in(table: Mapping[str, object], old: str, new: str) -> dict[Way, object | Unset]:
    """The values of a pipeline that name a peer, with its new name."""
    values: dict[Way, object | Unset] = {}
    named, chosen = table.get("destinations"), table.get("results_for")
    if isinstance(named, list) and old in named:
        values[("destinations",)] = [new if name == old else name for name in named]
    if isinstance(chosen, dict) and old in chosen:
        rows = {new if name == old else name: kinds for name, kinds in chosen.items()}
        values[("results_for",)] = rows
    return values


def _named(mistake: Mistake) -> tuple[Path, str, str]:
    return mistake.file, mistake.key, mistake.problem
