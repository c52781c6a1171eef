"""Several models, several workers and studies that come in slowly, in a whole running node."""

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ComprehensiveSRStorage

from dicomnode.learn.synthetic import synthetic_dx
from dicomnode.records import Job, State, Verdict
from tests.cli import call, told
from tests.factories import uid
from tests.pacs import FakePacs
from tests.running import RunningNode, node, until
from tests.tiny_model import make_model

_SECOND = """
model = "second"
destinations = ["pacs"]
shadow = ["demonstration"]

[complete]
quiet_s = 0.5
"""
_MORE = """
models = ["{folder}/models"]
workers = 2

[log]
level = "DEBUG"
"""


@pytest.fixture
def running(tmp_path: Path, archive: FakePacs) -> Iterator[RunningNode]:
    """Two pipelines with a model each, and two workers."""
    make_model(tmp_path / "models" / "second", name="second")
    extra = {"pipelines/second.toml": _SECOND}
    more = _MORE.format(folder=tmp_path)
    with node(tmp_path, archive.peer.port, extra=extra, more=more) as running:
        yield running


def radiograph(folder: Path, study: int, number: int = 1) -> Path:
    ds = synthetic_dx(study, rows=128, number=number, study_uid=uid("several", study))
    path = folder / f"{study}-{number}.dcm"
    ds.save_as(path, enforce_file_format=True)
    return path


def workers(running: RunningNode) -> list[str]:
    assert running.process is not None
    found = ["pgrep", "-P", str(running.process.pid), "-f", "dicomnode worker"]
    return subprocess.run(found, capture_output=True, text=True, check=False).stdout.split()


def delivered(running: RunningNode, count: int) -> bool:
    return [job.state for job in running.jobs()] == [State.DELIVERED] * count


def reports(archive: FakePacs) -> list[Dataset]:
    found = [dcmread(BytesIO(archive.stored[name]), force=True) for name in set(archive.order)]
    return [ds for ds in found if ds.SOPClassUID == ComprehensiveSRStorage]


def test_every_model_of_a_study_answers_it_and_a_candidate_is_only_compared(
    running: RunningNode, archive: FakePacs, tmp_path: Path
) -> None:
    running.send([radiograph(tmp_path, study) for study in (1, 2)])
    until(lambda: delivered(running, 4), timeout_s=120)

    jobs: list[Job] = running.jobs()
    assert Counter(job.pipeline for job in jobs) == {"all": 2, "second": 2}
    answers = reports(archive)
    assert len(answers) == 4
    assert {answer.StudyInstanceUID for answer in answers} == {
        uid("several", study) for study in (1, 2)
    }
    sent = len(archive.order)
    compare = ("models", "compare", "second", "--json", "--config", running.config)
    until(lambda: running.log.count("shadow.kept") == 2)
    (found,) = told(call(*compare))
    assert (found["model"], found["both_answered"] + found["only_model"]) == ("second@0.1", 2)
    assert found["candidate"].startswith("demonstration@")
    assert len(archive.order) == sent


def test_two_workers_do_the_work_and_what_one_that_is_killed_held_is_done_by_another(
    running: RunningNode, archive: FakePacs, tmp_path: Path
) -> None:
    until(lambda: len(workers(running)) == 2)
    running.send([radiograph(tmp_path, study) for study in range(1, 5)])
    until(lambda: "job.started" in running.log)
    os.kill(int(workers(running)[0]), signal.SIGKILL)

    until(lambda: delivered(running, 8), timeout_s=120)

    assert len(reports(archive)) == 8
    assert len(set(archive.order)) == len(archive.order)
    until(lambda: len(workers(running)) == 2)


def test_images_are_answered_while_their_study_comes_in(tmp_path: Path, archive: FakePacs) -> None:
    more = _MORE.format(folder=tmp_path)
    (tmp_path / "models").mkdir()
    with node(tmp_path, archive.peer.port, quiet_s=3600, more=more) as running:
        images = [radiograph(tmp_path, 1, number) for number in (1, 2)]
        assert [one.verdict for one in running.send(images)] == [Verdict.STORED] * 2

        until(lambda: running.log.count("image.answered") == 2, timeout_s=120)

        assert [job.state for job in running.jobs()] == [State.WAITING]
        assert "job.started" not in running.log
