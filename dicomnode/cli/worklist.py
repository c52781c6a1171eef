"""`dicomnode worklist`: see what is queued, running, done or stuck, and act on it."""

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Annotated

import typer
from rich.padding import Padding
from rich.text import Text

from dicomnode.answers import Presence, Score
from dicomnode.cli.output import (
    ConfigOption,
    JsonOption,
    console,
    errors,
    local_time,
    print_json,
    print_table,
)
from dicomnode.config.load import load_right
from dicomnode.config.pipelines import PipelineSettings
from dicomnode.errors import NotFound
from dicomnode.node.build import open_worklist
from dicomnode.records import Delivery, Job, State
from dicomnode.report.wording import percent
from dicomnode.storage.database import Connection, Database
from dicomnode.worklist import by_hand, commitments, history, jobs, outbox, results, studies
from dicomnode.worklist.history import Event
from dicomnode.worklist.schema import is_there

__all__ = ["app", "pipeline_of", "print_lines", "worklist"]

app = typer.Typer(help="See the worklist and act on it.", no_args_is_help=True)

JobArgument = Annotated[int, typer.Argument(help="Number of the job, as `worklist list` shows it.")]

#: Of grades; to call a lower one absent would contradict that it "or a higher one" is probable.
_GRADES = {
    Presence.PRESENT: "the grade",
    Presence.UNDETERMINED: "possible grade",
    Presence.ABSENT: "",
}
_CONFIRMED = "PACS-confirmed"  #: delivered, and more
_STYLES = {
    State.DELIVERED: "green",
    State.FAILED: "bold red",
    State.UNDELIVERED: "bold red",
    State.HELD: "bold red",
    State.INCOMPLETE: "yellow",
    State.NOT_ANALYSED: "yellow",
    State.WITHDRAWN: "yellow",
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
    with errors(), worklist(config) as database, database.reading() as tx:
        found = jobs.listed(tx, states=state or (), study_uid=study, limit=limit)
        confirmed = commitments.confirmed(tx, [job.id for job in found])
        waits = _waits(tx, found, load_right(config).pipelines)
        totals = _totals(tx)
    if as_json:
        more = [{"confirmed": job.id in confirmed, "waits_for": waits.get(job.id)} for job in found]
        print_json([asdict(job) | told for job, told in zip(found, more, strict=True)])
        return
    if found:
        _print_jobs(found, confirmed, waits)
    console.print(totals or "The worklist is empty.", style="dim", highlight=False)


def _totals(tx: Connection) -> str:
    """How many jobs there are of each state, called as the rows call it."""
    counts = {str(state): number for state, number in jobs.count(tx).items()}
    if confirmed := commitments.count_confirmed(tx):
        counts[_CONFIRMED] = confirmed
        counts[State.DELIVERED] -= confirmed
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items()) if number)


def _waits(
    tx: Connection, found: Sequence[Job], pipelines: Mapping[str, PipelineSettings]
) -> dict[int, str]:
    """What each waiting job waits for, by its number."""
    waiting = [job for job in found if job.state is State.WAITING and job.pipeline in pipelines]
    last = studies.last_received(tx, {job.study_uid for job in waiting})
    return {
        job.id: studies.waits_for(job, last[job.study_uid], pipelines[job.pipeline].complete)
        for job in waiting
    }


@app.command()
def show(
    job_id: JobArgument, config: ConfigOption = Path("ae_config"), as_json: JsonOption = False
) -> None:
    """Show one job: its findings, where its results went, and all that happened."""
    with errors(), worklist(config) as database, database.reading() as tx:
        job = jobs.get(tx, job_id)
        made = results.of_job(tx, job_id)
        owed = outbox.of_job(tx, job_id)
        confirmed = commitments.confirmed(tx, [job_id])
        waits = _waits(tx, [job], load_right(config).pipelines)
        events = history.of_study(tx, job.study_uid)
    if as_json:
        told = [
            asdict(ref) | {"findings": {label: asdict(score) for label, score in scores.items()}}
            for ref, scores in made
        ]
        print_json(
            asdict(job)
            | {"confirmed": job_id in confirmed, "waits_for": waits.get(job_id)}
            | {"results": told, "deliveries": [asdict(item) for item in owed]}
            | {"history": [asdict(event) for event in events]}
        )
        return
    _print_jobs([job], confirmed, waits)
    if scores := next((scores for _, scores in made if scores), None):
        _print_findings(scores)
    if owed:
        _print_deliveries(owed)
    _print_history(events)


