"""`dicomnode models import` and `models verify`, as a person types them."""

import json
from pathlib import Path

import pytest
from safetensors.torch import save_file

from tests.cli import call, configure, told
from tests.importing import TINY, bundle, densenet, torchvision_names

RECIPE = """
[input]
size_px = 32
channels = 1
resize = "pad"
mean = [0.5]
std = [0.25]
modalities = ["DX"]

[training]
data = "drawings"
images = 12
licence = "CC0-1.0"
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    save_file(torchvision_names(densenet()), tmp_path / "source.safetensors")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "models").mkdir()
    return tmp_path / "source.safetensors"


def asked(source: Path, *more: str) -> list[object]:
    usual = ["models", "import", source, "--name", "chest", "--version", "1.0"]
    return [*usual, "--recipe", source.parent / "recipe.toml", "--labels", "Nodule,Mass", *more]


def test_a_model_is_imported_shown_and_verified(tmp_path: Path, source: Path) -> None:
    config = configure(tmp_path, node=f'[classify]\nmodels = ["{tmp_path / "models"}"]\n')
    made = call(*asked(source, "--config", str(config)), columns=200)
    assert made.exit_code == 0, made.output
    assert "Not cleared for clinical use" in made.stdout
    assert "thresholds: 0.5 each, which nobody measured" in made.stdout
    card = told(call("models", "show", "chest", "--config", config, "--json"))
    assert [label["name"] for label in card["labels"]] == ["nodule", "mass"]
    assert card["training"]["licence"] == "CC0-1.0"
    shown = call("models", "show", "chest", "--config", config, columns=200).stdout
    for words in ("drawings", "CC0-1.0", "safetensors, state dict", "3 made-up inputs"):
        assert words in shown
    lines = told(call("models", "verify", "chest", "--config", config, "--json"))
    assert all(line["holds"] for line in lines)
    assert lines[0]["runtime"] == "torch"


def test_what_takes_its_time_is_said_before_it_is_done(tmp_path: Path, source: Path) -> None:
    models = tmp_path / "models"
    node = f'[classify]\nmodels = ["{models}"]\nruntime = "onnxruntime"\n'
    usual = ("--config", configure(tmp_path, node=node))
    assert call(*asked(source, "--into", str(models))).exit_code == 0

    first, second = (call("models", "verify", "chest", *usual, columns=200) for _ in range(2))

    said = ["chest: its files, and its test vectors by torch"]
    wait = "is measured, once on this machine; that may take minutes"
    assert first.stderr.splitlines() == said + [f"chest: {n} {wait}" for n in _BOTH]
    assert second.stderr.splitlines() == said  # remembered
    assert all(f"chest  {name}" in second.stdout for name in _BOTH)
    assert not call("models", "verify", "chest", *usual, "--json").stderr


_BOTH = ("torch", "onnxruntime")


def test_without_a_configuration_it_is_said_that_torch_alone_is_tried(
    tmp_path: Path, source: Path
) -> None:
    models = tmp_path / "models"
    assert call(*asked(source, "--into", str(models))).exit_code == 0

    result = call("models", "verify", models / "chest", "--config", tmp_path / "none", columns=300)

    assert result.exit_code == 0, result.output
    assert "only torch is tried, no other runtime" in result.stderr


def test_a_model_that_was_changed_does_not_hold(tmp_path: Path, source: Path) -> None:
    models = tmp_path / "models"
    assert call(*asked(source, "--into", str(models))).exit_code == 0
    weights = models / "chest" / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    (line,) = told(call("models", "verify", models / "chest", "--json"), exit_code=1)
    assert not line["holds"]
    assert "weights.sha256" in line["problem"]


def test_a_network_that_answers_otherwise_does_not_hold(tmp_path: Path, source: Path) -> None:
    """The files are those of the card, and yet it is not the model that was imported."""
    models = tmp_path / "models"
    assert call(*asked(source, "--into", str(models))).exit_code == 0
    path = models / "chest" / "model.toml"
    path.write_text(path.read_text().replace("std = [0.25]", "std = [0.2]"))
    lines = told(call("models", "verify", models / "chest", "--json"), exit_code=1)
    assert lines[0]["difference"] > lines[0]["tolerance"]


def test_labels_from_a_table_and_what_came_of_it_as_json(tmp_path: Path, source: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("name,threshold,code,scheme,meaning\nNodule,0.3,,,\nX,,X1,99SITE,An X\n")
    given = ["--into", str(tmp_path / "models"), "--labels", str(table), "--json"]
    made = told(call(*asked(source), *given))
    assert [label["threshold"] for label in made["card"]["labels"]] == [0.3, 0.5]
    assert made["card"]["labels"][1]["code"] == {
        "value": "X1",
        "scheme": "99SITE",
        "meaning": "An X",
    }
    assert Path(made["folder"]) == tmp_path / "models" / "chest"


def test_a_table_of_labels_with_another_column_is_told_which_there_may_be(
    tmp_path: Path, source: Path
) -> None:
    (tmp_path / "labels.csv").write_text("name,limit\nNodule,0.3\nMass,0.5\n")
    given = ["--into", str(tmp_path / "models"), "--labels", str(tmp_path / "labels.csv")]
    failed = call(*asked(source), *given, columns=300)
    assert failed.exit_code == 1
    assert "needs the column name, and may have threshold, code, scheme, meaning" in failed.stderr


def test_a_named_architecture_with_parameters(tmp_path: Path, source: Path) -> None:
    save_file(densenet().state_dict(), source)
    more = ["--architecture", "densenet", "--params", json.dumps(TINY)]
    assert call(*asked(source, "--into", str(tmp_path / "models"), *more)).exit_code == 0


@pytest.mark.parametrize(
    ("command", "choice"),
    [("import", "<multi-label|"), ("import", "<logits|"), ("ensemble", "<max|mean>")],
)
def test_the_help_names_no_choice_without_a_name(command: str, choice: str) -> None:
    said = call("models", command, "--help").stdout
    assert choice in said
    assert "<|" not in said


def test_a_bundle_needs_no_more_than_a_name(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    source = bundle(tmp_path / "bundle")
    usual = ["models", "import", source, "--name", "lung", "--version", "2"]
    made = call(*usual, "--into", tmp_path / "models", columns=200)
    assert made.exit_code == 0, made.output
    assert "never run" in made.stdout


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ((), "names no folder of models"),
        (("--into", "models", "--params", "["), "--params is no JSON"),
        (("--into", "models", "--labels", "no.csv"), "cannot be read"),
        (("--into", "nowhere"), "is no folder"),
    ],
)
def test_says_what_is_wrong_and_what_to_do(
    tmp_path: Path,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    failed = call(*asked(source, *more), columns=200)
    assert failed.exit_code == 1
    assert words in failed.stderr
