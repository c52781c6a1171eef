"""A node after a morning's work, to be looked at: studies of every fate, and trouble with peers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dicomnode.deliver.sender import send
from dicomnode.dicom.network import echo
from tests.factories import make_part10, make_peer
from tests.gallery.images import ct, knee, radiograph
from tests.pacs import free_port, pacs
from tests.running import until
from tests.web_browser import LONG_MS, Served, served

__all__ = ["PAGES", "STUDY_UID", "morning"]

STUDY_UID = str(radiograph(301).StudyInstanceUID)  #: has findings, and is delivered

#: Every page that is opened by its address; what is behind `?` is a state of it worth a look.
PAGES: Mapping[str, str] = {
    "Today": "/",
    "Worklist": "/studies",
    "Worklist, nothing found": "/studies?text=nobody",
    "A study": f"/studies/{STUDY_UID}",
    "Associations": "/associations",
    "Models": "/models",
    "Try it": "/try",
    "Configuration": "/configuration",
    "The node's file": "/configuration/node",
    "The node's file as text": "/configuration/node?shown=text",
    "A peer": "/configuration/peers/pacs",
    "A new peer": "/configuration/add/peers",
    "A pipeline": "/configuration/pipelines/all",
    "A new pipeline": "/configuration/add/pipelines",
    "History": "/configuration/history",
    "A version": "/configuration/history/1",
    "People": "/people",
    "A person": "/people/bob",
    "Audit": "/audit",
    "Me": "/me",
    "The interface": "/api",
}

_MODALITY = """
ae_title = "DX_ROOM_2"
host = "127.0.0.1"
port = 104
may_send = true
"""
_SILENT = """
ae_title = "ARCHIVE2"
host = "127.0.0.1"
port = {port}
timeout_s = 2.0
"""
_KNEES = """
destinations = ["archive2"]

[match]
body_part = ["KNEE"]

[complete]
quiet_s = 0.5
"""


@contextmanager
def morning(folder: Path) -> Iterator[Served]:
    """Studies are delivered, not analysed, owed to a peer that is away; callers were refused."""
    extra = {
        "peers/dx_room_2.toml": _MODALITY,
        "peers/archive2.toml": _SILENT.format(port=free_port()),
        "pipelines/knees.toml": _KNEES,
    }
    with pacs() as archive, served(folder, archive.peer.port, extra=extra) as there:
        _work(there, folder)
        yield there


def _work(there: Served, folder: Path) -> None:
    running = there.node
    sent = [
        (radiograph(301, "cardiomegaly", name="SYNTHETIC^ONE"),),
        (radiograph(302),),
        (radiograph(303, "pleural effusion"), radiograph(303, "pneumothorax")),
        (knee("a knee"),),
        tuple(ct("a chest", 4)),
    ]
    for images in sent:
        files = []
        for number, image in enumerate(images):
            file = folder / f"{image.StudyInstanceUID}-{number}.dcm"
            file.write_bytes(make_part10(image))
            files.append(file)
        running.send(files, "DX_ROOM_2")
    echo(make_peer(ae_title="DICOMNOD", port=running.peer.port), "DX_ROOM_2")
    send(files, running.peer, "CT_ROOM_1")
    until(lambda: len(running.jobs()) >= len(sent) - 1, timeout_s=LONG_MS / 1000)
    until(
        lambda: not any(job.state in ("waiting", "ready", "running") for job in running.jobs()),
        timeout_s=LONG_MS / 1000,
    )
