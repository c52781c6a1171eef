"""Results under other people's eyes: dciodvfy, PixelMed's SR validator, DCMTK's dsrdump."""

import re
import subprocess
from pathlib import Path

import pytest

from dicomnode.records import Result, ResultKind
from tests.tools import PIXELMED_JAR, require
from tests.unit.report.samples import (
    earlier_report,
    made,
    make_ct,
    make_header,
    make_source,
    raw_header,
)

# Java's own limits on style sheets are too low for PixelMed's.
PIXELMED = (
    "java", "-Djdk.xml.xpathExprGrpLimit=0", "-Djdk.xml.xpathExprOpLimit=0",
    "-Djdk.xml.xpathTotalOpLimit=0", "-Djava.awt.headless=true", "-XX:+UseSerialGC",
    "-cp", str(PIXELMED_JAR), "com.pixelmed.validate.DicomSRValidator",
)  # fmt: skip


def run(*command: str | Path) -> str:
    """What a program wrote, on both streams."""
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=120, check=False
    )
    return done.stdout + done.stderr


def modules_and_attributes(file: Path) -> list[str]:
    said = run("dciodvfy", "-new", file)
    assert re.search(r"^\w+$", said, re.MULTILINE), "dciodvfy recognised no IOD"
    return re.findall(r"^Error.*", said, re.MULTILINE)


def templates(file: Path) -> list[str]:
    said = run(*PIXELMED, file)
    assert "Found Root Template" in said
    assert "IOD validation complete" in said
    return re.findall(
        r"^Error.*|.*illegal relationship.*|.*unrecognized.*|^Warning: 1: .*", said, re.M
    )


def reading(file: Path) -> list[str]:
    said = run("dsrdump", file)
    assert "Imaging Measurement Report" in said
    return re.findall(r"^[EF]: .*|^W: .*\(type .*", said, re.MULTILINE)


SOURCE = make_source()
CASES = {
    "negative": lambda: made(regions=0),
    "one region": lambda: made(regions=1),
    "many regions": lambda: made(regions=3),
    "CR": lambda: made(
        make_source(make_header(SOPClassUID="1.2.840.10008.5.1.4.1.1.1", Modality="CR"))
    ),
    "CT series": lambda: made(make_ct(4)),
    "poor header": lambda: made(make_source(raw_header())),
    "odd header": lambda: made(
        make_source(
            make_header(
                SpecificCharacterSet=None,
                PatientSex="U",
                StudyDescription="x" * 64,
                TimezoneOffsetFromUTC="+0100",
                LossyImageCompression="01",
                LossyImageCompressionRatio="10",
                LossyImageCompressionMethod="ISO_10918_1",
                PatientIdentityRemoved="YES",
            )
        )
    ),
    "partial revision": lambda: made(
        partial=True,
        received=307,
        expected=412,
        revision=2,
        predecessors=(earlier_report(SOURCE),),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_no_validator_finds_an_error(case: str, tmp_path: Path) -> None:
    require("validators")
    results: tuple[Result, ...] = CASES[case]()
    for result in results:
        file = tmp_path / f"{result.kind}.dcm"
        file.write_bytes(result.part10)
        assert modules_and_attributes(file) == []
        if result.kind is ResultKind.SR:
            assert templates(file) == []
            assert reading(file) == []


def test_the_validators_do_find_errors(tmp_path: Path) -> None:
    require("validators")
    report = made()[-1].part10
    file = tmp_path / "broken.dcm"
    file.write_bytes(report.replace(b"HAS OBS CONTEXT ", b"HAS ACQ CONTEXT "))
    assert templates(file)
    file.write_bytes(report.replace(b"UNVERIFIED", b"UNVARIFIED"))
    assert modules_and_attributes(file)
