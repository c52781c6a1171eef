"""A recipe's mistakes are named with line, key and what would be right."""

import tomllib
from pathlib import Path

import pytest

from dicomnode.errors import ConfigError
from dicomnode.learn.training.reading import EXAMPLES, find_recipe, read_recipe, with_images
from dicomnode.learn.training.recipe import Recipe
from dicomnode.learn.training.ways import WAYS
from tests.lessons import write_recipe


def mistakes(path: Path) -> list[tuple[int | None, str, str]]:
    with pytest.raises(ConfigError) as caught:
        read_recipe(path)
    return [(m.line, m.key, m.problem) for m in caught.value.mistakes]


def with_lines(folder: Path, lines: str) -> Path:
    path = write_recipe(folder)
    path.write_text(path.read_text() + lines)
    return path


@pytest.mark.parametrize(
    ("lines", "key", "problem"),
    [
        ('[[augment]]\nname = "rotat"\n', "augment[0].name", "did you mean rotate?"),
        ('[[augment]]\nname = "zzz"\n', "augment[0].name", "there are: flip"),
        ("[[augment]]\nprob = 1.0\n", "augment[0].name", "is no way to vary images"),
        (
            '[[augment]]\nname = "flip"\n[[augment]]\nname = "rotate"\ndegree = 3.0\n',
            "augment[1].degree",
            "is not known; did you mean degrees?",
        ),
        ('[[augment]]\nname = "flip"\nprob = 2.0\n', "augment[0].prob", "less than or equal to 1"),
        ('[[augment]]\nname = "zoom"\nrange = [1.2, 0.8]\n', "augment[0]", "must not be above"),
        ('[augment]\nname = "flip"\n', "augment", "must be written [[augment]]"),
        ('[loss]\nkin = "focal"\n', "loss.kin", "is not known; did you mean kind?"),
        ("[teacher]\nweight = 0.5\n", "teacher", "needs either prefix or model"),
        ('[[labels]]\nnme = "x"\n', "labels[0].nme", "is not known; did you mean name?"),
        ("[start]\ndecay = 0.0\n", "start.decay", "greater than 0"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, lines: str, key: str, problem: str) -> None:
    path = with_lines(tmp_path, lines)

    found = mistakes(path)

    at, where, words = next(each for each in found if each[1] == key)
    assert problem in words
    assert at is not None
    assert at > path.read_text().count("\n") - lines.count("\n")
    assert where == key


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    path = with_lines(tmp_path, '[[augment]]\nname = "x"\n[loss]\nkind = "y"\n[track]\n')

    assert {key for _, key, _ in mistakes(path)} >= {"augment[0].name", "loss.kind", "track"}


def test_a_key_in_the_input_has_a_near_one_too(tmp_path: Path) -> None:
    path = write_recipe(tmp_path, input={"sise_px": 3})

    assert [problem for _, key, problem in mistakes(path) if key == "input.sise_px"] == [
        "is not known; did you mean size_px?"
    ]


@pytest.mark.parametrize("name", ["../up", "a/b", "model@1", ".hidden", " "])
def test_a_model_has_a_name_that_a_folder_can_have(tmp_path: Path, name: str) -> None:
    assert mistakes(write_recipe(tmp_path, name=name))


@pytest.mark.parametrize("text", ["name = ", "name = 'x'\nname = 'y'", "[["])
def test_what_is_no_toml_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)

    assert "is not TOML" in mistakes(path)[0][2]


def test_a_recipe_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "cannot be read" in mistakes(tmp_path / "none.toml")[0][2]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_recipes_that_come_with_dicomnode_can_be_read(path: Path) -> None:
    assert read_recipe(path).name


def test_a_recipe_that_comes_along_is_found_by_its_name(tmp_path: Path) -> None:
    own = tmp_path / "example"

    assert find_recipe(Path("example")) == EXAMPLES / "example.toml"
    assert find_recipe(Path("nobody")) == Path("nobody")
    assert find_recipe(own) == own


def test_another_manifest_brings_its_own_images(tmp_path: Path) -> None:
    recipe = read_recipe(write_recipe(tmp_path, data={"images": "here"}))

    assert with_images(recipe, None, None) == recipe
    assert with_images(recipe, tmp_path / "m.csv", None).data.images is None
    both = with_images(recipe, tmp_path / "m.csv", tmp_path / "there").data
    assert (both.manifest, both.images) == (tmp_path / "m.csv", tmp_path / "there")


def test_the_example_names_every_key_and_every_way() -> None:
    text = (EXAMPLES / "example.toml").read_text()

    for field, info in Recipe.model_fields.items():
        assert field in text
        inner = getattr(info.annotation, "model_fields", {})
        optional = {"age", "sex", "view", "scanner"} if field == "data" else set()
        if field in ("data", "start", "loss", "optimise"):
            assert {key for key in inner if f"{key} =" not in text} <= optional
    assert [name for name in WAYS if name not in text] == []


def test_the_defaults_that_the_example_shows_are_the_defaults() -> None:
    shown = tomllib.loads((EXAMPLES / "example.toml").read_text())
    required = {"manifest"}

    for table in ("data", "start", "loss", "optimise"):
        fields = Recipe.model_fields[table].annotation.model_fields  # type: ignore[union-attr]
        for key, value in shown[table].items():
            if key not in required:
                default = fields[key].default
                assert value == (list(default) if isinstance(default, tuple) else default), key
