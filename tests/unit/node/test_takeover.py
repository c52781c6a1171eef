"""Files that change: taken over when they are right, told when they are wrong."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dicomnode.config.current import Current
from dicomnode.config.load import load
from dicomnode.node.takeover import Takeover
from tests.cli import configure
from tests.running import until

PEER = 'ae_title = "NEW"\nhost = "new"\nport = 104\n'
GO_ON = threading.Event()


@pytest.fixture
def takeover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Takeover:
    monkeypatch.setattr("dicomnode.node.takeover._STEP_S", 0.01)
    config = configure(tmp_path)
    return Takeover(config, Current(load(config)))


@contextmanager
def followed(takeover: Takeover) -> Iterator[list[int]]:
    """The thread that follows the files; gives a list that grows when something changed."""
    stop, changes = threading.Event(), list[int]()
    run = threading.Thread(target=takeover.run, args=(stop, lambda: changes.append(1)))
    run.start()
    try:
        yield changes
    finally:
        stop.set()
        run.join(30)
        assert not run.is_alive()


def test_files_that_did_not_change_are_left_alone(takeover: Takeover) -> None:
    before = takeover.current.settings

    assert not takeover.look(GO_ON)
    assert takeover.current.settings is before


def test_a_new_file_is_taken_over(
    takeover: Takeover, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "dicomnode")
    (tmp_path / "ae_config" / "peers" / "new.toml").write_text(PEER)

    assert takeover.look(GO_ON)
    assert sorted(takeover.current.peers) == ["new", "pacs"]
    assert takeover.mistakes == takeover.restart == ()
    assert caplog.messages == ["config.taken"]
    assert not takeover.look(GO_ON)


def test_of_a_wrong_file_the_last_good_one_stays_in_force_until_it_is_mended(
    takeover: Takeover, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    peer = tmp_path / "ae_config" / "peers" / "new.toml"
    peer.write_text(PEER)
    takeover.look(GO_ON)
    good = takeover.current.settings
    peer.write_text(PEER.replace("104", "-1") + "colour = 1\n")

    assert takeover.look(GO_ON)
    assert takeover.current.settings is good
    port, colour = takeover.mistakes
    assert port == "peers/new.toml:3  port = -1: must be greater than 0"
    assert colour.startswith("peers/new.toml:4  colour = 1: is not known")
    assert caplog.messages == ["config.wrong"] * 2

    peer.write_text(PEER)  # as it was: nothing is new, and the mistakes are gone
    assert takeover.look(GO_ON)
    assert takeover.mistakes == ()
    assert takeover.current.settings.digest == good.digest


def test_a_file_that_cannot_be_read_and_a_folder_that_is_gone_are_mistakes(
    takeover: Takeover, tmp_path: Path
) -> None:
    config = tmp_path / "ae_config"
    (config / "peers" / "odd.toml").mkdir()
    takeover.look(GO_ON)
    assert takeover.mistakes == ("peers/odd.toml: cannot be read: Is a directory",)

    config.rename(tmp_path / "elsewhere")
    takeover.look(GO_ON)
    (gone,) = takeover.mistakes
    assert gone.startswith(f"{config}: there is no node.toml here")
    assert list(takeover.current.peers) == ["pacs"]


def test_what_needs_a_restart_is_said_once_and_no_more_when_it_is_taken_back(
    takeover: Takeover, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    node = tmp_path / "ae_config" / "node.toml"
    before = node.read_text()
    node.write_text(before.replace("port = 0", "port = 104"))
    takeover.look(GO_ON)
    node.write_text(before.replace("port = 0", "port = 104\nmax_associations = 5"))
    takeover.look(GO_ON)

    assert takeover.restart == ("receive.port",)
    assert takeover.current.node.receive.port == 0
    assert takeover.current.node.receive.max_associations == 5
    assert caplog.messages == ["config.restart"]

    node.write_text(before)
    takeover.look(GO_ON)
    assert not takeover.restart


def test_a_file_is_taken_when_nobody_writes_to_it_any_more(
    takeover: Takeover, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = tmp_path / "ae_config" / "peers" / "new.toml"
    peer.write_text('ae_title = "NEW"\n')
    rest = iter(['host = "new"\n', "port = 104\n"])

    class Writing(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            with peer.open("a") as file:
                file.write(next(rest, ""))
            return False

    assert takeover.look(Writing())
    assert takeover.mistakes == ()
    assert takeover.current.peers["new"].port == 104


def test_changes_are_noticed(takeover: Takeover, tmp_path: Path) -> None:
    peer = tmp_path / "ae_config" / "peers" / "new.toml"
    with followed(takeover) as changes:
        peer.write_text(PEER)
        until(lambda: len(changes) == 1)
        peer.write_text(PEER.replace("104", "105"))
        until(lambda: len(changes) == 2)

    assert takeover.current.peers["new"].port == 105


def test_changes_are_noticed_where_the_system_does_not_tell(
    takeover: Takeover, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*paths: Path, **options: object) -> Iterator[None]:
        raise OSError("OS file watch limit reached")

    monkeypatch.setattr("dicomnode.node.takeover.watch", cannot)
    monkeypatch.setattr("dicomnode.node.takeover._LOOK_S", 0.05)
    with followed(takeover) as changes:
        (tmp_path / "ae_config" / "peers" / "new.toml").write_text(PEER)
        until(lambda: len(changes) == 1)


def test_a_folder_that_is_replaced_is_followed(
    takeover: Takeover, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomnode.node.takeover._LOOK_S", 0.1)
    config = tmp_path / "ae_config"
    with followed(takeover) as changes:
        config.rename(tmp_path / "old")
        until(lambda: bool(takeover.mistakes) and len(changes) == 1)
        configure(tmp_path)
        (config / "peers" / "new.toml").write_text(PEER)
        until(lambda: "new" in takeover.current.peers)

    assert takeover.mistakes == ()
