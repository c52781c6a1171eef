"""The same studies in real viewers: OHIF, and the web viewer that comes with Orthanc."""

import json
import shutil
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Error
from pydicom import Dataset, dcmread

from dicomnode.records import ResultKind
from tests.browser import chromium
from tests.gallery.drawn import Picture
from tests.gallery.study import Study
from tests.ohif import looking
from tests.orthanc import DICOMWEB, WEB_VIEWER, Orthanc, with_plugins
from tests.tools import ohif_folder

__all__ = ["in_viewers"]

#: Kinds that OHIF has a viewport for; it lists the others with a sign of warning.
_IN_OHIF = (ResultKind.SC, ResultKind.SR, ResultKind.SR3D, ResultKind.TEXT, ResultKind.PDF)


def in_viewers(
    studies: Sequence[Study], shown: dict[str, list[Picture]], folder: Path
) -> list[str]:
    """Add pictures of the viewers to what is shown; lines about what is missing."""
    if not (shutil.which("Orthanc") and shutil.which("chromium")):
        return ["No pictures of viewers: Orthanc or Chromium is missing."]
    notes = []
    plugins = [file for file in (DICOMWEB, WEB_VIEWER) if file.exists()]
    with (
        TemporaryDirectory() as name,
        Orthanc(Path(name), with_plugins(*plugins)) as archive,
    ):
        for study in studies:
            for part in study.parts():
                archive.get("/instances", part)
        if WEB_VIEWER in plugins:
            _in_web_viewer(archive, studies, shown, folder)
        else:
            notes.append("No pictures of Orthanc's web viewer: its plugin is missing.")
        if ohif_folder() and DICOMWEB in plugins:
            _in_ohif(archive, studies, shown, folder)
        else:
            notes.append("No pictures of OHIF: DICOMNODE_OHIF or Orthanc's DICOMweb is missing.")
    return notes


def _in_ohif(
    archive: Orthanc, studies: Sequence[Study], shown: dict[str, list[Picture]], folder: Path
) -> None:
    with looking(archive.http) as viewer:
        for study in studies:
            for kind, ds in _one_of_each(study):
                print(f"{study.name}: {kind} in OHIF", flush=True)
                file = f"{study.name.replace(' ', '-').lower()}-ohif-{kind}.png"
                title = f"OHIF: {ds.SeriesDescription}"
                try:
                    seen = viewer.at(study.uid, ds)
                except Error as error:
                    note = str(error).partition("\n")[0]
                    shown[study.name].append(Picture(title=title, note=note))
                    continue
                (folder / file).write_bytes(seen.png)
                note = f"{len(seen.errors)} errors in the console" if seen.errors else ""
                shown[study.name].append(Picture(title=title, file=file, note=note))


def _one_of_each(study: Study) -> Iterator[tuple[ResultKind, Dataset]]:
    """The last result of each kind that OHIF shows."""
    last = {result.kind: result for result in study.results if result.kind in _IN_OHIF}
    for kind, result in last.items():
        yield kind, dcmread(BytesIO(result.part10), stop_before_pixels=True)


def _in_web_viewer(
    archive: Orthanc, studies: Sequence[Study], shown: dict[str, list[Picture]], folder: Path
) -> None:
    """The first Secondary Capture: the one kind that every viewer shows."""
    with chromium((1200, 800)) as page:
        for study in studies:
            capture = next(result for result in study.results if result.kind is ResultKind.SC)
            (found,) = json.loads(archive.get("/tools/lookup", capture.ref.series_uid.encode()))
            print(f"{study.name}: sc in Orthanc's web viewer", flush=True)
            page.goto(f"{archive.http}/web-viewer/app/viewer.html?series={found['ID']}")
            page.wait_for_timeout(3000)
            file = f"{study.name.replace(' ', '-').lower()}-orthanc.png"
            page.screenshot(path=folder / file)
            shown[study.name].append(Picture(title="Orthanc's web viewer: SC", file=file))
