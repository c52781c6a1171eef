"""The scattering network sees edges where they are, whatever the exposure, and runs anywhere."""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dicomnode.classify.card.architecture import Architecture
from dicomnode.classify.card.explanation import Explanation
from dicomnode.classify.card.input import Input
from dicomnode.classify.load import load_classifier
from dicomnode.classify.network import build_network
from dicomnode.classify.networks.scattering import Scattering
from dicomnode.errors import ModelError
from dicomnode.learn import novelty
from tests.tiny_model import make_card, make_model

SMALL: dict[str, Any] = {"scales": 2, "angles": 4, "grid": 4}
ARCHITECTURE = Architecture(kind="scattering", params=SMALL)
EXPLAINED = Explanation(method="integrated-gradients")


def waves(degrees: float, size: int = 32, length: float = 4.0) -> torch.Tensor:
    """A grating of so many pixels a wave, which runs along an angle: (1, 1, size, size)."""
    down, right = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    turn = math.radians(degrees)
    along = right * math.cos(turn) + down * math.sin(turn)
    return (2 * math.pi / length * along).cos()[None, None]


def given(network: Scattering, images: torch.Tensor) -> torch.Tensor:
    """What the head is given."""
    found: list[torch.Tensor] = []
    hook = network.head.register_forward_pre_hook(lambda _head, inputs: found.append(inputs[0]))
    with torch.inference_mode():
        network(images)
    hook.remove()
    return found[0]


@pytest.mark.parametrize("channels", [1, 3])
def test_one_number_an_output_from_any_size(channels: int) -> None:
    network = Scattering(channels, 5, **SMALL).eval()

    assert network(torch.rand(2, channels, 40, 32)).shape == (2, 5)
    assert network(torch.rand(3, channels, 64, 64)).shape == (3, 5)


def test_the_exposure_does_not_matter() -> None:
    network, image = Scattering(1, 2, **SMALL).eval(), torch.rand(2, 1, 32, 32)

    assert torch.allclose(network(image), network(3 * image - 7), atol=1e-3)


def test_a_mirrored_image_is_answered_alike_only_where_asked() -> None:
    image = torch.rand(1, 1, 32, 32)
    both = Scattering(1, 2, **SMALL).eval()
    one = Scattering(1, 2, mirrored=False, **SMALL).eval()

    assert torch.allclose(both(image), both(image.flip(-1)), atol=1e-5)
    assert not torch.allclose(one(image), one(image.flip(-1)), atol=1e-5)


@pytest.mark.parametrize("turned", [0, 1, 2, 3])
def test_a_filter_answers_to_waves_of_its_direction(turned: int) -> None:
    network = Scattering(1, 1, mirrored=False, **SMALL)
    seen: list[torch.Tensor] = []
    network.edges.register_forward_hook(lambda _layer, _given, moduli: seen.append(moduli))

    given(network, waves(45.0 * turned))

    assert int(seen[0].mean((0, 2, 3)).argmax()) == turned


def test_no_filter_sees_an_even_area() -> None:
    network = Scattering(1, 1, **SMALL)

    assert network.first[: SMALL["angles"]].sum((1, 2, 3)).abs().max() < 1e-6
    assert network(torch.ones(1, 1, 32, 32)).isfinite().all()


def test_batches_say_what_single_images_say() -> None:
    network, images = Scattering(3, 2, **SMALL).eval(), torch.rand(4, 3, 32, 32)

    together = network(images)

    assert torch.allclose(
        together, torch.cat([network(image[None]) for image in images]), atol=1e-5
    )


def test_only_the_head_learns() -> None:
    network = Scattering(1, 2, **SMALL)

    assert [name for name, _ in network.named_parameters()] == ["head.weight", "head.bias"]
    assert {"first", "second"} <= set(network.state_dict())


def test_novelty_sees_each_image_once() -> None:
    network = Scattering(1, 2, **SMALL)

    assert novelty.look(network, torch.rand(3, 1, 32, 32), "edges", 2).shape == (3, 4 * 2 * 2)


@pytest.mark.parametrize("wrong", [{"angles": 3}, {"scales": 0}, {"window": 1.5}, {"depth": 2}])
def test_parameters_that_do_not_fit_are_told(wrong: dict[str, Any]) -> None:
    card = make_card(
        architecture=Architecture(kind="scattering", params=wrong), explanation=EXPLAINED
    )

    with pytest.raises(ModelError, match="do not fit scattering"):
        build_network(card)


def test_it_is_a_model_folder_like_any_other(tmp_path: Path) -> None:
    size = Input(size_px=32, channels=1, resize="pad", mean=(0.5,), std=(0.25,))
    make_model(tmp_path / "m", architecture=ARCHITECTURE, explanation=EXPLAINED, input=size)

    assert load_classifier(tmp_path / "m", "cpu", 1).model.name == "tiny"


def test_it_has_slopes_to_explain_it_by() -> None:
    network, image = Scattering(1, 1, **SMALL).eval(), torch.zeros(1, 1, 32, 32)
    image[..., 8:20, 8:20] = 1
    image.requires_grad_()

    network(image).sum().backward()

    assert image.grad is not None
    assert image.grad.isfinite().all()
    assert image.grad.abs().sum() > 0


def test_it_runs_as_a_program() -> None:
    network, images = Scattering(1, 2, **SMALL).eval(), torch.rand(3, 1, 32, 32)
    batch = torch.export.Dim("batch")

    program = torch.export.export(network, (images,), dynamic_shapes=((batch, *[None] * 3),))
    file = io.BytesIO()
    torch.export.save(program, file)

    more = torch.rand(5, 1, 32, 32)
    assert np.allclose(program.module()(more).detach(), network(more).detach(), atol=1e-5)
