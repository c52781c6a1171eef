"""The commands that set up, check and try: help, exit codes, JSON."""

import ctypes
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from dicomnode import __version__
from dicomnode.cli.main import app
from dicomnode.config.load import load
from dicomnode.node.build import open_store
from tests.cli import call, configure, told
from tests.factories import encode, make_dataset, uid, write_part10
from tests.pacs import FakePacs, free_port


def commands() -> list[tuple[str, ...]]:
    """Every command, with the words before it."""
    found: list[tuple[str, ...]] = []
    for info in app.registered_commands:
        assert info.callback is not None
        found.append((info.name or info.callback.__name__,))
    for group in app.registered_groups:
        assert isinstance(group.typer_instance, typer.Typer)
        for info in group.typer_instance.registered_commands:
            assert info.callback is not None
            found.append((str(group.name), info.name or info.callback.__name__))
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
@pytest.mark.parametrize("columns", [80, 120])
def test_every_command_says_what_it_does(command: tuple[str, ...], columns: int) -> None:
    result = call(*command, "--help", columns=columns)

    assert result.exit_code == 0
    says = [line.strip() for line in result.stdout.splitlines() if line.strip()]
    assert says[0].startswith(f"Usage: dicomnode {' '.join(command)}")
    assert len(says[1]) > 10
    assert max(len(line) for line in result.stdout.splitlines()) <= columns


def test_says_its_version() -> None:
    assert call("--version").stdout == f"dicomnode {__version__}\n"


def test_an_unknown_command_is_a_mistake_of_usage() -> None:
    assert call("strore").exit_code == 2


# --- init, configuration --------------------------------------------------------------------


def test_init_writes_a_configuration_that_check_finds_right(tmp_path: Path) -> None:
    made = call("init", tmp_path / "conf", "--storage", tmp_path / "images")
    assert made.exit_code == 0
    assert "dicomnode check" in made.stdout

    node = tmp_path / "conf" / "node.toml"
    node.write_text(node.read_text().replace("port = 11112", f"port = {free_port()}"))
    checked = call("check", "--offline", "--config", tmp_path / "conf")

    assert (checked.exit_code, checked.stderr) == (0, "")
    assert "the files are right" in checked.stdout


def test_init_writes_the_storage_folder_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert call("init", "conf", "--storage", "images").exit_code == 0

    assert load(tmp_path / "conf").node.storage.folder == tmp_path / "images"


def test_init_never_writes_over_anything(tmp_path: Path) -> None:
    mine = tmp_path / "peers" / "pacs.toml"
    mine.parent.mkdir()
    mine.write_text("# mine")

    result = call("init", tmp_path)

    assert result.exit_code == 3
    assert str(mine) in result.stderr
    assert mine.read_text() == "# mine"
    assert not (tmp_path / "node.toml").exists()


@pytest.mark.parametrize(
    "command", ["check", "serve", "echo pacs", "send pacs x", "worklist list", "worklist show 1"]
)
def test_a_wrong_configuration_ends_every_command_with_3(command: str, tmp_path: Path) -> None:
    result = call(*command.split(), "--config", tmp_path)

    assert result.exit_code == 3
    assert "dicomnode init" in result.stderr


def test_the_configuration_may_be_named_by_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DICOMNODE_CONFIG", str(configure(tmp_path)))

    assert call("check", "--offline").exit_code == 0


# --- echo, send -----------------------------------------------------------------------------


def place(archive: FakePacs) -> str:
    """The archive as one names it without a configuration."""
    return f"PACS@127.0.0.1:{archive.peer.port}"


def test_echo_needs_no_configuration(archive: FakePacs) -> None:
    result = call("echo", place(archive), "--config", "/nowhere")

    assert result.exit_code == 0
    assert "PACS answers" in result.stdout


def test_echo_knows_the_peers_of_the_configuration(tmp_path: Path, archive: FakePacs) -> None:
    config = configure(tmp_path, peer_port=archive.peer.port)

    answer = told(call("echo", "pacs", "--json", "--config", config))

    assert answer["ok"]
    assert answer["seconds"] > 0
    unknown = call("echo", "pasc", "--config", config)
    assert unknown.exit_code == 1
    assert "known: pacs" in unknown.stderr


def test_echo_fails_when_nobody_answers() -> None:
    result = call("echo", f"PACS@127.0.0.1:{free_port()}")

    assert result.exit_code == 1
    assert "connection refused" in result.stdout


def test_echo_says_that_our_title_is_not_known(archive: FakePacs) -> None:
    result = call("echo", place(archive), "--aet", "STRANGER", columns=200)

    assert result.exit_code == 1
    assert "does not know our AE title, STRANGER" in result.stdout


