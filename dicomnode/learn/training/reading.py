"""A recipe's file to the recipe: every mistake at once, with its line and what would be right."""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from dicomnode.config.fields import did_you_mean
from dicomnode.config.mistakes import Source, explain
from dicomnode.errors import ConfigError, Mistake
from dicomnode.learn.training.recipe import Recipe
from dicomnode.learn.training.ways import WAYS

__all__ = ["EXAMPLES", "find_recipe", "read_recipe", "with_images"]

#: Recipes that come with dicomnode; `example.toml` explains every key.
EXAMPLES = Path(__file__).parents[1] / "recipes"


def find_recipe(named: Path) -> Path:
    """A file, or one of the recipes that come along, by its name alone."""
    shipped = EXAMPLES / f"{named}.toml"
    return (
        shipped if named.name == str(named) and not named.exists() and shipped.is_file() else named
    )


def with_images(recipe: Recipe, manifest: Path | None, images: Path | None) -> Recipe:
    """The recipe for another manifest; its files lie beside that, unless `images` says where."""
    data = recipe.data
    if manifest is not None:
        data = data.model_copy(update={"manifest": manifest.resolve(), "images": None})
    if images is not None:
        data = data.model_copy(update={"images": images.resolve()})
    return recipe.model_copy(update={"data": data})


def read_recipe(path: Path) -> Recipe:
    """Read and check a recipe.

    Raises:
        ConfigError: lists what is wrong in it.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
        source = Source(file=path, text=text, table=tomllib.loads(text))
    except OSError as error:
        along = ", ".join(sorted(recipe.stem for recipe in EXAMPLES.glob("*.toml")))
        problem = f"cannot be read: {error.strerror}; recipes that come along: {along}"
        raise ConfigError(Mistake(file=path, problem=problem)) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(Mistake(file=path, problem=f"is not TOML: {error}")) from error
    mistakes: list[Mistake] = []
    ways = _ways(source, mistakes)
    try:
        recipe = Recipe.model_validate({**source.table, "augment": ways})
    except ValidationError as error:
        mistakes += explain(source, Recipe, error)
    if mistakes:
        raise ConfigError(*sorted(mistakes, key=lambda mistake: mistake.line or 0))
    return recipe


def _ways(source: Source, mistakes: list[Mistake]) -> list[BaseModel]:
    """The tables [[augment]], each checked by its own name."""
    given: Any = source.table.get("augment", [])
    if not isinstance(given, list):
        mistakes.append(source.mistake(("augment",), "must be written [[augment]], one table each"))
        return []
    ways: list[BaseModel] = []
    for index, table in enumerate(given):
        at = ("augment", index)
        name = table.get("name", "") if isinstance(table, dict) else ""
        kind = WAYS.get(name if isinstance(name, str) else "")
        if kind is None:
            hint = did_you_mean(str(name), list(WAYS)) or f"; there are: {', '.join(WAYS)}"
            mistakes.append(source.mistake((*at, "name"), f"is no way to vary images{hint}"))
            continue
        try:
            ways.append(kind.model_validate(table))
        except ValidationError as error:
            mistakes += explain(source, kind, error, at)
    return ways
