"""`dicomnode models compare`: what candidates in shadow mode say, beside the pipeline's model."""

import csv
import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from dicomnode.cli.output import ConfigOption, JsonOption, errors, print_json, print_table, say
from dicomnode.cli.worklist import worklist
from dicomnode.config.load import load
from dicomnode.errors import NotFound
from dicomnode.learn.agreement import Agreement, Apart, Said, agreement, furthest
from dicomnode.node.stopped import models_here
from dicomnode.worklist import shadows
from dicomnode.worklist.shadows import Pair

__all__ = ["compare"]

_LEGEND = """
n: studies that both answered; present in both, in the model's answer only, in the candidate's only
kappa: agreement beyond chance; difference: of the probabilities, candidate less model
Nobody has said who is right: agreement is not performance."""

_COLUMNS = (
    *("job", "model", "candidate", "label", "model_probability", "model_presence"),
    *("candidate_probability", "candidate_presence", "model_refused", "candidate_refused"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Comparison:
    """Two models on the same studies."""

    model: str
    candidate: str
    both_answered: int
    only_model: int  #: studies that the candidate gave no answer to
    only_candidate: int
    neither: int
    median_s: float  #: that the candidate took for a study
    labels: Sequence[Agreement]
    furthest: Sequence[Apart]


def compare(
    pipeline: Annotated[str, typer.Argument(help="Name of the pipeline.")],
    candidate: Annotated[
        str, typer.Option(help="Only this candidate: NAME@VERSION, NAME, or its folder's name.")
    ] = "",
    most: Annotated[int, typer.Option(min=0, help="So many of the studies that differ.")] = 10,
    as_csv: Annotated[bool, typer.Option("--csv", help="One line a study and label.")] = False,
    config: ConfigOption = Path("ae_config"),
    as_json: JsonOption = False,
) -> None:
    """Compare what candidates said in shadow mode with what was sent, label by label."""
    with errors(), worklist(config) as database:
        settings = load(config)
        if pipeline not in (known := settings.pipelines):
            raise NotFound(f"there is no pipeline {pipeline}; there are: {', '.join(known)}")
        names = {candidate, models_here(settings).get(candidate, "")}
        with database.reading() as tx:
            found = [one for one in shadows.pairs(tx, pipeline) if _is(one, names)]
        if not found:
            who = candidate or "a candidate"
            raise NotFound(
                f"nothing is kept of {who} in {pipeline}; name it as `shadow` in pipelines/"
                f"{pipeline}.toml, and wait for studies and spare time"
            )
    if as_csv:
        _print_csv(found)
        return
    made = [_compared(list(same), most) for _, same in groupby(_sorted(found), key=_models)]
    if as_json:
        print_json([_plain(one) for one in made])
    else:
        for one in made:
            _print(one)
        say(_LEGEND, "italic", wrap=True)


def _is(pair: Pair, names: Collection[str]) -> bool:
    """Has the candidate one of these names, with its version or without? Nobody's is everybody."""
    model = pair.candidate.model
    return not any(names) or model in names or model.rpartition("@")[0] in names


def _models(pair: Pair) -> tuple[str, str]:
    """A model that gave no answer is not named by the worklist."""
    return pair.candidate.model, pair.primary.model


def _sorted(pairs: Sequence[Pair]) -> list[Pair]:
    return sorted(pairs, key=lambda one: (_models(one), one.job_id))


def _compared(pairs: Sequence[Pair], most: int) -> _Comparison:
    studies = [
        Said(job_id=one.job_id, first=one.primary.summary, second=one.candidate.summary)
        for one in pairs
    ]
    answered = [(bool(one.first), bool(one.second)) for one in studies]
    return _Comparison(
        model=pairs[0].primary.model,
        candidate=pairs[0].candidate.model,
        both_answered=answered.count((True, True)),
        only_model=answered.count((True, False)),
        only_candidate=answered.count((False, True)),
        neither=answered.count((False, False)),
        median_s=median(one.seconds for one in pairs),
        labels=agreement(studies),
        furthest=furthest(studies, most),
    )


def _plain(one: _Comparison) -> dict[str, Any]:
    apart = [asdict(each) | {"difference": each.difference} for each in one.furthest]
    return asdict(one) | {"furthest": apart}


def _print(one: _Comparison) -> None:
    title = f"{one.candidate} beside {one.model or 'no answer'}"
    columns = ["finding", "n", "both", "only model", "only candidate", "kappa"]
    columns += ["mean difference", "largest", "correlation"]
    rows = [_row(each) for each in one.labels]
    print_table(columns, rows, title=title)
    counts = f"answered by both: {one.both_answered}, by the model only: {one.only_model}, "
    counts += f"by the candidate only: {one.only_candidate}, by neither: {one.neither}"
    say(f"{counts}; {one.median_s:.2f} s a study")
    if one.furthest:
        head = ["job", "finding", "model", "candidate", "difference"]
        print_table(head, [_apart(each) for each in one.furthest], title="what differs most")


def _row(of: Agreement) -> tuple[str, ...]:
    counts = (of.n, of.both, of.only_first, of.only_second)
    return (
        of.label,
        *map(str, counts),
        _number(of.kappa),
        f"{of.mean_difference:+.3f}",
        f"{of.most_difference:.3f}",
        _number(of.correlation),
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _apart(one: Apart) -> tuple[str, ...]:
    sides = (f"{side.probability:.3f} {side.presence}" for side in (one.first, one.second))
    return str(one.job_id), one.label, *sides, f"{one.difference:+.3f}"


def _print_csv(pairs: Sequence[Pair]) -> None:
    """Numbers of jobs, and nothing that names a patient."""
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(_COLUMNS)
    for pair in pairs:
        first, second = pair.primary.summary, pair.candidate.summary
        for label in dict.fromkeys([*first, *second]) or [""]:
            said = [
                part
                for side in (first.get(label), second.get(label))
                for part in ((side.probability, side.presence) if side else ("", ""))
            ]
            refused = [pair.primary.refused or "", pair.candidate.refused or ""]
            names = [pair.job_id, pair.primary.model, pair.candidate.model, label]
            out.writerow([*names, *said, *refused])
