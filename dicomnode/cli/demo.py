"""`dicomnode demo`: the main job, from images to results in an archive, on this machine alone."""

import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from dicomnode.cli.demo_results import Ended, show, write
from dicomnode.cli.output import console, errors, fail, progress
from dicomnode.cli.running import free_port, running, write_config
from dicomnode.config.load import Settings, load
from dicomnode.deliver.sender import send
from dicomnode.dicom import attributes
from dicomnode.errors import NotFound
from dicomnode.learn.synthetic import synthetic_dx
from dicomnode.node.archive import archive
from dicomnode.node.build import open_worklist
from dicomnode.records import Outcome, Peer, State, Verdict
from dicomnode.worklist import jobs, results
from dicomnode.worklist.states import OPEN

__all__ = ["demo"]

#: What is planted in each synthetic radiograph that is sent.
_PLANTED: tuple[tuple[str, ...], ...] = (
    (),
    ("cardiomegaly",),
    ("pleural effusion",),
    ("nodule",),
    ("pneumothorax",),
    ("cardiomegaly", "pleural effusion"),
)
_TOLD = (State.DELIVERED, State.NOT_ANALYSED)  #: the archive holds what there is to say
_STILL_S = 120.0  #: longest that nothing at all may happen while studies are open

_FILES = {
    "node.toml": """
[receive]
ae_title = "DICOMNODE"
address = "127.0.0.1"
port = {port}

[web]
on = false

[storage]
folder = {folder!r}
min_free_bytes = 0

[classify]
runtime = "torch"
""",
    "peers/archive.toml": """
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = {archive_port}
may_send = true
""",
    "peers/you.toml": """
ae_title = "STORESCU"
host = "127.0.0.1"
port = 104
may_send = true
""",
    "pipelines/demonstration.toml": """
model = "demonstration"
destinations = ["archive"]

[complete]
quiet_s = 1.0
""",
}


def demo(
    files: Annotated[
        list[Path] | None, typer.Argument(help="DICOM files or folders of yours to send as well.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for overlays and reports.")] = Path(
        "demo-output"
    ),
    keep: Annotated[bool, typer.Option("--keep", help="Go on running, to be sent to.")] = False,
) -> None:
    """Start a node and an archive, send radiographs, and show what comes back."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so the node is stopped too
    with errors(), tempfile.TemporaryDirectory(prefix="dicomnode-demo-") as temporary:
        folder = Path(temporary)
        own = _own_files(files or [])
        us = Peer(
            name="node", ae_title="DICOMNODE", host="127.0.0.1", port=free_port(), may_send=True
        )
        with archive(folder / "archive", "ARCHIVE", us) as (kept, archive_port):
            settings = _configure(folder, us.port, archive_port)
            with running(folder / "ae_config", us, "ARCHIVE"):
                planted = _send_all(folder / "sent", own, us)
                ended = _wait(settings, planted)
                show(ended)
                index = write(ended, kept, out)
                console.print(f"\nOverlays and reports: {index}", highlight=False, soft_wrap=True)
                if keep:
                    _keep_on(us, folder / "ae_config")
        late = [item for item in ended if item.planted and item.job.state is not State.DELIVERED]
        if late:
            fail(f"{len(late)} of {len(_PLANTED)} radiographs did not get through")


def _own_files(paths: Sequence[Path]) -> list[Path]:
    if missing := [str(path) for path in paths if not path.exists()]:
        raise NotFound(f"no such file or folder: {', '.join(missing)}")
    found = [f for p in paths for f in (sorted(p.rglob("*")) if p.is_dir() else [p])]
    return [file for file in found if file.is_file()]


def _configure(folder: Path, port: int, archive_port: int) -> Settings:
    """Write a configuration as an administrator would, and load it."""
    values = {"port": port, "archive_port": archive_port, "folder": str(folder / "node")}
    return load(write_config(folder / "ae_config", _FILES, **values))


def _send_all(folder: Path, own: Sequence[Path], us: Peer) -> dict[str, str]:
    """Send everything; what was planted in each study, by UID: empty for the user's own."""
    folder.mkdir()
    planted: dict[str, str] = {}
    made = []
    for number, findings in enumerate(_PLANTED, 1):
        ds = synthetic_dx(1000 + number, findings)
        made.append(folder / f"{number}.dcm")
        ds.save_as(made[-1], enforce_file_format=True)
        planted[str(ds.StudyInstanceUID)] = ", ".join(findings) or "nothing"
    refused: dict[Path, Outcome] = {}
    everything = [*made, *own]
    with progress("sending images", len(everything)) as advance:

        def told(path: Path, outcome: Outcome) -> None:
            advance()
            if outcome.verdict is not Verdict.STORED:
                refused[path] = outcome

        send(everything, us, "ARCHIVE", on_outcome=told)
    for path, outcome in refused.items():
        console.print(
            f"not taken: {path}: {outcome.message}", style="yellow", markup=False, soft_wrap=True
        )
    for path in own:
        if path not in refused:
            planted.setdefault(
                attributes.text(attributes.read_header(path), "StudyInstanceUID"), ""
            )
    return planted


def _wait(settings: Settings, planted: dict[str, str]) -> list[Ended]:
    """Wait until every study that was sent came to an end."""
    database = open_worklist(settings)
    done: set[str] = set()
    last, last_change = "", time.monotonic()
    try:
        with progress("studies through the node", len(planted)) as advance:
            while len(done) < len(planted):
                time.sleep(0.2)
                with database.reading() as tx:
                    found = jobs.listed(tx, limit=10_000)
                for job in found:
                    if job.state not in OPEN and job.study_uid not in done:
                        done.add(job.study_uid)
                        advance()
                if (now := str([(job.id, job.state, job.attempts) for job in found])) != last:
                    last, last_change = now, time.monotonic()
                if time.monotonic() - last_change > _STILL_S:
                    fail("the node stands still; `--keep` leaves it running to look at")
        with database.reading() as tx:
            return [
                Ended(
                    job=job,
                    results=[ref for ref, _ in made],
                    scores=made[-1][1] if made else {},
                    planted=planted.get(job.study_uid, ""),
                )
                for job in reversed(found)
                for made in [results.of_job(tx, job.id) if job.state in _TOLD else []]
            ]
    finally:
        database.close()


def _keep_on(us: Peer, config: Path) -> None:
    """Run until Ctrl-C, and say how to send."""
    console.print(
        f"\nThe node goes on running as {us.ae_title} on {us.host}:{us.port}. Send to it with:\n"
        f"  dicomnode send --aet STORESCU {us.ae_title}@{us.host}:{us.port} FILE...\n"
        f"  storescu -aec {us.ae_title} {us.host} {us.port} FILE...      (DCMTK)\n"
        f"See what becomes of it with:\n  dicomnode worklist list --config {config}\n"
        "Ctrl-C ends it.",
        highlight=False,
        soft_wrap=True,
    )
    try:
        signal.pause()
    except KeyboardInterrupt:
        console.print("")
