"""A network as a row of stages, from the image to the answer: what may be frozen, or learn slowly.

A stage is one block of the network with all that follows it up to the next; norms belong to the
block before them. The last stage is the head, which gives the answer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

__all__ = ["Stage", "freeze", "stages"]

#: Layers that do not begin a stage of their own.
_FOLLOWING = (
    torch.nn.BatchNorm2d,
    torch.nn.InstanceNorm2d,
    torch.nn.SyncBatchNorm,
    torch.nn.GroupNorm,
    torch.nn.LayerNorm,
)


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """Some modules that follow each other."""

    names: tuple[str, ...]  #: as in `named_modules`
    modules: tuple[torch.nn.Module, ...]
    parameters: tuple[torch.nn.Parameter, ...]


def stages(network: torch.nn.Module) -> list[Stage]:
    """The stages of a network, in order; every parameter belongs to one."""
    made: list[tuple[list[str], list[torch.nn.Module]]] = []
    for name, module in _blocks(network):
        has = next(module.parameters(), None) is not None
        if not made or (has and not isinstance(module, _FOLLOWING)):
            made.append(([], []))
        made[-1][0].append(name)
        made[-1][1].append(module)
    of_itself = [p for _, p in network.named_parameters(recurse=False)]  # such as a class token
    row: list[Stage] = []
    for names, modules in made:
        own = [p for module in modules for p in module.parameters()]
        first = [] if row else of_itself
        row.append(Stage(tuple(names), tuple(modules), (*first, *own)))
    return row


def _blocks(network: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module]]:
    for name, child in network.named_children():
        if isinstance(child, torch.nn.Sequential | torch.nn.ModuleList) and len(child):
            yield from ((f"{name}.{inner}", block) for inner, block in child.named_children())
        else:
            yield name, child


def freeze(row: Sequence[Stage], count: int) -> None:
    """Let the first `count` stages be as they are, and all others learn.

    Norms of frozen stages keep their running statistics: call it after `network.train()`.
    """
    for index, stage in enumerate(row):
        for parameter in stage.parameters:
            parameter.requires_grad_(index >= count)
        if index < count:
            for module in stage.modules:
                module.eval()
