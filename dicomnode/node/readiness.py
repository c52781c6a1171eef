"""What would keep this node from doing its work, found without starting it or changing anything."""

import errno
import hashlib
import os
import shutil
import socket
import ssl
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from dicomnode.classify.card.ensemble import EnsembleCard
from dicomnode.classify.card.folder import find_members, find_models, read_card, read_model
from dicomnode.config.load import Settings
from dicomnode.config.settings import ReceiveSettings, StorageSettings
from dicomnode.dicom import network
from dicomnode.errors import ConfigError, DicomnodeError, ModelError
from dicomnode.node.build import open_worklist
from dicomnode.node.stopped import stopped_pipelines
from dicomnode.receive.server import tls_context
from dicomnode.records import Peer

__all__ = ["broken_pipelines", "problems"]

_ANSWER_S = 3.0  #: how long a node on this machine may take to answer an echo
_EVERY_ADDRESS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  called here


def problems(settings: Settings) -> list[str]:
    """All that is wrong with what the files name, each with the setting that names it."""
    return [
        *_models(settings),
        *_storage(settings.node.storage),
        *_database(settings),
        *_tls(settings.node.receive),
        *_listening(settings),
        *_page(settings),
    ]


def broken_pipelines(settings: Settings) -> dict[str, str]:
    """The enabled pipelines whose model, or a candidate, cannot be used, each with the reason."""
    models = {
        name: (pipe.model, *pipe.shadow)
        for name, pipe in settings.pipelines.items()
        if pipe.enabled
    }
    try:
        folders = find_models(settings.node.classify.models)
    except ModelError as error:
        return dict.fromkeys(models, str(error))
    troubles = {
        name: "; ".join(filter(None, (_model_trouble(model, folders) for model in named)))
        for name, named in models.items()
    }
    return {name: trouble for name, trouble in troubles.items() if trouble}


def _model_trouble(model: str, folders: Mapping[str, Path]) -> str:
    """Looks at all that can be seen without torch."""
    if model not in folders:
        return f"there is no model {model}; here are: {', '.join(sorted(folders))}"
    try:
        folder, card = folders[model], read_model(folders[model])
        members = find_members(card, folders.values()) if isinstance(card, EnsembleCard) else []
        files = [(of, file) for of in members or [folder] for file in read_card(of).files]
        troubles = (_file_trouble(of / file.file, file.sha256) for of, file in files)
        return next(filter(None, troubles), "")
    except ModelError as error:
        return str(error)


def _file_trouble(path: Path, sha256: str) -> str:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror}"
    return "" if digest == sha256 else f"{path}: is not the file that the card names"


def _models(settings: Settings) -> list[str]:
    try:
        find_models(settings.node.classify.models)
    except ModelError as error:
        return [f"node.toml: classify.models: {error}"]
    return [f"pipelines/{name}.toml: {why}" for name, why in broken_pipelines(settings).items()]


def _storage(rules: StorageSettings) -> list[str]:
    """The folder may be missing: then the one that it would be made in has to do."""
    places = (rules.folder, *rules.folder.parents)
    there = next(place for place in places if os.access(place, os.F_OK))
    trouble = _folder_trouble(there)
    if trouble:
        return [f"node.toml: storage.folder: {trouble}"]
    free = shutil.disk_usage(there).free
    wanted = max(rules.min_free_bytes, rules.low_water_mark_bytes)
    key = "low_water_bytes" if rules.low_water_bytes else "min_free_bytes"
    if free >= wanted:
        return []
    return [
        f"node.toml: storage.{key}: no image would be taken: {rules.folder} has "
        f"{free / 1e9:.2f} GB free, and {wanted / 1e9:.2f} GB must stay free"
    ]


def _folder_trouble(folder: Path) -> str:
    if not folder.is_dir():
        return f"{folder} is no folder"
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return f"{folder} is on a disk that can only be read"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"the user who runs this may not write into {folder}"
    return ""


def _database(settings: Settings) -> list[str]:
    """That it does not answer, or what it says of recalled models; none is made by asking."""
    try:
        with closing(open_worklist(settings)) as database:
            stopped = stopped_pipelines(settings, database)
    except DicomnodeError as error:
        key = "worklist.url" if settings.node.worklist.url else "storage.folder"
        return [f"node.toml: {key}: {error}"]
    return [f"pipelines/{name}.toml: {why}" for name, why in stopped.items()]


def _tls(receive: ReceiveSettings) -> list[str]:
    try:
        tls_context(receive)
    except ConfigError as error:
        return [
            f"node.toml: {mistake.key}: {mistake.file}: {mistake.problem}"
            for mistake in error.mistakes
        ]
    return []


def _listening(settings: Settings) -> list[str]:
    receive = settings.node.receive
    error = _bind(receive.address, 0)
    if error is not None:
        return [f"node.toml: receive.address: {receive.address} is no address of this machine"]
    error = _bind(receive.address, receive.port)
    if error is None or _is_ours(settings):
        return []
    place = f"{receive.address}:{receive.port}"
    return [f"node.toml: receive.port: cannot listen on {place}: {_words(error, receive)}"]


def _page(settings: Settings) -> list[str]:
    """Without it the node goes on, and tries again and again."""
    rules = settings.node.web
    if not rules.on:
        return []
    try:
        if rules.tls_certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(rules.tls_certificate, rules.tls_key)
    except OSError as error:
        why = f"TLS cannot be set up with it: {error.strerror or error}"
        return [f"node.toml: web.tls_certificate: {rules.tls_certificate}: {why}"]
    if _bind(rules.address, 0) is not None:
        return [f"node.toml: web.address: {rules.address} is no address of this machine"]
    if _bind(rules.address, rules.port) is None or _is_ours(settings):
        return []
    place = f"{rules.address}:{rules.port}"
    return [f"node.toml: web.port: cannot listen on {place}: something is there already"]


def _bind(address: str, port: int) -> OSError | None:
    """Take an address and leave it at once; why it cannot be had."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError as error:
        return error
    return None


def _is_ours(settings: Settings) -> bool:
    """Does this node run already? It answers those who may send."""
    receive = settings.node.receive
    ourselves = Peer(
        name="node",
        ae_title=receive.ae_title,
        host=_EVERY_ADDRESS.get(receive.address, receive.address),
        port=receive.port,
        timeout_s=_ANSWER_S,
    )
    if receive.tls_certificate is not None:
        return _speaks_tls(ourselves)
    titles = [peer.ae_title for peer in settings.peers.values() if peer.may_send]
    return any(network.echo(ourselves, title).ok for title in titles)


def _speaks_tls(peer: Peer) -> bool:
    """More cannot be asked of it without a caller's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((peer.host, peer.port), peer.timeout_s) as plain,
            context.wrap_socket(plain),
        ):
            return True
    except OSError:
        return False


def _words(error: OSError, receive: ReceiveSettings) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"something is there already, and it does not answer as {receive.ae_title}"
    return (error.strerror or str(error)).lower()
