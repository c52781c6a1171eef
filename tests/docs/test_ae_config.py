"""The example files of the repository are what `dicomnode init` writes, and they load."""

from pathlib import Path

from dicomnode.config.load import load
from dicomnode.config.template import write_commented

SHIPPED = Path(__file__).parents[2] / "ae_config"


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text("utf-8")
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_ae_config_is_what_init_writes(tmp_path: Path) -> None:
    """After a change to a setting: `rm -r ae_config && dicomnode init --config ae_config`."""
    write_commented(tmp_path)

    assert contents(SHIPPED) == contents(tmp_path)


def test_ae_config_loads() -> None:
    assert load(SHIPPED).pipelines
