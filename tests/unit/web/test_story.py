"""What happened to a study, as it is said."""

from datetime import UTC, datetime

import pytest

from dicomnode.web import story
from dicomnode.worklist.dossier import Brought

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("count", "own", "words"),
    [
        (1, False, "1 object from CT1"),
        (2, False, "2 objects from CT1"),
        (1, True, "1 result of ours from CT1"),
        (2, True, "2 results of ours from CT1"),
    ],
)
def test_what_came_is_counted_in_words(count: int, own: bool, words: str) -> None:
    came = Brought(calling_ae="CT1", count=count, own=own, first_at=NOW, last_at=NOW)
    assert story._came(came).words == words
