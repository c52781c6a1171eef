"""How long a scrape of /metrics takes with a million studies: medians in milliseconds.

    .venv/bin/python tests/benchmarks/measures.py
    .venv/bin/python tests/benchmarks/measures.py --keep /tmp/million.db    # SQLite, made only once

The first scrape of a page's process, the next ones while nothing happens, and such after which a
thousand lines of history came; and of these the time of this process' processor. The goal: under
50 ms at the median.
"""

import argparse
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

from rich.console import Console

from dicomnode.storage.database import Database
from dicomnode.web.monitoring.measures import Measures
from dicomnode.web.site import Site
from dicomnode.worklist import history, measures
from dicomnode.worklist.schema import upgrade
from tests.benchmarks.million import fill
from tests.postgres import Postgres
from tests.web import make_site

_TIMES = 15
_console = Console()


def main() -> None:
    """Print a line for each case and database."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--studies", type=int, default=1_000_000)
    arguments.add_argument("--only", choices=["sqlite", "postgres"])
    arguments.add_argument("--keep", type=Path, help="SQLite file to make, or to use again")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for kind in [given.only] if given.only else ["sqlite", "postgres"]:
            if kind == "sqlite":
                database = Database(f"sqlite:///{given.keep or Path(folder) / 'million.db'}")
                _measure(kind, database, Path(folder), given.studies)
                continue
            server = Postgres()
            _measure(kind, Database(server.url(server.fresh())), Path(folder), given.studies)
            server.remove()


def _measure(kind: str, database: Database, folder: Path, studies: int) -> None:
    _made(database, studies)
    site = make_site(folder / kind, database)
    site.store.prepare()
    for name in ("chest", "hand"):  # as `fill` calls them
        (site.config / "pipelines" / f"{name}.toml").write_text('destinations = ["pacs"]\n')
    _scrape(site)  # connects
    uid = f"1.2.826.0.1.3680043.8.498.{studies}"

    def come() -> None:
        with database.transaction() as tx:
            for _ in range(1000):
                history.note(tx, uid, "sent", now=datetime.now(UTC), detail="sr to pacs: stored")

    def begin() -> None:
        object.__setattr__(site, "measures", Measures())

    for words, before in (("first", begin), ("nothing new", None), ("1000 lines", come)):
        spent = []
        for _ in range(_TIMES):
            if before:
                before()
            spent.append(_scrape(site))
        wall, cpu = (median(each) for each in zip(*spent, strict=True))
        _console.print(f"{kind:9} {words:12} {wall:6.1f} ms, of it processor {cpu:6.1f} ms")
    database.close()


def _made(database: Database, studies: int) -> None:
    upgrade(database)
    with database.reading() as tx:
        empty = not measures.mark(tx).instances
    if empty:
        fill(database, studies, datetime.now(UTC))


def _scrape(site: Site) -> tuple[float, float]:
    started, spent = perf_counter(), process_time()
    site.measures.text(site.database, site.settings(), site.store, now=site.now())
    return (perf_counter() - started) * 1000, (process_time() - spent) * 1000


if __name__ == "__main__":
    main()
