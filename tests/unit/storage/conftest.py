"""A store in an empty folder."""

from pathlib import Path

import pytest

from dicomnode.storage.objects import ObjectStore


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    store = ObjectStore(tmp_path)
    store.prepare()
    return store
