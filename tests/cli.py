"""Calling a command in this process, as a shell would, and looking at what it printed."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from dicomnode.cli import output
from dicomnode.cli.main import app

__all__ = ["call", "configure", "told"]


def call(*args: object, columns: int = 80) -> Result:
    """The command's exit code, `stdout` and `stderr`, on a terminal of so many columns."""
    consoles = (output.console, output._problems)
    for console in consoles:
        console.width = columns
    return CliRunner().invoke(app, [str(arg) for arg in args], terminal_width=columns)


def told(result: Result, *, exit_code: int = 0) -> Any:
    """The JSON that a command printed."""
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


def configure(folder: Path, *, peer_port: int = 4242, node: str = "", pipeline: str = "") -> Path:
    """A configuration with the peer `pacs` and the pipeline `all`; returns its folder.

    Unless `node` says otherwise it asks for any free port, as another program may hold the usual
    one, and has no page.
    """
    if "[receive]" not in node:
        node += "[receive]\nport = 0\n"
    if "[web]" not in node:
        node += "[web]\non = false\n"
    texts = {
        "node.toml": f'[storage]\nfolder = "{folder / "node"}"\n{node}',
        "peers/pacs.toml": f'ae_title = "PACS"\nhost = "127.0.0.1"\nport = {peer_port}\n'
        "timeout_s = 2.0\n",
        "pipelines/all.toml": f'destinations = ["pacs"]\n{pipeline}',
    }
    config = folder / "ae_config"
    for name, text in texts.items():
        (config / name).parent.mkdir(parents=True, exist_ok=True)
        (config / name).write_text(text, "utf-8")
    return config
