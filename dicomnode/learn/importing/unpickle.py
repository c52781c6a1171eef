"""`python -m dicomnode.learn.importing.unpickle CHECKPOINT TENSORS`: the process apart.

Ends with 1, and words on standard output, where the checkpoint holds more than tensors and plain
values.
"""

import resource
import sys
from pathlib import Path

from dicomnode.classify.weights import read_checkpoint, save_weights
from dicomnode.errors import ModelError
from dicomnode.learn.importing.checkpoint import state_dict

__all__ = ["main"]

_MEMORY = 16 << 30  #: bytes of address space: torch's libraries alone map several of them
_SECONDS = 300  #: of processor time


def main(checkpoint: Path, made: Path) -> int:
    """Read, and write what was read as safetensors; the exit code."""
    size = checkpoint.stat().st_size
    _limit(resource.RLIMIT_AS, _MEMORY + 4 * size)
    _limit(resource.RLIMIT_CPU, _SECONDS)
    _limit(resource.RLIMIT_FSIZE, 4 * size + (1 << 20))
    _limit(resource.RLIMIT_CORE, 0)
    try:
        tensors = state_dict(read_checkpoint(checkpoint))
        save_weights({name: tensor.clone() for name, tensor in tensors.items()}, made)
    except ModelError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    except (MemoryError, RuntimeError):  # torch's word for no memory left
        sys.stdout.write("holds tensors that say they are larger than it is\n")
        return 1
    return 0


def _limit(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (allowed, allowed))


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), Path(sys.argv[2])))
