"""How unlike its training a frame is, worked by hand on a network that looks for brightness."""

import pytest
import torch

from dicomnode.classify.card import Weights
from dicomnode.classify.fitted import Novelty
from dicomnode.classify.novelty import Usual, features
from dicomnode.errors import Cause, ModelError
from tests.tiny_model import Brightness

NUMBERS = {"mean": torch.tensor([5.0] * 4), "spread": torch.tensor([1.0] * 4)}


def table(**changes: object) -> Novelty:
    usual = {
        "layer": "look", "grid": 2, "threshold": 1.0, "dataset": "grey", "images": 3, "accepted": 1,
        "numbers": Weights(file="usual.safetensors", sha256="0" * 64),
    }  # fmt: skip
    return Novelty.model_validate(usual | changes)


def half(upper: float, lower: float) -> torch.Tensor:
    """An image of two halves; the layer answers with ten times its grey."""
    image = torch.full((1, 1, 16, 16), upper)
    image[:, :, 8:] = lower
    return image


def test_a_layer_is_averaged_over_a_grid() -> None:
    assert features(half(0.2, 0.6), 2).tolist() == [pytest.approx([0.2, 0.2, 0.6, 0.6])]
    assert features(half(0.2, 0.6), 1).tolist() == [pytest.approx([0.4])]


def test_the_score_is_the_mean_squared_distance_in_units_of_the_spread() -> None:
    network = Brightness()
    usual = Usual(network, table(), NUMBERS)
    network(half(0.5, 0.7))  # 5, 5, 7, 7: twice 0 and twice 2 away
    assert usual.score() == pytest.approx(2)
    network(half(0.5, 0.5))
    assert usual.score() == pytest.approx(0)


def test_a_place_counts_and_not_only_the_brightness_of_the_whole() -> None:
    network = Brightness()
    usual = Usual(network, table(), {**NUMBERS, "mean": torch.tensor([2.0, 2, 8, 8])})
    network(half(0.2, 0.8))
    assert usual.unfamiliar() is None
    network(half(0.8, 0.2))
    assert usual.unfamiliar() is not None


@pytest.mark.parametrize(("grey", "familiar"), [(0.5, True), (0.59, True), (0.61, False)])
def test_what_scores_above_the_threshold_is_unfamiliar(grey: float, familiar: bool) -> None:
    network = Brightness()
    usual = Usual(network, table(), NUMBERS)
    network(half(grey, grey))
    why = usual.unfamiliar()
    assert (why is None) is familiar
    assert why is None or why.cause is Cause.UNFAMILIAR


def test_numbers_have_to_fit_the_layer() -> None:
    network = Brightness()
    with pytest.raises(ModelError, match="no layer of the network: features"):
        Usual(network, table(layer="features"), NUMBERS)
    for grid, numbers in ((3, NUMBERS), (2, {"mean": NUMBERS["mean"]})):
        usual = Usual(network, table(grid=grid), numbers)
        network(half(0.5, 0.5))
        with pytest.raises(ModelError, match="do not fit the layer"):
            usual.score()
