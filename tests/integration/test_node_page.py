"""The page's process: kept alive by the node, and no more than that."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.pacs import free_port
from tests.running import RunningNode, node, until

LONG_S = 180  #: for what a busy machine does in seconds


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningNode]:
    """A node that has a page, on a port that is free; not started."""
    with node(tmp_path, free_port(), start=False) as running:
        turn(running, "on = false", f"on = true\nport = {free_port()}")
        running.__post_init__()
        yield running


def turn(running: RunningNode, before: str, after: str) -> None:
    """Change the file of the node."""
    file = running.config / "node.toml"
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/login", timeout=10).status_code == 200
    except httpx.HTTPError:
        return False


def page_of(running: RunningNode) -> int:
    """The process that serves the page."""
    assert running.process is not None
    found = subprocess.check_output(
        ["pgrep", "-P", str(running.process.pid), "-f", "dicomnode web"], text=True
    )
    return int(found)


def test_the_page_is_there_again_when_its_process_died_and_moves_where_it_is_told(
    running: RunningNode,
) -> None:
    running.start()
    port = running.settings.node.web.port
    until(lambda: answers(port), timeout_s=LONG_S)

    first = page_of(running)
    os.kill(first, signal.SIGKILL)
    until(lambda: "process.died worker=page exit_code=-9" in running.log, timeout_s=LONG_S)
    until(lambda: answers(port), timeout_s=LONG_S)
    assert page_of(running) != first

    other = free_port()
    turn(running, f"port = {port}", f"port = {other}")
    until(lambda: answers(other), timeout_s=LONG_S)
    assert not answers(port)
    assert "config.restart" not in running.log

    turn(running, "on = true", "on = false")
    until(lambda: not answers(other), timeout_s=LONG_S)
    assert running.stop() == 0


def test_a_port_that_is_taken_is_said_and_tried_again(running: RunningNode) -> None:
    port = running.settings.node.web.port
    with socket.create_server(("127.0.0.1", port)):
        running.start()
        until(lambda: running.log.count("web.failed") == 2, timeout_s=LONG_S)
    until(lambda: answers(port), timeout_s=LONG_S)

    place = f"127.0.0.1:{port} (web.address, web.port, web.tls_* in node.toml)"
    assert f"problem='no page at {place}: address already in use'" in running.log
    assert running.stop() == 0


def test_a_certificate_that_is_none_is_said_and_the_node_goes_on(
    running: RunningNode, tmp_path: Path
) -> None:
    (tmp_path / "page.pem").write_text("no certificate")
    turn(running, "on = true", f'on = true\ntls_certificate = "{tmp_path}/page.pem"')
    running.start()
    until(lambda: "web.failed" in running.log, timeout_s=LONG_S)

    assert "Traceback" not in running.log
    assert running.stop() == 0
