"""Every way to vary images does what it says, and the same again for the same seed."""

from typing import Any

import pytest
import torch

from dicomnode.learn.training.augment import Varying
from dicomnode.learn.training.mixing import mix
from dicomnode.learn.training.ways import WAYS, OfBatch

OF_IMAGE = [name for name, kind in WAYS.items() if kind not in OfBatch.__args__]
OF_BATCH = [name for name in WAYS if name not in OF_IMAGE]


def way(name: str, **params: Any) -> Any:
    return WAYS[name].model_validate({"name": name, "prob": 1.0, **params})


def varied(image: torch.Tensor, name: str, seed: int = 1, **params: Any) -> torch.Tensor:
    return Varying([way(name, **params)], image.shape[-1])(image, (seed, 2))


def square(size: int = 40, *, low: int = 10, high: int = 30) -> torch.Tensor:
    image = torch.full((1, size, size), 0.2)
    image[:, low:high, low:high] = 0.8
    return image


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", OF_IMAGE)
def test_the_same_seed_varies_the_same_and_another_one_otherwise(name: str) -> None:
    image = square() + 0.01 * torch.rand(1, 40, 40, generator=generator())
    before = image.clone()

    first, again = varied(image, name, 1), varied(image, name, 1)

    assert first.shape == image.shape
    assert first.dtype == torch.float32
    assert bool(first.isfinite().all())
    assert torch.equal(first, again)
    assert torch.equal(image, before), "the image itself was changed"
    assert not torch.equal(first, image) or name == "low-resolution"
    others = [varied(image, name, seed) for seed in range(2, 6)]
    assert name == "flip" or any(not torch.equal(first, other) for other in others)


@pytest.mark.parametrize("name", OF_IMAGE)
def test_a_way_that_is_never_taken_changes_nothing(name: str) -> None:
    image = square()

    assert torch.equal(varied(image, name, prob=0.0), image)


def test_flip_turns_left_to_right() -> None:
    image = torch.rand(1, 8, 8, generator=generator())

    assert torch.equal(varied(image, "flip"), image.flip(2))
    assert torch.equal(varied(image, "flip", axis="vertical"), image.flip(1))


def test_zoom_above_one_enlarges() -> None:
    image = square() - 0.2

    larger = varied(image, "zoom", range=(1.5, 1.5)).sum() / image.sum()
    smaller = varied(image, "zoom", range=(0.5, 0.5)).sum() / image.sum()

    assert float(larger) == pytest.approx(1.5**2, rel=0.05)
    assert float(smaller) == pytest.approx(0.5**2, rel=0.05)


def test_a_shift_is_a_share_of_the_edge() -> None:
    image = torch.zeros(1, 100, 100)
    image[:, 50, 50] = 1
    moved = [
        varied(image, "affine", seed, rotate_deg=0, shift=0.1, zoom=(1, 1), fill="black")
        for seed in range(20)
    ]
    places = [divmod(int(each.argmax()), 100) for each in moved]
    offsets = [abs(row - 50) for row, _ in places] + [abs(column - 50) for _, column in places]

    assert max(offsets) <= 11
    assert max(offsets) >= 6


def test_rotation_is_in_degrees() -> None:
    image = torch.zeros(1, 101, 101)
    image[:, 50, 90] = 1
    turned = [varied(image, "rotate", seed, degrees=30, fill="black") for seed in range(10)]
    rows = [abs(divmod(int(each.argmax()), 101)[0] - 50) for each in turned]

    assert 10 <= max(rows) <= 21  # 40 pixels times the sine of 30 degrees


def test_contrast_keeps_black_and_white() -> None:
    image = torch.tensor([[[0.0, 0.5, 1.0]]]).expand(1, 3, 3)

    bent = varied(image, "contrast", gamma=(2.0, 2.0))

    assert bent[0, 0].tolist() == pytest.approx([0, 0.25, 1], abs=1e-4)


# --- several images -------------------------------------------------------------------------


@pytest.mark.parametrize("name", OF_BATCH)
def test_shares_are_what_is_seen_of_each_image(name: str) -> None:
    count = 6
    images = torch.eye(count)[:, :, None, None].expand(-1, -1, 12, 12).contiguous()

    mixed, shares = mix(images, [way(name)], generator())

    assert shares is not None
    assert torch.allclose(mixed.mean((2, 3)), shares, atol=1e-5)
    assert torch.allclose(shares.sum(1), torch.ones(count))
    assert not torch.equal(shares, torch.eye(count))


def test_ways_after_each_other_share_out_what_was_mixed_before() -> None:
    count = 6
    images = torch.eye(count)[:, :, None, None].expand(-1, -1, 12, 12).contiguous()

    mixed, shares = mix(images, [way("mixup", alpha=1.0), way("mosaic")], generator())

    assert shares is not None
    assert torch.allclose(mixed.mean((2, 3)), shares, atol=1e-4)


@pytest.mark.parametrize("name", OF_BATCH)
def test_a_batch_is_mixed_the_same_by_the_same_seed(name: str) -> None:
    images = torch.rand(5, 1, 8, 8, generator=generator())

    first, again, other = (mix(images, [way(name)], generator(s))[0] for s in (1, 1, 2))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", OF_BATCH)
def test_what_is_never_mixed_stays_as_it_is(name: str) -> None:
    images = torch.rand(5, 1, 8, 8, generator=generator())

    mixed, shares = mix(images, [way(name, prob=0.0)], generator())

    assert torch.equal(mixed, images)
    assert shares is not None
    assert torch.equal(shares, torch.eye(5))


def test_without_ways_nobody_shares() -> None:
    images = torch.rand(2, 1, 4, 4, generator=generator())

    assert mix(images, [], generator()) == (images, None)
