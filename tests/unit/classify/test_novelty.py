"""How unlike its training a frame is, worked by hand on a network that looks for brightness."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dicomnode.classify.card.fitted import Novelty
from dicomnode.classify.card.tables import Weights
from dicomnode.classify.network import Answering
from dicomnode.classify.novelty import Usual, features
from dicomnode.classify.runtimes.eager import Eager
from dicomnode.errors import Cause, ModelError
from tests.tiny_model import Brightness, make_card

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


def seen(image: torch.Tensor, novelty: Novelty | None = None) -> NDArray[np.float32]:
    """The features of one image, as a runtime gives them."""
    card = make_card(novelty=novelty or table())
    said = Eager(Answering(Brightness(), card), torch.device("cpu")).run(image)
    assert said.features is not None
    first: NDArray[np.float32] = said.features[0]
    return first


def test_the_score_is_the_mean_squared_distance_in_units_of_the_spread() -> None:
    usual = Usual(table(), NUMBERS)
    # 5, 5, 7, 7: twice 0 and twice 2 away
    assert usual.score(seen(half(0.5, 0.7))) == pytest.approx(2)
    assert usual.score(seen(half(0.5, 0.5))) == pytest.approx(0)


def test_a_place_counts_and_not_only_the_brightness_of_the_whole() -> None:
    usual = Usual(table(), {**NUMBERS, "mean": torch.tensor([2.0, 2, 8, 8])})
    assert usual.unfamiliar(seen(half(0.2, 0.8))) is None
    assert usual.unfamiliar(seen(half(0.8, 0.2))) is not None


@pytest.mark.parametrize(("grey", "familiar"), [(0.5, True), (0.59, True), (0.61, False)])
def test_what_scores_above_the_threshold_is_unfamiliar(grey: float, familiar: bool) -> None:
    usual = Usual(table(), NUMBERS)
    why = usual.unfamiliar(seen(half(grey, grey)))
    assert (why is None) is familiar
    assert why is None or why.cause is Cause.UNFAMILIAR


def test_numbers_have_to_fit_the_layer() -> None:
    with pytest.raises(ModelError, match="no layer of the network: features"):
        Answering(Brightness(), make_card(novelty=table(layer="features")))
    for grid, numbers in ((3, NUMBERS), (2, {"mean": NUMBERS["mean"]})):
        novelty = table(grid=grid)
        with pytest.raises(ModelError, match="do not fit the layer"):
            Usual(novelty, numbers).score(seen(half(0.5, 0.5), novelty))
