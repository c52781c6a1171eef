"""A manifest is read as it is written, and what is wrong in it is named by line and column."""

import gzip
import hashlib
import math
from pathlib import Path

import numpy as np
import pytest

from dicomnode.errors import ConfigError
from dicomnode.learn.manifest import Columns, Manifest, read_manifest
from tests.tools import NIH, require

HEAD = "patient,file,age,sex,view,scanner,split,mass,edema"


def write(folder: Path, *lines: str, head: str = HEAD, files: str = "abc") -> Path:
    for name in files:
        (folder / f"{name}.png").touch()
    path = folder / "manifest.csv"
    path.write_text("\n".join((head, *lines)) + "\n", "utf-8")
    return path


def mistakes(path: Path, columns: Columns | None = None) -> list[tuple[int | None, str, str]]:
    with pytest.raises(ConfigError) as caught:
        read_manifest(path, columns)
    return [(m.line, m.key, m.problem) for m in caught.value.mistakes]


def test_every_column_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "1,a.png,61,f,pa,X,Train,1,0", "2,b.png,,,,,test,0,")

    manifest = read_manifest(path)

    first, second = manifest.entries
    assert manifest.labels == ("mass", "edema")
    np.testing.assert_array_equal(manifest.truth, np.array([[1.0, 0.0], [0.0, math.nan]]))
    assert (first.age, first.sex, first.view, first.scanner, first.split) == (
        61.0, "F", "PA", "X", "train",
    )  # fmt: skip
    assert (second.age, second.sex, second.line) == (None, "", 3)
    assert first.file == tmp_path / "a.png"
    assert manifest.patients == ("1", "2")
    assert manifest.teacher is None
    assert manifest.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_columns_have_the_names_they_are_given(tmp_path: Path) -> None:
    head = "who,image,Pleural_Thickening,t_Pleural_Thickening"
    path = write(tmp_path, "1,a.png,1,0.25", head=head)
    columns = Columns(patient="who", labels=("pleural thickening",), teacher_prefix="t_")

    manifest = read_manifest(path, columns)

    assert manifest.labels == ("pleural thickening",)
    assert manifest.teacher is not None
    assert manifest.teacher.tolist() == [[0.25]]


def test_a_column_that_is_not_there_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    path = write(tmp_path, "1,a.png,,,,,,1,0")

    assert mistakes(path, Columns(labels=("mas",))) == [
        (1, "mas", "is no column; did you mean mass?")
    ]


@pytest.mark.parametrize(
    ("line", "column", "problem"),
    [
        ("1,z.png,,,,,,1,0", "file", "there is no such file"),
        (",a.png,,,,,,1,0", "patient", "is empty"),
        ("1,,,,,,,1,0", "file", "is empty"),
        ("1,a.png,old,,,,,1,0", "age", "must be an age in years"),
        ("1,a.png,-4,,,,,1,0", "age", "must be an age in years"),
        ("1,a.png,,,,,,2,0", "mass", "must be 1 where it is present"),
        ("1,a.png,,,,,,yes,0", "mass", "must be 1 where it is present"),
        ("1,a.png,,,,,,inf,0", "mass", "must be 1 where it is present"),
        ("1,a.png,,,,,,1", "", "has not as many cells as the first line"),
        ("1,a.png,,,,,,1,0,0", "", "has not as many cells as the first line"),
        ("2,b.png,,,,,,1,0", "", "has the same file as line 2"),
        ("2,c.png,,,,,test,1,0", "", "has the patient of line 2 in another split"),
    ],
)
def test_a_mistake_is_named_by_line_and_column(
    tmp_path: Path, line: str, column: str, problem: str
) -> None:
    path = write(tmp_path, "2,b.png,,,,,,1,1", line)

    found = mistakes(path, Columns(labels=("mass", "edema")))

    assert [(at, key) for at, key, _ in found] == [(3, column)]
    assert found[0][2].startswith(problem)


def test_a_teacher_says_probabilities(tmp_path: Path) -> None:
    path = write(tmp_path, "1,a.png,1,1.5", head="patient,file,mass,t_mass")

    assert mistakes(path, Columns(teacher_prefix="t_")) == [
        (2, "t_mass", "must be a probability from 0 to 1, or empty")
    ]


def test_an_age_may_be_written_as_in_dicom(tmp_path: Path) -> None:
    path = write(tmp_path, "1,a.png,061Y,,,,,1,0", "2,b.png,018M,,,,,1,0")

    assert [entry.age for entry in read_manifest(path).entries] == [61.0, 1.5]


def test_a_table_that_is_wrong_everywhere_is_told_shortly(tmp_path: Path) -> None:
    path = write(tmp_path, *(f"{i},{i}.png,,,,,,1,0" for i in range(51)))
    (tmp_path / "7.png").touch()

    found = mistakes(path)

    assert len(found) == 21
    assert found[-1][2] == "holds 30 more mistake(s)"


def test_files_that_lie_elsewhere_are_one_mistake_that_says_what_to_do(tmp_path: Path) -> None:
    path = write(tmp_path, *(f"{i},{i}.png,,,,,,1,0" for i in range(50)))

    ((line, column, problem),) = mistakes(path)

    assert (line, column) == (None, "file")
    assert problem.startswith(f"not one of its 50 files is in {tmp_path}; ")
    assert "--images" in problem
    assert "data.images" in problem


def test_files_with_whole_paths_are_in_no_other_folder(tmp_path: Path) -> None:
    path = write(tmp_path, *(f"{i},{tmp_path}/{i}.png,,,,,,1,0" for i in range(3)))

    assert [problem for _, _, problem in mistakes(path)] == ["there is no such file"] * 3


@pytest.mark.parametrize(
    ("head", "names"),
    [
        ("file,mass", ("column patient;", "--patient", "data.patient")),
        ("patient,mass", ("column file;", "--image ", "data.file")),
    ],
)
def test_a_column_that_is_missing_is_told_with_the_option_that_names_it(
    tmp_path: Path, head: str, names: tuple[str, ...]
) -> None:
    ((_, _, problem),) = mistakes(write(tmp_path, "a.png,1", head=head))

    assert all(name in problem for name in names)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"patient,file,mass\n", b"\x1f\x8b\x08"])
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / ("m.csv.gz" if content[:1] == b"\x1f" else "m.csv")
    path.write_bytes(content)

    assert mistakes(path)


def test_a_gzipped_table_with_semicolons_is_read(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "m.csv.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbfpatient;file;mass\r\n1;a.png;1\r\n"))

    assert read_manifest(path).truth.tolist() == [[1.0]]


def test_the_real_labels_are_read() -> None:
    require("nih")
    columns = Columns(teacher_prefix="chexnet_")

    manifest: Manifest = read_manifest(NIH / "labels.csv", columns, images=NIH / "images")

    assert len(manifest.entries) == len(set(manifest.patients)) == 421
    assert len(manifest.labels) == 14
    assert manifest.teacher is not None
    assert manifest.teacher.shape == manifest.truth.shape == (421, 14)
