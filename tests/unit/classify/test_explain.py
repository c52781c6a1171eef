"""From a prepared frame to heat and outlines in source pixels, by networks that look for light."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.answers import FrameRef
from dicomnode.classify.card.explanation import Explanation
from dicomnode.classify.card.input import Input
from dicomnode.classify.explaining.explain import Explainer
from dicomnode.classify.samples.preprocess import Placement, Prepared, prepare
from dicomnode.dicom.pixels import Frame
from dicomnode.records import InstanceRef
from tests.tiny_model import Brightness

PLACEMENT = Placement(rows=40, columns=80, top=4, left=0, height=8, width=16)
LOOK = Explanation(method="grad-cam", layer="look")


def nameless(rows: int, columns: int) -> FrameRef:
    image = InstanceRef(
        sop_class_uid="1.2", sop_instance_uid="1.3", series_uid="1.4", study_uid="1.5"
    )
    return FrameRef(image=image, frame=None, rows=rows, columns=columns)


def prepared(bright: tuple[slice, slice]) -> Prepared:
    square = torch.zeros(1, 16, 16)
    square[0, *bright] = 1
    return Prepared(ref=nameless(40, 80), tensor=square, placement=PLACEMENT)


def test_the_map_is_hot_where_the_network_looked() -> None:
    image = prepared((slice(8, 10), slice(12, 14)))
    ((source, found),) = Explainer(Brightness(), LOOK).explain(image, [0])
    assert source.shape == (40, 80)
    assert source.dtype == np.float32
    assert (source.min(), source.max()) == (0, 1)
    assert np.unravel_index(source.argmax(), source.shape) == pytest.approx((25, 65), abs=5)
    assert source[:15].max() == 0
    columns, rows = np.array(found[0].outline).T
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (60, 70, 20, 30)


def test_the_same_map_comes_every_time() -> None:
    explainer = Explainer(Brightness(2), LOOK)
    image = prepared((slice(6, 11), slice(2, 9)))
    first, second = (explainer.explain(image, [1])[0].heat for _ in range(2))
    assert np.array_equal(first, second)


def test_a_network_that_saw_nothing_gives_a_cold_map_and_no_region() -> None:
    image = prepared((slice(0), slice(0)))
    ((source, found),) = Explainer(Brightness(), LOOK).explain(image, [0])
    assert not source.any()
    assert found == ()


def test_nobody_is_asked_about_no_label() -> None:
    assert Explainer(Brightness(), LOOK).explain(prepared((slice(8), slice(8))), []) == []


class Cells(torch.nn.Module):
    """Looks for brightness in cells of 8 by 8 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.look = torch.nn.Conv2d(1, 1, 8, stride=8, bias=False)
        torch.nn.init.constant_(self.look.weight, 1 / 64)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        seen: torch.Tensor = self.look(image)
        return seen.mean((2, 3))


@settings(deadline=None)
@given(
    rows=st.integers(40, 700),
    columns=st.integers(40, 700),
    aspect=st.sampled_from([0.5, 0.8, 1.0, 1.25, 2.0]),
    resize=st.sampled_from(["pad", "stretch"]),
    place=st.tuples(*[st.floats(0, 1)] * 4),
)
def test_a_bright_square_is_outlined_within_one_cell(
    rows: int, columns: int, aspect: float, resize: str, place: tuple[float, ...]
) -> None:
    recipe = Input.model_validate(
        {"size_px": 128, "channels": 1, "resize": resize, "mean": [0], "std": [1]}
    )
    pixels = np.zeros((rows, columns), dtype=np.float32)
    ref = nameless(rows, columns)
    empty = prepare(Frame(ref=ref, pixels=pixels, rgb=None, aspect=aspect), recipe).placement
    cell = 8 * np.array([columns / empty.width, rows / empty.height])  # in source pixels
    room = np.array([columns, rows])
    # somewhere on the frame, at least two cells wide and high where there is room
    size = np.ceil(np.minimum(room, cell * (2 + 4 * np.array(place[:2])))).astype(int)
    left, top = np.floor((room - size) * np.array(place[2:])).astype(int)
    right, bottom = np.array([left, top]) + size
    pixels[top:bottom, left:right] = 1

    image = prepare(Frame(ref=ref, pixels=pixels, rgb=None, aspect=aspect), recipe)
    told = Explanation(method="grad-cam", layer="look")
    ((heat, regions),) = Explainer(Cells(), told).explain(image, [0])

    outline = np.array(regions[0].outline)
    off = np.abs(np.array([outline.min(0), outline.max(0)]) - [[left, top], [right, bottom]])
    assert heat.shape == (rows, columns)
    assert len(regions) == 1
    assert (off <= cell + 1e-6).all()
