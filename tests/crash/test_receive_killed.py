"""A receiver is killed under load: what it acknowledged is there, and nothing is there by half.

Killing a process does not test fsync, as the kernel lives on: test_power_cut.py does.
DICOMNODE_CRASH_SEED chooses other moments and objects, DICOMNODE_CRASH_COUNT how many.
"""

import os
import random
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from dicomnode.storage.objects import ObjectStore
from tests.crash.lives import lives
from tests.crash.load import Load, name, number_of, study

SEED = int(os.environ.get("DICOMNODE_CRASH_SEED", "1"))
COUNT = int(os.environ.get("DICOMNODE_CRASH_COUNT", "500"))
SETTLED_EVERY = 20  #: lives; the registrar would do it all the time


@pytest.mark.timeout(120 + COUNT)
def test_what_was_acknowledged_survives_every_kill_whole_and_once(tmp_path: Path) -> None:
    chance, load = random.Random(SEED), Load(SEED)  # noqa: S311  the same moments in every run
    folder, torn = tmp_path / "node", 0
    with lives(folder, tmp_path / "log") as receiver:
        for number in range(COUNT):
            torn += receiver.live(load, chance.uniform(0.005, 0.120))
            load.check((folder / "inbox").iterdir())
            assert_there(folder, load.newly_acknowledged())
            if number % SETTLED_EVERY == 0:
                settle(folder)
        receiver.assert_nothing_unforeseen()
    assert not load.complaints
    settle(folder)
    kept = load.check((folder / "studies").glob("*/*"))
    assert {name(number) for number in load.acknowledged} <= kept
    print(f"{COUNT} kills, {len(load.acknowledged)} objects acknowledged, {torn} torn")
    assert len(load.acknowledged) > COUNT
    assert torn or COUNT < 50, "no kill came while an object was being written"
    shutil.rmtree(folder)  # pytest would keep it


def assert_there(folder: Path, numbers: Iterable[int]) -> None:
    """Each object is in the inbox or in its study; in both, where it came again."""
    for number in numbers:
        file = f"{name(number)}.dcm"
        places = (folder / "inbox" / file, folder / "studies" / study(number) / file)
        assert any(place.exists() for place in places), file


def settle(folder: Path) -> None:
    """Move what is in the inbox to its study, as the registrar does."""
    store = ObjectStore(folder)
    for path in (folder / "inbox").iterdir():
        store.settle(path, study(number_of(path)))
