"""The whole node in this process, with a worker that does nothing: start, outage, stop."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from pynetdicom.presentation import build_context

from dicomnode.config.settings import DeliverSettings, ReceiveSettings
from dicomnode.deliver.sender import send
from dicomnode.dicom.network import associate, echo
from dicomnode.errors import StoreError
from dicomnode.node.arrivals import Arrivals
from dicomnode.node.completeness import CompletenessCheck
from dicomnode.node.counts import StudyCounts
from dicomnode.node.courier import Courier
from dicomnode.node.parts import Part, Parts
from dicomnode.node.process import ChildProcess
from dicomnode.node.receivers import Receivers
from dicomnode.node.registrar import Registrar
from dicomnode.node.service import Service
from dicomnode.node.takeover import Takeover
from dicomnode.node.timers import Timers
from dicomnode.records import Peer, State, Verdict
from dicomnode.storage.objects import ObjectStore
from dicomnode.worklist.schema import upgrade
from tests.factories import make_dataset, make_peer, write_part10
from tests.fakes import FakeSend, LeavingDatabase
from tests.node import all_jobs, in_force, inbox, make_pipeline
from tests.receiver import ReceiverHere
from tests.running import until

MODALITY = make_peer()


class _Registrar(Registrar):
    """Breaks as often as it is told to, in a way nobody foresaw."""

    breaks = 0

    def enter_batch(self) -> int:
        if self.breaks:
            self.breaks -= 1
            raise ValueError("PATIENT^NAME")
        return super().enter_batch()


class Node:
    """A service put together as `node/build.py` does, with the database and a few parts in hand."""

    def __init__(self, url: str, folder: Path) -> None:
        self.folder = folder
        self.database = LeavingDatabase(url)
        self.store = ObjectStore(folder)
        self.peers = {MODALITY.name: MODALITY}
        pipelines = {"all": make_pipeline(complete={"quiet_s": 0.1})}
        self.current = in_force(peers=self.peers, pipelines=pipelines)
        self.registrar = _Registrar(self.store, self.database, self.current)
        self.arrivals = Arrivals(self.registrar.wake, self.registrar.note_conflict)
        self.server = ReceiverHere(ReceiveSettings(port=0), self.peers, self.store, self.arrivals)
        self.send = FakeSend()
        self.courier = Courier(
            MODALITY, self.store, self.database, self.send, DeliverSettings(), holder="node"
        )
        self.worker = ChildProcess(
            lambda name, careful: ["cat"], lambda: "node/1", *[lambda name: None] * 2
        )
        self.completeness = CompletenessCheck(
            self.database,
            self.current,
            self.arrivals,
            StudyCounts(self.current, lambda peer, study: None, self.database),
            self.registrar.horizon,
        )
        self.timers = Timers(self.current, self.database, self.store, lambda peer: "")
        self.open: Callable[[], None] = lambda: upgrade(self.database)
        self.stopped = threading.Event()

    def service(self) -> Service:
        return Service(
            self.store,
            cast(Receivers, self.server),
            self.database,
            lambda: self.open(),
            self.registrar,
            self.completeness,
            self.timers,
            Parts(),
            lambda: {
                "deliver": Part(run=self.courier.run, look=self.courier.look),
                "worker": Part(run=self.worker.run, kill=self.worker.kill),
            },
            Takeover(self.folder, self.current),
        )

    @contextmanager
    def running(self, *, drain_s: float = 5.0) -> Iterator[None]:
        """The service in a thread, while the block runs."""
        service = self.service()
        thread = threading.Thread(
            target=service.run, args=(self.stopped,), kwargs={"drain_s": drain_s}
        )
        thread.start()
        try:
            until(lambda: service.port != 0)
            yield
        finally:
            self.stopped.set()
            thread.join()

    @property
    def peer(self) -> Peer:
        return make_peer(name="node", ae_title="DICOMNODE", port=self.server.port)

    def send_images(self, *numbers: int) -> list[Verdict]:
        """Send images as the modality, in one association."""
        files = [
            write_part10(make_dataset(number), self.folder.parent / f"{number}.dcm")
            for number in numbers
        ]
        return [outcome.verdict for outcome in send(files, self.peer, MODALITY.ae_title)]

    def states(self) -> list[State]:
        return [job.state for job in all_jobs(self.database)]


@pytest.fixture
def node(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setattr("dicomnode.node.service._DATABASE_WAIT_S", 0.05)
    monkeypatch.setattr("dicomnode.node.parts._BROKEN_WAIT_S", 0.05)
    return Node(sqlite_url, tmp_path / "node")


def test_an_image_goes_from_the_network_to_a_job_that_is_ready(node: Node) -> None:
    with node.running():
        assert node.send_images(1, 2) == [Verdict.STORED] * 2

        until(lambda: node.states() == [State.READY])


def test_a_study_is_ready_because_its_association_ended_not_because_time_passed(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomnode.node.registrar._LOOK_S", 3600)
    monkeypatch.setattr("dicomnode.node.completeness._LOOK_S", 3600)
    with node.running():
        until(lambda: node.registrar.horizon().year > 1)
        assert node.send_images(1, 2) == [Verdict.STORED] * 2

        until(lambda: node.states() == [State.READY])


def test_images_are_taken_before_the_database_is_there_and_entered_when_it_is(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    node.database.away = True
    with node.running():
        assert node.send_images(1, 2) == [Verdict.STORED] * 2
        until(lambda: "worklist.waiting" in caplog.messages)
        assert len(inbox(node.folder)) == 2

        node.database.away = False

        until(lambda: inbox(node.folder) == [])
        assert len(node.states()) == 1


def test_waits_longer_and_longer_for_the_database_and_says_so(
    node: Node, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomnode.node.service._DATABASE_WAIT_S", 0.01)
    monkeypatch.setattr("dicomnode.node.service._LONGEST_DATABASE_WAIT_S", 0.03)
    node.database.away = True
    with node.running():
        until(lambda: caplog.messages.count("worklist.waiting") >= 4)

    lines = [vars(line) for line in caplog.records if line.message == "worklist.waiting"]
    assert [line["retry_in_s"] for line in lines[:4]] == [0.01, 0.02, 0.03, 0.03]
    assert lines[0]["problem"] == "images are taken and kept meanwhile"
    assert "problem" not in lines[1]


def test_images_are_taken_while_the_database_is_away(node: Node) -> None:
    with node.running():
        until(lambda: node.registrar.horizon().year > 1)
        node.database.away = True

        assert node.send_images(1) == [Verdict.STORED]

        assert len(inbox(node.folder)) == 1
        node.database.away = False
        until(lambda: inbox(node.folder) == [])


def test_a_broken_thread_is_logged_and_started_again(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    node.registrar.breaks = 2
    with node.running():
        node.send_images(1)

        until(lambda: len(node.states()) == 1)

    broken = [record for record in caplog.records if record.message == "node.broken"]
    assert [vars(record)["problem"] for record in broken] == ["register", "register"]


def test_a_worklist_that_does_not_open_is_tried_again(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    tries = 0

    def fail_once() -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise RuntimeError("tables of a later version")

    node.open = fail_once
    with node.running():
        node.send_images(1)

        until(lambda: len(node.states()) == 1)

    assert "node.broken" in caplog.messages


# --- stopping -------------------------------------------------------------------------------


def test_stops_at_once_while_it_waits_for_the_database(
    node: Node, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomnode.node.service._DATABASE_WAIT_S", 120.0)
    monkeypatch.setattr("dicomnode.node.service._LONGEST_DATABASE_WAIT_S", 120.0)
    node.database.away = True
    with node.running():
        until(lambda: "worklist.waiting" in caplog.messages)
        begun = time.monotonic()

    assert time.monotonic() - begun < 20
    assert not echo(node.peer, MODALITY.ae_title).ok


def test_stops_the_receiver_first_and_the_database_last(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def noted(part: Any, method: str, name: str) -> None:
        real = getattr(part, method)

        def call(*args: Any, **kwargs: Any) -> None:
            real(*args, **kwargs)
            order.append(name)

        monkeypatch.setattr(part, method, call)

    noted(node.server, "stop", "receiver")
    noted(node.registrar, "run", "registrar")
    noted(node.courier, "run", "courier")
    noted(node.worker, "run", "worker")
    noted(node.timers, "stop", "timers")
    noted(node.database, "close", "database")
    with node.running():
        until(lambda: node.worker.pid is not None)

    assert order[-2:] == ["timers", "database"]
    assert order.index("receiver") < order.index("registrar")
    assert sorted(order[:-2]) == ["courier", "receiver", "registrar", "worker"]


def test_an_association_that_is_open_may_end_before_the_node_stops(node: Node) -> None:
    with node.running():
        context = build_context("1.2.840.10008.1.1")
        with associate(node.peer, MODALITY.ae_title, [context]) as association:
            node.stopped.set()
            until(lambda: not echo(node.peer, MODALITY.ae_title).ok)
            assert association.send_c_echo().Status == 0x0000


def test_does_not_start_where_it_cannot_keep_anything(node: Node) -> None:
    node.folder.touch()  # a file where the folder should be

    with pytest.raises(StoreError, match=r"storage\.folder in node\.toml") as refused:
        node.service().run(node.stopped)

    assert str(node.folder) in str(refused.value)


def test_says_at_the_start_that_there_is_too_little_room_and_starts(
    node: Node, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node.store, "_min_free_bytes", 2**62)
    with node.running():
        assert echo(node.peer, MODALITY.ae_title).ok

    (low,) = [record for record in caplog.records if record.message == "storage.low"]
    assert low.levelname == "WARNING"
    assert f"MB free in {node.folder}" in vars(low)["problem"]


def test_says_nothing_of_room_where_there_is_enough(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    with node.running():
        pass

    assert "storage.low" not in caplog.messages


def test_a_second_node_leaves_the_folder_of_the_first_alone(
    node: Node, sqlite_url: str, tmp_path: Path
) -> None:
    second = Node(sqlite_url, tmp_path / "node")
    with node.running():
        with node.store.begin() as half_written:
            half_written.write(b"half")
            with pytest.raises(StoreError) as refused:
                second.service().run(second.stopped)
            assert str(refused.value) == (
                f"another dicomnode works in {node.folder} (storage.folder in node.toml); "
                "stop it first"
            )

            assert half_written.path.is_file()
        assert echo(node.peer, MODALITY.ae_title).ok
    second.database.close()
