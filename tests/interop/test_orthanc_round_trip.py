"""A study arrives in Orthanc, is routed to the node, and its results stand in the same study."""

import csv
import subprocess
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import ComprehensiveSRStorage, SecondaryCaptureImageStorage

from dicomnode.learn.synthetic import synthetic_dx
from dicomnode.records import State
from dicomnode.storage.part10 import dataset_offset
from tests.factories import uid
from tests.orthanc import Orthanc
from tests.pacs import free_port
from tests.running import RunningNode, node, until
from tests.tools import NIH, require

ROUTE = Path(__file__).parents[2] / "deploy" / "route.lua"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[RunningNode, Orthanc]]:
    """A node, and an Orthanc with the routing rule of `deploy/`; the node asks it for counts."""
    require("dcmtk")
    require("orthanc")
    with node(tmp_path, free_port(), answers_find=True, start=False) as running:
        port = running.settings.node.receive.port
        settings = {
            "DicomModalities": {
                "dicomnode": ["DICOMNODE", "127.0.0.1", port],
                "sender": ["DCMSEND", "127.0.0.1", 104],
            },
            "LuaScripts": [str(ROUTE)],
        }
        with Orthanc(tmp_path / "orthanc", settings) as archive:
            running.set_pacs(archive.peer)
            running.start()
            yield running, archive


def from_nih() -> list[Dataset]:
    """Real radiographs as Digital X-Ray objects, their pixels as they are."""
    require("nih")
    with (NIH / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[::140]
    made: list[Dataset] = []
    for number, row in enumerate(rows):
        pixels = np.asarray(Image.open(NIH / "images" / row["image"]).convert("L"))
        ds = synthetic_dx(number, study_uid=uid("nih", number), patient_id=f"NIH-{number}")
        ds.Rows, ds.Columns = pixels.shape
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
        ds.WindowCenter, ds.WindowWidth = 128, 256
        ds.PixelSpacing = ds.ImagerPixelSpacing = [row["row_spacing_mm"], row["column_spacing_mm"]]
        ds.PixelData = pixels.tobytes()
        ds["PixelData"].VR = "OB"
        made.append(ds)
    return made


def two_views() -> list[Dataset]:
    """Synthetic studies of two images each."""
    return [
        synthetic_dx(seed, findings, rows=256, study_uid=uid("orthanc", seed), number=number)
        for seed, findings in enumerate([(), ("cardiomegaly",)])
        for number in (1, 2)
    ]


@pytest.mark.parametrize("make", [two_views, from_nih])
def test_a_routed_study_gets_its_results_in_the_same_study_once(
    pair: tuple[RunningNode, Orthanc], tmp_path: Path, make: Callable[[], list[Dataset]]
) -> None:
    running, archive = pair
    sent = make()
    (tmp_path / "sent").mkdir()
    for number, ds in enumerate(sent):
        ds.save_as(tmp_path / "sent" / f"{number}.dcm", enforce_file_format=True)
    studies = {str(ds.StudyInstanceUID) for ds in sent}
    command = ["dcmsend", "-aec", "ORTHANC", "127.0.0.1", str(archive.peer.port)]
    subprocess.run([*command, "--scan-directories", str(tmp_path / "sent")], check=True)

    found = running.wait_for_studies(len(studies))

    assert {job.state for job in found} == {State.DELIVERED}
    assert all(job.received == job.expected for job in found)
    until(lambda: all(len(reports(archive, study)) == 1 for study in studies))
    for study in studies:
        assert_same_patient(archive, study)
        assert_kept_byte_for_byte(running, archive, study)
    assert len(running.jobs()) == len(studies)


def parsed(archive: Orthanc, study_uid: str) -> list[Dataset]:
    return [dcmread(BytesIO(data)) for data in archive.instances(study_uid)]


def reports(archive: Orthanc, study_uid: str) -> list[Dataset]:
    return [ds for ds in parsed(archive, study_uid) if ds.SOPClassUID == ComprehensiveSRStorage]


def assert_same_patient(archive: Orthanc, study_uid: str) -> None:
    everything = parsed(archive, study_uid)
    assert len({(ds.PatientID, str(ds.PatientName)) for ds in everything}) == 1
    captures = [ds for ds in everything if ds.SOPClassUID == SecondaryCaptureImageStorage]
    (report,) = reports(archive, study_uid)
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    named = {
        item.ReferencedSOPInstanceUID
        for series in evidence
        for item in series.ReferencedSOPSequence
    }
    assert captures
    assert {ds.SOPInstanceUID for ds in captures} <= named


def assert_kept_byte_for_byte(running: RunningNode, archive: Orthanc, study_uid: str) -> None:
    """What the node keeps of a study is what Orthanc has of it, our results left out."""
    folder = running.settings.node.storage.folder / "studies" / study_uid
    kept = {path.stem: path.read_bytes() for path in folder.iterdir()}
    assert kept
    for data in archive.instances(study_uid):
        name = str(dcmread(BytesIO(data), stop_before_pixels=True).SOPInstanceUID)
        if name in kept:
            assert encoded(kept.pop(name)) == encoded(data)
    assert not kept


def encoded(part10: bytes) -> bytes:
    """A file without its meta information."""
    return part10[dataset_offset(BytesIO(part10)) :]
