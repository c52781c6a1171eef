import tempfile
from pathlib import Path

import pytest

from dicomnode.storage.database import Database
from dicomnode.web.trials.trials import spool_uploads
from tests.web import make_site


def test_uploads_are_spooled_beside_the_store(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    site = make_site(tmp_path, Database(sqlite_url))
    spool_uploads(site.store)
    assert tempfile.gettempdir() == str(site.store.folder / "partial")
    site.database.close()
