"""A real Orthanc on loopback, as the PACS: it routes what is stable to the node by itself."""

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.pacs import free_port
from tests.running import until

__all__ = ["Orthanc", "orthanc"]

#: A routing rule such as a PACS administrator sets up once: every study that becomes stable is sent
#: to the node, unless all that is new in it came from the node.
_ROUTE = """
local new = {}
function OnStoredInstance(id, tags, metadata, origin)
  if origin["RequestOrigin"] == "DicomProtocol" and origin["RemoteAet"] ~= "DICOMNODE" then
    new[ParseJson(RestApiGet("/instances/" .. id .. "/study"))["ID"]] = true
  end
end
function OnStableStudy(id, tags, metadata)
  if new[id] then
    new[id] = nil
    local job = '{"Resources":["' .. id .. '"],"Synchronous":false}'
    RestApiPost("/modalities/DICOMNODE/store", job)
  end
end
"""


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc."""

    http: int
    dicom: int

    def get(self, path: str) -> Any:
        """An answer of its REST interface."""
        return json.loads(self.raw(path))

    def raw(self, path: str) -> bytes:
        """The same, as bytes."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}") as answer:  # noqa: S310
            body: bytes = answer.read()
            return body

    def answers(self) -> bool:
        """Is it up?"""
        try:
            return bool(self.get("/system"))
        except OSError:
            return False

    def instances(self, study_uid: str) -> list[bytes]:
        """Every file of a study, as Orthanc keeps it."""
        ids = [
            item["ID"]
            for study in self.get("/studies?expand")
            if study["MainDicomTags"]["StudyInstanceUID"] == study_uid
            for item in self.get(f"/studies/{study['ID']}/instances")
        ]
        return [self.raw(f"/instances/{name}/file") for name in ids]


@contextmanager
def orthanc(folder: Path, node_port: int) -> Iterator[Orthanc]:
    """Orthanc as PACS, called PACS, that knows the node; ended with the block."""
    running = Orthanc(http=free_port(), dicom=free_port())
    folder.mkdir(parents=True)
    (folder / "route.lua").write_text(_ROUTE, "utf-8")
    settings = {
        "Name": "tests",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [],
        "HttpPort": running.http,
        "DicomPort": running.dicom,
        "DicomAet": "PACS",
        "DicomCheckCalledAet": True,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomModalities": {
            "DICOMNODE": ["DICOMNODE", "127.0.0.1", node_port],
            "STORESCU": ["STORESCU", "127.0.0.1", 104],
            "DCMSEND": ["DCMSEND", "127.0.0.1", 104],
        },
        "UnknownSopClassAccepted": True,
        "StableAge": 2,
        "SaveJobs": False,
        "LuaScripts": [str(folder / "route.lua")],
    }
    (folder / "orthanc.json").write_text(json.dumps(settings), "utf-8")
    program = shutil.which("Orthanc") or "Orthanc"
    with (folder / "orthanc.log").open("wb") as log:
        command = [program, str(folder / "orthanc.json")]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            until(running.answers)
            yield running
        finally:
            process.terminate()
            process.wait()
