"""How busy the machine is, and how much of it the node takes."""

import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import psutil

__all__ = ["Load", "Machine"]

_GPU_WAIT_S = 10.0
_IDLE = ("idle", "iowait")
_COUNTED_TWICE = ("guest", "guest_nice")  #: within user and nice, too
_ASK_GPUS = ("--query-gpu=utilization.gpu", "--format=csv,noheader,nounits")


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The machine since it was looked at before."""

    cpu: float  #: share of all cores that was busy, 0 to 1
    gpu: float | None  #: mean share of the NVIDIA GPUs, now; None where there is none
    memory_bytes: int  #: resident, of this process and those that it started
    disk_free_bytes: int  #: for this user, where the folder is


class Machine:
    """This machine, and the disk of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ask_gpus = shutil.which("nvidia-smi")
        self._times = psutil.cpu_times()  # from here the first share counts

    def look(self) -> Load:
        """How it stands; OSError where the disk cannot be asked."""
        return Load(
            cpu=self._cpu(),
            gpu=self._gpu(),
            memory_bytes=_memory_bytes(psutil.Process()),
            disk_free_bytes=shutil.disk_usage(self._folder).free,
        )

    def _cpu(self) -> float:
        """Since the last look, by whichever thread: psutil's own share is of one thread's looks."""
        before, self._times = self._times, psutil.cpu_times()
        spent = {
            name: max(0.0, getattr(self._times, name) - getattr(before, name))
            for name in before._fields
            if name not in _COUNTED_TWICE
        }
        whole = sum(spent.values())
        return 1 - sum(spent.get(name, 0.0) for name in _IDLE) / whole if whole else 0.0

    def _gpu(self) -> float | None:
        if self._ask_gpus is None:
            return None
        command = [self._ask_gpus, *_ASK_GPUS]
        with suppress(OSError, subprocess.SubprocessError, ValueError):
            said = subprocess.check_output(  # noqa: S603  NVIDIA's own, found on the path
                command, text=True, timeout=_GPU_WAIT_S, stderr=subprocess.DEVNULL
            )
            return fmean(float(line) for line in said.split()) / 100
        return None


def _memory_bytes(process: psutil.Process) -> int:
    total = 0
    for each in (process, *process.children(recursive=True)):
        with suppress(psutil.Error):  # it ended meanwhile
            total += int(each.memory_info().rss)
    return total
