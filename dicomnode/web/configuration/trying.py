"""Try a peer, or a pipeline's rules, before anybody relies on them."""

import socket
import ssl
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from pydicom.datadict import tag_for_keyword

from dicomnode.config.matching import misses
from dicomnode.config.pipelines import MatchSettings
from dicomnode.dicom.network import echo
from dicomnode.dicom.outline import read_outline
from dicomnode.errors import StoreError, Unreadable
from dicomnode.records import Peer
from dicomnode.storage.objects import ObjectStore
from dicomnode.worklist.recent import Recent

__all__ = ["Heard", "Tried", "ask", "try_rules"]

_LONGEST_S = 10.0  #: that somebody waits for an answer
_KEYWORDS = ("Modality", "BodyPartExamined")
_PATIENT = 0x0010  #: the group of what is about the patient
_MOST_READ = 2000  #: files, of all studies

#: What to do, by words of what went wrong (`dicom/network.py`).
_ADVICE: Mapping[str, str] = {
    "no port is configured": (
        "A peer that only sends needs none. To test the way back, give the port it listens on."
    ),
    "does not know our AE title": (
        "Enter {ours} with this machine's address among the AE titles that the peer accepts."
    ),
    "does not answer to the AE title": (
        "The peer has another AE title than {theirs}: look it up in its own settings (upper and "
        "lower case count)."
    ),
    "nothing listens on": (
        "The machine answers, the port does not: is the peer's DICOM service running, and is this "
        "its port (usually 104, 4242 or 11112)?"
    ),
    "gave no answer within": (
        "Nothing came back: the address is wrong, the machine is off, or a firewall drops what "
        "this machine sends to {place}."
    ),
    "cannot be found": (
        "This machine's name service does not know {host}: check the spelling, or enter the "
        "address as numbers."
    ),
    "cannot be reached": "There is no way from this machine to {place}: ask who runs the network.",
    "did not answer our association request": (
        "Something took the connection and stays silent: is {place} the DICOM port of the peer?"
    ),
    "hung up": (
        "Something else than DICOM listens on {place}, or the peer ends connections of addresses "
        "that it does not know: enter this machine's address there."
    ),
    "accepts none": "The peer takes no C-ECHO; it may still take results. Try to send one.",
    "is busy": "Try again in a moment.",
    "limit of associations": "The peer has too many connections; try again in a moment.",
    "gave no reason": (
        "The peer turned us away without saying why: most want {ours} and this machine's address "
        "entered in their settings."
    ),
}
_TLS = (
    "{place} speaks TLS, which this node does not when it sends: give the peer's port without TLS."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What came of a C-ECHO."""

    ok: bool
    seconds: float
    message: str  #: in words
    advice: str  #: what to do; empty where nothing is


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What rules make of a study."""

    study: Recent
    looked: int  #: images that were looked at
    matching: int  #: of those
    why: Mapping[str, str]  #: rules that said no to most images, each with what these have instead


def ask(peer: Peer, ours: str) -> Heard:
    """Ask a peer whether it hears us (C-ECHO), and say what to do where it does not."""
    peer = replace(peer, timeout_s=min(peer.timeout_s, _LONGEST_S))
    answer = echo(peer, ours)
    names = {
        "ours": ours,
        "theirs": peer.ae_title,
        "host": peer.host,
        "place": peer.place,
    }
    advice = ""
    if not answer.ok:
        advice = next((say for words, say in _ADVICE.items() if words in answer.message), "")
        if "hung up" in answer.message and _speaks_tls(peer):
            advice = _TLS
    return Heard(
        ok=answer.ok,
        seconds=answer.seconds,
        message=answer.message,
        advice=advice.format_map(names),
    )


def _speaks_tls(peer: Peer) -> bool:
    """Does the port answer a TLS handshake? Nothing is said or believed over it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((peer.host, peer.port), timeout=2) as connection,
            context.wrap_socket(connection),
        ):
            return True
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")  # it wants a certificate of ours
    except OSError:
        return False


def try_rules(match: MatchSettings, studies: Iterable[Recent], store: ObjectStore) -> list[Tried]:
    """Which studies have images that the rules would take; those of the last studies first."""
    found, left = [], _MOST_READ
    for study in studies:
        if left <= 0:
            break
        tried = _try(match, study, store)
        left -= tried.looked
        found.append(tried)
    return found


def _try(match: MatchSettings, study: Recent, store: ObjectStore) -> Tried:
    looked = matching = 0
    why: Counter[tuple[str, str]] = Counter()
    for sample in study.samples:
        path = store.find(study.study_uid, sample.sop_instance_uid)
        if path is None:
            continue
        try:
            header = read_outline(path, (*_KEYWORDS, *match.attributes)).header
        except (Unreadable, StoreError):
            continue
        looked += 1
        missed = misses(match, header, sample.calling_ae)
        matching += not missed
        why.update((rule, _told(rule, values)) for rule, values in missed.items())
    return Tried(study=study, looked=looked, matching=matching, why=_most(why))


def _told(rule: str, values: Iterable[str]) -> str:
    """What an image has, unless that is about the patient."""
    tag = tag_for_keyword(rule.removeprefix("attributes."))
    if tag is not None and tag >> 16 == _PATIENT:
        return "another value"
    return ", ".join(values) or "nothing"


def _most(why: Counter[tuple[str, str]]) -> dict[str, str]:
    """For each rule the value that was there most often."""
    found: dict[str, str] = {}
    for (rule, value), _ in why.most_common():
        found.setdefault(rule, value)
    return found
