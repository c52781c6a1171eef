"""Why an association came to nothing, in words, and how to mend it.

A pure function of what was noted of it and of what is configured now: where somebody has mended it
since, that is said. Names between backticks are what people type somewhere.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from urllib.parse import quote, urlencode

from pydantic import TypeAdapter, ValidationError
from pydicom.config import IGNORE
from pydicom.uid import UID

from dicomnode.config.fields import AETitle
from dicomnode.config.peers import name_for
from dicomnode.dicom.sop_classes import STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES
from dicomnode.errors import Trouble
from dicomnode.records import Peer, Visit, VisitState
from dicomnode.web.remedies import OBJECTS, PLAIN

__all__ = ["Advice", "Place", "advise"]

_TITLE: TypeAdapter[str] = TypeAdapter(AETitle)
_MOST_NAMED = 4  #: SOP Classes, and transfer syntaxes of each


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What is configured now."""

    ae_title: str  #: ours
    peers: Mapping[str, Peer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What was wrong, and what would help."""

    reason: str
    fix: str = ""  #: empty where there is nothing to be done
    link: str = ""  #: the page on which an administrator does it
    link_words: str = ""
    adds: str = ""  #: the AE title of who becomes a peer that may send by one click
    mended: bool = False  #: it would go well now
    harmless: bool = False  #: nobody has to look at it


def advise(visit: Visit, place: Place) -> Advice | None:
    """What to do about an association; None where all was well."""
    if visit.trouble is None:
        return None
    if visit.trouble in _BY_LOOKING:
        return _BY_LOOKING[visit.trouble](visit, place)
    reason, fix = PLAIN[visit.trouble]
    names = {"who": _who(visit), "ours": place.ae_title}
    return Advice(reason=reason.format(**names), fix=fix.format(**names))


def _who(visit: Visit) -> str:
    """The caller, as people find it."""
    address = f"at {visit.address}" if visit.address else "at several addresses"
    return f"`{visit.calling_ae}` {address}" if visit.calling_ae else f"the sender {address}"


def _called(visit: Visit, place: Place) -> Advice:
    called, ours = visit.called_ae, place.ae_title
    if called == ours:
        return Advice(reason=f"called AE was not ours; by now `{ours}` is", mended=True)
    reason = f"called AE `{called}` is not ours"
    if not called:
        reason = "the sender called no AE, or several in turn"
    elif get_close_matches(called.lower(), [ours.lower()], cutoff=0.6):
        reason += f"; did the sender mean `{ours}`?"
    fix = f"At {_who(visit)}, set the called (remote) AE title to `{ours}`."
    if called.lower() == ours.lower():
        fix += " Upper and lower case count."
    if visit.calling_ae and not _may_send(visit.calling_ae, place):
        fix += f" It will have to be added as a peer, too: `{visit.calling_ae}` may not send yet."
    return Advice(reason=reason, fix=fix)


def _calling(visit: Visit, place: Place) -> Advice:
    title = visit.calling_ae
    if _may_send(title, place):
        return Advice(reason=f"`{title}` was not known; it may send by now", mended=True)
    known = next((peer for peer in place.peers.values() if peer.ae_title == title), None)
    if known is not None:
        return _tick(known)
    if not title:
        reason = "the sender has no AE title, or gives many in turn"
        return Advice(reason=reason, fix="Give it one of its own, and add that as a peer.")
    reason = f"calling AE `{title}` is no peer"
    titles = {peer.ae_title.lower(): peer.ae_title for peer in place.peers.values()}
    near = get_close_matches(title.lower(), titles, n=1, cutoff=0.75)
    meant = titles[near[0]] if near else ""
    if meant.lower() == title.lower():
        reason += f"; `{meant}` is, and upper and lower case count"
    elif meant:
        reason += f"; is it `{meant}`?"
    name = name_for(title, place.peers)
    given = {"name": name, "ae_title": title, "host": visit.address, "may_send": "on"}
    adds = title if visit.address and _is_title(title) else ""
    return Advice(
        reason=reason,
        fix=(
            f"Where {_who(visit)} is one of yours, add it as a peer that may send"
            + (f"; or set its own AE title to `{meant}`." if meant else ".")
        ),
        link=f"/configuration/add/peers?{urlencode(given)}",
        link_words="Look first" if adds else "Add it as a peer",
        adds=adds,
    )


def _is_title(text: str) -> bool:
    """Can a peer have this AE title, exactly so?"""
    try:
        return _TITLE.validate_python(text) == text
    except ValidationError:
        return False


def _tick(known: Peer) -> Advice:
    return Advice(
        reason=f"peer `{known.name}` has this AE title, and may not send",
        fix="Where it should, tick may_send.",
        link=f"/configuration/peers/{quote(known.name)}",
        link_words=f"Open {known.name}",
    )


def _may_send(title: str, place: Place) -> bool:
    return any(peer.ae_title == title and peer.may_send for peer in place.peers.values())


def _contexts(visit: Visit, place: Place) -> Advice:
    """Nothing was stored, and of what was proposed this was not accepted."""
    images, unknown = {}, []
    for name, syntaxes in visit.refused_contexts.items():
        if name not in STORAGE_SOP_CLASSES:
            unknown.append(name)
        elif TRANSFER_SYNTAXES.isdisjoint(syntaxes):
            images[name] = syntaxes
        elif not _may_send(visit.calling_ae, place):
            known = [peer for peer in place.peers.values() if peer.ae_title == visit.calling_ae]
            if known:
                return _tick(known[0])
    if images:
        listed = _list(
            [f"{_name(name)} in {_list(map(_name, each))}" for name, each in images.items()]
        )
        return Advice(
            reason=f"no accepted presentation context for {listed}",
            fix=(
                f"Nothing but its maker's own programs read that. Have {_who(visit)} send in a "
                "transfer syntax of the standard, such as Explicit VR Little Endian or JPEG-LS."
            ),
        )
    if unknown:
        return Advice(
            reason=f"no accepted presentation context for {_list(map(_name, unknown))}",
            fix=(
                "This node takes images and other objects to store, C-ECHO and Storage Commitment. "
                f"For the rest, have {_who(visit)} ask the PACS or RIS."
            ),
        )
    return Advice(
        reason="nothing of what the sender proposed was accepted; it would be by now", mended=True
    )


def _name(uid: str) -> str:
    """The name of the standard, or the UID where it has none."""
    known = UID(uid, validation_mode=IGNORE).name
    return known if known != uid else f"{uid}, which is not of the standard"


def _list(words: Iterable[str]) -> str:
    """The first few, and how many more."""
    found = list(words)
    more = len(found) - _MOST_NAMED
    return ", ".join(found[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _objects(visit: Visit, place: Place) -> Advice:
    most = sorted(visit.refusals.items(), key=lambda each: -each[1])
    told = [(count, *OBJECTS.get(kind, OBJECTS[""])) for kind, count in most]
    reasons = "; ".join(
        f"{count} {'object' if count == 1 else 'objects'} refused: {reason}"
        for count, reason, _ in told
    )
    fixes = " ".join(dict.fromkeys(fix for _, _, fix in told))
    return Advice(reason=reasons, fix=fixes)


def _silent(visit: Visit, place: Place) -> Advice:
    if visit.state is VisitState.NO_REQUEST:
        return Advice(
            reason="the sender connected, and then said nothing",
            fix=(
                f"The program at {_who(visit)} hangs, or waits for TLS or another protocol "
                "to begin: correct its settings for this port."
            ),
        )
    return Advice(
        reason="the sender stayed silent for too long within an association",
        fix=(
            f"Have {_who(visit)} release its associations when it has sent all; or raise "
            "`receive.idle_timeout_s`, where it needs so long between two images."
        ),
    )


def _hung_up(visit: Visit, place: Place) -> Advice:
    if visit.state is VisitState.NO_REQUEST:
        reason = "connected and hung up without a request, as monitors of a network do"
        return Advice(reason=reason, harmless=True)
    return Advice(
        reason="the connection broke, or the sender hung up without a release",
        fix=(
            "What was confirmed to it is kept. Where it happens often, look at the network and at "
            f"firewalls between {_who(visit)} and this node."
        ),
    )


def _stopping(visit: Visit, place: Place) -> Advice:
    reason = "this node was being stopped; senders try again by themselves"
    return Advice(reason=reason, harmless=True)


_BY_LOOKING: Mapping[Trouble, Callable[[Visit, Place], Advice]] = {
    Trouble.CALLED_AE: _called,
    Trouble.CALLING_AE: _calling,
    Trouble.CONTEXTS: _contexts,
    Trouble.OBJECTS: _objects,
    Trouble.SILENT: _silent,
    Trouble.HUNG_UP: _hung_up,
    Trouble.STOPPING: _stopping,
}
