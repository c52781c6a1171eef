"""A folder of configuration files, and the mistakes that loading it tells."""

from pathlib import Path

import pytest

from dicomnode.config.load import load
from dicomnode.errors import ConfigError, Mistake

__all__ = ["CHEST", "PACS", "mistakes", "only", "write"]

PACS = 'ae_title = "ORTHANC"\nhost = "pacs"\nport = 4242\nmay_send = true\n'
CHEST = 'destinations = ["pacs"]\n'


def write(folder: Path, **files: str | bytes) -> Path:
    """`node`, `peers_NAME` and `pipelines_NAME`; a working set where nothing is said."""
    for name, text in ({"node": "", "peers_pacs": PACS, "pipelines_chest": CHEST} | files).items():
        path = folder / f"{name.replace('_', '/', 1)}.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def mistakes(folder: Path) -> tuple[Mistake, ...]:
    with pytest.raises(ConfigError) as caught:
        load(folder)
    return caught.value.mistakes


def only(folder: Path) -> Mistake:
    found = mistakes(folder)
    assert len(found) == 1, found
    return found[0]
