"""From source pixels to the network's square and back, worked by hand."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dicomnode.answers import FrameRef
from dicomnode.classify.card.input import Input
from dicomnode.classify.samples.preprocess import Placement, prepare, resize
from dicomnode.dicom.pixels import Frame
from dicomnode.records import InstanceRef


def recipe(**changes: Any) -> Input:
    usual: dict[str, Any] = {
        "size_px": 16, "channels": 1, "resize": "pad", "mean": (0.0,), "std": (1.0,)
    }  # fmt: skip
    return Input(**(usual | changes))


def frame(pixels: NDArray[np.float32], aspect: float = 1.0) -> Frame:
    image = InstanceRef(
        sop_class_uid="1.2", sop_instance_uid="1.3", series_uid="1.4", study_uid="1.5"
    )
    rows, columns = pixels.shape
    ref = FrameRef(image=image, frame=None, rows=rows, columns=columns)
    return Frame(ref=ref, pixels=pixels, rgb=None, aspect=aspect)


def white(rows: int, columns: int) -> NDArray[np.float32]:
    return np.ones((rows, columns), dtype=np.float32)


def place(rows: int, columns: int, aspect: float = 1.0, **changes: Any) -> tuple[int, ...]:
    p = prepare(frame(white(rows, columns), aspect), recipe(**changes)).placement
    return p.top, p.left, p.height, p.width


@pytest.mark.parametrize(
    ("rows", "columns", "aspect", "expected"),
    [
        (32, 32, 1.0, (0, 0, 16, 16)),
        (32, 64, 1.0, (4, 0, 8, 16)),
        (64, 32, 1.0, (0, 4, 16, 8)),
        (32, 64, 2.0, (0, 0, 16, 16)),  # pixels twice as tall as wide: the frame is square
        (64, 32, 0.25, (4, 0, 8, 16)),
        (8, 4, 1.0, (0, 4, 16, 8)),  # small ones grow
        (4000, 4, 1.0, (0, 7, 16, 1)),  # a sliver keeps one column
    ],
)
def test_keeps_the_shape_of_the_patient_and_centres_it(
    rows: int, columns: int, aspect: float, expected: tuple[int, ...]
) -> None:
    assert place(rows, columns, aspect) == expected


def test_stretching_fills_the_square() -> None:
    assert place(32, 64, 2.0, resize="stretch") == (0, 0, 16, 16)


def test_pads_with_black_before_it_normalises() -> None:
    prepared = prepare(frame(white(32, 64)), recipe(mean=(0.5,), std=(0.25,)))
    assert prepared.tensor.dtype == torch.float32
    assert prepared.tensor.shape == (1, 16, 16)
    assert torch.allclose(prepared.tensor[0, 4:12], torch.tensor(2.0))
    assert torch.all(prepared.tensor[0, :4] == -2.0)
    assert torch.all(prepared.tensor[0, 12:] == -2.0)


def test_three_channels_are_normalised_each_by_its_own_numbers() -> None:
    three = recipe(channels=3, mean=(0.0, 0.5, 1.0), std=(1.0, 0.5, 2.0))
    tensor = prepare(frame(white(8, 8)), three).tensor
    assert tensor[:, 0, 0].tolist() == pytest.approx([1.0, 1.0, 0.0])


def test_shrinking_averages_and_keeps_the_brightness() -> None:
    stripes = np.zeros((64, 64), dtype=np.float32)
    stripes[:, ::2] = 1
    inner = resize(stripes, 16, 16)[2:-2, 2:-2]
    assert np.allclose(inner, 0.5, atol=0.01)


def test_maps_the_corners_of_the_square_back_exactly() -> None:
    placement = Placement(rows=40, columns=80, top=4, left=0, height=8, width=16)
    corners = np.array([[0, 4], [16, 12], [8, 8], [12.5, 5]], dtype=float)
    back = placement.to_source(corners)
    assert back.tolist() == [[0, 0], [80, 40], [40, 20], [62.5, 5]]


def test_what_lies_on_the_padding_is_brought_to_the_edge() -> None:
    placement = Placement(rows=40, columns=80, top=4, left=0, height=8, width=16)
    assert placement.to_source(np.array([[-1.0, 0.0], [17.0, 16.0]])).tolist() == [[0, 0], [80, 40]]


@pytest.mark.parametrize(("row", "column"), [(0, 0), (3, 9), (7, 15)])
def test_a_bright_block_is_found_where_it_was(row: int, column: int) -> None:
    pixels = np.zeros((40, 80), dtype=np.float32)
    pixels[row * 5 : row * 5 + 5, column * 5 : column * 5 + 5] = 1
    prepared = prepare(frame(pixels), recipe())
    v, u = divmod(int(prepared.tensor[0].argmax()), 16)
    assert (v, u) == (row + 4, column)
    corner = prepared.placement.to_source(np.array([[u, v]], dtype=float))
    assert corner.tolist() == [[column * 5, row * 5]]


def test_cropping_shows_the_middle_square_alone() -> None:
    pixels = white(32, 64) * 0
    pixels[:, 16:48] = 1
    prepared = prepare(frame(pixels), recipe(resize="crop"))
    assert prepared.tensor.min() == 1
    assert place(32, 64, resize="crop") == (0, 0, 16, 16)
    tall = prepare(frame(white(32, 32), 2.0), recipe(resize="crop")).placement
    assert tall.shown == (slice(8, 24), slice(0, 32))  # pixels twice as tall as wide


def test_what_was_cropped_off_is_on_neither_map() -> None:
    placement = prepare(frame(white(32, 64)), recipe(resize="crop")).placement
    corners = np.array([[0.0, 0.0], [16.0, 16.0], [4.0, 8.0]])
    source = placement.to_source(corners)
    assert source.tolist() == [[16, 0], [48, 32], [24, 16]]
    whole = placement.over_source(placement.crop(white(16, 16)))
    assert whole.shape == (32, 64)
    assert whole[:, 16:48].min() == 1
    assert whole[:, :16].max() == whole[:, 48:].max() == 0
