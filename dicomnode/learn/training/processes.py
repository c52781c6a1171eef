"""One process, or several that torchrun started: each has its device and its part of a batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from dicomnode.errors import ModelError

__all__ = ["Crew", "crew"]


@dataclass(frozen=True, slots=True)
class Crew:
    """Who this process is, among how many."""

    device: torch.device
    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether it is the one that writes and speaks."""
        return self.rank == 0

    def wait(self) -> None:
        """Until every process is here."""
        if self.count > 1:
            distributed.barrier()

    def agreed(self, number: float) -> float:
        """The number of the process that leads."""
        if self.count == 1:
            return number
        told = torch.tensor(number, dtype=torch.float64, device=self.device)
        distributed.broadcast(told, 0)
        return float(told)

    def mean(self, numbers: torch.Tensor) -> torch.Tensor:
        """Over all processes."""
        if self.count > 1:
            distributed.all_reduce(numbers)
            numbers /= self.count
        return numbers

    def taken(self, network: torch.nn.Module) -> torch.nn.Module:
        """The network on this process's device; norms see the whole batch where GPUs share it."""
        network = network.to(self.device)
        if self.count == 1 or self.device.type != "cuda":
            return network
        whole: torch.nn.Module = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return whole

    def joined(self, network: torch.nn.Module) -> torch.nn.Module:
        """The network with its gradients averaged over all processes."""
        if self.count == 1 or not any(p.requires_grad for p in network.parameters()):
            return network
        places = [self.device.index] if self.device.type == "cuda" else None
        return DistributedDataParallel(network, device_ids=places)


@contextmanager
def crew(device: str = "auto") -> Iterator[Crew]:
    """This process, alone or among those of torchrun; "auto" takes CUDA where it is there."""
    there = torch.cuda.is_available()
    if device not in ("auto", "cpu") and not (device.startswith("cuda") and there):
        raise ModelError(f"device {device!r} is not here; auto and cpu always are")
    name = ("cuda" if there else "cpu") if device == "auto" else device
    if not distributed.is_torchelastic_launched():
        yield Crew(torch.device(name))
        return
    distributed.init_process_group("nccl" if name == "cuda" else "gloo")
    try:
        rank, count = distributed.get_rank(), distributed.get_world_size()
        own = torch.device(name)
        if name == "cuda":
            own = torch.device(name, rank % torch.cuda.device_count())
            torch.cuda.set_device(own)
        yield Crew(own, rank, count)
    finally:
        distributed.destroy_process_group()
