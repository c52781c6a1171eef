"""Ways of a batch: images made of several, whose errors are shared out in the same measure.

What an image then is made of is a row of a matrix of shares, (images, images): to learn from it is
to learn from the labels of each by its share. Every share is of what is seen, so rows sum to 1.
"""

from collections.abc import Sequence

import numpy as np
import torch

from dicomnode.learn.training.ways import CutMix, MixUp, Mosaic, OfBatch

__all__ = ["mix"]


def mix(
    images: torch.Tensor, ways: Sequence[OfBatch], chance: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Images (images, channels, rows, columns) mixed, and the shares; None where nothing was."""
    shares = None
    for way in ways:
        images, made = _mixed(images, way, chance)
        shares = made if shares is None else made @ shares
    return images, shares


def _mixed(
    images: torch.Tensor, way: OfBatch, chance: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    count = len(images)
    taken = torch.rand(count, generator=chance) < way.prob
    match way:
        case MixUp():
            made, shares = _mixup(images, way, chance)
        case CutMix():
            made, shares = _cutmix(images, way, chance)
        case Mosaic():
            made, shares = _mosaic(images, way, chance)
    chosen = taken[:, None, None, None].to(images.device)
    return torch.where(chosen, made, images), torch.where(taken[:, None], shares, torch.eye(count))


def _mixup(
    images: torch.Tensor, way: MixUp, chance: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    share, others = _beta(len(images), way.alpha, chance), _partners(images, chance)
    keep = share[:, None, None, None].to(images.device)
    return keep * images + (1 - keep) * images[others], _shares(
        [(share, None), (1 - share, others)]
    )


def _cutmix(
    images: torch.Tensor, way: CutMix, chance: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    others, made = _partners(images, chance), images.clone()
    rows, columns = images.shape[-2:]
    kept = torch.ones(len(images))
    for index, share in enumerate(_beta(len(images), way.alpha, chance).tolist()):
        height, width = (round(edge * (1 - share) ** 0.5) for edge in (rows, columns))
        top, left = _at(rows - height, chance), _at(columns - width, chance)
        window = (slice(None), slice(top, top + height), slice(left, left + width))
        made[index][window] = images[others[index]][window]
        kept[index] = 1 - height * width / (rows * columns)
    return made, _shares([(kept, None), (1 - kept, others)])


def _mosaic(
    images: torch.Tensor, way: Mosaic, chance: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Four quarters about one point, each the same part of another image at half its size."""
    count, edges = len(images), images.shape[-2:]
    low, high = way.middle
    at = low + (high - low) * torch.rand(2, generator=chance)
    row, column = (min(e - 1, max(1, round(float(a) * e))) for a, e in zip(at, edges, strict=True))
    places = [
        (slice(0, row), slice(0, column)),
        (slice(0, row), slice(column, None)),
        (slice(row, None), slice(0, column)),
        (slice(row, None), slice(column, None)),
    ]
    made, parts = images.clone(), []
    for number, (down, across) in enumerate(places):
        others = _partners(images, chance) if number else torch.arange(count)
        quarter = made[..., down, across]
        quarter[:] = torch.nn.functional.interpolate(
            images[others], size=quarter.shape[-2:], mode="bilinear", antialias=True
        )
        share = quarter.shape[-2] * quarter.shape[-1] / (edges[0] * edges[1])
        parts.append((torch.full((count,), share), others))
    return made, _shares(parts)


def _partners(images: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
    return torch.randperm(len(images), generator=chance)


def _at(room: int, chance: torch.Generator) -> int:
    return int(torch.randint(0, room + 1, (1,), generator=chance))


def _beta(count: int, alpha: float, chance: torch.Generator) -> torch.Tensor:
    """Of Beta(alpha, alpha), which torch draws by no generator of one's own."""
    draw = np.random.default_rng(int(torch.randint(0, 1 << 62, (1,), generator=chance)))
    return torch.from_numpy(draw.beta(alpha, alpha, count)).float()


def _shares(parts: Sequence[tuple[torch.Tensor, torch.Tensor | None]]) -> torch.Tensor:
    """The matrix of (share, whose) pairs; nobody's are one's own."""
    count = len(parts[0][0])
    matrix, own = torch.zeros(count, count), torch.arange(count)
    for share, others in parts:
        matrix[own, own if others is None else others] += share
    return matrix
