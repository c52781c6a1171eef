"""`dicomnode evaluate`, as it is called: tables, models, and what is refused."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli import call, configure, told
from tests.tiny_model import make_ensemble, make_label, make_model
from tests.tools import NIH, require

TABLE = NIH / "chexnet_test_predictions.csv.gz"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Eighty images of forty patients, two findings, a second model and a reader."""
    rng = np.random.default_rng(1)
    path = tmp_path / "said.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        names = [
            f"{kind}_{f}" for kind in ("true", "prob", "old", "anna") for f in ("mass", "edema")
        ]
        writer.writerow(["image", "patient", "sex", "age", "site", *names])
        for row in range(80):
            truth = (rng.random(2) < 0.4).astype(int)
            said = ((rng.random(2) + truth / 2) / 1.5).round(3)
            who = [f"{row}.png", row // 2, "FM"[row % 2], 20 + row, "AB"[row % 2]]
            writer.writerow([*who, *truth, *said, *rng.random(2).round(3), *truth])
    return path


def first(found: dict[str, Any]) -> dict[str, Any]:
    line: dict[str, Any] = found["lines"][0]
    return line


def test_tells_every_measure_with_its_interval(table: Path) -> None:
    found = told(call("evaluate", table, "--resamples", 50, "--json"))
    mass = first(found)

    assert (found["images"], found["patients"], found["clustered"]) == (80, 40, True)
    for name in ("auroc", "auroc_bootstrap", "average_precision", "ece", "brier"):
        assert mass[name]["low"] < mass[name]["value"] < mass[name]["high"]
    assert mass["auroc"]["method"] == "DeLong"
    assert mass["auroc_bootstrap"]["value"] == pytest.approx(mass["auroc"]["value"], abs=1e-12)
    assert [point["point"] for point in mass["points"]] == [
        "Youden", "sensitivity ≥ 0.95", "specificity ≥ 0.95",
    ]  # fmt: skip
    assert set(mass["points"][0]["figures"]) == {"sensitivity", "specificity", "ppv", "npv", "f1"}
    assert {line["variable"] for line in found["lines"]} == {"", "sex", "age"}


@pytest.mark.parametrize("columns", [80, 160])
def test_prints_tables_for_a_person(table: Path, columns: int) -> None:
    result = call("evaluate", table, "--resamples", 20, columns=columns)

    assert result.exit_code == 0
    assert "80 images of 40 patients" in result.stdout
    for title in ("told apart", "called present: Youden", "AUROC by sex"):
        assert title in result.stdout
    assert max(len(line.rstrip()) for line in result.stdout.splitlines()) <= columns


def test_an_interval_that_is_there_is_not_said_to_be_missing(table: Path) -> None:
    printed = call("evaluate", table, "--resamples", 0, columns=200).stdout

    (reason,) = [line for line in printed.splitlines() if line.startswith("- mass: ")]
    assert reason.startswith("- mass: no interval: no resamples were drawn (average precision;")
    assert "AUROC" not in reason  # its interval is DeLong's, and is there
    assert "0 resamples" not in printed


def test_compares_with_another_model_and_a_reader(table: Path, tmp_path: Path) -> None:
    options = ("--against", "old_{}", "--reader", "anna_{}", "--resamples", 50)
    page = tmp_path / "report.html"
    found = told(call("evaluate", table, *options, "--html", page, "--json"))
    printed = call("evaluate", table, *options, columns=160).stdout

    assert [(one["other"], one["finding"]) for one in found["comparisons"]] == [
        ("old", "mass"), ("old", "edema"), ("anna", "mass"), ("anna", "edema"), ("old", ""),
    ]  # fmt: skip
    assert found["comparisons"][0]["differences"][0]["test"] == "DeLong by patient"
    assert "sensitivity at the reader's specificity, beside anna" in printed
    assert page.read_text("utf-8").startswith("<!doctype html>")


def test_compares_with_another_table(table: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text(table.read_text().replace("prob_", "was_").replace("old_", "prob_"))

    found = told(call("evaluate", table, "--against", other, "--resamples", 20, "--json"))

    assert {one["other"] for one in found["comparisons"]} == {"other"}


def test_groups_by_a_column_that_is_named(table: Path) -> None:
    found = told(call("evaluate", table, "--by", "site", "--resamples", 20, "--json"))

    groups = {(line["variable"], line["group"]) for line in found["lines"]}
    assert groups == {("", ""), ("site", "A"), ("site", "B")}


def test_points_are_chosen_by_name_and_by_number(table: Path) -> None:
    found = told(call("evaluate", table, "--at", "0.5,sensitivity=0.9", "--resamples", 5, "--json"))

    points = first(found)["points"]
    assert points[0]["threshold"] == 0.5
    assert points[1]["figures"]["sensitivity"]["value"] >= 0.9


def test_what_is_written_is_evaluated_alike(table: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.csv.gz"
    options = ("--resamples", 20, "--by", "sex", "--json")
    found = told(call("evaluate", table, *options, "--write-predictions", again))
    second = told(call("evaluate", again, *options))

    assert second["lines"] == found["lines"]


def test_predictions_are_kept_though_they_cannot_be_measured(table: Path, tmp_path: Path) -> None:
    said = tmp_path / "kept.csv"
    result = call("evaluate", table, "--findings", "hernia", "--write-predictions", said)

    assert result.exit_code == 1
    assert len(said.read_text().splitlines()) == 81


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--at", "best"), 1, "there is no operating point 'best'"),
        (("--at", "card"), 1, "no card has any of these findings"),
        (("--card", "nothing"), 1, "there is no model nothing"),
        (("--age-bands", "60,40"), 1, "begin at rising ages"),
        (("--findings", "hernia"), 1, "there is no finding hernia"),
        (("--by", "scanner"), 1, "cannot be grouped by scanner"),
        (("--probability", "net_{}"), 1, "no finding has columns for net_{}"),
        (("--patient", "who"), 3, "is no column"),
        (("--html", "none/report.html"), 1, "cannot be written"),
        (("--write-predictions", "none/said.csv"), 1, "cannot be written"),
        (("--against", "none.csv"), 3, "cannot be read"),
        (("--resamples", "-1"), 2, "greater than or equal to 0"),
    ],
)
def test_what_cannot_be_done_is_said(
    table: Path, options: tuple[str, ...], code: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(table.parent)
    result = call("evaluate", table, "--resamples", 5, *options, columns=200)

    assert result.exit_code == code
    assert words in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--at", "best"), "there is no operating point 'best'"),
        (("--age-bands", "60,40"), "begin at rising ages"),
        (("--html", "none/report.html"), "none is no folder"),
        (("--write-predictions", "none/said.csv"), "none is no folder"),
    ],
)
def test_mistakes_are_said_before_models_are_asked(
    options: tuple[str, ...], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the first thing that is asked of a model would fail."""
    monkeypatch.chdir(tmp_path)
    result = call("evaluate", "huge", "--on", "none.csv", *options, columns=200)

    assert result.exit_code == 1
    assert words in result.stderr


def test_a_table_that_is_not_there_is_said(tmp_path: Path) -> None:
    result = call("evaluate", tmp_path / "none.csv", columns=300)

    assert result.exit_code == 1
    assert "there is no such table; a model is asked about images with --on" in result.stderr


def test_a_wrong_cell_is_told_with_its_line(table: Path) -> None:
    table.write_text(table.read_text() + "81.png,99,F,30,A,2,0,0.5,0.5,0.5,0.5,0,0\n")
    result = call("evaluate", table, columns=300)

    assert result.exit_code == 3
    assert "said.csv:82  true_mass" in result.stderr


# --- a model and a manifest -----------------------------------------------------------------


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A node with a tiny model, its brother, both together, and a manifest of twelve pictures."""
    models = tmp_path / "models"
    labels = {name: (make_label("bright", at),) for name, at in (("tiny", 0.5), ("brother", 0.4))}
    cards = [make_model(models / name, name=name, labels=of_it) for name, of_it in labels.items()]
    make_ensemble(models / "both", *cards)
    rng = np.random.default_rng(1)
    lines = ["file,patient,sex,bright,t_bright,Anna_Bright"]
    for number in range(12):
        level = int(rng.integers(40, 200))
        picture = rng.integers(level - 40, level + 40, (40, 40)).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
        lines.append(
            f"{number}.png,{number},{'FM'[number % 2]},{int(level > 110)},0.5,{number % 2}"
        )
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    return configure(tmp_path, node=f'[classify]\nmodels = ["{models}"]\nruntime = "torch"\n')


def test_asks_a_model_about_a_manifest(config: Path, tmp_path: Path) -> None:
    said, page = tmp_path / "said.csv", tmp_path / "report.html"
    options = ("--on", tmp_path / "manifest.csv", "--resamples", 20, "--json", "--config", config)
    outputs = ("--write-predictions", said, "--html", page)
    found = told(call("evaluate", "tiny", *options, *outputs))

    assert (found["name"], found["images"]) == ("tiny@0.1", 12)
    assert first(found)["points"][0]["point"] == "card"
    assert first(found)["points"][0]["threshold"] == 0.5
    assert "SHA-256 of the model" in page.read_text("utf-8")
    again = told(call("evaluate", said, "--resamples", 20, "--json"))
    assert first(again)["auroc"] == first(found)["auroc"]


def test_asks_two_models_and_compares_them(config: Path, tmp_path: Path) -> None:
    options = ("--on", tmp_path / "manifest.csv", "--resamples", 20, "--json", "--config", config)
    found = told(call("evaluate", "tiny", "--against", "brother", *options))

    (comparison,) = found["comparisons"]
    assert comparison["other"] == "brother@0.1"
    assert {one["point"] for one in comparison["differences"]} >= {"card", "Youden"}


def test_a_wait_for_a_runtime_is_said_before_it_begins(config: Path, tmp_path: Path) -> None:
    node = config / "node.toml"
    usual = ("evaluate", "tiny", "--on", tmp_path / "manifest.csv", "--resamples", 5)
    at_once = call(*usual, "--config", config)
    node.write_text(node.read_text().replace('"torch"', '"onnxruntime"'))
    measured = call(*usual, "--config", config, columns=200)

    assert "is loaded" not in at_once.stderr
    assert "tiny: is loaded; where its runtime is not chosen yet" in measured.stderr
    assert measured.exit_code == 0, measured.output


def test_asks_an_ensemble_as_any_model(config: Path, tmp_path: Path) -> None:
    options = ("--on", tmp_path / "manifest.csv", "--resamples", 20, "--json", "--config", config)
    found = told(call("evaluate", "both", *options))

    assert (found["name"], found["images"]) == ("both@1", 12)


def test_compares_a_model_with_columns_of_the_manifest(config: Path, tmp_path: Path) -> None:
    options = ("--on", tmp_path / "manifest.csv", "--resamples", 20, "--json", "--config", config)
    others = ("--against", "t_{}", "--reader", "Anna_{}")
    found = told(call("evaluate", "tiny", *others, *options))

    teacher, reader = found["comparisons"]
    assert (teacher["other"], teacher["differences"][0]["theirs"]) == ("t", 0.5)
    assert (reader["other"], reader["binary"]) == ("Anna", True)


@pytest.mark.parametrize("option", ["--truth", "--probability", "--card"])
def test_what_belongs_to_a_table_is_refused_with_a_manifest(
    option: str, config: Path, tmp_path: Path
) -> None:
    on = ("--on", tmp_path / "manifest.csv", "--config", config)
    result = call("evaluate", "tiny", option, "tiny", *on, columns=200)

    assert result.exit_code == 1
    assert f"{option} belongs to a table of predictions" in result.stderr


def test_a_model_that_is_not_here_is_said(config: Path, tmp_path: Path) -> None:
    on = tmp_path / "manifest.csv"
    result = call("evaluate", "huge", "--on", on, "--config", config, columns=200)

    assert result.exit_code == 1
    assert "there is no model huge; here are: both, brother, demonstration, tiny" in result.stderr


@pytest.mark.parametrize("column", ["patient", "hospital"])
def test_images_of_a_manifest_are_independent_where_that_is_asked(
    column: str, config: Path, tmp_path: Path
) -> None:
    """Whether there is a column of patients or none; here all images are of one."""
    manifest = tmp_path / "manifest.csv"
    head, *lines = manifest.read_text().splitlines()
    of_one = [line.replace(f",{number},", ",7,", 1) for number, line in enumerate(lines)]
    manifest.write_text("\n".join([head.replace("patient", column), *of_one]))
    options = ("--patient", "none", "--resamples", 5, "--json", "--config", config)
    found = told(call("evaluate", "tiny", "--on", manifest, *options))

    assert (found["images"], found["patients"], found["clustered"]) == (12, 12, False)
    assert "images are taken as independent, as was asked" in found["notes"]


def test_images_that_lie_elsewhere_are_asked_for_once(config: Path, tmp_path: Path) -> None:
    moved = tmp_path / "tables" / "manifest.csv"
    moved.parent.mkdir()
    (tmp_path / "manifest.csv").rename(moved)
    usual = ("evaluate", "tiny", "--on", moved, "--config", config, "--resamples", 5)

    lost = call(*usual, columns=300)
    found = call(*usual, "--images", tmp_path)

    assert lost.exit_code == 3
    assert lost.stderr.count("files is in") == 1
    assert "--images" in lost.stderr
    assert found.exit_code == 0, found.output


@pytest.mark.parametrize("options", [("huge",), ("tiny", "--against", "huge")])
def test_models_are_looked_for_before_images(
    options: tuple[str, ...], config: Path, tmp_path: Path
) -> None:
    (tmp_path / "0.png").unlink()
    on = ("--on", tmp_path / "manifest.csv", "--config", config)
    result = call("evaluate", *options, *on, columns=200)

    assert result.exit_code == 1
    assert "there is no model huge" in result.stderr
    assert "file" not in result.stderr


# --- what was published ---------------------------------------------------------------------


def published() -> dict[str, float]:
    with (NIH / "chexnet_test_auroc.csv").open() as file:
        return {row["label"]: float(row["auc"]) for row in csv.DictReader(file)}


def test_the_published_areas_of_chexnet_come_out() -> None:
    require("nih")
    found = told(call("evaluate", TABLE, "--resamples", 20, "--json"))
    areas = {line["finding"]: line["auroc"]["value"] for line in found["lines"]}

    assert areas == pytest.approx(published(), abs=1e-6)
    assert (found["images"], found["patients"], found["clustered"]) == (22433, 6187, True)


def test_findings_of_the_radiographs_are_told_as_their_table_has_them() -> None:
    require("nih")
    options = ("--probability", "chexnet_{}", "--resamples", 20, "--json")
    found = told(call("evaluate", NIH / "labels.csv", *options))

    assert {line["variable"] for line in found["lines"]} == {"", "sex", "age", "view"}
    whole = {line["finding"]: line["auroc"]["value"] for line in found["lines"][:14]}
    assert whole["Cardiomegaly"] == pytest.approx(0.92, abs=0.01)
    assert whole["Effusion"] == pytest.approx(0.86, abs=0.01)
