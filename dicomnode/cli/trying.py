"""`dicomnode try`: what a pipeline would find in files, before anything is sent anywhere."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicomnode.cli.output import (
    ConfigOption,
    JsonOption,
    errors,
    fail,
    note,
    print_json,
    print_table,
    say,
)
from dicomnode.config.load import Settings, load
from dicomnode.errors import NotFound

if TYPE_CHECKING:
    from dicomnode.node.trying import Sorted, Trial

__all__ = ["try_files"]


def try_files(
    files: Annotated[list[Path], typer.Argument(help="DICOM files, or folders of them.")],
    pipeline: Annotated[
        str, typer.Option("--pipeline", "-p", help="Whose rules and model; needed where several.")
    ] = "",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to write the results to.")
    ] = None,
    config: ConfigOption = Path("ae_config"),
    as_json: JsonOption = False,
) -> None:
    """Try a pipeline on files: see what it finds; nothing is sent, and no worklist knows of it.

    Which AE the images come from is not asked. Exit code 1 where no study was analysed.
    """
    # Torch, MONAI and highdicom take seconds to import, and few commands need them.
    from dicomnode.node.build_worker import build_analysis
    from dicomnode.node.process import Place
    from dicomnode.node.trying import Files, sort_files, try_pipeline

    with errors(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of libraries may quote what an image says
        settings = load(config)
        name = _pipeline(settings, pipeline)
        paths = _all_of(files)
        note(f"reading {len(paths)} {'file' if len(paths) == 1 else 'files'}")
        found = sort_files(paths, settings.pipelines[name].match)
        store = Files(settings.node.storage.folder, found.paths)
        trials = []
        if any(study.images for study in found.studies.values()):
            trials = try_pipeline(
                settings, name, found, build_analysis(settings, store, Place()), note
            )
        written = [_write(out, number, trial) for number, trial in enumerate(trials, 1)]
    if as_json:
        print_json(_told(name, found, trials, written))
    else:
        _show(name, found, trials, written)
    if all(trial.problem for trial in trials):
        raise typer.Exit(1)


def _pipeline(settings: Settings, name: str) -> str:
    known = sorted(settings.pipelines)
    if name in known:
        return name
    if not name and len(known) == 1:
        return known[0]
    which = f"there is no pipeline {name}" if name else "say which pipeline: --pipeline"
    raise NotFound(f"{which}; known: {', '.join(known) or 'none'}")


def _all_of(files: Sequence[Path]) -> list[Path]:
    missing = [str(path) for path in files if not path.exists()]
    if missing:
        raise NotFound(f"no such file or folder: {', '.join(missing)}")
    return [
        file
        for path in files
        for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
        if file.is_file()
    ]


def _write(out: Path | None, number: int, trial: "Trial") -> list[str]:
    """The names of the files; none where none are wanted."""
    if out is None:
        return []
    names = [
        f"{number:03}-{place:03}-{result.kind}.dcm" for place, result in enumerate(trial.results, 1)
    ]
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, result in zip(names, trial.results, strict=True):
            (out / name).write_bytes(result.part10)
    except OSError as error:
        fail(f"{out} cannot be written to: {error.strerror}")
    return names


def _told(
    pipeline: str, found: "Sorted", trials: Sequence["Trial"], written: Sequence[Sequence[str]]
) -> dict[str, object]:
    return {
        "pipeline": pipeline,
        "objects": len(found.paths),
        "unreadable": found.unreadable,
        "missed": dict(found.missed),
        "studies": [
            {
                "study_uid": trial.study_uid,
                "images": len(trial.study.images),
                "objects": len(trial.study.objects),
                "model": next((result.model for result in trial.results if result.model), ""),
                "findings": _findings(trial),
                "cause": trial.cause,
                "problem": trial.problem,
                "results": [
                    {"kind": result.kind, "file": name}
                    for result, name in zip(trial.results, names, strict=False)
                ],
            }
            for trial, names in zip(trials, written, strict=True)
        ],
    }


def _findings(trial: "Trial") -> dict[str, object]:
    summary = next((result.summary for result in trial.results if result.summary), {})
    return {label: asdict(score) for label, score in summary.items()}


def _show(
    pipeline: str, found: "Sorted", trials: Sequence["Trial"], written: Sequence[Sequence[str]]
) -> None:
    if found.unreadable:
        say(f"{found.unreadable} files are no DICOM objects", "dim")
    if not trials:
        say(f"No image matches pipeline {pipeline}.", "bold red")
        for rule, value in found.missed.items():
            say(f"  {rule}: the images have {value}")
        return
    for trial, names in zip(trials, written, strict=True):
        title = f"{trial.study_uid}: {len(trial.study.images)} images"
        if trial.problem:
            say(title, "italic")
            say(f"not analysed: {trial.problem}", "bold red")
        else:
            summary = next((result.summary for result in trial.results if result.summary), {})
            rows = [
                (label, f"{score.probability:.3f}", str(score.presence))
                for label, score in summary.items()
            ]
            print_table(["finding", "probability", ""], rows, title=title)
        for name in names:
            say(f"wrote {name}")
