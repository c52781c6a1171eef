"""The commands that run and check the node: init, check, serve, echo, send."""

import logging
import os
import signal
import threading
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.text import Text

from dicomnode.cli.output import (
    ConfigOption,
    JsonOption,
    console,
    errors,
    fail,
    print_json,
    print_table,
    progress,
)
from dicomnode.config.current import Followed
from dicomnode.config.load import Settings, load
from dicomnode.config.load import handed_over as settings_of
from dicomnode.config.template import write_commented
from dicomnode.deliver.sender import send as send_files
from dicomnode.dicom import network
from dicomnode.errors import NotFound, StoreError
from dicomnode.log import configure
from dicomnode.node.build import build_service, open_store, open_worklist
from dicomnode.node.line import WorkerEnd
from dicomnode.node.process import Place
from dicomnode.node.readiness import broken_pipelines, problems
from dicomnode.records import Outcome, Peer, Verdict

__all__ = ["check", "echo", "init", "send", "serve", "web", "worker"]

log = logging.getLogger(__name__)

_GIVES_WAY = 10  #: of a worker: a sender waits for what is received, and nobody for a model

PeerArgument = Annotated[
    str, typer.Argument(help="Name of a peer of the configuration, or AET@HOST:PORT.")
]


def init(
    folder: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("ae_config"),
    storage: Annotated[
        Path, typer.Option(help="Folder for received objects, results and the worklist.")
    ] = Path("/var/lib/dicomnode"),
) -> None:
    """Write a commented set of configuration files to start from."""
    with errors():
        written = write_commented(folder, storage_folder=storage.absolute())
    for path in written:
        console.print(f"wrote {path}", highlight=False)
    console.print(f"Edit them, then run: dicomnode check --config {folder}", highlight=False)


