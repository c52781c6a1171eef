"""When two runtimes say the same."""

import numpy as np
import pytest
import torch

from dicomnode.classify.card.card import Card
from dicomnode.classify.card.fitted import Novelty
from dicomnode.classify.card.input import Input, Volume
from dicomnode.classify.card.running import Running
from dicomnode.classify.card.tables import Weights
from dicomnode.classify.novelty import Usual
from dicomnode.classify.runtimes.agreement import Check, clouds
from dicomnode.classify.runtimes.runtime import Said
from tests.tiny_model import make_card

CARD = make_card(running=Running(tolerance=1e-3))


class Off:
    """Says the mean of each image, and is off by a little."""

    name = "off"

    def __init__(self, logits: float = 0.0, features: float = 0.0) -> None:
        self.off = logits, features

    def run(self, images: torch.Tensor) -> Said:
        mean = images.flatten(1).mean(1).numpy()[:, None]
        return Said(mean.astype(np.float64) + self.off[0], mean + np.float32(self.off[1]))


def check(card: Card = CARD, usual: Usual | None = None) -> Check:
    images = clouds(card, 8, 1) * 0  # every logit 0: a quarter of a logit's error is probability's
    return Check(card=card, usual=usual, images=images, said=Off().run(images))


def test_the_same_strains_nothing() -> None:
    assert check().strain(Off()) == 0


@pytest.mark.parametrize(("logits", "strain"), [(1e-3, 0.5), (2e-3, 1.0), (-4e-3, 2.0)])
def test_half_of_the_tolerance_may_be_used(logits: float, strain: float) -> None:
    assert check().strain(Off(logits)) == pytest.approx(strain, rel=1e-3)


def test_the_card_says_how_much_is_tolerated() -> None:
    loose = make_card(running=Running(tolerance=1e-2))
    assert check(loose).strain(Off(2e-3)) == pytest.approx(0.1, rel=1e-3)


def test_what_is_not_a_number_never_agrees() -> None:
    assert check().strain(Off(float("nan"))) == float("inf")


def test_other_numbers_of_answers_never_agree() -> None:
    class Two(Off):
        def run(self, images: torch.Tensor) -> Said:
            return Said(np.zeros((len(images), 2)))

    assert check().strain(Two()) == float("inf")


def test_what_tells_novelty_has_to_agree_as_well() -> None:
    novelty = Novelty(
        layer="look", grid=1, threshold=1.0, dataset="grey", images=2, accepted=1.0,
        numbers=Weights(file="usual.safetensors", sha256="0" * 64),
    )  # fmt: skip
    usual = Usual(novelty, {"mean": torch.zeros(1), "spread": torch.ones(1)})
    card = make_card(novelty=novelty)
    assert check(card, usual).strain(Off(features=0.01)) < 1
    assert check(card, usual).strain(Off(features=0.5)) > 1
    assert check(card, usual).strain(Off(features=float("nan"))) == float("inf")


def test_clouds_have_the_shape_of_the_input_and_are_always_the_same() -> None:
    volume = Input(
        kind="volume", channels=1, mean=(0.5,), std=(0.5,),
        volume=Volume(size_vox=(8, 16, 16), intensity=(0, 1)),
    )  # fmt: skip
    three = Input(size_px=32, channels=3, resize="pad", mean=(0.1, 0.2, 0.3), std=(1, 1, 1))
    for recipe in (volume, three):
        card = make_card(input=recipe)
        made = clouds(card, 9, 3)
        assert made.shape == (9, *recipe.shape)
        assert torch.equal(made, clouds(card, 9, 3))
        assert not torch.equal(made, clouds(card, 9, 4))
        assert len({float(image.mean()) for image in made}) == 9
    assert float(made.min()) >= -0.31
    assert float(made.max()) <= 0.91
