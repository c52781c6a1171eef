"""What places add up to, and what they are taught."""

import numpy as np
import pytest
import torch

from dicomnode.classify.card.explanation import Explanation
from dicomnode.classify.explaining.cells import Axis
from dicomnode.classify.network import build_network
from dicomnode.classify.samples.preprocess import Placement
from dicomnode.learn.places import by_place, in_places, misplaced
from tests.tiny_model import make_card


def test_the_mean_of_places_and_the_bias_are_the_answer() -> None:
    card = make_card(explanation=Explanation(method="grad-cam", layer="class_layers.relu"))
    network = build_network(card).eval()
    images = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        places, bias = by_place(network, images)
        assert torch.allclose(places.mean((2, 3)) + bias, network(images), atol=1e-6)
    assert places.shape == (2, 1, 4, 4)


def test_a_mask_covers_its_share_of_each_place() -> None:
    placement = Placement(rows=16, columns=8, top=0, left=4, height=16, width=8)
    cells = (Axis(2.5, 4), Axis(2.5, 4))  # half a pixel to the lower right of even ones
    mask = np.zeros((16, 8), dtype=np.bool_)
    mask[0:5, 0:3] = True  # pixels 0 to 5 down, 4 to 7 to the right of the square
    left_out, found = in_places([None, mask], placement, cells, 16)
    assert not left_out.any()
    assert found[0, 1].item() == pytest.approx(4 / 4 * 2.5 / 4)
    assert found[1, 1].item() == pytest.approx(0.5 / 4 * 2.5 / 4)
    assert found.sum().item() * 16 == pytest.approx(4.5 * 3)  # all but what no place covers


def test_what_speaks_for_a_finding_has_to_have_its_shape_at_any_strength() -> None:
    lies = torch.zeros(1, 2, 4, 4)
    lies[0, 0, 1, 1:3] = 0.5
    right, beside = 100 * lies, torch.zeros_like(lies)
    beside[0, 0, 3] = 1
    assert float(misplaced(right, lies)) == pytest.approx(0, abs=1e-6)
    assert float(misplaced(beside, lies)) == pytest.approx(1)
    assert 0 < float(misplaced(right + beside, lies)) < 1
    against = right - 7 * (lies == 0)  # places that speak against it count as silent
    assert float(misplaced(against, lies)) == pytest.approx(0, abs=1e-6)


def test_findings_that_are_absent_have_no_place() -> None:
    assert float(misplaced(torch.ones(1, 2, 4, 4), torch.zeros(1, 2, 4, 4))) == 0
