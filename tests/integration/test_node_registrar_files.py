"""From the inbox into the worklist: files that cannot be read, and headers that are odd."""

from pathlib import Path
from typing import NoReturn

import pytest
import sqlalchemy as sa
from pydicom import Dataset
from pydicom.config import IGNORE
from pydicom.dataelem import DataElement

from dicomnode.config.pipelines import PipelineSettings
from dicomnode.errors import StoreError, Unreadable
from dicomnode.records import State
from dicomnode.storage.database import Database
from dicomnode.storage.objects import ObjectStore
from dicomnode.worklist import jobs, studies
from dicomnode.worklist.tables import studies as studies_table
from tests.factories import STUDY_UID, encode, make_dataset, uid
from tests.node import all_jobs, inbox, make_registrar, make_store, put, receive


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return make_store(tmp_path / "node")


@pytest.fixture
def folder(store: ObjectStore, tmp_path: Path) -> Path:
    return tmp_path / "node"


# --- files that cannot be read --------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x08\x00",
        encode(make_dataset(1, StudyInstanceUID=None)),
        encode(make_dataset(1)).replace(STUDY_UID.encode(), b"x" * len(STUDY_UID)),
    ],
    ids=["empty", "cut", "no-uid", "no-such-uid"],
)
def test_what_cannot_be_read_is_named_once_and_blocks_nothing(
    data: bytes,
    store: ObjectStore,
    folder: Path,
    sqlite_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    database = Database(sqlite_url)
    registrar = make_registrar(store, database)
    put(folder, make_dataset(1), data)
    receive(store, make_dataset(2))

    assert [registrar.enter_batch() for _ in range(3)] == [1, 0, 0]

    assert caplog.messages.count("registrar.unreadable") == 1
    assert inbox(folder) == [uid("instance", 1)]
    assert len(all_jobs(database)) == 1
    database.close()


def test_an_acknowledged_object_whose_attributes_are_broken_is_entered(
    store: ObjectStore, folder: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its UIDs were read before it was acknowledged; if it can be analysed, the worker will say."""

    def broken(path: Path) -> NoReturn:
        raise Unreadable("the header cannot be parsed")

    monkeypatch.setattr("dicomnode.dicom.attributes.read_header", broken)
    database = Database(sqlite_url)
    ds = make_dataset(1)
    ds.add_new(0x00091001, "OB", bytes(100_000))  # more than is read at a glance
    receive(store, ds)

    assert make_registrar(store, database).enter_batch() == 1

    (job,) = all_jobs(database)
    assert (job.study_uid, job.received) == (STUDY_UID, 1)
    database.close()


def test_an_error_nobody_foresaw_is_that_of_one_object(
    store: ObjectStore,
    folder: Path,
    sqlite_url: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def break_at_the_first(pipeline: PipelineSettings, header: Dataset, calling_ae: str) -> bool:
        if header.SOPInstanceUID == uid("instance", 1):
            raise OverflowError("cannot convert float infinity to integer")
        return True

    monkeypatch.setattr("dicomnode.node.registrar.matches", break_at_the_first)
    database = Database(sqlite_url)
    registrar = make_registrar(store, database)
    for number in (1, 2):
        receive(store, make_dataset(number))

    assert [registrar.enter_batch() for _ in range(2)] == [1, 0]

    assert caplog.messages.count("registrar.unreadable") == 1
    assert inbox(folder) == [uid("instance", 1)]
    assert len(all_jobs(database)) == 1
    database.close()


def test_a_file_the_disk_does_not_give_is_tried_again_and_blocks_nothing(
    store: ObjectStore, folder: Path, sqlite_url: str
) -> None:
    database = Database(sqlite_url)
    registrar = make_registrar(store, database)
    ungiven = folder / "inbox" / f"{uid('instance', 1)}.dcm"
    ungiven.mkdir()  # reading it is an error of the operating system, also for root
    receive(store, make_dataset(2))

    with pytest.raises(StoreError):
        registrar.enter_batch()
    assert len(all_jobs(database)) == 1
    ungiven.rmdir()
    put(folder, make_dataset(1))
    assert registrar.enter_batch() == 1

    assert inbox(folder) == []
    database.close()


# --- odd headers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (b"SYN\x001234", "SYN 1234"),
        (b"x" * 300, "x" * 64),
        ("Müller-1".encode("latin-1"), None),
        (b"\xff\xfe\xfd\xfc", None),
        (b"", ""),
    ],
    ids=["nul", "too-long", "undeclared-latin-1", "no-text", "empty"],
)
def test_odd_values_reach_the_database_safely(
    written: bytes, kept: str | None, store: ObjectStore, database: Database
) -> None:
    placeholder = "P" * len(written)
    ds = make_dataset(1, SpecificCharacterSet=None)
    for tag, vr in ((0x00080050, "SH"), (0x00080020, "DA"), (0x00100020, "LO")):
        ds.add(DataElement(tag, vr, placeholder, validation_mode=IGNORE))
    put(store.path_of(STUDY_UID, "1").parents[2], ds, _replaced(encode(ds), written))

    make_registrar(store, database).enter_batch()

    with database.reading() as tx:
        (row,) = tx.execute(
            sa.select(studies_table.c.patient_id, studies_table.c.accession_number)
        ).all()
    assert len(row.patient_id) <= 64
    if kept is not None:
        assert tuple(row) == (kept, kept)


def _replaced(data: bytes, written: bytes) -> bytes:
    return data.replace(b"P" * len(written), written) if written else data


def test_the_sender_is_known_by_its_ae_title_without_padding(
    store: ObjectStore, database: Database
) -> None:
    receive(store, calling_ae="SIXTEEN LETTERS!")

    make_registrar(store, database).enter_batch()

    with database.reading() as tx:
        (waiting,) = studies.waiting(tx)
        assert waiting.calling_ae == "SIXTEEN LETTERS!"
        assert jobs.count(tx) == {State.WAITING: 1}
