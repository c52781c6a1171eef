"""`dicomnode worklist`: see what is queued, running, done or stuck, and act on it."""

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.padding import Padding
from rich.text import Text

from dicomnode.cli.output import (
    ConfigOption,
    JsonOption,
    console,
    errors,
    print_json,
    print_table,
)
from dicomnode.config.load import load
from dicomnode.errors import NotFound
from dicomnode.node.build import open_worklist
from dicomnode.records import Delivery, Job, Score, State
from dicomnode.storage.database import Database
from dicomnode.worklist import commitments, history, jobs, outbox, queue, results
from dicomnode.worklist.history import Event
from dicomnode.worklist.schema import is_there

__all__ = ["app"]

app = typer.Typer(help="See the worklist and act on it.", no_args_is_help=True)

JobArgument = Annotated[int, typer.Argument(help="Number of the job, as `worklist list` shows it.")]

_STYLES = {
    State.DELIVERED: "green",
    State.FAILED: "bold red",
    State.UNDELIVERED: "bold red",
    State.INCOMPLETE: "yellow",
    State.CANCELLED: "dim",
}


@app.command("list")
def list_jobs(
    state: Annotated[
        list[State] | None, typer.Option("--state", help="Only jobs in this state; repeatable.")
    ] = None,
    study: Annotated[str, typer.Option("--study", help="Only this Study Instance UID.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = 50,
    config: ConfigOption = Path("ae_config"),
    as_json: JsonOption = False,
) -> None:
    """List jobs, the newest first."""
    with errors(), _worklist(config) as database, database.reading() as tx:
        found = jobs.listed(tx, states=state or (), study_uid=study, limit=limit)
        confirmed = commitments.confirmed(tx, [job.id for job in found])
        counts = jobs.count(tx)
    if as_json:
        print_json([asdict(job) | {"confirmed": job.id in confirmed} for job in found])
        return
    if found:
        _print_jobs(found, confirmed)
    totals = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
    console.print(totals or "The worklist is empty.", style="dim", highlight=False)


@app.command()
def show(
    job_id: JobArgument, config: ConfigOption = Path("ae_config"), as_json: JsonOption = False
) -> None:
    """Show one job: its findings, where its results went, and all that happened."""
    with errors(), _worklist(config) as database, database.reading() as tx:
        job = jobs.get(tx, job_id)
        made = results.of_job(tx, job_id)
        owed = outbox.of_job(tx, job_id)
        confirmed = commitments.confirmed(tx, [job_id])
        events = history.of_study(tx, job.study_uid)
    if as_json:
        told = [
            asdict(ref) | {"findings": {label: asdict(score) for label, score in scores.items()}}
            for ref, scores in made
        ]
        print_json(
            asdict(job)
            | {"confirmed": job_id in confirmed}
            | {"results": told, "deliveries": [asdict(item) for item in owed]}
            | {"history": [asdict(event) for event in events]}
        )
        return
    _print_jobs([job], confirmed)
    if made:
        _print_findings(made[-1][1])
        _print_deliveries(owed)
    _print_history(events)


@app.command()
def retry(job_id: JobArgument, config: ConfigOption = Path("ae_config")) -> None:
    """Do again what failed: classify again, or send again what a peer refused."""
    with errors(), _worklist(config) as database, database.transaction() as tx:
        job = queue.retry(tx, job_id, now=datetime.now(UTC))
    console.print(f"job {job.id} is {job.state}")


@app.command()
def cancel(job_id: JobArgument, config: ConfigOption = Path("ae_config")) -> None:
    """Stop a job: nothing more is done or sent for it."""
    with errors(), _worklist(config) as database, database.transaction() as tx:
        job = queue.cancel(tx, job_id, now=datetime.now(UTC))
    console.print(f"job {job.id} is {job.state}")


@contextmanager
def _worklist(config: Path) -> Iterator[Database]:
    """The node's database, once the node has made it."""
    database = open_worklist(load(config))
    try:
        if not is_there(database):
            raise NotFound(
                f"there is no worklist in {database.name}: the node has not run yet; "
                f"`dicomnode serve --config {config}` starts it"
            )
        yield database
    finally:
        database.close()


def _print_jobs(found: Sequence[Job], confirmed: Container[int]) -> None:
    """One line a job; below it the study's UID and the reason, each with the room it needs."""
    rows = [_row(job, job.id in confirmed) for job in found]
    head = ("job", "state", "images", "changed", "pipeline")
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    console.print(_line(head, widths, "bold"), soft_wrap=True)
    for job, row in zip(found, rows, strict=True):
        console.print(_line(row, widths, _STYLES.get(job.state, "")), soft_wrap=True)
        console.print(Text(" " * (widths[0] + 2) + job.study_uid), soft_wrap=True)
        if job.reason:
            console.print(Padding(Text(job.reason), (0, 0, 0, widths[0] + 2)))


def _row(job: Job, confirmed: bool) -> tuple[str, ...]:
    images = f"{job.received} of {job.expected}" if job.expected else str(job.received)
    revision = f" (revision {job.revision})" if job.revision > 1 else ""
    return (
        str(job.id),
        "PACS-confirmed" if confirmed else str(job.state),  # delivered, and more
        images + (", partial" if job.partial else ""),
        _time(job.updated_at),
        job.pipeline + revision,
    )


def _line(cells: Sequence[str], widths: Sequence[int], style: str) -> Text:
    """Cells under each other; the style is for the second, the state."""
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    return Text("  ").join([Text(padded[0]), Text(padded[1], style), *map(Text, padded[2:])])


def _print_findings(scores: Mapping[str, Score]) -> None:
    rows = [
        (label, str(score.presence), f"{score.probability:.1%}") for label, score in scores.items()
    ]
    columns = ["finding", "", "probability"]
    print_table(columns, rows, title="findings (automated, not verified)")


def _print_deliveries(owed: Sequence[Delivery]) -> None:
    rows = [
        (item.kind.upper(), item.peer, _stands(item), str(item.attempts), item.message)
        for item in owed
    ]
    columns = ["result", "peer", "state", "attempts", "answer"]
    print_table(columns, rows, title="deliveries")


def _stands(item: Delivery) -> str:
    """The state of a delivery, and whether the peer confirmed that it keeps the result."""
    if item.confirmed_at is not None:
        return f"{item.state}, PACS-confirmed"
    return f"{item.state}, asked to confirm" if item.asked else str(item.state)


def _print_history(events: Sequence[Event]) -> None:
    rows = [
        (_time(event.at), str(event.job_id or ""), event.event, event.detail) for event in events
    ]
    print_table(["at", "job", "event", "detail"], rows, title="history of the study")


def _time(at: datetime) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
