"""Who else hears of epochs has to be installed."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from dicomnode.errors import ModelError
from dicomnode.learn.training.checkpoint import Line
from dicomnode.learn.training.trackers import trackers

LINE = Line(epoch=1, rate=0.1, loss=0.5, auroc=0.7, seconds=1.0)


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_tracker_is_told_or_says_what_to_install(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_spec(name) is None:
        with (
            pytest.raises(ModelError, match=f"pip install {name}"),
            trackers([name], "x", tmp_path),
        ):
            pass
        return
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    with trackers([name], "x", tmp_path) as tell:
        tell("network", LINE)
    assert any(tmp_path.iterdir())


def test_nobody_has_to_be_told(tmp_path: Path) -> None:
    with trackers([], "x", tmp_path) as tell:
        tell("network", LINE)

    assert list(tmp_path.iterdir()) == []
