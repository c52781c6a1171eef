"""How well explanations hold up: do they lie on the finding, and do they name what decided?

- Centre: the centre of mass of the largest region lies on the finding.
- Pointing game: the hottest place does (Zhang et al. 2018); without a tolerance.
- Deletion and insertion: the network's mean probability, not calibrated, while the image is covered
  with grey, or uncovered from a blur, the hottest pixels first (Petsiuk et al. 2018). Low is good,
  or high.

On the finding is on one of its own pixels where each of them is known, as in drawings, and in a box
round it where only boxes are. Boxes flatter: a crescent fills a small part of its box.

Only findings that the model calls present are judged, and where it is known, only true ones: a
place that is wrong because the answer is wrong says nothing about the method.
"""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch.nn.functional import avg_pool2d

from dicomnode.answers import Form, Region
from dicomnode.classify.calibration import answered, probabilities
from dicomnode.classify.card.card import Card
from dicomnode.classify.card.explanation import Explanation, Method, Shown
from dicomnode.classify.card.output import Output
from dicomnode.classify.card.tables import Estimate
from dicomnode.classify.explaining.explain import Explainer
from dicomnode.classify.explaining.outlines import regions
from dicomnode.classify.network import load_network
from dicomnode.classify.samples.preprocess import Placement, Prepared, prepare
from dicomnode.errors import ModelError
from dicomnode.learn.cases import Case
from dicomnode.learn.evaluate import proportion

__all__ = ["Judged", "Line", "judge", "load", "shown", "table", "variant"]

_PARTS = 12  #: the image is covered in so many steps
_BLUR = 10  #: a tenth of the image's edge is blurred over, twice


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One finding, explained by one method."""

    method: Method
    label: str
    centre: bool | None  #: None where it is not known where the finding lies
    pointing: bool | None
    deletion: float  #: 0..1
    insertion: float  #: 0..1
    seconds: float  #: for this finding's share of the explanation


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One method's figures for one label, or for all."""

    method: Method
    label: str  #: empty: all of them
    findings: int
    centre: Estimate | None  #: None where it is not known where findings lie
    pointing: Estimate | None
    deletion: float
    insertion: float
    seconds: float  #: for one finding, the median


def load(folder: Path, card: Card) -> torch.nn.Module:
    """The network of a model folder, on all cores but one, which others may need."""
    if card.input.kind != "image" or card.output.form is not Form.FINDINGS:
        words = "explanations are judged of models that look at single images and tell findings"
        raise ModelError(f"{card.name}: {words}, each for itself")
    torch.set_num_threads(max(1, (os.cpu_count() or 1) - 1))
    return load_network(folder, card)


def variant(explanation: Explanation, method: Method) -> Explanation:
    """The card's explanation by another method; what was measured is of its own method only."""
    if method == explanation.method:
        return explanation
    changes = {"method": method, "measures": ()}
    try:
        return Explanation.model_validate(explanation.model_dump() | changes)
    except ValidationError:
        raise ModelError(f"{method} needs a layer, and the card names none") from None


def judge(
    card: Card, network: torch.nn.Module, cases: Iterable[Case], methods: Sequence[Method]
) -> Iterator[list[Judged]]:
    """What came out for each case, one list a case; the network is ready to answer."""
    explainers = {m: Explainer(network, variant(card.explanation, m)) for m in methods}
    for case in cases:
        prepared = prepare(case.frame, card.input)
        labels = _to_judge(card, network, prepared, case)
        yield [
            judged
            for method, explainer in explainers.items()
            for judged in _judged(card, network, case, prepared, labels, method, explainer)
        ]


def _to_judge(
    card: Card, network: torch.nn.Module, prepared: Prepared, case: Case
) -> dict[str, int]:
    """Labels that are called present and, if that is known, are: by name, with their index."""
    with torch.inference_mode():
        logits = network(prepared.tensor[None])[0].double().numpy()
    calibrated = answered(logits, card.calibration, card.output)
    return {
        label.name: index
        for index, label in enumerate(card.labels)
        if calibrated[index] >= label.threshold
        and (not case.findings or label.name in case.findings)
    }


def _judged(
    card: Card,
    network: torch.nn.Module,
    case: Case,
    prepared: Prepared,
    labels: dict[str, int],
    method: Method,
    explainer: Explainer,
) -> Iterator[Judged]:
    start = time.perf_counter()
    numbers = [card.output.number_of(index) or 0 for index in labels.values()]
    heats = explainer.maps(prepared, numbers)
    seconds = (time.perf_counter() - start) / max(1, len(labels))
    for (name, index), heat in zip(labels.items(), heats, strict=True):
        found = regions(heat, card.explanation.region_fraction, prepared.placement)
        order = _hottest_first(heat, prepared)
        gone = prepared.tensor, _grey(prepared)
        back = _blurred(prepared.tensor), prepared.tensor
        yield Judged(
            method=method,
            label=name,
            centre=_centre_hits(case, name, found),
            pointing=case.lies_on(name, _hottest(heat, prepared.placement)),
            deletion=_area(network, card.output, gone, order, index),
            insertion=_area(network, card.output, back, order, index),
            seconds=seconds,
        )