def check(
    config: ConfigOption = Path("ae_config"),
    offline: Annotated[bool, typer.Option(help="Do not echo the peers.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check the configuration and all that it names; ask each peer whether it hears us.

    Files, models, storage, database, address and port. Exit code 3 where one of these is wrong, 1
    where only a peer is silent that the node calls. One that only sends may have no listener.
    """
    with errors():
        settings = load(config)
        found = problems(settings)
    title = settings.node.receive.ae_title
    peers = {} if offline else settings.peers
    answers = {name: network.echo(peer, title) for name, peer in peers.items()}
    called = settings.called
    ok = not found and all(answer.ok for name, answer in answers.items() if name in called)
    if as_json:
        heard = {name: asdict(answer) for name, answer in answers.items()}
        print_json({"ok": ok, "problems": found, "peers": heard})
    else:
        if not found:
            words = f"{config}: the files are right; so are models, storage, database and port"
            console.print(words, highlight=False, soft_wrap=True)
        for problem in found:
            console.print(Text.assemble(("wrong  ", "bold red"), problem), soft_wrap=True)
        if answers:
            rows = [
                _heard(settings.peers[name], answer, called=name in called)
                for name, answer in answers.items()
            ]
            print_table(["peer", "AE title", "address", "C-ECHO"], rows)
    if not ok:
        raise typer.Exit(3 if found else 1)


def _heard(peer: Peer, answer: network.EchoAnswer, *, called: bool) -> tuple[str | Text, ...]:
    words = Text(answer.message, "green" if answer.ok else "bold red" if called else "dim")
    if not answer.ok and not called:
        words.append(" (it only sends to us)")
    return peer.name, peer.ae_title, peer.place, words


def serve(config: ConfigOption = Path("ae_config")) -> None:
    """Run the node until SIGTERM or Ctrl-C; work under way is finished or handed back."""
    with errors():
        settings = load(config)
        configure(level=settings.node.log.level, json_lines=settings.node.log.format == "json")
        stop = _stop_at_signals()
        for name, problem in broken_pipelines(settings).items():
            fields = {"pipeline": name, "model": settings.pipelines[name].model, "problem": problem}
            log.error("pipeline.broken", extra=fields)
        try:
            build_service(config, settings).run(stop)
        except StoreError as error:
            fail(str(error))
        except OSError as error:
            receive = settings.node.receive
            why = (os.strerror(error.errno) if error.errno else str(error)).lower()
            place = f"{receive.address}:{receive.port} (receive.address, receive.port in node.toml)"
            fail(f"cannot listen on {place}: {why}")


HandedOver = Annotated[bool, typer.Option(help="The settings come on standard input first.")]


def worker(
    name: Annotated[str, typer.Option(help="Whose leases these are.")],
    config: ConfigOption = Path("ae_config"),
    number: Annotated[int, typer.Option(min=0, help="Which of the workers it is, from 0.")] = 0,
    of: Annotated[int, typer.Option(min=1, help="How many workers there are.")] = 1,
    careful: Annotated[bool, typer.Option(help="Do only what is owed: the last one died.")] = False,
    handed_over: HandedOver = False,
) -> None:
    """Classify and report (started by `serve`; ends when its standard input ends)."""
    # Torch, MONAI and highdicom take seconds to import, and no other command needs them.
    from dicomnode.node.build_worker import build_worker

    os.nice(_GIVES_WAY)
    with errors():
        parent = WorkerEnd()
        settings, stop, look = _begin(parent, config, handed_over=handed_over)
        place = Place(number=number, of=of)
        build_worker(settings, name, place, look, parent.say, careful=careful).run(stop)


def web(config: ConfigOption = Path("ae_config"), handed_over: HandedOver = False) -> None:
    """Serve the page (started by `serve`; ends when its standard input ends)."""
    from dicomnode.web.serve import serve as serve_page  # no other command needs a web server
    from dicomnode.web.site import Site
    from dicomnode.web.trials.trials import spool_uploads

    with errors():
        settings, stop, _ = _begin(WorkerEnd(), config, handed_over=handed_over)
        rules = settings.node.web
        site = Site(
            config=config,
            settings=Followed(config, settings),
            database=open_worklist(settings),
            store=open_store(settings),
        )
        spool_uploads(site.store)
        try:
            serve_page(site, rules, stop)
        except OSError as error:
            why = str(error.strerror or error).partition(" (")[0].lower()
            place = f"{rules.address}:{rules.port} (web.address, web.port, web.tls_* in node.toml)"
            log.error("web.failed", extra={"problem": f"no page at {place}: {why}"})
            raise typer.Exit(1) from error
        finally:
            site.trials.close()


def _begin(
    parent: WorkerEnd, config: Path, *, handed_over: bool
) -> tuple[Settings, threading.Event, threading.Event]:
    """A process that `serve` started: its settings, when it has to stop, when to look."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent decides when we stop
    if not handed_over:
        settings = load(config)
    elif line := parent.settings():
        settings = settings_of(line)
    else:
        raise typer.Exit(1)  # the node is gone
    configure(level=settings.node.log.level, json_lines=settings.node.log.format == "json")
    stop, look = threading.Event(), threading.Event()
    parent.listen(stop, look)
    return settings, stop, look


def _stop_at_signals() -> threading.Event:
    stop = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask)
    return stop


def echo(
    peer: PeerArgument,
    config: ConfigOption = Path("ae_config"),
    aet: Annotated[str, typer.Option(help="Our AE title, instead of the configured one.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Ask a peer whether it hears us (C-ECHO)."""
    with errors():
        remote, title = _peer(peer, config)
        answer = network.echo(remote, aet or title)
    if as_json:
        print_json(asdict(answer))
    else:
        console.print(f"{peer}: {answer.message} ({answer.seconds * 1000:.0f} ms)", markup=False)
    raise typer.Exit(0 if answer.ok else 1)


def send(
    peer: PeerArgument,
    files: Annotated[list[Path], typer.Argument(help="DICOM files, or folders of them.")],
    config: ConfigOption = Path("ae_config"),
    aet: Annotated[str, typer.Option(help="Our AE title, instead of the configured one.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Send DICOM files to a peer (C-STORE), as they are."""
    outcomes: dict[Path, Outcome] = {}
    with errors():
        remote, title = _peer(peer, config)
        found = _files(files)
        with progress("sending", len(found), hidden=as_json) as advance:

            def tell(path: Path, outcome: Outcome) -> None:
                outcomes[path] = outcome
                advance()

            send_files(found, remote, aet or title, on_outcome=tell)
    bad = {p: o for p, o in outcomes.items() if o.verdict is not Verdict.STORED}
    if as_json:
        print_json({str(path): asdict(outcome) for path, outcome in outcomes.items()})
    else:
        for path, outcome in bad.items():
            console.print(f"{path}: {outcome.message}", style="red", markup=False, soft_wrap=True)
        console.print(f"{len(found) - len(bad)} of {len(found)} stored by {peer}", markup=False)
    raise typer.Exit(1 if bad else 0)


def _files(paths: list[Path]) -> list[Path]:
    """Files as they are named, folders with all that lies in them."""
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise NotFound(f"no such file or folder: {', '.join(missing)}")
    found = [
        file
        for path in paths
        for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
        if file.is_file()
    ]
    if not found:
        raise NotFound("there is no file to send")
    return found


def _peer(text: str, config: Path) -> tuple[Peer, str]:
    """The peer a user means, and our AE title: AET@HOST:PORT needs no configuration."""
    ae_title, at, place = text.rpartition("@")
    host, colon, port = place.rpartition(":")
    if at and colon and port.isdecimal():
        return Peer(
            name=text, ae_title=ae_title, host=host.strip("[]"), port=int(port)
        ), "DICOMNODE"
    settings = load(config)
    if text not in settings.peers:
        known = ", ".join(sorted(settings.peers)) or "none"
        raise NotFound(f"there is no peer {text}; known: {known}; or say AET@HOST:PORT")
    return settings.peers[text], settings.node.receive.ae_title
