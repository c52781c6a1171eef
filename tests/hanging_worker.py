"""A worker's process whose model hangs: `python -m tests.hanging_worker URL FOLDER NAME HOW`.

The first study that it is shown is its last; the notice in its place can be made.
"""

import ctypes
import sys
import threading
from functools import partial
from pathlib import Path

from dicomnode.node.line import ALIVE, LOOK, WorkerEnd
from dicomnode.node.watch import Watch
from dicomnode.node.worker import Worker
from dicomnode.records import Job
from dicomnode.storage.database import Database
from tests.workers import AT_ONCE, Bench

__all__ = ["STUCK_AFTER_S"]

STUCK_AFTER_S = 0.5  #: counted from when it begins to hang: what is slow before that is the machine


def hang(how: str) -> None:
    """Call into native code that does not return; `tight` holds the interpreter as well."""
    library = ctypes.PyDLL(None) if how == "tight" else ctypes.CDLL(None)
    library.sleep(600)


def main(url: str, folder: str, name: str, how: str) -> None:
    """Work until standard input ends; say `LOOK` before the hang, too."""
    bench = Bench(Database(url), Path(folder))
    stop, look = threading.Event(), threading.Event()
    parent = WorkerEnd()
    parent.listen(stop, look)
    watch = Watch(60.0, alive=partial(parent.say, ALIVE))

    def end_here(_: Job) -> None:
        watch._stuck_after_s = STUCK_AFTER_S
        parent.say(LOOK)
        hang(how)

    bench.analysis.while_working = end_here
    worker: Worker = bench.worker(
        AT_ONCE,
        name=name,
        side_by_side=2,
        look=look,
        watch=watch,
        recorded=partial(parent.say, LOOK),
    )
    worker.run(stop)


if __name__ == "__main__":
    main(*sys.argv[1:])
