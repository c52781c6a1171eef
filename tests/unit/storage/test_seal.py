"""A seal is believed where the file is whole, and nowhere else."""

from io import FileIO
from pathlib import Path

import pytest

from dicomnode.errors import Unreadable
from dicomnode.storage.seal import Seal, add_to_checksum, read_seal, write_seal
from tests.factories import make_dataset, make_part10, make_received, uid

SEAL = Seal(uid("study"), uid("instance") + ".0123456789ab")
WHOLE = make_received(make_dataset(1))


def sealed(path: Path, data: bytes = WHOLE, *, checked: bool = True) -> Path:
    path.write_bytes(data)
    with FileIO(path, "r+") as file:
        write_seal(file, add_to_checksum(data) if checked else None, SEAL)
    return path


@pytest.mark.parametrize("checked", [True, False])
def test_a_seal_says_what_it_was_given(tmp_path: Path, checked: bool) -> None:
    assert read_seal(sealed(tmp_path / "file", checked=checked)) == SEAL


def test_the_longest_names_have_room(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(WHOLE)
    longest = Seal("1." * 31 + "12", "1." * 31 + "12" + ".0123456789ab")
    with FileIO(path, "r+") as file:
        write_seal(file, add_to_checksum(WHOLE), longest)
    assert read_seal(path) == longest
    assert path.stat().st_size == len(WHOLE)


def test_a_seal_changes_nothing_else(tmp_path: Path) -> None:
    data = sealed(tmp_path / "file").read_bytes()
    changed = [at for at, (old, new) in enumerate(zip(WHOLE, data, strict=True)) if old != new]
    start = 144 + int.from_bytes(WHOLE[140:144], "little")
    assert changed
    assert start - 160 <= min(changed) <= max(changed) < start


def test_a_file_without_a_seal_has_none(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for data in (b"", WHOLE[:100], WHOLE[:200], WHOLE, make_part10(make_dataset(1)), b"x" * 5000):
        path.write_bytes(data)
        assert read_seal(path) is None


def test_no_byte_may_be_another(tmp_path: Path) -> None:
    path = sealed(tmp_path / "file")
    data = path.read_bytes()
    start = 144 + int.from_bytes(data[140:144], "little")
    for at in (0, 130, 141, start - 200, start - 155, start, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert read_seal(path) is None, at


@pytest.mark.parametrize("lost", [1, 512, 2000])
def test_no_byte_may_be_missing(tmp_path: Path, lost: int) -> None:
    path = sealed(tmp_path / "file")
    data = path.read_bytes()
    for torn in (data[:-lost], data[:-lost] + bytes(lost)):
        path.write_bytes(torn)
        assert read_seal(path) is None


def test_a_file_without_room_cannot_be_sealed(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="no room"):
        sealed(tmp_path / "file", make_part10(make_dataset(1)))
