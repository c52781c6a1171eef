"""Orthanc asks us to keep what it sent, and is asked to keep what we sent."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomnode.learn.synthetic import synthetic_dx
from dicomnode.node.build import open_worklist
from dicomnode.records import Verdict
from dicomnode.worklist import commitments
from tests.factories import uid
from tests.orthanc import Orthanc
from tests.pacs import free_port
from tests.running import RunningNode, node, until
from tests.tools import require

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[RunningNode, Orthanc]]:
    """A node whose PACS is the Orthanc of `deploy/`, with Storage Commitment in both directions."""
    require("orthanc")
    with node(tmp_path, free_port(), start=False) as running:
        file = running.config / "peers" / "pacs.toml"
        file.write_text(file.read_text("utf-8") + "storage_commitment = true\n", "utf-8")
        here = {"Host": "127.0.0.1", "Port": running.settings.node.receive.port}
        shipped = json.loads((DEPLOY / "orthanc.json").read_text("utf-8"))
        shipped["DicomModalities"]["dicomnode"] |= here
        with Orthanc(tmp_path / "orthanc", shipped | {"LuaScripts": []}) as archive:
            running.set_pacs(archive.peer)
            running.start()
            yield running, archive


def send_radiograph(running: RunningNode, folder: Path) -> tuple[str, str]:
    """SOP Class and SOP Instance UID of an image that the node now has."""
    ds = synthetic_dx(1, ("cardiomegaly",), rows=128, study_uid=uid("commitment"))
    ds.save_as(folder / "1.dcm", enforce_file_format=True)
    sent = running.send([folder / "1.dcm"], "ORTHANC")
    assert [outcome.verdict for outcome in sent] == [Verdict.STORED]
    return str(ds.SOPClassUID), str(ds.SOPInstanceUID)


@pytest.mark.timeout(120)
def test_orthanc_hears_what_we_keep_and_what_we_do_not(
    pair: tuple[RunningNode, Orthanc], tmp_path: Path
) -> None:
    running, archive = pair
    sop_class, kept = send_radiograph(running, tmp_path)
    unknown = uid("unknown")
    body = json.dumps({"DicomInstances": [[sop_class, kept], [sop_class, unknown]]}).encode()
    asked = json.loads(archive.get("/modalities/dicomnode/storage-commitment", body))

    until(lambda: json.loads(archive.get(asked["Path"]))["Status"] != "Pending")

    report = json.loads(archive.get(asked["Path"]))
    assert report["Status"] == "Failure"
    assert [item["SOPInstanceUID"] for item in report["Success"]] == [kept]
    assert [item["SOPInstanceUID"] for item in report["Failures"]] == [unknown]


@pytest.mark.timeout(180)
def test_orthanc_confirms_our_results(pair: tuple[RunningNode, Orthanc], tmp_path: Path) -> None:
    running, _ = pair
    send_radiograph(running, tmp_path)
    (job,) = running.wait_for_studies(1)
    database = open_worklist(running.settings)

    def confirmed() -> bool:
        with database.reading() as tx:
            return commitments.confirmed(tx, [job.id]) == {job.id}

    until(confirmed)
    database.close()
