"""One file of the configuration as scripts see it: values that are sent become its text."""

from collections.abc import Iterator, Mapping
from pathlib import PurePath

from pydantic import ValidationError

from dicomnode.config.edit import UNSET, Unset, set_values
from dicomnode.config.fields import Section, section_at
from dicomnode.config.files import Texts
from dicomnode.config.load import read
from dicomnode.config.mistakes import Source, explain
from dicomnode.config.proposal import NODE, file_of, model_of, said, seen
from dicomnode.config.statements import Way
from dicomnode.config.template import new_file
from dicomnode.errors import ConfigError, Mistake, NotFound
from dicomnode.web.access import Caller
from dicomnode.web.configuration.changing import save
from dicomnode.web.site import Site

__all__ = ["File"]


class File:
    """A file as it is now; it need not exist."""

    def __init__(self, here: Site, kind: str, name: str, texts: Texts | None = None) -> None:
        self._here = here
        self._file = file_of(kind, name) if kind else NODE
        self._texts = read(here.config) if texts is None else texts
        self._model = model_of(self._file)
        self.exists = self._file in self._texts
        self._text = self._texts.get(self._file) or (new_file(self._model) if kind else "")

    @property
    def tag(self) -> str:
        """By which it is known whether somebody changed it (RFC 9110 8.8.3)."""
        return f'"{seen(self._texts, {self._file: None})}"'

    def demand(self) -> None:
        """Raise NotFound where there is no such file."""
        if not self.exists:
            raise NotFound(f"there is no {self._file}")

    def settings(self, sent: Mapping[str, object] | None = None) -> Section:
        """What the file says, or would say; checked by itself.

        Raises:
            NotFound: there is no such file, and nothing was sent.
            ConfigError: its mistakes.
        """
        if sent is None:
            self.demand()
        text = self._text if sent is None else self.replaced(sent)
        path = self._here.config / self._file
        source = Source(file=path, text=text, table=said(text))
        try:
            return self._model.model_validate(source.table)
        except ValidationError as error:
            raise ConfigError(*explain(source, self._model, error)) from error

    def replaced(self, sent: Mapping[str, object]) -> str:
        """The text that says what is sent, and nothing else."""
        values = dict(_flat(self._model, sent, ()))
        there = dict(_flat(self._model, said(self._text), ()))
        return self._changed(dict.fromkeys(there, UNSET) | values)

    def patched(self, sent: Mapping[str, object]) -> str:
        """The text with what is sent changed (RFC 7396)."""
        return self._changed(dict(_flat(self._model, sent, ())))

    def save(self, caller: Caller, text: str | None, words: str) -> None:
        """Write it, or remove it, unless it was changed since it was read."""
        changes = {self._file: text}
        save(self._here, caller, changes, seen(self._texts, changes), words=words)

    def _changed(self, values: Mapping[Way, object | Unset]) -> str:
        there = dict(_flat(self._model, said(self._text), ()))
        path = self._here.config / self._file
        if self._text and not said(f"it_is = true\n{self._text}"):
            raise ConfigError(Mistake(file=path, problem="is not TOML; mend its text"))
        new = {
            way: value for way, value in values.items() if not _same(self._model, there, way, value)
        }
        return set_values(path, self._text, self._model, new)


def _flat(
    model: type[Section], table: Mapping[str, object], way: Way
) -> Iterator[tuple[Way, object | Unset]]:
    """The values of an object by their ways; null leaves one out, and so is what is not known."""
    for name, value in table.items():
        inner = section_at(model, (name,))
        if inner is not None and isinstance(value, Mapping):
            yield from _flat(inner, value, (*way, name))
        else:
            yield (*way, name), UNSET if value is None else value


def _same(
    model: type[Section], there: Mapping[Way, object | Unset], way: Way, value: object | Unset
) -> bool:
    """Does a file mean so already, by what it says or leaves out? 1 is 1.0, and true is neither."""
    old = there.get(way, UNSET)
    if old is UNSET and value is not UNSET:
        section = section_at(model, way[:-1])
        field = section.model_fields.get(way[-1]) if section else None
        old = UNSET if field is None or field.is_required() else _plain(field.default)
    return old == value and isinstance(old, bool) == isinstance(value, bool)


def _plain(default: object) -> object:
    """A default as JSON has it."""
    if isinstance(default, tuple):
        return [_plain(each) for each in default]
    return str(default) if isinstance(default, PurePath) else default
