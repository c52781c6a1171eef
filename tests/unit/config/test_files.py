"""Files are written whole, all or as far as it went, and read as they are."""

import os
import stat
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from dicomnode.config.files import difference, locked, write
from dicomnode.errors import ConfigError


def held(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_files_are_made_changed_and_removed(tmp_path: Path) -> None:
    write(tmp_path, {"node.toml": "a", "peers/one.toml": "b"})
    write(tmp_path, {"node.toml": "c", "peers/one.toml": None, "pipelines/two.toml": "d\r\n"})
    assert (tmp_path / "pipelines" / "two.toml").read_bytes() == b"d\r\n"
    assert list(held(tmp_path)) == ["node.toml", "pipelines/two.toml"]


def test_rights_and_links_stay(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real = tmp_path / "real" / "node.toml"
    real.write_text("old")
    real.chmod(0o640)
    (tmp_path / "node.toml").symlink_to(real)
    write(tmp_path, {"node.toml": "new"})
    assert (tmp_path / "node.toml").is_symlink()
    assert real.read_text() == "new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_where_one_cannot_be_written_none_is(tmp_path: Path) -> None:
    write(tmp_path, {"node.toml": "a"})
    (tmp_path / "pipelines").write_text("no folder")
    with pytest.raises(ConfigError, match="cannot be written"):
        write(tmp_path, {"node.toml": "b", "pipelines/x.toml": "c"})
    assert held(tmp_path) == {"node.toml": "a", "pipelines": "no folder"}


class Crash:
    """An fsync that ends the process at the given moment."""

    def __init__(self, moment: int) -> None:
        self.left = moment
        self.real = os.fsync

    def __call__(self, handle: int) -> None:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        self.real(handle)


def test_a_crash_in_between_leaves_each_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the moment: the old text or the new one, never half."""
    before = {"node.toml": "a" * 9000, "peers/p.toml": "b"}
    after = {"node.toml": "A" * 9000, "peers/p.toml": "B", "pipelines/n.toml": "N"}
    seen = set()
    for moment in range(20):
        folder = tmp_path / str(moment)
        folder.mkdir()
        write(folder, before)
        with monkeypatch.context() as patched, suppress(KeyboardInterrupt):
            patched.setattr(os, "fsync", Crash(moment))
            write(folder, after)
        found = {name: text for name, text in held(folder).items() if name.endswith(".toml")}
        assert all(text in (before.get(name), after[name]) for name, text in found.items())
        seen.add("".join(text[0] for text in found.values()))
        write(folder, after)
        assert held(folder) == after, "what was left is written over"
    assert seen == {"ab", "Ab", "AB", "ABN"}


def test_two_who_write_take_turns(tmp_path: Path) -> None:
    inside = []

    def work() -> None:
        with locked(tmp_path):
            inside.append(1)
            assert len(inside) == 1
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    with locked(tmp_path):
        for thread in threads:
            thread.start()
        assert not inside
    for thread in threads:
        thread.join()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be opened"), locked(tmp_path / "nowhere"):
        pass


def test_a_difference_names_what_comes_and_goes() -> None:
    before = {"a": "1\n2\n", "b": "x\n", "same": "s"}
    after = {"a": "1\n3\n", "c": "y\n", "same": "s"}
    assert difference(before, after).splitlines() == [
        "--- a",
        "+++ a",
        "@@ -1,2 +1,2 @@",
        " 1",
        "-2",
        "+3",
        "--- b",
        "+++ (removed)",
        "@@ -1 +0,0 @@",
        "-x",
        "--- (not there)",
        "+++ c",
        "@@ -0,0 +1 @@",
        "+y",
    ]
    assert difference(before, before) == ""
    assert "\ufffd" in difference({}, {"a": "\udcff"})
