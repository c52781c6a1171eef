"""Tables of predictions: what columns are taken for, and what is told of each mistake."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from dicomnode.errors import ConfigError, NotFound
from dicomnode.learn.prediction_columns import Patterns
from dicomnode.learn.predictions import (
    Predictions,
    read_predictions,
    read_scores,
    write_predictions,
)

PLAIN = """image,patient,sex,age,true_mass,true_edema,prob_mass,prob_edema
a.png,1,F,61,1,0,0.9,0.2
b.png,1,F,61,0,,0.1,0.3
c.png,2,M,33,0,1,0.4,0.8
"""


def table(folder: Path, text: str, name: str = "said.csv") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def read(folder: Path, text: str, **patterns: object) -> Predictions:
    return read_predictions(table(folder, text), Patterns(**patterns))  # type: ignore[arg-type]


def test_usual_columns_are_known(tmp_path: Path) -> None:
    found = read(tmp_path, PLAIN)

    assert found.findings == ("mass", "edema")
    assert found.truth.tolist() == [[1, 0], [0, -1], [0, 1]]
    assert found.scores.tolist() == [[0.9, 0.2], [0.1, 0.3], [0.4, 0.8]]
    assert found.images == ("a.png", "b.png", "c.png")
    assert found.patients == ("1", "1", "2")
    assert found.facts == {"sex": ("F", "F", "M")}
    assert found.ages is not None
    assert found.ages.tolist() == [61, 61, 33]
    assert found.notes == ()


@pytest.mark.parametrize(
    ("header", "patterns"),
    [
        ("truth_mass,probability_mass", {}),
        ("mass,p_mass", {}),
        ("Mass_true,Mass_score", {}),
        ("mass,chexnet_mass", {"probability": "chexnet_{}"}),
        ("is there mass,mass by A", {"truth": "is there {}", "probability": "{} by A"}),
        ("truth,probability", {}),
        ("y_true,y_score", {}),
        ("ground,network", {"truth": "ground", "probability": "network"}),
    ],
)
def test_columns_of_other_names(tmp_path: Path, header: str, patterns: dict[str, str]) -> None:
    found = read(tmp_path, f"{header}\n1,0.7\n0,0.2\n", **patterns)

    assert len(found.findings) == 1
    assert (found.truth.tolist(), found.scores.tolist()) == ([[1], [0]], [[0.7], [0.2]])


def test_semicolons_a_mark_of_byte_order_and_gzip_are_read(tmp_path: Path) -> None:
    path = tmp_path / "said.csv.gz"
    path.write_bytes(gzip.compress("\ufefftruth;prob\r\n1;0.7\r\n0;0.2\r\n".encode()))

    assert read_predictions(path, Patterns()).scores.tolist() == [[0.7], [0.2]]


def test_nih_images_name_their_patient(tmp_path: Path) -> None:
    found = read(tmp_path, "image,truth,prob\n00000020_000.png,1,0.7\n00000020_001.png,0,0.2\n")

    assert found.patients == ("00000020", "00000020")
    assert "as NIH ChestX-ray14 has them" in found.notes[0]


def test_where_no_patient_is_told_it_is_said(tmp_path: Path) -> None:
    found = read(tmp_path, "image,truth,prob\nx,1,0.7\ny,0,0.2\n")

    assert len(set(found.patients)) == 2
    assert "intervals are too narrow" in found.notes[0]


def test_patients_may_be_left_aside(tmp_path: Path) -> None:
    found = read(tmp_path, PLAIN, patient="none")

    assert len(set(found.patients)) == 3
    assert found.notes == ("images are taken as independent, as was asked",)


@pytest.mark.parametrize(
    ("cell", "column", "problem"),
    [
        ("1,0.9,2,0.9", "true_mass", "0 or 1"),
        ("1,0.9,-1,0.9", "true_mass", "0 or 1"),
        ("1,0.9,1,1.01", "prob_mass", "from 0 to 1"),
        ("1,0.9,1,-0.1", "prob_mass", "from 0 to 1"),
        ("1,0.9,1,inf", "prob_mass", "from 0 to 1"),
        ("1,0.9,1,much", "prob_mass", "from 0 to 1"),
        ("1,0.9,1,nan", "prob_mass", "from 0 to 1"),
        ("1,0.9,1,", "prob_mass", "is missing, and the truth is there"),
    ],
)
def test_a_wrong_cell_is_told_with_line_and_column(
    tmp_path: Path, cell: str, column: str, problem: str
) -> None:
    text = f"true_edema,prob_edema,true_mass,prob_mass\n0,0.5,0,0.5\n{cell}\n"

    with pytest.raises(ConfigError) as raised:
        read(tmp_path, text)

    (mistake,) = raised.value.mistakes
    assert (mistake.line, mistake.key) == (3, column)
    assert problem in mistake.problem


def test_an_image_told_twice_is_told_with_both_lines_and_not_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, PLAIN + "b.png,1,F,61,0,0,0.1,0.3\n")

    assert "said.csv:5  image\n    has the same image as line 3" in str(raised.value)
    assert "b.png" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no image"),
        ("truth,prob\n", "holds no image"),
        ("truth,prob\n1,0.5,7\n", "has not as many cells"),
        ("truth,truth\n1,0.5\n", "is the name of two columns"),
        ("image,truth,prob\n,1,0.5\n", "is empty"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        read(tmp_path, text)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_predictions(tmp_path / "none.csv", Patterns())


@pytest.mark.parametrize("spoiled", [b"", b"\xff" * 30])
def test_a_torn_gzip_file_is_said(tmp_path: Path, spoiled: bytes) -> None:
    path = tmp_path / "torn.csv.gz"
    path.write_bytes(gzip.compress(PLAIN.encode())[:40] + spoiled)

    with pytest.raises(ConfigError, match="no whole gzip file"):
        read_predictions(path, Patterns())


def test_columns_that_nobody_knows_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="name them, such as --truth"):
        read(tmp_path, "ground,network\n1,0.5\n")


def test_a_pattern_that_fits_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no finding has columns for net_\{\}"):
        read(tmp_path, PLAIN, probability="net_{}")


def test_a_named_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no column"):
        read(tmp_path, PLAIN, patient="pateint")


def test_a_probability_without_truth_is_left_out_and_said(tmp_path: Path) -> None:
    found = read(tmp_path, "true_mass,prob_mass,prob_hernia\n1,0.7,0.1\n0,0.2,0.1\n")

    assert found.findings == ("mass",)
    assert "without truth, and left out: hernia" in found.notes


def test_an_image_that_was_not_analysed_is_counted(tmp_path: Path) -> None:
    found = read(tmp_path, PLAIN + "d.png,3,M,50,1,0,,\n")

    assert np.isnan(found.scores[3]).all()
    assert "1 image without any probability is left out" in found.notes


def test_readers_and_another_model_stand_in_the_same_table(tmp_path: Path) -> None:
    text = "truth_mass,p_mass,b_mass,anna_mass\n1,0.7,0.6,1\n0,0.2,0.3,\n"
    found = read(tmp_path, text, against="b_{}", readers=("anna_{}",))
    model, reader = found.opinions

    assert (model.name, model.binary, model.scores.tolist()) == ("b", False, [[0.6], [0.3]])
    assert (reader.name, reader.binary, reader.scores[0, 0]) == ("anna", True, 1)
    assert np.isnan(reader.scores[1, 0])


def test_a_reader_says_yes_or_no(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="0 or 1, or empty if not read"):
        read(tmp_path, "truth,prob,anna\n1,0.7,0.5\n0,0.2,1\n", readers=("anna",))


def test_a_reader_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no column of a finding fits carl_\{\}"):
        read(tmp_path, PLAIN, readers=("carl_{}",))


def test_another_table_is_brought_into_our_order(tmp_path: Path) -> None:
    ours = read(tmp_path, PLAIN)
    other = table(tmp_path, "image,prob_mass\nc.png,0.5\nz.png,0.1\na.png,0.6\n", "other.csv")

    opinion = read_scores(other, Patterns(), ours)

    assert opinion.name == "other"
    assert opinion.scores[[0, 2], 0].tolist() == [0.6, 0.5]
    assert np.isnan(opinion.scores[1, 0])
    assert np.isnan(opinion.scores[:, 1]).all()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("image,prob_mass\nz.png,0.5\n", "not one image is in both"),
        ("name,prob_mass\na.png,0.5\n", "joined by image"),
        ("image,prob_hernia\na.png,0.5\n", "no probabilities of these findings"),
    ],
)
def test_another_table_that_does_not_fit_says_why(tmp_path: Path, text: str, problem: str) -> None:
    ours = read(tmp_path, PLAIN)

    with pytest.raises(NotFound, match=problem):
        read_scores(table(tmp_path, text, "other.csv"), Patterns(), ours)


@pytest.mark.parametrize("name", ["again.csv", "again.csv.gz"])
def test_what_is_written_is_read_again(tmp_path: Path, name: str) -> None:
    first = read(tmp_path, PLAIN + "d.png,3,M,,1,0,,\n")

    write_predictions(first, tmp_path / name)
    again = read_predictions(tmp_path / name, Patterns())

    assert (again.images, again.patients, again.findings) == (
        first.images, first.patients, first.findings,
    )  # fmt: skip
    assert (again.truth == first.truth).all()
    assert np.array_equal(again.scores, first.scores, equal_nan=True)
    assert again.facts == first.facts
    assert again.ages is not None
    assert first.ages is not None
    assert np.array_equal(again.ages, first.ages, equal_nan=True)
