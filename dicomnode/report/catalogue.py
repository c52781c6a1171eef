"""The words of results in the languages there are: one file a language, all with the same keys."""

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

__all__ = ["LANGUAGES", "Words", "words"]

_FOLDER = Path(__file__).with_name("words")
#: RFC 5646 tags of the languages there are.
LANGUAGES = tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


class Words:
    """The sentences of one language, by key: `words.say("report.title")`."""

    def __init__(self, language: str, sentences: Mapping[str, str]) -> None:
        self.language = language
        self._sentences = sentences

    def say(self, key: str, **values: object) -> str:
        """The sentence under a key, with values for what stands in braces in it.

        Raises:
            KeyError: there is no such key, or a value is missing: a mistake in the program.
        """
        return self._sentences[key].format(**values)

    def name(self, key: str, otherwise: str) -> str:
        """What the catalogue calls something, where it does; else what it was called already."""
        return self._sentences.get(key, otherwise)

    def listed(self, names: Iterable[str]) -> str:
        """Names one after the other."""
        return self._sentences["marks.list"].join(names)

    def joined(self, sentences: Iterable[str]) -> str:
        """Sentences one after the other; empty ones are left out."""
        return self._sentences["marks.between_sentences"].join(filter(None, sentences))

    def keys(self) -> frozenset[str]:
        """Every key there is."""
        return frozenset(self._sentences)


@cache
def words(language: str) -> Words:
    """The catalogue of a language; KeyError where there is none."""
    if language not in LANGUAGES:
        raise KeyError(language)
    table = tomllib.loads((_FOLDER / f"{language}.toml").read_text("utf-8"))
    return Words(language, dict(_flat(table)))


def _flat(table: Mapping[str, object], way: str = "") -> list[tuple[str, str]]:
    """Keys with dots, each with its sentence."""
    found: list[tuple[str, str]] = []
    for name, value in table.items():
        key = f"{way}{name}"
        found += _flat(value, f"{key}.") if isinstance(value, dict) else [(key, str(value))]
    return found
