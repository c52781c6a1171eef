"""torch itself, layer after layer: always there, and what every other runtime must agree with."""

from collections.abc import Callable

import torch

from dicomnode.classify.runtimes.runtime import Said
from dicomnode.errors import ModelError

__all__ = ["Eager", "spoken"]


class Eager:
    """A network as torch runs it, on any of its devices."""

    def __init__(self, network: torch.nn.Module, device: torch.device, name: str = "torch") -> None:
        self.name = name
        self._network = network.to(device).eval()
        self._device = device
        self._call: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]] = self._network

    def compile(self) -> None:
        """Run it by torch.compile from now on, which needs a compiler for C++ and a minute."""
        self._call = torch.compile(self._network, dynamic=True)

    def run(self, images: torch.Tensor) -> Said:
        """Answers for float32 (images, ...).

        Raises:
            ModelError: the network cannot be run on them.
            torch.OutOfMemoryError: not on so many at once.
        """
        try:
            with torch.inference_mode():
                logits, features = self._call(images.to(self._device))
            return spoken(logits, features)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise ModelError(f"the network cannot be run: {str(error).splitlines()[0]}") from error


def spoken(logits: torch.Tensor, features: torch.Tensor) -> Said:
    """What `Answering` says, on the CPU."""
    seen = features.float().cpu().numpy() if features.numel() else None
    return Said(logits.cpu().double().numpy(), seen)  # MPS has no float64
