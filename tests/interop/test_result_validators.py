"""Results under other people's eyes: dciodvfy, PixelMed's SR validator, DCMTK's dsrdump.

A matrix of every kind of result (`matrix.py`), each file by each validator that knows its kind.
"""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from dicomnode.records import ResultKind
from tests.interop.matrix import matrix
from tests.tools import PIXELMED_JAR, require
from tests.unit.report.every_kind import results

# Java's own limits on style sheets are too low for PixelMed's.
PIXELMED = (
    "java", "-Djdk.xml.xpathExprGrpLimit=0", "-Djdk.xml.xpathExprOpLimit=0",
    "-Djdk.xml.xpathTotalOpLimit=0", "-Djava.awt.headless=true", "-XX:+UseSerialGC",
    "-cp", str(PIXELMED_JAR), str(Path(__file__).with_name("ManyReports.java")),
)  # fmt: skip
#: TID 2010 rows 3 and 4: PixelMed looks for the title beside the document, not in it.
_MISTAKEN = re.compile(r"2010 .*\[Row [34]\] CODE CID 701[12]: .* when condition not satisfied")
_REPORTS = {ResultKind.SR, ResultKind.SR3D, ResultKind.TEXT, ResultKind.KO}


def run(*command: str | Path) -> str:
    """What a program wrote, on both streams."""
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=280, check=False
    )
    return done.stdout + done.stderr


def modules_and_attributes(file: Path) -> list[str]:
    """What dciodvfy calls an error."""
    said = run("dciodvfy", "-new", file)
    assert re.search(r"^\w+$", said, re.MULTILINE), "dciodvfy recognised no IOD"
    return re.findall(r"^Error.*", said, re.MULTILINE)


def templates(files: Iterable[Path]) -> dict[str, list[str]]:
    """What PixelMed finds wrong with the content of reports, by name of the file."""
    said = run(*PIXELMED, *files)
    found = {}
    for part in said.split("FILE ")[1:]:
        file, told = part.split("\n", 1)
        errors = re.findall(
            r"^Error.*|.*illegal relationship.*|.*unrecognized.*|^Warning: 1: .*", told, re.M
        )
        if "Found Root Template" not in told or "IOD validation complete" not in told:
            errors.append("PixelMed did not know it, or did not come to an end")
        found[Path(file).name] = [error for error in errors if not _MISTAKEN.search(error)]
    return found


def reading(file: Path) -> list[str]:
    """What DCMTK finds wrong when it reads a report."""
    said = run("dsrdump", file)
    assert "Manufacturer  " in said or "E: " in said, "dsrdump read nothing"
    return re.findall(r"^[EF]: .*|^W: .*\(type .*", said, re.MULTILINE)


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, ResultKind]:
    """Each object of the matrix as a file."""
    require("validators")
    folder = tmp_path_factory.mktemp("matrix")
    written = {}
    for name, made in matrix().items():
        for number, result in enumerate(made):
            file = folder / f"{name}, {number} {result.kind}.dcm"
            file.write_bytes(result.part10)
            written[file] = result.kind
    return written


def _report() -> bytes:
    return next(made.part10 for made in results() if made.kind is ResultKind.SR)


@pytest.fixture(scope="session")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with a relationship that may not be there."""
    file = tmp_path_factory.mktemp("broken") / "moved.dcm"
    file.write_bytes(_report().replace(b"HAS OBS CONTEXT ", b"SELECTED FROM   "))
    return file


@pytest.fixture(scope="session")
def pixelmed(files: dict[Path, ResultKind], moved: Path) -> dict[str, list[str]]:
    """What PixelMed says of every third report, which takes it a second each, and of `moved`."""
    reports = [file for file, kind in files.items() if kind in _REPORTS][::3]
    found = templates([*reports, moved])
    assert set(found) == {file.name for file in (*reports, moved)}
    return found


def test_the_matrix_holds_every_kind_in_every_circumstance(files: dict[Path, ResultKind]) -> None:
    assert len(files) >= 40
    assert set(files.values()) == set(ResultKind)
    for word in ("not analysed", "withdrawn", "partial", "negative", "GB18030", "zh"):
        assert any(word in file.name for file in files), word


def test_dciodvfy_finds_no_error(files: dict[Path, ResultKind]) -> None:
    found = {file.name: modules_and_attributes(file) for file in files}
    assert {name: errors for name, errors in found.items() if errors} == {}


def test_pixelmed_finds_no_error(
    files: dict[Path, ResultKind], pixelmed: dict[str, list[str]], moved: Path
) -> None:
    assert {files[file] for file in files if file.name in pixelmed} == _REPORTS
    found = {name: errors for name, errors in pixelmed.items() if name != moved.name}
    assert {name: errors for name, errors in found.items() if errors} == {}


def test_dsrdump_finds_no_error(files: dict[Path, ResultKind]) -> None:
    found = {file.name: reading(file) for file, kind in files.items() if kind in _REPORTS}
    assert {name: errors for name, errors in found.items() if errors} == {}


def test_the_validators_do_find_errors(
    tmp_path: Path, pixelmed: dict[str, list[str]], moved: Path
) -> None:
    renamed = tmp_path / "renamed.dcm"
    renamed.write_bytes(_report().replace(b"UNVERIFIED", b"UNVARIFIED"))
    assert pixelmed[moved.name]
    assert reading(moved)
    assert modules_and_attributes(renamed)
