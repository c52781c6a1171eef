"""`dicomnode results`: see what was made and where it went, and recall a model's results."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from dicomnode.classify.card import find_models, read_card
from dicomnode.cli.output import (
    ConfigOption,
    JsonOption,
    console,
    errors,
    fail,
    print_json,
    progress,
)
from dicomnode.cli.worklist import print_lines, worklist
from dicomnode.config.load import Settings, load
from dicomnode.errors import DicomnodeError, ModelError, NotFound
from dicomnode.node.build import open_store
from dicomnode.records import WithdrawalReason
from dicomnode.storage.database import Database
from dicomnode.worklist import recall as recalls
from dicomnode.worklist import results
from dicomnode.worklist.results import Made

if TYPE_CHECKING:
    from dicomnode.node.recall import Plan, Recall

__all__ = ["app"]

app = typer.Typer(help="See results, and recall those of a model.", no_args_is_help=True)


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
    return str(one.job_id), one.kind.upper(), _time(one.made_at), one.model or "-", peers


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
    """Withdraw all results of a model version, in every PACS that has them.

    Each gets a Key Object that rejects them and a report that says so; what was not sent yet never
    is. Nothing is deleted. Run it again after an interruption: nothing is done twice.
    """
    from dicomnode.node.recall import Recall  # these two bring highdicom
    from dicomnode.report.withdrawal import make_withdrawal

    with errors(), worklist(config) as database:
        settings = load(config)
        recaller = Recall(settings, database, open_store(settings), make_withdrawal)
        plans = recaller.plans(model)
        _warn_of_pipelines(settings, model)
        if not plans:
            _nothing_to_recall(database, model)
            return
        _print_plans(plans)
        possible = [plan for plan in plans if plan.possible]
        lost = len(plans) - len(possible)
        if not dry_run and possible:
            if not yes:
                typer.confirm(f"Withdraw the results of {len(possible)} jobs?", abort=True)
            lost += _carry_out(recaller, possible, model, reason)
    if lost:
        fail(f"jobs whose results could not be withdrawn: {lost}; the PACS still shows them")


def _nothing_to_recall(database: Database, model: str) -> None:
    """Say so; a model that was never heard of is more likely a slip of the pen."""
    with database.reading() as tx:
        known = recalls.models(tx)
    if model not in known:
        raise NotFound(f"there are no results of {model}; there are of: {', '.join(known) or '-'}")
    console.print(f"No result of {model} stands.", markup=False, highlight=False)


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
        console.print(trouble, style="red", markup=False, highlight=False, soft_wrap=True)
    console.print(f"{len(plans) - len(troubles)} of {len(plans)} jobs recalled", highlight=False)
    return len(troubles)


def _print_plans(plans: Sequence["Plan"]) -> None:
    """One line a job; below it the study's UID. Nothing here tells who the patient is."""
    head = ("job", "state", "results", "told", "pipeline")
    print_lines(head, [_plan_row(plan) for plan in plans], [plan.job.study_uid for plan in plans])


def _plan_row(plan: "Plan") -> tuple[str, ...]:
    kinds = ", ".join(one.kind.upper() for one in plan.standing) or "none sent"
    told = ", ".join(plan.peers) if plan.possible else "nobody: gone from the disk"
    job = plan.job
    revision = f" (revision {job.revision})" if job.revision > 1 else ""
    return str(job.id), str(job.state), kinds, told or "nobody", job.pipeline + revision


def _warn_of_pipelines(settings: Settings, model: str) -> None:
    """Pipelines that go on making results of this model."""
    folders = find_models(settings.node.classify.models)
    for name, pipeline in settings.pipelines.items():
        try:
            card = read_card(folders[pipeline.model]).model
        except (KeyError, ModelError):
            continue
        if pipeline.enabled and f"{card.name}@{card.version}" == model:
            words = f"pipelines/{name}.toml still uses {model}: it goes on making such results"
            console.print(Text(words, "bold yellow"), soft_wrap=True)


def _time(at: datetime) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
