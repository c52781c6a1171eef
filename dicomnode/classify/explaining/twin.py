"""One network for two uses at once: what hooks see in one is not seen in the other."""

import copy
from itertools import chain

import torch

__all__ = ["twin"]


def twin(network: torch.nn.Module) -> torch.nn.Module:
    """The same modules over the same numbers in memory.

    Made after the network has come to its device, as buffers move by being replaced. A program has
    no modules to hook into, and is its own twin.
    """
    if isinstance(network, torch.jit.ScriptModule | torch.fx.GraphModule):
        return network
    numbers = chain(network.parameters(), network.buffers())
    return copy.deepcopy(network, {id(tensor): tensor for tensor in numbers})
