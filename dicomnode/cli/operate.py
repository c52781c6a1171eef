"""The commands that run and check the node: init, check, serve, echo, send."""

import signal
import threading
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Annotated

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
    print_table,
    progress,
)
from dicomnode.config.load import Settings, load
from dicomnode.config.template import write_commented
from dicomnode.deliver.sender import send as send_files
from dicomnode.dicom import network
from dicomnode.errors import DicomnodeError, NotFound, StoreError
from dicomnode.log import configure
from dicomnode.node.build import build_service, open_worklist
from dicomnode.node.process import stop_at_end_of_input
from dicomnode.records import Outcome, Peer, Verdict
from dicomnode.worklist.schema import is_there

__all__ = ["check", "echo", "init", "send", "serve", "worker"]

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
    """Check the configuration: files, models, database; and ask each peer whether it hears us."""
    with errors():
        settings = load(config)
        problems = _check_parts(settings)
    title = settings.node.receive.ae_title
    peers = {} if offline else settings.peers
    answers = {name: network.echo(peer, title) for name, peer in peers.items()}
    ok = not problems and all(answer.ok for answer in answers.values())
    if as_json:
        heard = {name: asdict(answer) for name, answer in answers.items()}
        print_json({"ok": ok, "problems": problems, "peers": heard})
    else:
        console.print(f"{config}: the files are right", highlight=False)
        for problem in problems:
            console.print(Text.assemble(("wrong  ", "bold red"), problem), soft_wrap=True)
        if answers:
            rows = [_heard(settings.peers[name], answer) for name, answer in answers.items()]
            print_table(["peer", "AE title", "address", "C-ECHO"], rows)
    if not ok:
        raise typer.Exit(1)


def _heard(peer: Peer, answer: network.EchoAnswer) -> tuple[str | Text, ...]:
    words = Text(answer.message, "green" if answer.ok else "bold red")
    return peer.name, peer.ae_title, f"{peer.host}:{peer.port}", words


def _check_parts(settings: Settings) -> list[str]:
    """What the files name but cannot show: models on disk, and the database. Changes nothing."""
    problems = []
    folders = find_models(settings.node.classify.models)
    for name, pipeline in settings.pipelines.items():
        try:
            if pipeline.model not in folders:
                here = ", ".join(sorted(folders))
                raise NotFound(f"there is no model {pipeline.model}; here are: {here}")
            read_card(folders[pipeline.model])
        except DicomnodeError as error:
            problems.append(f"pipelines/{name}.toml: {error}")
    if settings.node.worklist.url:
        try:
            with closing(open_worklist(settings)) as database:
                is_there(database)
        except DicomnodeError as error:
            problems.append(f"node.toml: worklist.url: {error}")
    return problems


def serve(config: ConfigOption = Path("ae_config")) -> None:
    """Run the node until SIGTERM or Ctrl-C; work under way is finished or handed back."""
    with errors():
        settings = load(config)
        configure(level=settings.node.log.level, json_lines=settings.node.log.format == "json")
        stop = _stop_at_signals()
        try:
            build_service(config, settings).run(stop)
        except StoreError as error:
            fail(f"{settings.node.storage.folder}: {error}")
        except OSError as error:
            receive = settings.node.receive
            fail(f"cannot listen on {receive.address}:{receive.port}: {error.strerror or error}")


def worker(
    name: Annotated[str, typer.Option(help="Whose leases these are.")],
    config: ConfigOption = Path("ae_config"),
) -> None:
    """Classify and report (started by `serve`; ends when its standard input ends)."""
    # Torch, MONAI and highdicom take seconds to import, and no other command needs them.
    from dicomnode.node.build_worker import build_worker

    with errors():
        settings = load(config)
        configure(level=settings.node.log.level, json_lines=settings.node.log.format == "json")
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # the parent decides when we stop
        stop_at_end_of_input(stop)
        build_worker(settings, name).run(stop)


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
