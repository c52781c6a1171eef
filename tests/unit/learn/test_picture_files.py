"""Pictures are read as grey over the range of their type; one that is broken says so."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dicomnode.errors import NotAnalysable
from dicomnode.learn.picture_files import is_picture, read_grey


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


NOISE = np.random.default_rng(0).integers(0, 256, (300, 300), dtype=np.uint8)


def with_a_broken_chunk() -> bytes:
    """The second of its chunks of pixels has a name that none may have."""
    data = png(NOISE)
    second = data.index(b"IDAT", data.index(b"IDAT") + 4)
    return data[:second] + b"\x00\x01\x02\x03" + data[second + 4 :]


@pytest.mark.parametrize(
    "data",
    [b"no picture", png(NOISE)[:5000], with_a_broken_chunk()],
    ids=["other", "ends early", "broken"],
)
def test_a_broken_picture_is_not_analysed(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.png").write_bytes(data)

    with pytest.raises(NotAnalysable, match="a picture cannot be read"):
        read_grey(tmp_path / "a.png")


def test_a_picture_larger_than_any_radiograph_is_not_analysed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.png").write_bytes(png(NOISE))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", NOISE.size // 3)

    with pytest.raises(NotAnalysable, match="DecompressionBombError"):
        read_grey(tmp_path / "a.png")


def test_grey_keeps_its_depth_and_colour_becomes_grey(tmp_path: Path) -> None:
    deep = np.array([[0, 1], [256, 65535]], dtype=np.uint16)
    colour = np.full((2, 2, 3), 200, dtype=np.uint8)
    (tmp_path / "deep.png").write_bytes(png(deep))
    (tmp_path / "colour.png").write_bytes(png(colour))

    assert read_grey(tmp_path / "deep.png").tolist() == deep.tolist()
    assert read_grey(tmp_path / "colour.png").tolist() == [[200, 200], [200, 200]]


def test_pictures_are_told_by_their_names() -> None:
    assert [is_picture(Path(name)) for name in ("a.PNG", "a.jpeg", "a.dcm", "a")] == [
        True, True, False, False,
    ]  # fmt: skip
