"""`dicomnode check`: what it finds, and how it ends."""

from pathlib import Path

from tests.cli import call, configure, told
from tests.pacs import FakePacs, free_port


def test_check_lists_every_mistake_of_every_file(tmp_path: Path) -> None:
    config = configure(tmp_path, node="[receive]\nport = 70000\naetitle = 'X'\n")
    (config / "pipelines" / "all.toml").write_text('destinations = ["pasc"]\n')

    result = call("check", "--config", config)

    assert result.exit_code == 3
    for word in ("node.toml:4", "node.toml:5", "all.toml:1", "did you mean ae_title", "pacs"):
        assert word in result.stderr


def test_check_asks_every_peer_and_says_what_it_heard(tmp_path: Path, archive: FakePacs) -> None:
    config = configure(tmp_path, peer_port=archive.peer.port)

    result = call("check", "--config", config)

    assert result.exit_code == 0
    assert "PACS answers" in result.stdout
    told_json = told(call("check", "--json", "--config", config))
    assert told_json["ok"]
    assert told_json["peers"]["pacs"]["ok"]


def test_check_fails_when_a_peer_does_not_hear_us(tmp_path: Path) -> None:
    config = configure(tmp_path, peer_port=free_port())

    result = call("check", "--config", config)

    assert result.exit_code == 1
    assert "connection refused" in " ".join(result.stdout.split())
    assert "the files are right; so are models, storage" in " ".join(result.stdout.split())
    assert not told(call("check", "--json", "-c", config), exit_code=1)["peers"]["pacs"]["ok"]
    assert call("check", "--offline", "--config", config).exit_code == 0


def test_check_does_not_fail_for_a_modality_that_only_sends(
    tmp_path: Path, archive: FakePacs
) -> None:
    config = configure(tmp_path, peer_port=archive.peer.port)
    modality = f'ae_title = "XRAY1"\nhost = "127.0.0.1"\nport = {free_port()}\nmay_send = true\n'
    (config / "peers" / "xray.toml").write_text(modality)

    result = call("check", "--config", config)

    assert result.exit_code == 0
    assert "it only sends to us" in " ".join(result.stdout.split())


def test_check_finds_a_model_that_is_not_there(tmp_path: Path) -> None:
    config = configure(tmp_path, pipeline='model = "brain"\n')

    found = told(call("check", "--offline", "--json", "--config", config), exit_code=3)

    (problem,) = found["problems"]
    assert "all.toml" in problem
    assert "brain" in problem
    assert "demonstration" in problem


def test_check_finds_a_folder_of_models_that_is_not_there(tmp_path: Path) -> None:
    config = configure(tmp_path, node=f'[classify]\nmodels = ["{tmp_path / "gone"}"]\n')

    result = call("check", "--offline", "--config", config)

    assert result.exit_code == 3
    assert str(tmp_path / "gone") in result.stdout.replace("\n", "")


def test_check_finds_a_database_that_does_not_answer(tmp_path: Path) -> None:
    url = f"postgresql://dicomnode@127.0.0.1:{free_port()}/dicomnode"
    config = configure(tmp_path, node=f'[worklist]\nurl = "{url}"\n')

    result = call("check", "--offline", "--config", config)

    assert result.exit_code == 3
    assert "worklist.url" in result.stdout


def test_check_changes_nothing(tmp_path: Path) -> None:
    config = configure(tmp_path, node=f'[worklist]\nurl = "sqlite:///{tmp_path}/w.db"\n')
    before = sorted(tmp_path.rglob("*"))

    assert call("check", "--offline", "--config", config).exit_code == 0

    assert sorted(tmp_path.rglob("*")) == before


def test_check_lists_all_problems_at_once_and_those_of_the_files_decide(tmp_path: Path) -> None:
    (tmp_path / "node").touch()  # a file where the storage folder should be
    config = configure(tmp_path, peer_port=free_port(), pipeline='model = "brain"\n')

    result = call("check", "--config", config, columns=200)

    assert result.exit_code == 3
    for word in ("brain", "storage.folder", "connection refused"):
        assert word in result.stdout
    assert "the files are right" not in result.stdout
