"""A node of a command's own: a configuration as an administrator would write it, and `dicomnode
serve` on it while a block runs.
"""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dicomnode.cli.output import console, fail
from dicomnode.dicom import network
from dicomnode.records import Peer

__all__ = ["free_port", "running", "write_config"]

_START_S = 60.0  #: longest the node may take to answer C-ECHO


def free_port() -> int:
    """A TCP port on loopback that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def write_config(folder: Path, texts: Mapping[str, str], /, **values: object) -> Path:
    """Write each file with its values filled in; return the folder."""
    for name, text in texts.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.format(**values), "utf-8")
    return folder


@contextmanager
def running(config: Path, us: Peer, caller: str) -> Iterator["subprocess.Popen[bytes]"]:
    """`dicomnode serve` while the block runs; its log is shown if it does not come up.

    `caller` is the AE title of a peer that may send: the node is up when it answers C-ECHO.
    """
    log = config.with_name("node.log")
    command = [sys.executable, "-m", "dicomnode", "serve", "--config", str(config)]
    with console.status("starting the node"), log.open("wb") as sink:
        process = subprocess.Popen(command, stderr=sink)  # noqa: S603  our own program
        deadline = time.monotonic() + _START_S
        while not network.echo(us, caller).ok:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                fail(f"the node did not start:\n{log.read_text('utf-8', 'replace')}")
            time.sleep(0.2)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        with console.status("stopping the node"):
            process.wait()
