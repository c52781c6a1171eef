"""Steps that bring the node's parts to where a test begins."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom import Dataset

from dicomnode.config.pipelines import PipelineSettings
from dicomnode.node.registrar import Registrar
from dicomnode.receive.intake import Intake, file_header
from dicomnode.records import Job
from dicomnode.storage.database import Database
from dicomnode.storage.objects import ObjectStore
from dicomnode.worklist import history, jobs
from dicomnode.worklist.history import Event
from tests.factories import STUDY_UID, encode, make_association, make_dataset, make_request

__all__ = [
    "all_jobs",
    "inbox",
    "make_pipeline",
    "make_registrar",
    "make_store",
    "put",
    "receive",
    "registering",
    "study_history",
]


def make_store(folder: Path) -> ObjectStore:
    """An empty store."""
    store = ObjectStore(folder)
    store.prepare()
    return store


def make_pipeline(**changes: Any) -> PipelineSettings:
    """A pipeline that takes every image and sends to the peer `pacs`."""
    return PipelineSettings.model_validate({"destinations": ("pacs",)} | changes)


def make_registrar(
    store: ObjectStore, database: Database, **pipelines: PipelineSettings
) -> Registrar:
    """A registrar of these pipelines; of one that takes everything, where none is named."""
    return Registrar(store, database, pipelines or {"all": make_pipeline()})


@contextmanager
def registering(
    registrar: Registrar, look: Callable[[], float] = lambda: float("inf")
) -> Iterator[None]:
    """The registrar's loop in a thread of its own, while the block runs."""
    stop = threading.Event()
    thread = threading.Thread(target=registrar.run, args=(stop, look))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        registrar.wake()
        thread.join()


def receive(store: ObjectStore, *datasets: Dataset, calling_ae: str = "MODALITY") -> None:
    """Keep objects as if they had come by C-STORE; other bytes under a UID are kept beside."""
    for ds in datasets or (make_dataset(),):
        request = make_request(ds, association=make_association(calling_ae=calling_ae))
        with Intake(store, conflict="keep").begin(request) as reception:
            reception.write(encode(ds))
            reception.keep()


def put(folder: Path, ds: Dataset, data: bytes | None = None) -> Path:
    """Put an object into the inbox past all checks, as if it had been left there."""
    path = folder / "inbox" / f"{ds.SOPInstanceUID}.dcm"
    path.write_bytes(file_header(make_request(ds)) + (encode(ds) if data is None else data))
    return path


def inbox(folder: Path) -> list[str]:
    """Stems of the files that wait to be entered."""
    return sorted(path.stem for path in (folder / "inbox").iterdir())


def all_jobs(database: Database) -> list[Job]:
    """All jobs, oldest first."""
    with database.reading() as tx:
        return jobs.listed(tx, limit=1000)[::-1]


def study_history(database: Database, study_uid: str = STUDY_UID) -> list[Event]:
    """What happened to a study."""
    with database.reading() as tx:
        return history.of_study(tx, study_uid)
