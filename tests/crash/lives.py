"""The lives of a receiver: started, put under load, killed, and started again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from tests.crash.load import Load
from tests.landing import being_received

__all__ = ["ROOT", "Lives", "lives"]

ROOT = Path(__file__).resolve().parents[2]


class Lives:
    """Starts receivers on one folder and kills them."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path, log: Path) -> None:
        self._process = process
        self._folder = folder
        self._log = log

    @property
    def log(self) -> str:
        """What all lives have logged."""
        return self._log.read_text("utf-8")

    def begin(self) -> tuple[int, int]:
        """Start a receiver; return its process number and its port."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        pid, port = self._line().split()
        return int(pid), int(port)

    def kill(self, pid: int) -> None:
        """SIGKILL, and wait until it is gone."""
        os.kill(pid, signal.SIGKILL)
        assert self._line() == "over"

    def live(
        self, load: Load, seconds: float, trouble: AbstractContextManager[None] | None = None
    ) -> int:
        """One life under load, which ends after `seconds`; how many objects were left torn?"""
        pid, port = self.begin()
        assert not being_received(self._folder), "a start leaves what an earlier life had torn"
        with trouble or nullcontext():
            load.begin(port)
            time.sleep(seconds)
            self.kill(pid)
        load.end()
        return len(being_received(self._folder))

    def assert_nothing_unforeseen(self) -> None:
        """Nothing but refusals was logged."""
        odd = [line for line in self.log.splitlines() if " store.refused " not in line]
        assert not odd, "\n".join(odd[:20])

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, f"the receiver cannot be started:\n{self.log}"
        return line


@contextmanager
def lives(
    folder: Path, log: Path, *wrapper: str, environment: Mapping[str, str] | None = None
) -> Iterator[Lives]:
    """Receivers on `folder`, as many as are asked for, one at a time."""
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [*wrapper, sys.executable, "-m", "tests.crash.zygote", str(folder)],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        yield Lives(process, folder, log)
