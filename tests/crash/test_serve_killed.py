"""The node, and its receivers alone, are killed under load; senders lose nothing but time."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.crash.load import Load
from tests.crash.serving import assert_all_entered, live, receivers, serving
from tests.running import until

SEED = int(os.environ.get("DICOMNODE_CRASH_SEED", "1"))


@pytest.mark.timeout(600)
def test_what_a_killed_node_acknowledged_is_in_the_worklist_of_the_next(tmp_path: Path) -> None:
    chance, load = random.Random(SEED), Load(SEED)  # noqa: S311  the same moments in every run
    with serving(tmp_path, tmp_path / "node") as running:
        for _ in range(4):
            live(running, load, chance.uniform(0.2, 2.0))
        running.start()
        assert_all_entered(running, load)
    assert load.acknowledged


@pytest.mark.timeout(600)
def test_receivers_that_are_killed_are_replaced_and_callers_wait(tmp_path: Path) -> None:
    chance, load = random.Random(SEED), Load(SEED)  # noqa: S311  the same moments in every run
    with serving(tmp_path, tmp_path / "node") as running:
        running.start()
        for _ in range(4):
            load.begin(running.peer.port)
            until(lambda: bool(load.newly_acknowledged()))
            time.sleep(chance.uniform(0.0, 0.5))
            for pid in receivers(running):
                os.kill(pid, signal.SIGKILL)
            load.end()
        assert_all_entered(running, load)
