"""`dicomnode worklist`: see what is queued, running, done or stuck, and act on it."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from dicomnode.cli.output import ConfigOption, JsonOption, console, errors, print_json, table
from dicomnode.config.load import load
from dicomnode.node.build import open_worklist
from dicomnode.records import Delivery, Job, State
from dicomnode.worklist import history, jobs, outbox, queue

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
    with errors(), open_worklist(load(config)).reading() as tx:
        found = jobs.listed(tx, states=state or (), study_uid=study, limit=limit)
        counts = jobs.count(tx)
    if as_json:
        print_json([asdict(job) for job in found])
        return
    rows = table("", "job", "state", "study", "pipeline", "images", "changed", "reason")
    for job in found:
        rows.add_row(*_row(job))
    console.print(rows)
    totals = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
    console.print(totals or "The worklist is empty.", style="dim")


@app.command()
def show(
    job_id: JobArgument, config: ConfigOption = Path("ae_config"), as_json: JsonOption = False
) -> None:
    """Show one job: its findings, where its results went, and all that happened."""
    with errors(), open_worklist(load(config)).reading() as tx:
        job = jobs.get(tx, job_id)
        results = outbox.results_of(tx, job_id)
        owed = outbox.of_job(tx, job_id)
        events = history.of_study(tx, job.study_uid)
    if as_json:
        made = [asdict(ref) | {"probabilities": summary} for ref, summary in results]
        print_json(
            asdict(job)
            | {"results": made, "deliveries": [asdict(item) for item in owed]}
            | {"history": [asdict(event) for event in events]}
        )
        return
    rows = table("", "job", "state", "study", "pipeline", "images", "changed", "reason")
    rows.add_row(*_row(job))
    console.print(rows)
    if results:
        _print_findings(results[-1][1])
        _print_deliveries(owed)
    past = table("\nhistory of the study", "at", "job", "event", "detail")
    for event in events:
        past.add_row(_time(event.at), str(event.job_id or ""), event.event, event.detail)
    console.print(past)


@app.command()
def retry(job_id: JobArgument, config: ConfigOption = Path("ae_config")) -> None:
    """Do again what failed: classify again, or send again what a peer refused."""
    with errors(), open_worklist(load(config)).transaction() as tx:
        job = queue.retry(tx, job_id, now=datetime.now(UTC))
    console.print(f"job {job.id} is {job.state}")


@app.command()
def cancel(job_id: JobArgument, config: ConfigOption = Path("ae_config")) -> None:
    """Stop a job: nothing more is done or sent for it."""
    with errors(), open_worklist(load(config)).transaction() as tx:
        job = queue.cancel(tx, job_id, now=datetime.now(UTC))
    console.print(f"job {job.id} is {job.state}")


def _row(job: Job) -> tuple[str, ...]:
    style = _STYLES.get(job.state, "")
    state = f"[{style}]{job.state}[/]" if style else str(job.state)
    images = f"{job.received} of {job.expected}" if job.expected else str(job.received)
    revision = f" (revision {job.revision})" if job.revision > 1 else ""
    place = (job.study_uid, job.pipeline + revision, images + (" partial" if job.partial else ""))
    return str(job.id), state, *place, _time(job.updated_at), job.reason


def _print_findings(summary: dict[str, float]) -> None:
    found = table("\nprobabilities (automated, not verified)", "finding", "probability")
    for label, probability in summary.items():
        found.add_row(label, f"{probability:.1%}")
    console.print(found)


def _print_deliveries(owed: list[Delivery]) -> None:
    sent = table("\ndeliveries", "result", "peer", "state", "attempts", "answer")
    for item in owed:
        sent.add_row(item.kind.upper(), item.peer, item.state, str(item.attempts), item.message)
    console.print(sent)


def _time(at: datetime) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
