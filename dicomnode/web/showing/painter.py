"""A process that draws pictures of frames, one after the other, and may die of one.

On its standard input stands a line of JSON for each: path, frame (from 1), side (0: as it is). It
answers with a line of JSON, `{"bytes": n}` and n bytes of a PNG, or `{"problem": "in words"}`. It
ends when its input does. Whatever a hostile image makes a decoder do, the page's process lives on.
"""

import io
import json
import resource
import sys
from pathlib import Path
from typing import BinaryIO

import numpy as np
import psutil
from PIL import Image
from pydicom import dcmread

from dicomnode.dicom.pixels import Frame, frames, guarded
from dicomnode.errors import NotAnalysable

__all__ = ["paint"]

_ROOM_BYTES = 2 << 30  #: that a picture may take
_QUICKLY = 1  #: how hard PNG tries: it is sent once, over a fast line
_STRETCHED = 0.01  #: how far from square a pixel may be without the eye minding


def paint(path: Path, number: int, side: int) -> bytes:
    """A frame as a PNG with square pixels, as a viewer would show it first.

    The longer side has `side` pixels at most, where that is not 0.

    Raises:
        NotAnalysable: there is no such frame, or it cannot be decoded.
    """
    with guarded("the object cannot be read"):
        dataset = dcmread(path)
    frame = next(frames(dataset, [number]))
    with guarded("the frame cannot be drawn"):
        picture = _square(_picture(frame), frame.aspect)
        if side:
            picture.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
        out = io.BytesIO()
        picture.save(out, "PNG", compress_level=_QUICKLY)
    return out.getvalue()


def _picture(frame: Frame) -> Image.Image:
    if frame.rgb is not None:
        return Image.fromarray(frame.rgb)
    return Image.fromarray(np.rint(frame.pixels * 255).astype(np.uint8))


def _square(picture: Image.Image, aspect: float) -> Image.Image:
    """Made larger on one side, as browsers know square pixels only."""
    if abs(aspect - 1) < _STRETCHED:
        return picture
    wide, high = picture.size
    size = (wide, round(high * aspect)) if aspect > 1 else (round(wide / aspect), high)
    return picture.resize(size, Image.Resampling.BILINEAR)


def _answer(line: bytes, out: BinaryIO) -> None:
    order = json.loads(line)
    try:
        png = paint(Path(order["path"]), order["frame"], order["side"])
    except NotAnalysable as error:
        said: dict[str, object] = {"problem": str(error)}
        png = b""
    except Exception as error:  # noqa: BLE001  a broken file makes pydicom raise whatever it likes
        said, png = {"problem": f"the picture cannot be drawn ({type(error).__name__})"}, b""
    else:
        said = {"bytes": len(png)}
    out.write(json.dumps(said).encode() + b"\n" + png)
    out.flush()


def _limit() -> None:
    """No picture takes the machine's memory: what it needs beyond this cannot be had."""
    most = psutil.Process().memory_info().vms + _ROOM_BYTES
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or most < hard:
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def _work() -> None:
    _limit()
    Image.MAX_IMAGE_PIXELS = None  # a frame's size was checked before
    for line in sys.stdin.buffer:
        _answer(line, sys.stdout.buffer)


if __name__ == "__main__":
    _work()
