"""One object at the door."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage

from dicomnode.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicomnode.errors import (
    BadUID,
    Conflict,
    DicomnodeError,
    Mismatch,
    ObjectRefused,
    StoreFull,
    TooLarge,
    Unreadable,
)
from dicomnode.receive.intake import Intake
from dicomnode.records import StoreRequest
from dicomnode.storage.incoming import Incoming, Kept
from dicomnode.storage.objects import ObjectStore
from tests.factories import STUDY_UID, encode, make_association, make_dataset, make_request, uid
from tests.landing import being_received
from tests.timing import soon_done


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    store = ObjectStore(tmp_path)
    store.prepare()
    return store


@pytest.fixture
def intake(store: ObjectStore) -> Intake:
    return Intake(store)


def accept(intake: Intake, request: StoreRequest, data: bytes) -> Kept:
    with intake.begin(request) as reception:
        for start in range(0, len(data), 100):
            reception.write(data[start : start + 100])
        return reception.keep()


def accept_dataset(intake: Intake, ds: Dataset) -> Kept:
    return accept(intake, make_request(ds), encode(ds))


def files(folder: Path) -> list[str]:
    """What is kept, or was begun."""
    kept = [path for path in (folder / "inbox").iterdir() if path.is_file()]
    return [path.name for path in kept + being_received(folder)]


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_keeps_the_dataset_byte_for_byte_behind_a_file_meta(
    intake: Intake, store: ObjectStore, syntax: str
) -> None:
    ds = make_dataset()
    data = encode(ds, syntax)
    association = make_association(calling_ae="ODD", called_ae="DICOMNODE")
    request = make_request(ds, transfer_syntax_uid=syntax, association=association)
    assert accept(intake, request, data) is Kept.NEW
    [path] = store.waiting(2)
    assert path.read_bytes().endswith(data)
    meta = dcmread(path).file_meta
    assert len(path.read_bytes()) == 144 + meta.FileMetaInformationGroupLength + len(data)
    assert meta.MediaStorageSOPClassUID == ds.SOPClassUID
    assert meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
    assert meta.TransferSyntaxUID == syntax
    assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert meta.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME
    assert meta.SourceApplicationEntityTitle == "ODD"
    assert meta["ReceivingApplicationEntityTitle"].value == "DICOMNODE"
    assert meta.FileMetaInformationVersion == b"\x00\x01"


def test_says_which_study_it_was(intake: Intake) -> None:
    ds = make_dataset()
    with intake.begin(make_request(ds)) as reception:
        reception.write(encode(ds))
        reception.keep()
    assert reception.study_uid == STUDY_UID


def test_the_same_object_again_is_the_same(intake: Intake) -> None:
    accept_dataset(intake, make_dataset())
    assert accept_dataset(intake, make_dataset()) is Kept.SAME


def test_other_bytes_under_one_uid_are_refused_or_kept_beside(store: ObjectStore) -> None:
    accept_dataset(Intake(store), make_dataset())
    other = make_dataset(PatientID="SYN-0002")
    with pytest.raises(Conflict):
        accept_dataset(Intake(store), other)
    assert accept_dataset(Intake(store, conflict="keep"), other) is Kept.BESIDE


@pytest.mark.parametrize("bad", ["", "../../evil", "1.2.x", "1" * 65, "None", "1.2\n"])
@pytest.mark.parametrize("name", ["sop_class_uid", "sop_instance_uid"])
def test_a_command_without_a_uid_touches_nothing(
    intake: Intake, tmp_path: Path, name: str, bad: str
) -> None:
    request = make_request(make_dataset(), **{name: bad})
    with pytest.raises(BadUID):
        intake.begin(request)
    assert files(tmp_path) == []


def test_a_wrong_presentation_context_is_refused_at_once(intake: Intake) -> None:
    with pytest.raises(Mismatch):
        intake.begin(make_request(make_dataset(), context_sop_class_uid="1.2.840.10008.1.1"))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"SOPInstanceUID": uid("another")}, Mismatch),
        ({"SOPInstanceUID": None}, Mismatch),
        ({"SOPClassUID": MRImageStorage}, Mismatch),
        ({"StudyInstanceUID": None}, BadUID),
        ({"SeriesInstanceUID": ""}, BadUID),
    ],
)
def test_a_dataset_that_says_something_else_is_refused(
    intake: Intake, tmp_path: Path, changes: dict[str, str | None], error: type[ObjectRefused]
) -> None:
    data = encode(make_dataset(1, rows=2, **changes))  # type: ignore[arg-type]  # not "columns"
    with pytest.raises(error):
        accept(intake, make_request(make_dataset()), data)
    assert files(tmp_path) == []


def test_a_study_uid_that_is_a_path_is_refused(intake: Intake, tmp_path: Path) -> None:
    study = b"../" * 3 + b"evil"
    data = encode(make_dataset()).replace(STUDY_UID[: len(study)].encode(), study)
    with pytest.raises(BadUID):
        accept(intake, make_request(make_dataset()), data)
    assert files(tmp_path) == []


@pytest.mark.parametrize("count", [0, 1, 300, 900])
def test_a_dataset_cut_short_is_refused(intake: Intake, tmp_path: Path, count: int) -> None:
    with pytest.raises((Unreadable, Mismatch)):
        accept(intake, make_request(make_dataset()), encode(make_dataset())[:count])
    assert files(tmp_path) == []


def test_takes_an_object_of_just_the_limit(store: ObjectStore) -> None:
    data = encode(make_dataset())
    intake = Intake(store, max_object_bytes=len(data))
    assert accept(intake, make_request(make_dataset()), data) is Kept.NEW


def test_stops_at_the_limit(store: ObjectStore, tmp_path: Path) -> None:
    data = encode(make_dataset())
    with pytest.raises(TooLarge):
        accept(Intake(store, max_object_bytes=len(data) - 1), make_request(make_dataset()), data)
    assert files(tmp_path) == []


def test_a_disk_that_fills_up_at_the_first_byte_leaves_nothing(
    intake: Intake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StoreFull("no room")

    monkeypatch.setattr(Incoming, "write", full)
    with pytest.raises(StoreFull), intake.begin(make_request(make_dataset())) as reception:
        reception.flush()
    assert files(tmp_path) == []


def test_a_full_disk_is_told_at_the_beginning(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path, min_free_bytes=2**62)
    store.prepare()
    with pytest.raises(StoreFull):
        Intake(store).begin(make_request(make_dataset()))


@given(data=st.binary(max_size=400))
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes_are_refused_in_our_own_words(intake: Intake, data: bytes) -> None:
    with soon_done(), pytest.raises(DicomnodeError):
        accept(intake, make_request(make_dataset()), data)
