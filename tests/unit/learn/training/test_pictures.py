"""Images are decoded once, kept as the node would show them, and made again when they change."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from dicomnode.classify.card.input import Input
from dicomnode.classify.samples.preprocess import prepare
from dicomnode.errors import ConfigError, StoreError, StoreFull
from dicomnode.learn.manifest import Entry, read_manifest
from dicomnode.learn.training.files import disk_errors, write_whole
from dicomnode.learn.training.pictures import Pictures, keep_pictures, read_frame
from tests.lessons import write_lesson

GIVEN = Input(size_px=32, channels=1, resize="pad", mean=(0.5,), std=(0.25,))


def entries(folder: Path, images: int = 6) -> Sequence[Entry]:
    return read_manifest(write_lesson(folder, images)).entries


def keep(folder: Path, of: Sequence[Entry], size: int = 32, threads: int = 1) -> Pictures:
    def step() -> None:
        steps.append(1)

    steps: list[int] = []
    pictures = keep_pictures(folder / "manifest.csv", of, GIVEN, size, folder, step, threads)
    decoded.append(len(steps))
    return pictures


decoded: list[int] = []  #: how many images each call of `keep` decoded


def test_what_is_kept_is_what_the_node_shows(tmp_path: Path) -> None:
    of = entries(tmp_path)

    pictures = keep(tmp_path, of)

    assert len(pictures) == 6
    for index, entry in enumerate(of):
        frame = read_frame(entry.file)
        assert frame is not None
        seen = (pictures[index] - 0.5) / 0.25
        assert torch.allclose(seen, prepare(frame, GIVEN).tensor, atol=1e-4)


def test_nothing_is_decoded_twice_and_threads_change_nothing(tmp_path: Path) -> None:
    of = entries(tmp_path, 70)
    first = keep(tmp_path, of)
    again = keep(tmp_path, of)
    assert decoded[-2:] == [70, 0]
    whole = (tmp_path / "pictures-32.bin").read_bytes()
    (tmp_path / "pictures-32.key").unlink()

    keep(tmp_path, of, threads=4)

    assert first.key == again.key
    assert (tmp_path / "pictures-32.bin").read_bytes() == whole


def test_an_image_that_changed_is_decoded_again(tmp_path: Path) -> None:
    of = entries(tmp_path)
    first = keep(tmp_path, of)
    of[2].file.write_bytes(of[3].file.read_bytes())
    os.utime(of[2].file, ns=(1, 1))

    second = keep(tmp_path, of)

    assert decoded[-1] == 6
    assert second.key != first.key
    assert torch.equal(second[2], second[3])


def test_what_was_torn_while_it_was_made_is_made_again(tmp_path: Path) -> None:
    of = entries(tmp_path)
    keep(tmp_path, of)
    (tmp_path / "pictures-32.key").unlink()  # it is written last
    (tmp_path / "pictures-32.bin").write_bytes(b"torn")

    assert len(keep(tmp_path, of)) == decoded[-1] == 6
    assert keep(tmp_path, of)[5].shape == (1, 32, 32)


def test_sizes_do_not_get_in_each_others_way(tmp_path: Path) -> None:
    of = entries(tmp_path)

    assert [keep(tmp_path, of, size)[0].shape[-1] for size in (32, 48, 32)] == [32, 48, 32]
    assert decoded[-3:] == [6, 6, 0]


def test_every_image_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    of = entries(tmp_path)
    for number in (1, 4):
        of[number].file.write_bytes(b"nothing")

    with pytest.raises(ConfigError) as caught:
        keep(tmp_path, of)

    assert [mistake.line for mistake in caught.value.mistakes] == [3, 6]
    assert not (tmp_path / "pictures-32.key").exists()


def test_a_file_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreFull, match="make room and run the command again"):
        write_whole(path, b"new and longer")

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_other_answers_of_the_disk_are_told_too(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="Permission denied"), disk_errors(tmp_path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
