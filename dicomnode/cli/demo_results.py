"""What the demonstration shows: a table of findings, overlays as PNG, reports as HTML."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from pydicom import dcmread
from rich.text import Text

from dicomnode.answers import Presence, Score
from dicomnode.cli.output import print_table
from dicomnode.node.archive import Archive
from dicomnode.records import InstanceRef, Job, State
from dicomnode.report.sr.as_html import sr_html
from dicomnode.report.wording import percent

__all__ = ["Ended", "show", "write"]


_STYLES = {State.DELIVERED: "green", State.NOT_ANALYSED: "yellow"}


@dataclass(frozen=True, kw_only=True)
class Ended:
    """One study at the end of its way."""

    job: Job
    results: Sequence[InstanceRef]
    scores: Mapping[str, Score]  #: by label; empty where nothing was analysed
    planted: str  #: the truth of a synthetic radiograph; empty for the user's own images


def show(ended: Sequence[Ended]) -> None:
    """Print one row a study."""
    rows = []
    for number, item in enumerate(ended, 1):
        style = _STYLES.get(item.job.state, "bold red")
        found = _findings(item.scores) if item.scores else Text(item.job.reason)
        rows.append((str(number), item.planted or "(yours)", Text(item.job.state, style), found))
    print_table(["study", "planted", "state", "findings (automated, not verified)"], rows)


def _findings(scores: Mapping[str, Score]) -> Text:
    """What is present, each with its probability; or that nothing is."""
    present = [
        Text(f"{label} {percent(score.probability)}", "bold")
        for label, score in sorted(scores.items(), key=lambda item: -item[1].probability)
        if score.presence is not Presence.ABSENT
    ]
    return Text(", ").join(present) if present else Text("none above its threshold")


def write(ended: Sequence[Ended], archive: Archive, folder: Path) -> Path:
    """Fetch each result from the archive and write it as PNG or HTML; return the index page.

    Files are numbered like the rows of the table: no name comes from a dataset.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sections = []
    for number, item in enumerate(ended, 1):
        names = [
            _write_one(archive.path_of(ref.study_uid, ref.sop_instance_uid), folder, number, place)
            for place, ref in enumerate(item.results, 1)
        ]
        sections.append(_section(number, item, names))
    index = folder / "index.html"
    index.write_text(_PAGE.format(sections="\n".join(sections)), "utf-8")
    return index


def _write_one(path: Path, folder: Path, number: int, place: int) -> str:
    ds = dcmread(path)
    if "PixelData" in ds:
        name = f"study-{number}-overlay-{place}.png"
        Image.fromarray(ds.pixel_array).save(folder / name)
    else:
        name = f"study-{number}-report.html"
        (folder / name).write_text(sr_html(ds), "utf-8")
    return name


def _section(number: int, item: Ended, names: Sequence[str]) -> str:
    shown = [
        f'<a href="{name}"><img src="{name}" alt="overlay"></a>'
        if name.endswith(".png")
        else f'<a href="{name}">Structured Report</a>'
        for name in names
    ]
    title = f"Study {number}, {item.job.state}"
    truth = f"planted: {item.planted}" if item.planted else "your images"
    why = f"<p>{html.escape(item.job.reason)}</p>" if item.job.reason else ""
    return f"<section><h2>{title}</h2><p>{html.escape(truth)}</p>{why}{''.join(shown)}</section>"


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>dicomnode demonstration</title>
<style>
body {{ font: 16px system-ui, sans-serif; margin: 2rem; background: #14171a; color: #e6e6e6 }}
section {{ border-top: 1px solid #444; padding: 1rem 0 }}
img {{ max-width: 46rem; display: block; margin: .5rem 0 }}
a {{ color: #8ec7ff }}
</style>
<h1>What the archive holds</h1>
<p>Automated results of a demonstration model on synthetic images. Not for clinical use.</p>
{sections}
</html>
"""
