"""`dicomnode models ensemble`, as a person types it."""

from pathlib import Path

from tests.cli import call, configure, told
from tests.tiny_model import make_label, make_model


def test_models_are_joined_shown_and_verified(tmp_path: Path) -> None:
    models = tmp_path / "models"
    for name, threshold in (("one", 0.4), ("other", 0.6)):
        make_model(models / name, name=name, labels=(make_label(threshold=threshold),))
    config = configure(tmp_path, node=f'[classify]\nmodels = ["{models}"]\n')
    members = ("--member", "one", "--member", models / "other")
    asked = ["models", "ensemble", "both", "--version", "1.0", *members, "--config", config]
    made = told(call(*asked, "--json"))
    assert made["folder"] == str(models / "both")
    assert made["card"]["labels"][0]["threshold"] == 0.5
    shown = call("models", "show", "both", "--config", config, columns=200).stdout
    assert "one@0.1, other@0.1" in shown
    assert call("models", "verify", "both", "--config", config).exit_code == 0
    again = call(*asked, columns=200)
    assert again.exit_code == 1
    assert "is there already" in again.stderr


def test_thresholds_come_from_a_file(tmp_path: Path) -> None:
    for name in ("one", "other"):
        make_model(tmp_path / "models" / name, name=name)
    (tmp_path / "labels.csv").write_text("name,threshold\nbright,0.7\n")
    members = [x for name in ("one", "other") for x in ("--member", tmp_path / "models" / name)]
    more = ["--into", tmp_path / "models", "--labels", tmp_path / "labels.csv", "--folder", "b"]
    made = told(call("models", "ensemble", "both", "--version", "1", *members, *more, "--json"))
    assert made["card"]["labels"][0]["threshold"] == 0.7
    assert made["folder"].endswith("/b")
