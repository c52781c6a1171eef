"""`dicomnode results`: see what was made and where it went, and recall a model."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicomnode.cli.output import (
    ConfigOption,
    JsonOption,
    console,
    errors,
    fail,
    local_time,
    print_json,
    progress,
    say,
)
from dicomnode.cli.worklist import pipeline_of, print_lines, worklist
from dicomnode.config.load import Settings, load
from dicomnode.errors import DicomnodeError, NotFound
from dicomnode.node.build import open_store
from dicomnode.node.stopped import models_here, models_in_use
from dicomnode.records import WithdrawalReason
from dicomnode.storage.database import Database
from dicomnode.worklist import recall as recalls
from dicomnode.worklist import results
from dicomnode.worklist.results import Made

if TYPE_CHECKING:
    from dicomnode.node.recall import Plan, Recall

__all__ = ["app"]

_OWED = (
    "What tells the peers is owed to them now: `dicomnode worklist list` shows a job as withdrawn "
    "when all of them have taken it."
)

app = typer.Typer(help="See results, and recall a model with all of them.", no_args_is_help=True)


@app.command("list")
def list_results(
    study: Annotated[str, typer.Option("--study", help="Only this Study Instance UID.")] = "",
    model: Annotated[str, typer.Option("--model", help="Only of this model, NAME@VERSION.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = 50,
    config: ConfigOption = Path("ae_config"),
    as_json: JsonOption = False,
) -> None:
    """List results, the newest first: of which model, and where each stands with its peers."""
    with errors(), worklist(config) as database, database.reading() as tx:
        found = results.listed(tx, study_uid=study, model=model, limit=limit)
    if as_json:
        print_json([asdict(one) for one in found])
    elif found:
        head = ("job", "result", "made", "model", "peers")
        print_lines(head, [_row(one) for one in found], [one.ref.sop_instance_uid for one in found])
    else:
        console.print("There are no such results.", style="dim")


def _row(one: Made) -> tuple[str, ...]:
    went = [f"{peer} {state}" for peer, state in sorted(one.peers.items())]
    withdrawn = ["withdrawn"] if one.withdrawn_at else []
    peers = ", ".join([*withdrawn, *went]) or "nobody"
    return str(one.job_id), one.kind.upper(), local_time(one.made_at), one.model or "-", peers


@app.command()
def recall(
    model: Annotated[str, typer.Option("--model", help="Whose results: NAME@VERSION.")],
    reason: Annotated[
        WithdrawalReason, typer.Option("--reason", help="Why; it is said in the PACS.")
    ] = WithdrawalReason.QUALITY,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what there is.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: ConfigOption = Path("ae_config"),
) -> None:
    """Stop a model version, and withdraw all its results in every PACS that has them.

    From then on no job gives a result of it, until `results reinstate`. Each PACS gets a Key Object
    that rejects what it has, and says so in the kinds that it has; what was not sent yet never is.
    Nothing is deleted. Run it again after an interruption: nothing is done twice.
    """
    from dicomnode.node.recall import Recall  # these two bring highdicom
    from dicomnode.report.withdrawal import make_withdrawal

    with errors(), worklist(config) as database:
        settings = load(config)
        recaller = Recall(settings, database, open_store(settings), make_withdrawal)
        plans = recaller.plans(model)
        _demand_known(settings, database, model)
        _name_pipelines(settings, model)
        _print_plans(plans, model)
        if not dry_run:
            if not yes:
                count = sum(plan.possible for plan in plans)
                asked = f"Stop {model}, and withdraw the results of {count} jobs?"
                typer.confirm(asked, abort=True)
            recaller.stop(model, reason)
            say(f"{model} is stopped: no job gives a result of it.")
            plans = recaller.plans(model)  # and of jobs that ended meanwhile
        possible = [plan for plan in plans if plan.possible]
        lost = len(plans) - len(possible)
        if not dry_run and possible:
            lost += _carry_out(recaller, possible, model, reason)
    if lost:
        fail(f"jobs whose results could not be withdrawn: {lost}; the PACS still shows them")


@app.command()
def reinstate(
    model: Annotated[str, typer.Option("--model", help="The model: NAME@VERSION.")],
    config: ConfigOption = Path("ae_config"),
) -> None:
    """Let a recalled model version give results again; what was withdrawn stays withdrawn."""
    with errors(), worklist(config) as database, database.transaction() as tx:
        stopped = recalls.stopped(tx)
        if not recalls.reinstate(tx, model):
            raise NotFound(f"{model} is not recalled; these are: {', '.join(stopped) or '-'}")
    say(f"{model} gives results again; what was withdrawn stays so.")


def _demand_known(settings: Settings, database: Database, model: str) -> None:
    """A model that was never heard of is more likely a slip of the pen."""
    with database.reading() as tx:
        known = {*recalls.models(tx), *models_here(settings).values()}
    if model not in known:
        raise NotFound(f"there is no model {model}; known are: {', '.join(sorted(known)) or '-'}")


def _carry_out(
    recaller: "Recall", plans: Sequence["Plan"], model: str, reason: WithdrawalReason
) -> int:
    """Recall one job after the other; how many could not be."""
    troubles: list[str] = []
    with progress("recalling", len(plans)) as advance:
        for plan in plans:
            try:
                if not recaller.carry_out(plan, model, reason):
                    troubles.append(f"job {plan.job.id}: its results are gone from the disk")
            except DicomnodeError as error:
                troubles.append(f"job {plan.job.id}: {error}")
            advance()
    for trouble in troubles:
        say(trouble, "red")
    done = f"Results withdrawn here: of {len(plans) - len(troubles)} of {len(plans)} jobs."
    say(done)
    if any(plan.peers for plan in plans):
        say(_OWED)
    return len(troubles)


def _print_plans(plans: Sequence["Plan"], model: str) -> None:
    """One line a job; below it the study's UID. Nothing here tells who the patient is."""
    if not plans:
        say(f"No result of {model} stands.")
        return
    head = ("job", "state", "results", "to be told", "pipeline")
    print_lines(head, [_plan_row(plan) for plan in plans], [plan.job.study_uid for plan in plans])


def _plan_row(plan: "Plan") -> tuple[str, ...]:
    kinds = ", ".join(one.kind.upper() for one in plan.standing) or "none sent"
    told = ", ".join(plan.peers) if plan.possible else "nobody: gone from the disk"
    job = plan.job
    return str(job.id), str(job.state), kinds, told or "nobody", pipeline_of(job)


def _name_pipelines(settings: Settings, model: str) -> None:
    """Pipelines that are left without a model."""
    for name, used in models_in_use(settings).items():
        if model not in used:
            continue
        words = f"pipelines/{name}.toml uses {model}: once it is stopped, nothing is analysed"
        say(words, "bold yellow")
        if model != used[0]:
            words = f"What {used[0]} said, of which it is a part, is withdrawn by its own name."
            say(words, "bold yellow")
