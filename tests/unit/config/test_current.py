"""The settings in force: taken over whole, but for what counts from the next start."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dicomnode.config import current
from dicomnode.config.current import AT_START, Current, Followed
from dicomnode.config.load import Settings, check, hand_over, handed_over, load, read
from dicomnode.config.settings import NodeSettings
from dicomnode.errors import ConfigError
from tests.cli import configure

HERE = Path("/etc/dicomnode")
PEER = 'ae_title = "NEW"\nhost = "new"\nport = 104\n'


def settings(node: str = "", **peers: str) -> Settings:
    files = {"node.toml": node} | {f"peers/{name}.toml": text for name, text in peers.items()}
    return check(HERE, files)


def test_what_is_taken_over_is_in_force_for_who_asks() -> None:
    now = Current(settings())

    held = now.take(settings("[receive]\nmax_associations = 7\n", new=PEER))

    assert held == ()
    assert now.node.receive.max_associations == 7
    assert list(now.peers) == ["new"]
    assert now.settings.digest == settings("[receive]\nmax_associations = 7\n", new=PEER).digest


def test_what_counts_from_the_next_start_is_said_and_stays() -> None:
    now = Current(settings("[receive]\nport = 11112\n"))
    other = "[receive]\nport = 104\nmax_associations = 7\n[storage]\nfolder = '/data'\n"

    assert now.take(settings(other)) == ("receive.port", "storage.folder")
    assert now.node.receive.port == 11112
    assert now.node.receive.max_associations == 7
    assert now.node.storage.folder == Path("/var/lib/dicomnode")

    assert now.take(settings(other)) == ("receive.port", "storage.folder")  # it still does
    assert now.take(settings("[receive]\nport = 11112\n")) == ()


def test_the_keys_that_count_from_the_next_start_are_keys() -> None:
    for section, names in AT_START.items():
        model = NodeSettings.model_fields[section].annotation
        assert model is not None
        assert set(names) <= set(model.model_fields), section


def test_a_process_gets_the_settings_on_one_line(tmp_path: Path) -> None:
    config = configure(tmp_path, pipeline='[match]\nmodality = ["CR"]\n')
    given = load(config)

    line = hand_over(given)
    taken = handed_over(line)

    assert line.count(b"\n") == 1
    assert taken.node == given.node
    assert dict(taken.peers) == dict(given.peers)
    assert dict(taken.pipelines) == dict(given.pipelines)


def test_what_is_read_is_read_byte_for_byte(tmp_path: Path) -> None:
    config = configure(tmp_path)
    odd = b"\xef\xbb\xbf# \xc3\xa4\r\n\xff"
    (config / "node.toml").write_bytes(odd)

    files = read(config)

    assert files["node.toml"].encode(errors="surrogateescape") == odd
    assert sorted(files) == ["node.toml", "peers/pacs.toml", "pipelines/all.toml"]
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        check(config, files)


def test_what_an_editor_keeps_beside_a_file_is_none_of_ours(tmp_path: Path) -> None:
    config = configure(tmp_path)
    (config / "peers" / ".#pacs.toml").symlink_to("somebody@here.4711")  # as Emacs does

    assert sorted(read(config)) == ["node.toml", "peers/pacs.toml", "pipelines/all.toml"]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Lets the time pass after which files are looked at again."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def pass_time() -> None:
        now[0] += current._LOOK_S

    return pass_time


def test_files_are_followed_and_the_last_good_ones_count(
    tmp_path: Path, later: Callable[[], None]
) -> None:
    config = configure(tmp_path)
    followed = Followed(config, load(config))
    assert list(followed().peers) == ["pacs"]

    (config / "peers" / "new.toml").write_text(PEER)
    assert list(followed().peers) == ["pacs"]  # they were looked at just now
    later()
    assert list(followed().peers) == ["new", "pacs"]

    (config / "peers" / "new.toml").write_text("port =")
    later()
    assert followed().peers["new"].port == 104

    (config / "peers" / "new.toml").write_text(PEER.replace("104", "105"))
    later()
    assert followed().peers["new"].port == 105
