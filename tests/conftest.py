"""Things with a lifetime that many tests need: databases, on SQLite and on Postgres.

And what a test draws from torch is the same in every run, and after whatever other tests.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dicomnode.storage.database import Database
from dicomnode.worklist.schema import upgrade
from tests.postgres import Postgres
from tests.tools import require


def pytest_configure() -> None:
    """In an active environment pynetdicom's `storescu` stands before DCMTK's of the same name."""
    here = str(Path(sys.executable).parent)
    folders = os.environ.get("PATH", "").split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join(folder for folder in folders if folder != here)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Of a test process that died, the code it ended with: -9 is SIGKILL, -11 SIGSEGV."""
    if error:
        code = node.gateway._io.popen.wait(10)
        sys.stderr.write(f"\n{node.gateway.id} ended with {code}\n")


@pytest.fixture(autouse=True)
def _torch_draws_alike() -> None:
    """Of itself torch begins with other numbers in every process."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A Postgres server of this test process; a test may stop it if it starts it again."""
    require("postgres")
    server = Postgres()
    yield server
    server.remove()


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """The address of a fresh, migrated Postgres database; child processes may use it too."""
    name = postgres.fresh()
    yield postgres.url(name)
    postgres.drop(name)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite file, to be copied."""
    file = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    database = Database(f"sqlite:///{file}")
    upgrade(database)
    database.close()
    return file


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """The address of a fresh, migrated SQLite database."""
    file = shutil.copy(migrated_sqlite, tmp_path / "worklist.db")
    return f"sqlite:///{file}"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The address of a fresh, migrated database, once of each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh, migrated database, once of each kind."""
    database = Database(database_url)
    yield database
    database.close()
