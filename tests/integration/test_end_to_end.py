"""The main job: studies in, one Structured Report and its captures out, in a whole running node."""

from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    ComprehensiveSRStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
)

from dicomnode.errors import Cause
from dicomnode.learn.synthetic import synthetic_dx
from dicomnode.records import State, Verdict
from tests.cli import call, told
from tests.factories import uid
from tests.pacs import FakePacs, pacs
from tests.running import RunningNode, node, until


@pytest.fixture
def running(tmp_path: Path, archive: FakePacs) -> Iterator[RunningNode]:
    with node(tmp_path, archive.peer.port) as running:
        yield running


def radiograph(folder: Path, number: int, *findings: str, image: int = 1, study: int = 0) -> Path:
    """A small synthetic radiograph as a file; images of one study share `study`."""
    ds = synthetic_dx(
        study or number, findings, rows=128, number=image, study_uid=uid("e2e", study or number)
    )
    path = folder / f"{number}-{image}.dcm"
    ds.save_as(path, enforce_file_format=True)
    return path


def stored(archive: FakePacs) -> list[Dataset]:
    """What the archive holds, parsed, in the order in which it came."""
    return [
        dcmread(BytesIO(archive.stored[name]), force=True) for name in dict.fromkeys(archive.order)
    ]


def test_a_study_is_answered_with_captures_and_one_report(
    running: RunningNode, archive: FakePacs, tmp_path: Path
) -> None:
    path = radiograph(tmp_path, 1, "cardiomegaly")
    assert [o.verdict for o in running.send([path])] == [Verdict.STORED]

    (job,) = running.wait_for_studies(1)

    assert job.state is State.DELIVERED, job.reason
    source, answers = dcmread(path), stored(archive)
    kinds = [answer.SOPClassUID for answer in answers]
    assert kinds == [SecondaryCaptureImageStorage] * (len(kinds) - 1) + [ComprehensiveSRStorage]
    assert {answer.StudyInstanceUID for answer in answers} == {source.StudyInstanceUID}
    assert {answer.PatientID for answer in answers} == {source.PatientID}
    assert b"not for clinical use" in archive.stored[answers[-1].SOPInstanceUID].lower()


def test_a_late_image_makes_a_revision_that_names_the_report_it_supersedes(
    running: RunningNode, archive: FakePacs, tmp_path: Path
) -> None:
    running.send([radiograph(tmp_path, 1, study=7)])
    running.wait_for_studies(1)
    first = stored(archive)[-1]

    running.send([radiograph(tmp_path, 2, image=2, study=7)])
    until(lambda: [job.state for job in running.jobs()] == [State.DELIVERED] * 2)

    second = stored(archive)[-1]
    assert first.SOPClassUID == second.SOPClassUID == ComprehensiveSRStorage
    (study,) = second.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (named,) = series.ReferencedSOPSequence
    assert named.ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert "PredecessorDocumentsSequence" not in first


def test_a_model_is_recalled_while_the_node_runs_and_answers_again_when_it_is_reinstated(
    running: RunningNode, archive: FakePacs, tmp_path: Path
) -> None:
    running.send([radiograph(tmp_path, 1, study=7)])
    (job,) = running.wait_for_studies(1)
    first = stored(archive)
    listed = told(call("results", "list", "--json", "--config", running.config))
    (model,) = {one["model"] for one in listed}

    done = call("results", "recall", "--model", model, "--yes", "--config", running.config)
    assert done.exit_code == 0, done.output
    until(lambda: [found.state for found in running.jobs()] == [State.WITHDRAWN])
    assert call("worklist", "retry", job.id, "--config", running.config).exit_code == 0
    until(lambda: running.jobs()[0].state is State.NOT_ANALYSED)
    stopped = running.jobs()[0]
    assert stopped.refused is Cause.RECALLED
    notices = len(stored(archive))
    back = call("results", "reinstate", "--model", model, "--config", running.config)
    assert back.exit_code == 0, back.output
    assert call("worklist", "retry", stopped.id, "--config", running.config).exit_code == 0
    until(lambda: running.jobs()[0].state is State.DELIVERED)

    answers = stored(archive)
    page, addendum, rejection = answers[len(first) : len(first) + 3]
    notice, again = answers[notices - 1], answers[notices:]
    assert page.SOPClassUID == SecondaryCaptureImageStorage
    assert rejection.SOPClassUID == KeyObjectSelectionDocumentStorage
    assert names(rejection.CurrentRequestedProcedureEvidenceSequence) == {
        answer.SOPInstanceUID for answer in first
    }
    assert names(addendum.PredecessorDocumentsSequence) == {first[-1].SOPInstanceUID}
    assert names(notice.PredecessorDocumentsSequence) == {addendum.SOPInstanceUID}
    assert names(again[-1].PredecessorDocumentsSequence) == {notice.SOPInstanceUID}


