"""From files of a study to results or notices: of one patient, each header read once."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from dicomnode.answers import ModelRef, Prediction
from dicomnode.config.load import load
from dicomnode.dicom import attributes
from dicomnode.errors import Cause, NotAnalysable, PatientsDiffer, ReportError
from dicomnode.node.analysis import StudyAnalysis
from dicomnode.node.handling import Case
from dicomnode.records import (
    InstanceRef,
    Job,
    ResultKind,
    State,
)
from tests.cli import configure
from tests.factories import STUDY_UID, make_dataset
from tests.node import make_store, receive
from tests.unit.report.samples import MODEL, make_prediction, make_source
from tests.worklist import NOW

SR, SC = ResultKind.SR, ResultKind.SC
JOB = Job(
    id=1,
    study_uid=STUDY_UID,
    pipeline="all",
    revision=1,
    state=State.RUNNING,
    priority=0,
    attempts=1,
    lease="node/1",
    received=3,
    expected=None,
    partial=False,
    reason="",
    ready_at=NOW,
    not_before=NOW,
    updated_at=NOW,
)


class FakeClassifier:
    """Says something of the first image that it is shown."""

    model: ModelRef = MODEL

    def __init__(self) -> None:
        self.shown: list[str] = []

    def classify(self, images: Sequence[Dataset | Path], *, explained: bool = True) -> Prediction:
        headers = [attributes.read_header(image) for image in images if isinstance(image, Path)]
        self.shown = [str(header.SOPInstanceUID) for header in headers]
        return make_prediction(make_source(*headers))

    def ahead(self, image: Path) -> None:
        """Nothing is worth remembering."""


class Bench:
    """The analysis with a store around it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = make_store(folder / "node")
        self.classifier = FakeClassifier()
        self.loaded: list[str] = []
        self.named = MODEL

    def keep(self, number: int, **changes: Any) -> InstanceRef:
        """Have an image of the study on disk."""
        ds = make_dataset(number, rows=64, columns=64, **changes)
        receive(self.store, ds)
        (path,) = self.store.waiting(1)
        self.store.settle(path, STUDY_UID)
        return InstanceRef(
            sop_class_uid=ds.SOPClassUID,
            sop_instance_uid=ds.SOPInstanceUID,
            series_uid=ds.SeriesInstanceUID,
            study_uid=STUDY_UID,
        )

    def path(self, ref: InstanceRef) -> Path:
        return self.store.path_of(STUDY_UID, ref.sop_instance_uid)

    def analysis(self, **pipeline: str) -> StudyAnalysis:
        text = "".join(f"{name} = {value}\n" for name, value in pipeline.items())
        settings = load(configure(self.folder, pipeline=text))

        def ready(name: str) -> FakeClassifier:
            self.loaded.append(name)
            return self.classifier

        return StudyAnalysis(settings, self.store, ready, lambda name: self.named)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def case(images: Sequence[InstanceRef], study: Sequence[InstanceRef] = ()) -> Case:
    return Case(job=JOB, images=images, study=study or images, supersedes=())


def refuse(analysis: StudyAnalysis, case: Case) -> list[Dataset]:
    made = analysis.refuse(case, Cause.INCOMPLETE, "1 of 3 images came")
    return [dcmread(BytesIO(result.part10)) for result in made]


# --- results --------------------------------------------------------------------------------


def test_the_model_is_shown_the_images_of_the_job_in_order_of_the_study(bench: Bench) -> None:
    third, first, other = bench.keep(3), bench.keep(1), bench.keep(2)

    results = bench.analysis().analyse(case([third, first], [third, first, other]))

    assert bench.classifier.shown == [first.sop_instance_uid, third.sop_instance_uid]
    assert {result.kind for result in results} == {SC, SR}
    assert {result.model for result in results} == {f"{MODEL.name}@{MODEL.version}"}


def test_a_model_that_is_several_is_named_with_its_members(bench: Bench) -> None:
    bench.named = replace(MODEL, members=("one@1", "other@1"))
    analysis = bench.analysis()
    tags = (MODEL.tag, "one@1", "other@1")
    assert analysis.models(JOB) == analysis.models_of("all") == analysis.tags_of("chest") == tags
    assert analysis.models_of("gone") == ()


def test_a_model_that_was_loaded_is_what_it_was_whatever_its_folder_holds_now(
    bench: Bench,
) -> None:
    analysis = bench.analysis()
    bench.named = replace(MODEL, version="9")
    assert analysis.models(JOB) == (replace(MODEL, version="9").tag,)
    analysis.warm("all")
    assert analysis.models(JOB) == (MODEL.tag,)  # of which its results will be, too