# --- places ---------------------------------------------------------------------------------


def _centre_hits(case: Case, label: str, found: Sequence[Region]) -> bool | None:
    """A map without a region misses."""
    if label not in case.findings:
        return None
    return bool(found) and case.lies_on(label, _centre(found[0]))


def _centre(region: Region) -> NDArray[np.float64]:
    """The centre of mass of the area inside an outline, (column, row)."""
    here, after = np.array(region.outline[:-1]), np.array(region.outline[1:])
    parts = here[:, 0] * after[:, 1] - after[:, 0] * here[:, 1]
    centre: NDArray[np.float64] = ((here + after) * parts[:, None]).sum(0) / (3 * parts.sum())
    return centre


def _hottest(heat: NDArray[np.float32], placement: Placement) -> NDArray[np.float64]:
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    middle = np.array([column + placement.left + 0.5, row + placement.top + 0.5])
    return placement.to_source(middle)


# --- deletion and insertion -----------------------------------------------------------------


def _hottest_first(heat: NDArray[np.float32], prepared: Prepared) -> torch.Tensor:
    """Rank of each pixel of the square, 0..1; what lies beside the frame comes last."""
    placement = prepared.placement
    square = np.full(prepared.tensor.shape[1:], -1, dtype=np.float32)
    bottom, right = placement.top + placement.height, placement.left + placement.width
    square[placement.top : bottom, placement.left : right] = heat
    order = np.argsort(-square, axis=None, kind="stable")
    rank = np.empty(square.size, dtype=np.float32)
    rank[order] = np.arange(square.size) / heat.size
    return torch.from_numpy(rank.reshape(square.shape))


def _grey(prepared: Prepared) -> torch.Tensor:
    frame = [prepared.placement.crop(channel) for channel in prepared.tensor.numpy()]
    means = torch.tensor([float(channel.mean()) for channel in frame])
    return means[:, None, None].expand_as(prepared.tensor)


def _blurred(image: torch.Tensor) -> torch.Tensor:
    reach = max(1, image.shape[-1] // _BLUR // 2)
    for _ in range(2):
        image = avg_pool2d(image[None], 2 * reach + 1, 1, reach, count_include_pad=False)[0]
    return image


def _area(
    network: torch.nn.Module,
    output: Output,
    way: tuple[torch.Tensor, torch.Tensor],
    rank: torch.Tensor,
    label: int,
) -> float:
    """Mean probability of a label on the way from one image to another, by the trapezoidal rule."""
    before, after = way
    shares = torch.linspace(0, 1, _PARTS + 1)[:, None, None, None]
    with torch.inference_mode():
        images = torch.where(rank < shares, after, before)
        logits = network(images).double().numpy()
    answers = probabilities(logits, None, output)[:, label]
    return float((answers[1:] + answers[:-1]).mean() / 2)


# --- the outcome ----------------------------------------------------------------------------


def table(judged: Sequence[Judged]) -> list[Line]:
    """Figures of each method for each label, and then for all of them."""
    lines = []
    for method in dict.fromkeys(one.method for one in judged):
        by_method = [one for one in judged if one.method == method]
        for label in dict.fromkeys(one.label for one in sorted(by_method, key=lambda o: o.label)):
            lines.append(_line(method, label, [one for one in by_method if one.label == label]))
        lines.append(_line(method, "", by_method))
    return lines


def shown(card: Card, network: torch.nn.Module, cases: Iterable[Case]) -> tuple[Shown, ...]:
    """What the card says of its own explanations; labels that were never found are left out."""
    method = card.explanation.method
    judged = [one for ones in judge(card, network, cases, [method]) for one in ones]
    return tuple(
        Shown(
            label=line.label,
            findings=line.findings,
            centre=line.centre,
            pointing=line.pointing,
            deletion=line.deletion,
            insertion=line.insertion,
        )
        for line in table(judged)
        if line.label and line.centre and line.pointing
    )


def _line(method: Method, label: str, judged: Sequence[Judged]) -> Line:
    return Line(
        method=method,
        label=label,
        findings=len(judged),
        centre=_share([one.centre for one in judged if one.centre is not None]),
        pointing=_share([one.pointing for one in judged if one.pointing is not None]),
        deletion=round(float(np.mean([one.deletion for one in judged])), 4),
        insertion=round(float(np.mean([one.insertion for one in judged])), 4),
        seconds=round(float(np.median([one.seconds for one in judged])), 4),
    )


def _share(hits: Sequence[bool]) -> Estimate | None:
    return proportion(sum(hits), len(hits)) if hits else None
