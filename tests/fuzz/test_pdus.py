"""Tens of thousands of malformed associations to one receiver, which is afterwards as it was.

DICOMNODE_FUZZ_SEED chooses other ones, DICOMNODE_FUZZ_STREAMS how many.
"""

import os
import sys
from pathlib import Path

import pytest

from tests.fuzz.pdus import stream
from tests.fuzz.target import attacked

SEED = int(os.environ.get("DICOMNODE_FUZZ_SEED", "1"))
COUNT = int(os.environ.get("DICOMNODE_FUZZ_STREAMS", "40000"))


@pytest.mark.timeout(300 + COUNT // 20)
@pytest.mark.skipif(sys.platform != "linux", reason="threads and handles are counted in /proc")
def test_malformed_associations_leave_the_receiver_as_it_was(tmp_path: Path) -> None:
    print(attacked(tmp_path, SEED, COUNT))


def test_the_same_number_makes_the_same_stream() -> None:
    assert stream(3, 14) == stream(3, 14)
    assert stream(3, 14) != stream(3, 15)


def test_streams_have_every_kind_of_change_and_some_have_none() -> None:
    some = [stream(SEED, number) for number in range(1000)]
    assert len({change for each in some for change in each.changes}) > 14
    assert any(not each.changes for each in some)
