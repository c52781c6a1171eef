"""How far a run is can be read in a log, where no bar can be drawn."""

import io

import pytest
from rich.console import Console

from dicomnode.learn.training.checkpoint import Line
from dicomnode.learn.training.shown import Shown


def told(every_s: float, *, terminal: bool = False) -> list[str]:
    """What is written while four images are decoded and one epoch of two is learnt."""
    sink = io.StringIO()
    shown = Shown(Console(file=sink, force_terminal=terminal), every_s=every_s)
    with shown.counting("decoding", 4) as step:
        for _ in range(4):
            step()
    with shown.watching("network", 2) as watch:
        watch.step(0.5)
        watch.epoch(Line(epoch=1, rate=0.1, loss=0.5, auroc=0.75, seconds=2.0))
    return sink.getvalue().splitlines()


def test_a_log_has_a_line_at_once_and_one_now_and_then() -> None:
    assert told(every_s=0) == [
        "decoding: begins",
        "decoding: 25%",
        "decoding: 50%",
        "decoding: 75%",
        "decoding: 100%",
        "network: begins",
        "network: 25%",
        "network: epoch 1, loss 0.5000, AUROC 0.7500, 2.0 s",
        "network: 50%",
    ]


def test_a_log_is_not_filled() -> None:
    assert told(every_s=3600) == [
        "decoding: begins",
        "network: begins",
        "network: epoch 1, loss 0.5000, AUROC 0.7500, 2.0 s",
    ]


@pytest.mark.parametrize("every_s", [0, 3600])
def test_a_terminal_has_bars_instead(every_s: float) -> None:
    lines = told(every_s, terminal=True)

    assert any("network: epoch 1" in line for line in lines)
    assert not any("begins" in line for line in lines)
