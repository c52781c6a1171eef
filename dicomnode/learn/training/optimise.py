"""How weights change: the optimiser with its groups, the rate of each step, the moving average."""

import math
from collections.abc import Mapping

import torch

from dicomnode.learn.training.recipe import Optimise
from dicomnode.learn.training.stages import Stage

__all__ = ["Average", "optimiser", "rate", "set_rate"]

_COLD, _LAST = 1 / 25, 1e-4  #: of one cycle: where it begins and ends, as shares of the highest


def optimiser(row: list[Stage], how: Optimise, decay: float) -> torch.optim.Optimizer:
    """All parameters in groups by stage; a stage further from the head learns more slowly.

    Biases, norms and other vectors have no weight decay.
    """
    groups = []
    for index, stage in enumerate(row):
        share = decay ** (len(row) - 1 - index)
        for vectors in (False, True):
            own = [p for p in stage.parameters if (p.ndim <= 1) == vectors]
            if own:
                shrinks = 0.0 if vectors else how.weight_decay
                groups.append({"params": own, "weight_decay": shrinks, "share": share})
    if how.method == "sgd":
        nesterov = how.momentum > 0
        return torch.optim.SGD(groups, how.learning_rate, momentum=how.momentum, nesterov=nesterov)
    return torch.optim.AdamW(groups, how.learning_rate)


def rate(step: int, steps: int, how: Optimise) -> float:
    """The learning rate of a step, from 0, as a share of the highest."""
    warm = how.warm_up * steps
    if step < warm:
        if how.schedule == "one-cycle":
            return _between(_COLD, 1.0, step / warm)
        return (step + 1) / (math.floor(warm) + 1)
    gone = (step - warm) / max(1.0, steps - warm)
    match how.schedule:
        case "constant":
            return 1.0
        case "cosine":
            return _between(1.0, 0.0, gone)
        case "one-cycle":
            return _between(1.0, _LAST, gone)


def _between(begin: float, end: float, gone: float) -> float:
    return end + (begin - end) * (1 + math.cos(math.pi * min(1.0, gone))) / 2


def set_rate(optimizer: torch.optim.Optimizer, share: float, how: Optimise) -> None:
    """The rate of every group for the next step."""
    for group in optimizer.param_groups:
        group["lr"] = how.learning_rate * share * group["share"]


class Average:
    """A moving average of weights and statistics; young ones are forgotten sooner."""

    def __init__(self, network: torch.nn.Module, decay: float) -> None:
        self._decay = decay
        self._steps = 0
        self._kept = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: torch.nn.Module) -> None:
        """Take in the weights after a step."""
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        for name, value in network.state_dict().items():
            kept = self._kept[name]
            if kept.is_floating_point():
                kept.lerp_(value.to(kept.dtype), 1 - decay)
            else:
                kept.copy_(value)

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """As of `state_dict`."""
        return self._kept

    def load(self, weights: Mapping[str, torch.Tensor], steps: int) -> None:
        """Go on from what was kept."""
        for name, value in weights.items():
            self._kept[name].copy_(value)
        self._steps = steps