def test_each_file_is_opened_once_to_see_whose_it_is(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    refs = [bench.keep(number) for number in (1, 2, 3)]
    read: list[Path] = []
    real = attributes.read_header

    def counting(path: Path) -> attributes.Header:
        read.append(path)
        return real(path)

    monkeypatch.setattr("dicomnode.node.analysis.attributes.read_header", counting)
    monkeypatch.setattr(bench.classifier, "classify", stop)
    with pytest.raises(InterruptedError):
        bench.analysis().analyse(case(refs[:2], refs))

    assert sorted(read) == sorted(map(bench.path, refs))


def stop(images: Sequence[Dataset | Path]) -> Prediction:
    raise InterruptedError


def test_an_image_that_is_gone_or_broken_is_no_answer(bench: Bench) -> None:
    here, gone, broken = (bench.keep(number) for number in (1, 2, 3))
    bench.path(gone).unlink()
    bench.path(broken).write_bytes(b"no DICOM")

    with pytest.raises(NotAnalysable, match="unreadable: 2") as caught:
        bench.analysis().analyse(case([here, gone, broken]))

    assert caught.value.cause is Cause.NO_IMAGE


def test_a_job_without_images_is_no_answer(bench: Bench) -> None:
    with pytest.raises(NotAnalysable) as caught:
        bench.analysis().analyse(case([], [bench.keep(1)]))

    assert caught.value.cause is Cause.NO_IMAGE


# --- one patient ----------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [StudyAnalysis.analyse, refuse])
def test_an_image_of_another_patient_in_the_study_stops_everything_before_the_model(
    answer: Callable[..., object], bench: Bench
) -> None:
    mine = bench.keep(1)
    theirs = bench.keep(2, Modality="SR", PatientID="SECRET-2")  # of no pipeline

    with pytest.raises(PatientsDiffer, match="PatientID, 2 values in 1 and 1") as caught:
        answer(bench.analysis(), case([mine], [mine, theirs]))

    assert "SECRET" not in str(caught.value)
    assert bench.classifier.shown == []
    assert bench.loaded == []


def test_what_cannot_be_read_names_no_other_patient(bench: Bench) -> None:
    mine, broken = bench.keep(1), bench.keep(2)
    bench.path(broken).write_bytes(b"no DICOM")

    assert bench.analysis().analyse(case([mine], [mine, broken]))


# --- notices --------------------------------------------------------------------------------


def test_a_notice_is_made_without_the_model_in_the_kinds_that_peers_take(bench: Bench) -> None:
    image = bench.keep(1)

    made = refuse(bench.analysis(), case([image]))

    assert [ds.Modality for ds in made] == ["CT", "SR"]
    assert {ds.StudyInstanceUID for ds in made} == {STUDY_UID}
    assert {ds.PatientID for ds in made} == {"SYN-0001"}
    assert bench.loaded == []


def test_a_notice_needs_one_header_and_not_all(bench: Bench) -> None:
    here, gone, broken = (bench.keep(number) for number in (1, 2, 3))
    bench.path(gone).unlink()
    bench.path(broken).write_bytes(b"no DICOM")

    assert len(refuse(bench.analysis(), case([gone, broken, here]))) == 2
    assert len(refuse(bench.analysis(), case([gone, broken], [gone, broken, here]))) == 2


def test_without_any_header_there_is_no_notice(bench: Bench) -> None:
    gone = bench.keep(1)
    bench.path(gone).unlink()

    with pytest.raises(ReportError, match="no header"):
        refuse(bench.analysis(), case([gone]))


def test_a_notice_is_made_of_what_the_destinations_take(bench: Bench) -> None:
    image = bench.keep(1)

    made = refuse(bench.analysis(not_analysed='"reports"'), case([image]))

    assert [ds.Modality for ds in made] == ["SR"]


def test_a_notice_has_the_same_bytes_whenever_it_is_made(bench: Bench) -> None:
    one = case([bench.keep(1)])
    first = bench.analysis().refuse(one, Cause.VIEW, "lateral")
    again = bench.analysis().refuse(one, Cause.VIEW, "lateral")
    later = replace(one, job=replace(JOB, revision=2))

    assert [made.part10 for made in first] == [made.part10 for made in again]
    other = bench.analysis().refuse(later, Cause.VIEW, "lateral")
    assert not {made.ref for made in first} & {made.ref for made in other}
