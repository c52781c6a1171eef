"""Receivers one after the other, each forked from a process that has imported everything.

`python -m tests.crash.zygote FOLDER` starts one for each line it reads, says its process number and
port, and says `over` when it has ended. The end of the input ends both.
"""

import os
import sys
from pathlib import Path

from dicomnode.log import configure
from tests.receiver import running


def live(folder: Path) -> None:
    """Receive until the input ends, or until something worse."""
    with running(folder) as node:
        print(os.getpid(), node.server.port, flush=True)
        os.read(0, 1)


def main(folder: Path) -> None:
    configure(level="WARNING")
    while os.read(0, 1):
        pid = os.fork()
        if pid == 0:
            live(folder)
            os._exit(0)
        os.waitpid(pid, 0)
        print("over", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