@app.command()
def retry(
    job_ids: Annotated[
        list[int] | None, typer.Argument(metavar="JOB", help="Numbers of jobs.")
    ] = None,
    state: Annotated[
        list[State] | None,
        typer.Option("--state", help="Each study's newest job, if in this state; repeatable."),
    ] = None,
    config: ConfigOption = Path("ae_config"),
) -> None:
    """Do again what failed: classify again, or send again what a peer refused.

    After a model was mended: `dicomnode worklist retry --state not-analysed`.
    """
    if bool(job_ids) == bool(state):
        raise typer.BadParameter("name jobs by their numbers, or by --state")
    with errors(), worklist(config) as database:
        with database.reading() as tx:
            chosen = job_ids or jobs.newest_in(tx, state or ())
        for job_id in chosen:
            with database.transaction() as tx:
                job = by_hand.retry(tx, job_id, now=datetime.now(UTC))
            console.print(f"job {job.id} is {job.state}")
        if not chosen:
            console.print("no job is in that state", style="dim")


@app.command()
def cancel(job_id: JobArgument, config: ConfigOption = Path("ae_config")) -> None:
    """Stop a job: nothing more is done or sent for it."""
    with errors(), worklist(config) as database, database.transaction() as tx:
        job = by_hand.cancel(tx, job_id, now=datetime.now(UTC))
    console.print(f"job {job.id} is {job.state}")


@contextmanager
def worklist(config: Path) -> Iterator[Database]:
    """The node's database, once the node has made it."""
    database = open_worklist(load_right(config))
    try:
        if not is_there(database):
            raise NotFound(
                f"there is no worklist in {database.name}: the node has not run yet; "
                f"`dicomnode serve --config {config}` starts it"
            )
        yield database
    finally:
        database.close()


def _print_jobs(found: Sequence[Job], confirmed: Container[int], waits: Mapping[int, str]) -> None:
    """One line a job; below it the study's UID, and the reason or what the job waits for."""
    print_lines(
        ("job", "state", "images", "changed", "pipeline"),
        [_row(job, job.id in confirmed) for job in found],
        [job.study_uid for job in found],
        [job.reason or waits.get(job.id, "") for job in found],
        [_STYLES.get(job.state, "") for job in found],
    )


def print_lines(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    uids: Sequence[str],
    reasons: Sequence[str] = (),
    styles: Sequence[str] = (),
) -> None:
    """Rows under a head; below each its UID and its reason, each with the room it needs.

    The style of a row is that of its second cell.
    """
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    console.print(_line(head, widths, "bold"), soft_wrap=True)
    for row, uid, reason, style in zip_longest(rows, uids, reasons, styles, fillvalue=""):
        console.print(_line(list(row), widths, style), soft_wrap=True)
        console.print(Text(" " * (widths[0] + 2) + uid), soft_wrap=True)
        if reason:
            console.print(Padding(Text(reason), (0, 0, 0, widths[0] + 2)))


def _row(job: Job, confirmed: bool) -> tuple[str, ...]:
    images = f"{job.received} of {job.expected}" if job.expected else str(job.received)
    return (
        str(job.id),
        _CONFIRMED if confirmed and job.state is State.DELIVERED else str(job.state),
        images + (", partial" if job.partial else ""),
        local_time(job.updated_at),
        pipeline_of(job),
    )


def pipeline_of(job: Job) -> str:
    """The pipeline, and which of its revisions where that is not the first."""
    return job.pipeline + (f" (revision {job.revision})" if job.revision > 1 else "")


def _line(cells: Sequence[str], widths: Sequence[int], style: str) -> Text:
    """Cells under each other; the style is for the second, the state."""
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    return Text("  ").join([Text(padded[0]), Text(padded[1], style), *map(Text, padded[2:])])


def _print_findings(scores: Mapping[str, Score]) -> None:
    grades = any(score.at_least for score in scores.values())
    said = _GRADES if grades else {presence: str(presence) for presence in Presence}
    rows = [
        (_counted(label, score), said[score.presence], percent(score.probability))
        for label, score in scores.items()
    ]
    columns = ["finding", "", "probability"]
    print_table(columns, rows, title="findings (automated, not verified)")


def _counted(label: str, score: Score) -> str:
    """What the probability is of."""
    return f"{label} or higher" if score.at_least else label


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
        (local_time(event.at), str(event.job_id or ""), event.event, event.detail)
        for event in events
    ]
    print_table(["at", "job", "event", "detail"], rows, title="history of the study")
