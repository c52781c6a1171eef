"""The power goes after storage commitment was taken, or given: what was said still holds."""

from pathlib import Path

import pytest

from dicomnode.dicom.commitment import Reference
from dicomnode.records import Verdict
from dicomnode.storage.objects import ObjectStore
from dicomnode.storage.spool import Spool
from tests.commitment import committing_pacs, make_request, send_request
from tests.crash.disk import Disk
from tests.crash.lives import lives
from tests.crash.serving import kill_all
from tests.factories import make_dataset, make_part10, make_peer, uid, write_part10
from tests.running import node, until

CT = "1.2.840.10008.5.1.4.1.1.2"
KEPT = Reference(CT, uid("instance", 1))


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


@pytest.mark.parametrize("names_survive", [False, True])
def test_an_acknowledged_request_survives_a_power_cut(
    disk: Disk, tmp_path: Path, names_survive: bool
) -> None:
    folder = disk.folder / "node"
    with lives(folder, tmp_path / "log", environment=disk.environment) as receiver:
        pid, port = receiver.begin()
        peer = make_peer(ae_title="DICOMNODE", port=port)
        sent = [make_request(KEPT, number=number) for number in range(3)]
        assert [send_request(peer, "MODALITY", request) for request in sent] == [0x0000] * 3
        receiver.kill(pid)
    disk.cut_power(names_survive=names_survive)
    spool = Spool(folder)
    waiting = [spool.read(path).dataset for path in spool.waiting("MODALITY")]
    assert len(waiting) == 3
    for request, dataset in zip(sent, waiting, strict=True):
        assert request.transaction_uid.encode() in dataset


@pytest.mark.timeout(180)
@pytest.mark.parametrize("names_survive", [False, True])
def test_what_was_promised_is_in_its_study_after_a_power_cut(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names_survive: bool
) -> None:
    for name, value in disk.environment.items():
        monkeypatch.setenv(name, value)
    image = make_dataset(1)
    path = write_part10(image, tmp_path / "1.dcm")
    with committing_pacs() as archive, node(tmp_path, archive.peer.port, start=False) as running:
        file = running.config / "node.toml"
        text = file.read_text("utf-8").replace(str(tmp_path / "node"), str(disk.folder / "node"))
        file.write_text(text, "utf-8")
        running.start()
        assert [outcome.verdict for outcome in running.send([path])] == [Verdict.STORED]
        assert send_request(running.peer, "PACS", make_request(KEPT)) == 0x0000
        until(lambda: len(archive.reports) > 0)
        kill_all(running)
    assert [event_type for event_type, _ in archive.reports] == [1]
    disk.cut_power(names_survive=names_survive)
    store = ObjectStore(disk.folder / "node")
    store.prepare()
    kept = store.path_of(str(image.StudyInstanceUID), str(image.SOPInstanceUID))
    assert dataset_of(kept.read_bytes()) == dataset_of(make_part10(image))


def dataset_of(part10: bytes) -> bytes:
    return part10[144 + int.from_bytes(part10[140:144], "little") :]
