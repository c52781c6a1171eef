"""How fast the page answers with a million studies: medians in milliseconds, on both databases.

    .venv/bin/python tests/benchmarks/web.py
    .venv/bin/python tests/benchmarks/web.py --studies 100000 --only sqlite
    .venv/bin/python tests/benchmarks/web.py --keep /tmp/million.db    # SQLite, made only once

For each search: the function of `worklist/search.py`, its second page, and the whole page as a
browser gets it, through the application; and what of that is time of this process' processor, which
does not depend on what else the machine does (a Postgres has its own, beside it). The goal: each
page in under 150 ms at the median.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

from rich.console import Console
from rich.table import Table

from dicomnode.people.accounts import Role
from dicomnode.records import State
from dicomnode.storage.database import Database
from dicomnode.web.monitoring.overview import glance
from dicomnode.web.site import Site
from dicomnode.web.studies import as_query
from dicomnode.worklist.criteria import Wanted
from dicomnode.worklist.schema import upgrade
from dicomnode.worklist.search import search
from tests.benchmarks.million import fill
from tests.postgres import Postgres
from tests.web import client, make_site

_GOAL_MS = 150
_console = Console()


def main() -> None:
    """Print a table for each database."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--studies", type=int, default=1_000_000)
    arguments.add_argument("--times", type=int, default=7, help="how often each is asked")
    arguments.add_argument("--only", choices=["sqlite", "postgres"])
    arguments.add_argument("--keep", type=Path, help="SQLite file to make, or to use again")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for kind in [given.only] if given.only else ["sqlite", "postgres"]:
            file = given.keep or Path(folder) / "million.db"
            with _opened(kind, file) as database:
                _made(database, given.studies)
                _measure(kind, make_site(Path(folder) / kind, database), given)


@contextmanager
def _opened(kind: str, file: Path) -> Iterator[Database]:
    if kind == "sqlite":
        database = Database(f"sqlite:///{file}")
        upgrade(database)
        yield database
        database.close()
        return
    server = Postgres()
    database = Database(server.url(server.fresh()))
    yield database
    database.close()
    server.remove()


def _made(database: Database, count: int) -> None:
    with database.reading() as tx:
        if search(tx, Wanted()).count:
            return
    started = perf_counter()
    fill(database, count, datetime.now(UTC))
    _console.print(f"{count:,} studies made in {perf_counter() - started:.0f} s")


def _measure(kind: str, site: Site, given: argparse.Namespace) -> None:
    table = Table(
        "what",
        "function",
        "next page",
        "whole page",
        "of it processor",
        "found",
        title=f"ms, {kind}",
    )
    browser = client(site, Role.ADMINISTRATOR)
    del browser.headers["x-csrf-token"]  # a whole page, not what is put into one

    def took(do: Callable[[], object], clock: Callable[[], float] = perf_counter) -> float:
        return _median_ms(do, given.times, clock)

    for name, wanted in _searches(given.studies).items():
        with site.database.reading() as tx:
            first = search(tx, wanted)

        def page(wanted: Wanted = wanted) -> None:
            browser.get(f"/studies?{as_query(wanted)}").raise_for_status()

        def function(wanted: Wanted = wanted, after: object = None) -> None:
            with site.database.reading() as tx:
                search(tx, wanted, after=after)  # type: ignore[arg-type]  # a place, or none

        following = took(lambda: function(wanted, first.next)) if first.next else None  # noqa: B023  called at once
        figures = [took(function), following, took(page), took(page, process_time)]
        count = f"{first.count:,}" if first.exact else f"> {first.count:,}"
        table.add_row(name, *map(_shown, figures), count)
    table.add_section()

    def overview() -> None:
        glance(site.database, site.settings(), now=site.now())

    figures = [took(overview), None]
    for name, path in _pages(given.studies).items():

        def opened(path: str = path) -> None:
            browser.get(path).raise_for_status()

        figures += [took(opened), took(opened, process_time)]
        table.add_row(name, *map(_shown, figures), "")
        figures = [None, None]
    _console.print(table)


def _median_ms(do: Callable[[], object], times: int, clock: Callable[[], float]) -> float:
    spent = []
    for _ in range(times):
        started = clock()
        do()
        spent.append((clock() - started) * 1000)
    return median(spent)


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"[red]{value:.0f}[/red]" if value > _GOAL_MS else f"{value:.0f}"


def _searches(count: int) -> dict[str, Wanted]:
    """What people ask, and what is hard: frequent or not, lately or long ago, several at once."""
    today = datetime.now(UTC).date()
    year = today - timedelta(days=365)
    number = f"{count // 2:07}"
    return {
        "all": Wanted(),
        "patient ID": Wanted(patient_id="PAT0123456"),
        "beginning of many patient IDs": Wanted(patient_id="PAT0"),
        "beginning of hundreds, lower case": Wanted(patient_id="pat01234"),
        "accession number": Wanted(accession_number=f"ACC{number}"),
        "a day": Wanted(date_from=year, date_to=year),
        "a year, long ago": Wanted(date_to=year),
        "a day and a finding": Wanted(date_from=year, date_to=year, finding="mass"),
        "a month and a finding": Wanted(
            date_from=date(year.year, year.month, 1), date_to=year, finding="mass"
        ),
        "a sender": Wanted(calling_ae="DX_EAST"),
        "a sender, long ago": Wanted(calling_ae="CT_OLD"),
        "failed": Wanted(states=(State.FAILED,)),
        "delivered": Wanted(states=(State.DELIVERED,)),
        "waiting or running": Wanted(states=(State.WAITING, State.RUNNING)),
        "a pipeline": Wanted(pipeline="chest"),
        "failed in a pipeline": Wanted(states=(State.FAILED,), pipeline="hand"),
        "a finding": Wanted(finding="pneumothorax"),
        "a finding that is undelivered": Wanted(finding="mass", states=(State.UNDELIVERED,)),
        "a sender and a pipeline": Wanted(calling_ae="DX_EAST", pipeline="hand"),
        "text: an accession number": Wanted(text=f"ACC{number}"),
        "text: a finding": Wanted(text="pneumothorax"),
        "text: a finding and a sender": Wanted(text="nodule DX_WEST"),
        "text: a state": Wanted(text="failed"),
        "text: a UID": Wanted(text=f"1.2.826.0.1.3680043.8.498.{count // 2}"),
        "text: one letter": Wanted(text="p"),
        "text: nothing is so": Wanted(text="zzz"),
        "rare: cancelled, all long ago": Wanted(states=(State.CANCELLED,)),
        "rare: a pipeline, long retired": Wanted(pipeline="retired"),
        "rare: two that exclude each other": Wanted(calling_ae="CT_OLD", pipeline="chest"),
    }


def _pages(count: int) -> dict[str, str]:
    """What else is opened; pictures come by themselves, behind the page that shows them."""
    study = f"/studies/1.2.826.0.1.3680043.8.498.{count // 2}"
    ct = f"/studies/1.2.826.0.1.3680043.8.498.{count - count % 10}"
    return {
        "today": "/",
        "a study": study,
        "a study of 300 images": ct,
        "associations": "/associations",
        "audit": "/audit",
        "the metrics": "/metrics",
    }


if __name__ == "__main__":
    main()
