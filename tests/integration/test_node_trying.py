"""A pipeline tried on files: the same answer as a job's, and nothing is left behind."""

from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from dicomnode.config.load import load
from dicomnode.config.pipelines import MatchSettings
from dicomnode.errors import Cause, ModelError, NotAnalysable, NotFound
from dicomnode.node.analysis import StudyAnalysis
from dicomnode.node.trying import Files, Sorted, Trial, sort_files, try_pipeline
from dicomnode.records import ResultKind
from tests.cli import call, configure, told
from tests.factories import make_dataset, uid, write_part10
from tests.gallery.images import radiograph
from tests.integration.test_node_analysis import FakeClassifier
from tests.unit.report.samples import MODEL


def write(folder: Path, number: int, **changes: Any) -> Path:
    ds = make_dataset(number, rows=64, columns=64, **changes)
    return write_part10(ds, folder / f"{number}.dcm")


def attempt(
    folder: Path, files: list[Path], classifier: FakeClassifier | None = None, **rules: str
) -> tuple[Sorted, list[Trial]]:
    pipeline = "".join(f"{name} = {value}\n" for name, value in rules.items())
    settings = load(configure(folder, pipeline=pipeline))
    found = sort_files(files, settings.pipelines["all"].match)
    store = Files(folder / "nowhere", found.paths)
    ready = classifier or FakeClassifier()
    analysis = StudyAnalysis(settings, store, lambda name: ready, lambda name: MODEL)
    return found, try_pipeline(settings, "all", found, analysis)


def test_files_are_sorted_by_study_and_by_the_rules(tmp_path: Path) -> None:
    other = uid("study", 2)
    files = [
        write(tmp_path, 1, Modality="DX"),
        write(tmp_path, 2, Modality="CT"),
        write(tmp_path, 3, Modality="DX", StudyInstanceUID=other),
        write(tmp_path, 4, Modality="DX", Manufacturer="dicomnode"),
        tmp_path / "text",
    ]
    files[-1].write_text("no object")
    found = sort_files([*files, files[0]], MatchSettings(modality=("DX",), calling_ae=("XRAY",)))
    assert found.unreadable == 1
    assert {len(study.images) for study in found.studies.values()} == {1}
    assert sorted(len(study.objects) for study in found.studies.values()) == [1, 2]
    assert found.missed == {"modality": "CT"}


def test_what_is_about_the_patient_is_not_quoted(tmp_path: Path) -> None:
    match = MatchSettings(attributes={"PatientSex": ("F",), "StationName": ("A",)})
    file = write(tmp_path, 1, PatientSex="M", StationName="ROOM7")
    found = sort_files([file], match)
    assert found.missed == {
        "attributes.PatientSex": "another value",
        "attributes.StationName": "ROOM7",
    }


def test_results_are_those_of_a_job(tmp_path: Path) -> None:
    classifier = FakeClassifier()
    files = [write(tmp_path, number, InstanceNumber=number) for number in (2, 1)]
    _, [trial] = attempt(tmp_path, files, classifier)
    assert classifier.shown == [uid("instance", 1), uid("instance", 2)]
    assert not trial.problem
    assert {result.kind for result in trial.results} == {ResultKind.SC, ResultKind.SR}
    assert trial.results[-1].summary
    assert not (tmp_path / "nowhere").exists()


class Unable(FakeClassifier):
    def classify(self, images: Any, *, explained: bool = True) -> Any:
        raise NotAnalysable("the model is for other images", Cause.MODALITY)


def test_what_is_not_analysed_has_its_notices(tmp_path: Path) -> None:
    _, [trial] = attempt(tmp_path, [write(tmp_path, 1)], Unable())
    assert trial.cause is Cause.MODALITY
    assert trial.problem == "the model is for other images"
    assert {result.kind for result in trial.results} == {ResultKind.SC, ResultKind.SR}


def test_where_nobody_wants_notices_there_are_none(tmp_path: Path) -> None:
    _, [trial] = attempt(tmp_path, [write(tmp_path, 1)], Unable(), not_analysed='"nothing"')
    assert trial.problem
    assert not trial.results


def test_two_patients_in_a_study_are_told(tmp_path: Path) -> None:
    files = [write(tmp_path, 1), write(tmp_path, 2, PatientID="OTHER")]
    _, [trial] = attempt(tmp_path, files)
    assert "patient" in trial.problem.lower()
    assert not trial.results


def test_a_pipeline_that_is_turned_off_can_be_tried(tmp_path: Path) -> None:
    _, trials = attempt(tmp_path, [write(tmp_path, 1)], enabled="false")
    assert len(trials) == 1


def test_a_pipeline_or_model_that_is_not_there(tmp_path: Path) -> None:
    settings = load(configure(tmp_path))
    found = sort_files([write(tmp_path, 1)], settings.pipelines["all"].match)

    def broken(name: str) -> FakeClassifier:
        raise ModelError("the model is broken")

    store = Files(tmp_path, found.paths)
    analysis = StudyAnalysis(settings, store, broken, lambda name: None)
    with pytest.raises(NotFound, match="known: all"):
        try_pipeline(settings, "other", found, analysis)
    with pytest.raises(ModelError, match="broken"):
        try_pipeline(settings, "all", found, analysis)


def test_the_command_says_what_it_finds_and_writes_results(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    write_part10(radiograph(1), folder / "1.dcm")
    (folder / "notes.txt").write_text("no object")
    config = configure(tmp_path, node='[classify]\nruntime = "torch"\n')
    out = tmp_path / "out"
    answer = call("try", folder, "--config", config, "--out", out, "--json")
    found = told(answer)
    [study] = found["studies"]
    assert found["unreadable"] == 1
    assert study["model"].startswith("demonstration@")
    assert study["findings"]["cardiomegaly"].keys() >= {"probability", "presence", "threshold"}
    assert [dcmread(out / each["file"]).Modality for each in study["results"]][-1] == "SR"
    assert "analysing the study: 1 image" in answer.stderr
    assert not (tmp_path / "node").exists() or not list((tmp_path / "node").rglob("*.dcm"))


def test_the_command_says_why_no_image_matches(tmp_path: Path) -> None:
    config = configure(tmp_path, pipeline='[match]\nmodality = ["MG"]\n')
    file = write(tmp_path, 1)
    answer = call("try", file, "--config", config)
    assert answer.exit_code == 1
    assert "No image matches pipeline all." in answer.stdout
    assert "modality: the images have CT" in answer.stdout
    found = told(call("try", file, "--config", config, "--json"), exit_code=1)
    assert found["missed"] == {"modality": "CT"}
    assert found["studies"] == []


def test_the_command_wants_to_know_which_pipeline(tmp_path: Path) -> None:
    config = configure(tmp_path)
    (config / "pipelines" / "more.toml").write_text('destinations = ["pacs"]\n')
    answer = call("try", write(tmp_path, 1), "--config", config)
    assert answer.exit_code == 1
    assert "known: all, more" in answer.stderr
    assert call("try", tmp_path / "nothing", "-p", "all", "--config", config).exit_code == 1