def test_send_takes_files_and_folders_as_they_are(tmp_path: Path, archive: FakePacs) -> None:
    folder = tmp_path / "study" / "series"
    folder.mkdir(parents=True)
    for number in (1, 2):
        write_part10(make_dataset(number), folder / f"{number}.dcm")
    single = write_part10(make_dataset(3), tmp_path / "3.dcm")

    result = call("send", place(archive), tmp_path / "study", single)

    assert result.exit_code == 0
    assert "3 of 3 stored" in result.stdout
    assert archive.stored[uid("instance", 3)] == encode(make_dataset(3))
    assert archive.associations == 1


def test_send_names_what_was_not_stored(tmp_path: Path, archive: FakePacs) -> None:
    archive.statuses = [0xA900]
    files = [write_part10(make_dataset(n), tmp_path / f"{n}.dcm") for n in (1, 2)]

    result = call("send", place(archive), *files)

    assert result.exit_code == 1
    assert f"{files[0]}: " in result.stdout
    assert "0xA900" in result.stdout
    assert "1 of 2 stored" in result.stdout


def test_send_tells_a_script_every_outcome(tmp_path: Path, archive: FakePacs) -> None:
    good = write_part10(make_dataset(1), tmp_path / "1.dcm")
    bad = tmp_path / "notes.txt"
    bad.write_text("no DICOM")

    outcomes = told(call("send", place(archive), good, bad, "--json"), exit_code=1)

    assert outcomes[str(good)]["verdict"] == "stored"
    assert outcomes[str(good)]["status"] == 0
    assert outcomes[str(bad)]["verdict"] == "never"


@pytest.mark.parametrize("files", [["gone.dcm"], ["."]], ids=["missing", "empty"])
def test_send_wants_a_file(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    result = call("send", "PACS@127.0.0.1:104", *files)

    assert result.exit_code == 1
    assert "no" in result.stderr


# --- serve ----------------------------------------------------------------------------------


def test_serve_says_that_its_port_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = configure(tmp_path, node=f"[receive]\nport = {port}\n")
        command = [sys.executable, "-m", "dicomnode", "serve", "--config", str(config)]

        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"cannot listen on 127.0.0.1:{port} (receive.address, receive.port in node.toml): "
        "address already in use"
    )


def test_serve_names_the_folder_that_it_cannot_keep_images_in(tmp_path: Path) -> None:
    config = configure(tmp_path)
    (tmp_path / "node").touch()  # a file where the folder should be
    command = [sys.executable, "-m", "dicomnode", "serve", "--config", str(config)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    assert done.stderr == (
        f"cannot keep images in {tmp_path / 'node'} (storage.folder in node.toml): "
        f"the disk answered: File exists: {tmp_path / 'node'}\n"
    )


def test_a_second_serve_on_one_folder_says_what_to_stop(tmp_path: Path) -> None:
    config = configure(tmp_path)
    command = [sys.executable, "-m", "dicomnode", "serve", "--config", str(config)]
    with open_store(load(config)).alone():
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    assert done.stderr == (
        f"another dicomnode works in {tmp_path / 'node'} (storage.folder in node.toml); "
        "stop it first\n"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_ends_well_at_once_when_it_is_asked_to_while_it_starts(
    number: signal.Signals, tmp_path: Path
) -> None:
    config = configure(tmp_path, node="[receive]\nport = 0\n")
    command = [sys.executable, "-m", "dicomnode", "serve", "--config", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as node:
        assert node.stderr is not None
        while "receive.started" not in (line := node.stderr.readline()):
            assert line, "the node ended by itself"
        node.send_signal(number)
        rest = node.stderr.read()

    assert node.returncode == 0, rest
    assert "node.stopped" in rest


def test_serve_ends_when_the_signal_came_to_another_thread_than_the_first(tmp_path: Path) -> None:
    """As it may where the process was frozen when the signal was sent."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "tgkill"):
        pytest.skip("this C library has no tgkill")
    config = configure(tmp_path, node="[receive]\nport = 0\n")
    command = [sys.executable, "-m", "dicomnode", "serve", "--config", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as node:
        assert node.stderr is not None
        while "node.ready" not in (line := node.stderr.readline()):
            assert line, "the node ended by itself"
        others = [int(path.name) for path in Path(f"/proc/{node.pid}/task").iterdir()]
        others.remove(node.pid)
        sent = [libc.tgkill(node.pid, other, signal.SIGTERM) for other in others]
        assert 0 in sent  # one that opened the worklist may be gone by now
        rest = node.stderr.read()

    assert node.returncode == 0, rest
