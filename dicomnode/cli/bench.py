"""`dicomnode bench`: put a node under load and look at it."""

import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from dicomnode.cli.output import console, errors, fail, say
from dicomnode.cli.processes import settled, usage
from dicomnode.cli.running import free_port, running, write_config
from dicomnode.cli.soak import MEASURES, Sample, sampled, trend, writing
from dicomnode.cli.soak_page import page
from dicomnode.cli.soak_traffic import Traffic
from dicomnode.records import Peer

__all__ = ["app"]

app = typer.Typer(help="Put a node under load and look at it.", no_args_is_help=True)

_SAMPLES = 2000  #: in a whole soak, if they are not too close or too far apart
_CALLER = "SOAK"
_FILES = {
    "node.toml": """
[receive]
ae_title = "DICOMNODE"
port = {port}
idle_timeout_s = 10.0

[web]
on = false

[storage]
folder = {folder!r}
min_free_bytes = 0
keep_days = 0.02

[log]
level = "WARNING"
""",
    "peers/soak.toml": """
ae_title = "SOAK"
host = "127.0.0.1"
port = 104
may_send = true
""",
}


@app.callback()
def bench() -> None:
    """Put a node under load and look at it."""


@app.command()
def soak(
    hours: Annotated[float, typer.Option(min=0.0, help="How long.")] = 1.0,
    rate: Annotated[float, typer.Option(min=0.1, help="Objects a second, all senders.")] = 10.0,
    senders: Annotated[int, typer.Option(min=1, help="Studies sent at once.")] = 2,
    out: Annotated[Path, typer.Option(help="Folder for the page and the CSV.")] = Path(
        "soak-output"
    ),
    peer: Annotated[
        str, typer.Option(help="AET@HOST:PORT of a node that runs, instead of one of our own.")
    ] = "",
    pid: Annotated[int, typer.Option(help="With --peer: its process number here.")] = 0,
    aet: Annotated[str, typer.Option(help="With --peer: our AE title.")] = _CALLER,
    seed: Annotated[int, typer.Option(help="The same seed misbehaves in the same way.")] = 1,
) -> None:
    """Send synthetic studies for hours, with broken transfers, repeats and slow peers among them.

    Watches memory, threads, descriptors and latency of the node's processes, draws them, and says
    whether anything grows: exit code 1 where it does, or where an object was not taken. Our own
    node only receives; never point this at one that serves patients.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does
    if not Path("/proc/self/stat").exists():
        fail("the machine's use is read from /proc, which is not here: run this on Linux")
    out.mkdir(parents=True, exist_ok=True)
    with errors(), _node(peer, pid) as (us, watched, alive):
        traffic = Traffic(us, aet if peer else _CALLER, rate=rate, seed=seed, senders=senders)
        with traffic:
            samples = _watch(watched, traffic, hours * 3600, out / "soak.csv", alive)
        gone = not alive()
    _report(samples, traffic, out, gone=gone)


@contextmanager
def _node(peer: str, pid: int) -> Iterator[tuple[Peer, int, Callable[[], bool]]]:
    """The node under load: who it is, its process, and whether it still runs."""
    if peer:
        ae_title, at, place = peer.rpartition("@")
        host, colon, port = place.rpartition(":")
        if not (at and colon and port.isdecimal() and pid and usage(pid).processes):
            raise typer.BadParameter("--peer AET@HOST:PORT goes with --pid of a process here")
        us = Peer(name="node", ae_title=ae_title, host=host.strip("[]"), port=int(port))
        yield us, pid, lambda: usage(pid).processes > 0
        return
    with tempfile.TemporaryDirectory(prefix="dicomnode-soak-") as temporary:
        us = Peer(name="node", ae_title="DICOMNODE", host="127.0.0.1", port=free_port())
        folder = str(Path(temporary) / "node")
        config = write_config(Path(temporary) / "ae_config", _FILES, port=us.port, folder=folder)
        with running(config, us, _CALLER) as process:
            settled(process.pid)
            yield us, process.pid, lambda: process.poll() is None


def _watch(
    pid: int, traffic: Traffic, seconds: float, file: Path, alive: Callable[[], bool]
) -> list[Sample]:
    """Show and write each sample; Ctrl-C ends the soak early, and it still counts."""
    every_s, samples = min(60.0, max(1.0, seconds / _SAMPLES)), []
    columns = (BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar, writing(file) as write:
        task = bar.add_task("soaking", total=seconds)
        with suppress(KeyboardInterrupt):
            for sample in sampled(pid, traffic, seconds=seconds, every_s=every_s, alive=alive):
                samples.append(sample)
                write(sample)
                words = (
                    f"{sample.objects} objects, {sample.rss_mb:.0f} MB, {sample.threads} threads, "
                    f"{sample.descriptors} descriptors, p99 {sample.p99_ms:.0f} ms"
                )
                bar.update(task, completed=sample.seconds, description=words)
    return samples


def _report(samples: Sequence[Sample], traffic: Traffic, out: Path, *, gone: bool) -> None:
    """Say and draw what was found; exit code 1 where something is wrong."""
    if not samples:
        fail("the soak ended before anything was measured")
    trends = [found for measure in MEASURES if (found := trend(samples, measure)) is not None]
    findings = [("the node ended before the soak", False)] * gone
    findings += [(problem, False) for problem in traffic.problems]
    findings += [(str(found), not found.grows) for found in trends]
    if not trends:
        findings.append(("too short to tell whether anything grows", True))
    facts = {
        "ended": time.strftime("%Y-%m-%d %H:%M"),
        "lasted": f"{samples[-1].seconds / 3600:.2f} h",
        **{what: str(number) for what, number in sorted(traffic.counts.items())},
    }
    (out / "soak.html").write_text(page("Soak of a node", findings, facts, samples), "utf-8")
    for words, good in findings:
        say(words, "green" if good else "bold red")
    say(f"{out / 'soak.html'}, {out / 'soak.csv'}")
    if not all(good for _, good in findings):
        raise typer.Exit(1)
