"""What is uploaded becomes files, bounded, under names of our own."""

import io
import zipfile
from pathlib import Path

import pytest
from fastapi import HTTPException

from dicomnode.web.trials import unpacking
from dicomnode.web.trials.unpacking import unpack

DICOM = bytes(128) + b"DICM" + b"an object"


def packed(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out


def contents(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()]


def refused(upload: io.BytesIO, folder: Path, most: int = 10_000) -> HTTPException:
    with pytest.raises(HTTPException) as caught:
        unpack([upload], folder, most)
    return caught.value


def test_files_and_zips_come_side_by_side(tmp_path: Path) -> None:
    uploads = [io.BytesIO(DICOM), packed({"a/": b"", "a/1.dcm": b"one", "2.dcm": b"two"})]
    assert unpack(uploads, tmp_path, 10_000) == 3
    assert contents(tmp_path) == [DICOM, b"one", b"two"]


def test_no_name_of_an_archive_leads_anywhere(tmp_path: Path) -> None:
    place = tmp_path / "in"
    place.mkdir()
    names = ["../out", "/etc/out", "..\\out", "in/../../out", "a\0b", "x" * 5000]
    assert unpack([packed(dict.fromkeys(names, b"data"))], place, 100_000) == len(names)
    assert [path.parent for path in tmp_path.rglob("*") if path.is_file()] == [place] * len(names)


def test_an_object_that_ends_as_a_zip_does_is_an_object(tmp_path: Path) -> None:
    data = DICOM + packed({"a": b"b"}).getvalue()
    assert unpack([io.BytesIO(data)], tmp_path, 10_000) == 1
    assert contents(tmp_path) == [data]


def test_a_zip_within_a_zip_is_not_opened(tmp_path: Path) -> None:
    inner = packed({"a": bytes(10**6)}).getvalue()
    assert unpack([packed({"b": inner})], tmp_path, 10_000) == 1
    assert contents(tmp_path) == [inner]


def test_a_bomb_is_stopped_when_it_has_become_too_large(tmp_path: Path) -> None:
    error = refused(packed({"a": bytes(10**8)}), tmp_path, 10**6)
    assert error.status_code == 413
    assert sum(map(len, contents(tmp_path))) <= 10**6


def test_all_files_together_count(tmp_path: Path) -> None:
    assert (
        refused(packed({str(n): bytes(400) for n in range(3)}), tmp_path, 1000).status_code == 413
    )


def test_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "_MOST_FILES", 5)
    assert refused(packed({str(n): b"" for n in range(6)}), tmp_path).status_code == 413


def test_a_list_of_files_is_not_read_that_is_nearly_all_of_the_zip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "_MOST_LISTED_BYTES", 1 << 20)
    listed = packed({f"{n:0200}": b"" for n in range(5000)}, zipfile.ZIP_STORED)
    monkeypatch.setattr("zipfile.ZipInfo", None)  # none is made of it
    assert refused(listed, tmp_path).status_code == 413
    assert contents(tmp_path) == []


@pytest.mark.parametrize("spoil", [30, 45, -60])
def test_a_broken_zip_is_told_in_words(tmp_path: Path, spoil: int) -> None:
    data = bytearray(packed({"a": bytes(range(256)) * 4}).getvalue())
    data[spoil : spoil + 8] = b"\xff" * 8
    error = refused(io.BytesIO(bytes(data)), tmp_path)
    assert error.status_code == 422
    assert "zip" in error.detail


def test_a_locked_zip_is_told_in_words(tmp_path: Path) -> None:
    data = bytearray(packed({"a": b"b"}, zipfile.ZIP_STORED).getvalue())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # general purpose flags, in the directory
    error = refused(io.BytesIO(bytes(data)), tmp_path)
    assert error.status_code == 422
    assert "password" in error.detail