def names(studies: Sequence[Dataset]) -> set[str]:
    """UIDs of the instances that a reference names."""
    return {
        str(instance.ReferencedSOPInstanceUID)
        for study in studies
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }


def test_results_that_the_pacs_routes_back_are_not_analysed(
    running: RunningNode, archive: FakePacs, tmp_path: Path
) -> None:
    running.send([radiograph(tmp_path, 1)])
    running.wait_for_studies(1)
    folder = running.settings.node.storage.folder / "results"

    assert {o.verdict for o in running.send(sorted(folder.rglob("*.dcm")))} == {Verdict.STORED}
    running.send([radiograph(tmp_path, 2)])
    running.wait_for_studies(2)

    assert sorted(job.revision for job in running.jobs()) == [1, 1]


def test_a_study_that_cannot_be_analysed_is_told_of_in_the_place_of_its_results(
    running: RunningNode, archive: FakePacs, tmp_path: Path
) -> None:
    ds = synthetic_dx(1, rows=128)
    del ds.PixelData
    ds.save_as(tmp_path / "headless.dcm", enforce_file_format=True)

    running.send([tmp_path / "headless.dcm"])
    (job,) = running.wait_for_studies(1)

    assert job.state is State.NOT_ANALYSED
    assert "pixel" in job.reason.lower()
    answers = stored(archive)
    kinds = [answer.SOPClassUID for answer in answers]
    assert kinds == [SecondaryCaptureImageStorage, ComprehensiveSRStorage]
    assert {answer.StudyInstanceUID for answer in answers} == {ds.StudyInstanceUID}
    assert all("NOT ANALYSED" in answer.SeriesDescription for answer in answers)


def test_a_study_of_two_patients_is_held_and_nothing_leaves(
    running: RunningNode, archive: FakePacs, tmp_path: Path
) -> None:
    for number, patient in ((1, "SECRET-1"), (2, "SECRET-2")):
        ds = synthetic_dx(1, rows=128, number=number, patient_id=patient, study_uid=uid("mixed"))
        ds.save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)

    running.send([tmp_path / "1.dcm", tmp_path / "2.dcm"])
    (job,) = running.wait_for_studies(1)

    assert job.state is State.HELD
    assert "PatientID, 2 values in 1 and 1 images" in job.reason
    assert not archive.stored
    assert "job.held" in running.log
    assert "SECRET" not in running.log


def test_the_receiver_survives_the_worker_and_the_job_is_taken_up_again(
    running: RunningNode, archive: FakePacs, tmp_path: Path
) -> None:
    running.send([radiograph(tmp_path, number) for number in (1, 2, 3)])
    until(lambda: "job.started" in running.log)
    assert running.kill_worker()
    assert running.send([radiograph(tmp_path, 4)])[0].verdict is Verdict.STORED

    found = running.wait_for_studies(4)

    assert {job.state for job in found} == {State.DELIVERED}
    reports = [a for a in stored(archive) if a.SOPClassUID == ComprehensiveSRStorage]
    assert len(reports) == 4


def test_a_stopped_node_says_goodbye_and_goes_on_where_it_was(
    running: RunningNode, archive: FakePacs, tmp_path: Path
) -> None:
    running.send([radiograph(tmp_path, number) for number in (1, 2)])
    assert running.stop() == 0
    assert "node.stopped" in running.log

    running.start()
    found = running.wait_for_studies(2)

    assert {job.state for job in found} == {State.DELIVERED}
    assert len(set(archive.order)) == len(archive.order)


def test_results_wait_for_a_pacs_that_is_away_and_go_out_once(tmp_path: Path) -> None:
    with pacs() as gone:
        port = gone.peer.port
    with node(tmp_path, port) as running:
        running.send([radiograph(tmp_path, 1), radiograph(tmp_path, 2)])
        until(
            lambda: (
                [job.state for job in running.jobs()] == [State.REPORTED] * 2
                and "peer.away" in running.log
            )
        )
        with pacs(port=port) as back:
            found = running.wait_for_studies(2)

    assert {job.state for job in found} == {State.DELIVERED}
    assert len(back.order) == len(set(back.order))


def test_no_line_of_the_log_tells_who_the_patient_is(
    running: RunningNode, archive: FakePacs, tmp_path: Path
) -> None:
    ds = synthetic_dx(1, rows=128, patient_name="SECRET^PERSON", patient_id="SECRET-ID")
    ds.AccessionNumber = "SECRET-ACC"
    ds.save_as(tmp_path / "1.dcm", enforce_file_format=True)
    running.send([tmp_path / "1.dcm"])
    running.wait_for_studies(1)
    running.stop()

    assert "job.reported" in running.log
    assert "SECRET" not in running.log
    assert not [p for p in tmp_path.rglob("*") if "SECRET" in p.name]
