"""A throw-away Orthanc with any settings, and its REST interface for asking what arrived."""

import json
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from tests.factories import make_peer
from tests.pacs import free_port

__all__ = ["DICOMWEB", "WEB_VIEWER", "Orthanc", "with_plugins"]

# where Debian puts plugins: packages orthanc-dicomweb and orthanc-webviewer
_PLUGINS = Path("/usr/share/orthanc/plugins")
DICOMWEB = _PLUGINS / "libOrthancDicomWeb.so"
WEB_VIEWER = _PLUGINS / "libOrthancWebViewer.so"


def with_plugins(*plugins: Path) -> dict[str, object]:
    """Settings that load them."""
    return {"Plugins": [str(plugin) for plugin in plugins], "DicomWeb": {"Enable": True}}


class Orthanc:
    """Runs while its block runs, with `settings` over its own; `peer` is its DICOM side."""

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, object],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._environment = environment
        self.http = f"http://127.0.0.1:{free_port()}"
        self.peer = make_peer(ae_title="ORTHANC", port=free_port(), timeout_s=10.0)
        folder.mkdir(parents=True, exist_ok=True)
        self._config = folder / "orthanc.json"
        own = {
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "HttpPort": int(self.http.rpartition(":")[2]),
            "DicomPort": self.peer.port,
            "DicomAet": "ORTHANC",
            "DicomCheckCalledAet": True,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
        }
        self._config.write_text(json.dumps({"Plugins": [], **settings, **own}))

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [shutil.which("Orthanc") or "Orthanc", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self._environment,
        )
        for _ in range(1200):
            try:
                self.get("/system")
            except URLError:
                time.sleep(0.05)
            else:
                return self
        self._process.kill()
        self._process.wait()
        pytest.fail("Orthanc does not answer within a minute")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait(20)

    @property
    def pid(self) -> int:
        """Process number of the server."""
        return self._process.pid

    def count(self) -> int:
        """Instances it keeps."""
        return int(json.loads(self.get("/statistics"))["CountInstances"])

    def get(self, path: str, data: bytes | None = None) -> bytes:
        """The body of the answer to a GET, or to a POST where there is `data`."""
        with urlopen(Request(self.http + path, data=data), timeout=10) as answer:  # noqa: S310
            body: bytes = answer.read()
            return body

    def file(self, sop_instance_uid: str) -> bytes:
        """The whole file of an instance, as Orthanc gives it out."""
        (found,) = json.loads(self.get("/tools/lookup", sop_instance_uid.encode()))
        return self.get(f"{found['Path']}/file")

    def instances(self, study_uid: str) -> list[bytes]:
        """Every file of a study, whole, as Orthanc gives it out."""
        return [
            self.get(f"/instances/{item['ID']}/file")
            for study in json.loads(self.get("/tools/lookup", study_uid.encode()))
            for item in json.loads(self.get(f"{study['Path']}/instances"))
        ]
