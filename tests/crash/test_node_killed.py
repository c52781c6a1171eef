"""The node is killed at random moments while 200 studies arrive; nothing may be lost or doubled.

SIGKILL tests what the processes promise each other. It does not test `fsync`: the kernel lives on.
"""

import random
import threading
import time
from collections import Counter
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import UID, ComprehensiveSRStorage

from dicomnode.learn.synthetic import synthetic_dx
from dicomnode.records import State, Verdict
from dicomnode.storage.part10 import dataset_offset
from tests.factories import uid
from tests.landing import being_received
from tests.pacs import FakePacs, pacs
from tests.running import RunningNode, node, until

STUDIES = 200
KILLS = 12  #: at least one more of either kind than a single unlucky moment needs


@pytest.fixture(scope="module")
def radiographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One small image for each study; the drawing is shared, so that making them is quick."""
    folder = tmp_path_factory.mktemp("radiographs")
    drawn = [
        synthetic_dx(seed, findings, rows=96)
        for seed, findings in enumerate([(), ("cardiomegaly",), ("pleural effusion",), ("nodule",)])
    ]
    paths = []
    for number in range(STUDIES):
        ds = drawn[number % len(drawn)]
        ds.StudyInstanceUID = uid("crash", number)
        ds.SeriesInstanceUID = uid("crash", number, "series")
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(uid("crash", number, 1))
        paths.append(folder / f"{number}.dcm")
        ds.save_as(paths[-1], enforce_file_format=True)
    return paths


def keep_sending(running: RunningNode, files: list[Path]) -> None:
    """What a PACS does: try each file until it is acknowledged."""
    for path in files:
        while running.send([path])[0].verdict is not Verdict.STORED:
            time.sleep(0.2)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_every_acknowledged_study_ends_with_exactly_one_report(
    kind: str, radiographs: list[Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres_url") if kind == "postgres" else ""
    chance = random.Random(kind)  # noqa: S311  the same moments in every run
    with pacs() as archive, node(tmp_path, archive.peer.port, url=url, attempts=50) as running:
        sender = threading.Thread(target=keep_sending, args=(running, radiographs))
        sender.start()
        for number in range(KILLS):
            time.sleep(chance.uniform(0.5, 6.0))
            if number % 2:
                running.kill_worker()
            else:
                running.kill()
                running.start()
        sender.join()
        found = running.wait_for_studies(STUDIES, timeout_s=600)

        assert {job.state for job in found} == {State.DELIVERED}
        assert len(found) == STUDIES
        assert_kept_byte_for_byte(running, radiographs)
        assert_one_report_each(archive)


def assert_kept_byte_for_byte(running: RunningNode, sent: list[Path]) -> None:
    folder = running.settings.node.storage.folder
    kept = {path.stem: path for path in (folder / "studies").rglob("*.dcm")}
    until(lambda: not list((folder / "inbox").iterdir()))
    assert len(kept) == len(sent)
    assert not being_received(folder)
    for path in sent:
        assert dataset(kept[uid("crash", int(path.stem), 1)]) == dataset(path)


def dataset(path: Path) -> bytes:
    """A file without its meta information."""
    with path.open("rb") as file:
        file.seek(dataset_offset(file))
        return file.read()


def assert_one_report_each(archive: FakePacs) -> None:
    answers = [dcmread(BytesIO(data), force=True) for data in archive.stored.values()]
    reports = [answer for answer in answers if answer.SOPClassUID == ComprehensiveSRStorage]
    by_study = Counter(str(report.StudyInstanceUID) for report in reports)
    assert by_study == Counter(uid("crash", number) for number in range(STUDIES))
    captures = {a.SOPInstanceUID for a in answers} - {report.SOPInstanceUID for report in reports}
    assert {str(a.StudyInstanceUID) for a in answers if a.SOPInstanceUID in captures} == set(
        by_study
    )
