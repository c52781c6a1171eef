"""Steps that bring the node's parts to where a test begins."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from pydicom import Dataset

from dicomnode.config.current import Current
from dicomnode.config.load import Settings
from dicomnode.config.pipelines import PipelineSettings
from dicomnode.config.settings import NodeSettings
from dicomnode.node.build import open_store, open_worklist
from dicomnode.node.registrar import Registrar
from dicomnode.receive.intake import Intake, file_header
from dicomnode.records import Job, Peer
from dicomnode.storage.database import Database
from dicomnode.storage.objects import ObjectStore
from dicomnode.worklist import history, jobs
from dicomnode.worklist.history import Event
from dicomnode.worklist.schema import upgrade
from tests.factories import STUDY_UID, encode, make_association, make_dataset, make_request
from tests.running import looping

__all__ = [
    "all_jobs",
    "in_force",
    "inbox",
    "make_pipeline",
    "make_registrar",
    "make_store",
    "put",
    "receive",
    "registering",
    "study_history",
    "worklist_of",
]


def make_store(folder: Path) -> ObjectStore:
    """An empty store."""
    store = ObjectStore(folder)
    store.prepare()
    return store


@contextmanager
def worklist_of(settings: Settings) -> Iterator[Database]:
    """The worklist of a node that has run with these settings, while the block runs."""
    open_store(settings).prepare()
    with closing(open_worklist(settings)) as database:
        upgrade(database)
        yield database


def make_pipeline(**changes: Any) -> PipelineSettings:
    """A pipeline that takes every image and sends to the peer `pacs`."""
    return PipelineSettings.model_validate({"destinations": ("pacs",)} | changes)


def in_force(
    *,
    node: NodeSettings | None = None,
    peers: Mapping[str, Peer] | None = None,
    pipelines: Mapping[str, PipelineSettings] | None = None,
) -> Current:
    """Settings of which a part asks for some."""
    return Current(
        Settings(node=node or NodeSettings(), peers=peers or {}, pipelines=pipelines or {})
    )


def make_registrar(
    store: ObjectStore, database: Database, **pipelines: PipelineSettings
) -> Registrar:
    """A registrar of these pipelines; of one that takes everything, where none is named."""
    current = in_force(pipelines=pipelines or {"all": make_pipeline()})
    return Registrar(store, database, current)


@contextmanager
def registering(
    registrar: Registrar, look: Callable[[], float] = lambda: float("inf")
) -> Iterator[None]:
    """The registrar's loop in a thread of its own, while the block runs."""
    with looping(lambda stop: registrar.run(stop, look), registrar.wake):
        yield


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
