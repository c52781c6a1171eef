"""The head of a network in closed form: ridge regression on what the rest of it sees.

For few images, and for backbones that are not to change: all before the last linear layer stays as
it is, and that layer is solved for at once, over several varied views of every image (Hoerl and
Kennard, Technometrics 12, 1970). What it is given is brought to mean 0 and deviation 1 for that,
and the layer has this in its weights afterwards.
"""

import time

import numpy as np
import torch
from numpy.typing import NDArray

from dicomnode.errors import ModelError
from dicomnode.learn.training import checkpoint
from dicomnode.learn.training.augment import Varying
from dicomnode.learn.training.batches import seen_as
from dicomnode.learn.training.checkpoint import Line, Progress
from dicomnode.learn.training.lesson import Fitted, Lesson, Watch
from dicomnode.learn.training.losses import Goals, goals
from dicomnode.learn.training.processes import Crew
from dicomnode.learn.training.stages import freeze, stages

__all__ = ["read_out", "ridge"]

_TOGETHER = 32  #: images that go through the network at once
_MOST = 1 << 33  #: bytes of features
_LEAST_SPREAD = 1e-6

Numbers = NDArray[np.float64]


def read_out(network: torch.nn.Module, lesson: Lesson, crew: Crew, watch: Watch) -> Fitted:
    """Solve for the last layer; `lesson.epochs` views of each image, the first as it is.

    Raises:
        ModelError: the network does not end in a linear layer, or sees more than there is room for.
    """
    network.to(crew.device)
    kept = checkpoint.read(lesson.file, lesson.key)
    if kept is not None:
        progress, parts = kept
        network.load_state_dict(parts["best"])
        return Fitted(epoch=progress.epoch, lines=tuple(progress.lines))
    began = time.monotonic()
    head = _head(network)
    seen = _features(network, head, lesson, crew.device, watch)
    teacher = lesson.recipe.teacher
    wanted = _wanted(goals(lesson.truth, lesson.taught, teacher, lesson.training, scaled=True))
    aims = np.tile(wanted[lesson.training], (lesson.epochs, 1))
    weight, bias = ridge(seen, aims, lesson.recipe.optimise.ridge)
    off = seen.astype(np.float64) @ weight.T + bias - aims
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight))
        head.bias.copy_(torch.from_numpy(bias))
    loss, spent = round(float(np.nanmean(off**2)), 6), round(time.monotonic() - began, 2)
    line = Line(epoch=lesson.epochs, rate=0.0, loss=loss, auroc=None, seconds=spent)
    progress = Progress(key=lesson.key, best_epoch=lesson.epochs, ended=True, lines=[line])
    if crew.leads:
        checkpoint.write(lesson.file, progress, {"best": network.state_dict()})
    watch.epoch(line)
    return Fitted(epoch=lesson.epochs, lines=(line,))


def _head(network: torch.nn.Module) -> torch.nn.Linear:
    head = stages(network)[-1].modules[0]
    if not isinstance(head, torch.nn.Linear) or head.bias is None:
        raise ModelError("optimise.method: ridge needs a network that ends in one linear layer")
    return head


def _wanted(goal: Goals) -> Numbers:
    """What the outputs should be, NaN where nobody says: truth and teacher by their weights."""
    counts = (goal.known + goal.taught).double().numpy()
    mixed = (goal.known * goal.hard + goal.taught * goal.soft).double().numpy()
    return np.where(counts > 0, mixed / np.where(counts > 0, counts, 1), np.nan)


def _features(
    network: torch.nn.Module,
    head: torch.nn.Linear,
    lesson: Lesson,
    device: torch.device,
    watch: Watch,
) -> NDArray[np.float32]:
    """What the head is given: (views * images, inputs of the head), view after view."""
    rows = lesson.epochs * len(lesson.training)
    if rows * head.in_features * 4 > _MOST:
        raise ModelError(
            f"optimise.method: ridge would keep {rows} x {head.in_features} numbers; lower "
            "optimise.epochs, the number of views"
        )
    seen = np.empty((rows, head.in_features), dtype=np.float32)
    given: list[torch.Tensor] = []
    hook = head.register_forward_pre_hook(lambda _head, inputs: given.append(inputs[0]))
    network.train()
    freeze(stages(network), len(stages(network)))  # norms stay, and the network knows it is learnt
    chosen = (lesson.recipe.ways_of_image, ())
    varied, plain = (Varying(ways, lesson.pictures.size) for ways in chosen)
    row = 0
    with torch.inference_mode():
        for view in range(lesson.epochs):
            vary = varied if view else plain
            for start in range(0, len(lesson.training), _TOGETHER):
                places = [int(p) for p in lesson.training[start : start + _TOGETHER]]
                images = [vary(lesson.pictures[p], (lesson.seed, view, p)) for p in places]
                network(seen_as(torch.stack(images).to(device), lesson.input))
                seen[row : row + len(places)] = torch.stack(given).mean(0).float().cpu().numpy()
                row += len(places)
                given.clear()
                watch.step(row / len(lesson.training))
    hook.remove()
    return seen


def ridge(seen: NDArray[np.float32], aims: Numbers, penalty: float) -> tuple[Numbers, Numbers]:
    """Weight (outputs, inputs) and bias (outputs,) of least squares with a penalty.

    `penalty` is a share of the mean squared length of standardised `seen`, (rows, inputs). Rows
    whose aim, (rows, outputs), is NaN do not count for that output.
    """
    mean = seen.mean(0, dtype=np.float64)
    spread: Numbers = seen.std(0, dtype=np.float64) + _LEAST_SPREAD
    whole: Numbers = (seen - mean) / spread
    weight = np.zeros((aims.shape[1], seen.shape[1]))
    bias = np.zeros(aims.shape[1])
    known = ~np.isnan(aims)
    patterns, which = np.unique(known, axis=1, return_inverse=True)
    for number, rows in enumerate(patterns.T):
        columns = np.flatnonzero(which.reshape(-1) == number)
        if not rows.any():
            continue
        of_these = aims[np.ix_(rows, columns)]
        own = whole if rows.all() else whole[rows]
        middle, centre = of_these.mean(0), own.mean(0)
        weight[columns] = _solved(own - centre, of_these - middle, penalty).T
        bias[columns] = middle - weight[columns] @ centre
    weight /= spread
    return weight, bias - weight @ mean


def _solved(given: Numbers, aims: Numbers, penalty: float) -> Numbers:
    """(inputs, outputs), by whichever of rows and inputs are fewer."""
    rows, inputs = given.shape
    shrink = penalty * float(np.square(given).sum()) / rows
    if rows <= inputs:
        kernel = given @ given.T
        kernel[np.diag_indices(rows)] += shrink
        return given.T @ np.linalg.solve(kernel, aims).astype(np.float64)
    spread = given.T @ given
    spread[np.diag_indices(inputs)] += shrink
    return np.linalg.solve(spread, given.T @ aims).astype(np.float64)
