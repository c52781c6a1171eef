"""A network on an NVIDIA GPU: one recorded graph for each size of batch.

Images come prepared on the device, or from the host through pinned memory.

A graph is launched as a whole, so the GPU does not wait for Python between layers. Batches are
filled up to the next size that is recorded.
"""

from dataclasses import dataclass

import torch

from dicomnode.classify.network import Answering
from dicomnode.classify.runtimes.eager import spoken
from dicomnode.classify.runtimes.runtime import Said
from dicomnode.errors import ModelError

__all__ = ["OnCuda", "filled_up"]

_SIZES = (1, 2, 4, 8, 16, 32, 64)
_WARM_UP = 3  #: runs before one is recorded: libraries choose their kernels in them


@dataclass(frozen=True, slots=True, eq=False)
class _Recorded:
    """A graph, and where it reads and writes."""

    graph: torch.cuda.CUDAGraph
    pinned: torch.Tensor  #: on the host
    given: torch.Tensor  #: on the device
    logits: torch.Tensor
    features: torch.Tensor


class OnCuda:
    """A network in float32, or by autocast in a type of 16 bits."""

    def __init__(
        self, name: str, network: Answering, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.name = name
        self._network = network.to(device).eval()
        self._device = device
        self._dtype = dtype
        self._recorded: dict[tuple[int, ...], _Recorded] = {}

    def run(self, images: torch.Tensor) -> Said:
        """Answers for float32 (images, ...).

        Raises:
            ModelError: the network cannot be run on them.
            torch.OutOfMemoryError: not on so many at once.
        """
        try:
            return self._run(images)
        except torch.OutOfMemoryError:
            self._recorded.clear()  # each graph holds memory of its own
            raise
        except RuntimeError as error:
            raise ModelError(f"the network cannot be run: {str(error).splitlines()[0]}") from error

    def _run(self, images: torch.Tensor) -> Said:
        count = len(images)
        shape = (filled_up(count), *images.shape[1:])
        if (recorded := self._recorded.get(shape)) is None:
            recorded = self._recorded[shape] = self._record(shape)
        with torch.cuda.device(self._device):
            if images.is_cuda:
                recorded.given[:count].copy_(images)
            else:
                recorded.pinned[:count].copy_(images)
                recorded.given.copy_(recorded.pinned, non_blocking=True)
            recorded.graph.replay()
            return spoken(recorded.logits[:count], recorded.features[:count])

    @torch.inference_mode()
    def _record(self, shape: tuple[int, ...]) -> _Recorded:
        # Alike on both sides, or the copy would wait for a rearrangement.
        order = torch.channels_last if len(shape) == 4 else torch.contiguous_format
        pinned = torch.empty(shape, pin_memory=True, memory_format=order).zero_()
        given = pinned.to(self._device, memory_format=order)
        side = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.device(self._device), torch.cuda.stream(side):
            for _ in range(_WARM_UP):
                self._answers(given)
        torch.cuda.current_stream(self._device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # Other threads prepare images on the device meanwhile, which is theirs to do.
        recording = torch.cuda.graph(graph, capture_error_mode="thread_local")
        with torch.cuda.device(self._device), recording:
            logits, features = self._answers(given)
        return _Recorded(graph, pinned, given, logits, features)

    def _answers(self, given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        reduced = self._dtype is not torch.float32
        with torch.autocast("cuda", self._dtype, enabled=reduced, cache_enabled=False):
            logits, features = self._network(given)
        return logits.float(), features.float()


def filled_up(count: int) -> int:
    """The next size of batch that is recorded; beyond the largest, the count itself."""
    return next((size for size in _SIZES if size >= count), count)
