"""Changing the configuration, for the pages and for scripts: what is known, saved, in force."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

from pydantic import TypeAdapter, ValidationError

from dicomnode.config.current import AT_START
from dicomnode.config.fields import AETitle
from dicomnode.config.files import Texts, difference, locked, told, write
from dicomnode.config.forms import Known
from dicomnode.config.load import digest_of
from dicomnode.config.pipelines import MatchSettings
from dicomnode.config.proposal import Changes, Proposal, names_of, said, writing
from dicomnode.config.settings import NodeSettings
from dicomnode.logbook import configurations, standing
from dicomnode.web.access import Caller, note
from dicomnode.web.configuration.installed import installed_models
from dicomnode.web.configuration.trying import Tried, try_rules
from dicomnode.web.monitoring.peers import Health, health_of
from dicomnode.web.site import Site
from dicomnode.worklist import outbox, overview
from dicomnode.worklist.recent import recent

__all__ = [
    "Standing",
    "Version",
    "before_now",
    "counts_after_restart",
    "going_back",
    "history",
    "known",
    "number_of",
    "our_title",
    "owed",
    "peers_now",
    "save",
    "standing_of",
    "try_pipeline",
    "version",
]

_ALIVE = timedelta(minutes=1)  #: a node that was not seen for so long does not run
_TITLE: TypeAdapter[str] = TypeAdapter(AETitle)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether the files are in force."""

    node: standing.Node | None  #: None: no node has ever run with this worklist
    running: bool
    in_force: bool  #: the files as they are now, as far as that goes without a restart
    last_good: configurations.Configuration | None = None  #: what that node works by, as it was


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A configuration that was in force, and what made it another than the one before."""

    id: int
    at: datetime
    user: str  #: empty: by hand, in the files
    note: str
    digest: str
    files: Texts
    changed: tuple[str, ...]  #: names of files
    told: tuple[str, ...]  #: the same, with what was done to each
    difference: str  #: from the one before, as a unified diff
    first: bool  #: none is known before it


def standing_of(here: Site, texts: Texts) -> Standing:
    """How the node that was seen last stands to the files."""
    with here.database.reading() as tx:
        node = next(iter(standing.nodes_known(tx)), None)
        good = configurations.last_with(tx, node.digest) if node else None
    if node is None:
        return Standing(node=None, running=False, in_force=False)
    return Standing(
        node=node,
        running=here.now() - node.seen_at < _ALIVE,
        in_force=node.digest == digest_of(texts),
        last_good=good,
    )


def peers_now(here: Site, texts: Texts) -> dict[str, Health]:
    """How each peer of the files stands, by its name; what is in force says whom the node calls."""
    settings = here.settings()
    in_force = {name: peer.ae_title for name, peer in settings.peers.items()}
    titles = {name: in_force.get(name, "") for name in names_of(texts, "peers")}
    with here.database.reading() as tx:
        return health_of(overview.peers(tx, titles), settings.called)


def counts_after_restart(key: str) -> bool:
    """Does a key of node.toml count from the next start only?"""
    section, _, name = key.partition(".")
    return name in AT_START.get(section, ())


def known(texts: Texts) -> Known:
    """What can be named: what the files say as they are, and the folders of models."""
    peers = {name: said(texts[f"peers/{name}.toml"]) for name in names_of(texts, "peers")}
    titles = [str(peer.get("ae_title", "")) for peer in peers.values() if peer.get("may_send")]
    return Known(
        peers=tuple(peers),
        senders=tuple(sorted({title.strip(" ") for title in titles if title})),
        models=tuple(_models(texts)),
    )


def _models(texts: Texts) -> list[str]:
    """Those that ship, and those of the node, as far as its file is right about them."""
    classify = said(texts.get("node.toml", "")).get("classify")
    folders = classify.get("models") if isinstance(classify, dict) else None
    named = folders if isinstance(folders, list) else []
    return installed_models(Path(each) for each in named if isinstance(each, str))


def our_title(texts: Texts) -> str:
    """Our AE title, as far as the files are right about it."""
    receive = said(texts.get("node.toml", "")).get("receive")
    default = NodeSettings().receive.ae_title
    try:
        return _TITLE.validate_python(
            cast("Mapping[str, object]", receive).get("ae_title", default)
            if isinstance(receive, Mapping)
            else default
        )
    except ValidationError:
        return default


def save(
    here: Site,
    caller: Caller,
    changes: Changes,
    digest: str,
    *,
    words: str = "",
    action: str = "configuration.saved",
) -> Proposal:
    """Write changes to files that are still those of `digest`; remembered, and in the audit trail.

    Raises:
        ConfigChanged: somebody was faster.
        ConfigError: they would be wrong, or cannot be written; nothing was changed.
    """
    with locked(here.config), here.database.transaction() as tx:
        proposal = writing(here.config, changes, digest)
        if not proposal.changes:
            return proposal
        if not proposal.elsewhere:  # else it cannot come into force
            if configurations.newest(tx) is None:
                configurations.remember(tx, proposal.before, "", "as it was found", now=here.now())
            configurations.remember(tx, proposal.after, caller.name, words, now=here.now())
        what = told(proposal.before, proposal.after)
        detail = ", ".join(what) + (f": {words}" if words else "")
        note(tx, here, caller, action, detail=detail)
        write(here.config, proposal.changes)
    return proposal


def history(here: Site, *, before: int = 0, limit: int = 50) -> tuple[list[Version], bool]:
    """Versions, newest first, each compared with the one before it; are there more?"""
    with here.database.reading() as tx:
        found = configurations.listed(tx, before=before, limit=limit + 1)
    pairs = zip(found, [*found[1:], None], strict=False)
    versions = [_version(one, older) for one, older in pairs]
    return versions[:limit], len(found) > limit


def number_of(here: Site, texts: Texts) -> int:
    """The number of the last version that is these files; 0 where none is."""
    with here.database.reading() as tx:
        found = configurations.last_with(tx, digest_of(texts))
    return found.id if found else 0


def before_now(here: Site, texts: Texts) -> int:
    """The number of the version before the files as they are, to go back to; 0: none is known."""
    with here.database.reading() as tx:
        found = configurations.listed(tx, limit=2)
    return found[1].id if len(found) > 1 and found[0].digest == digest_of(texts) else 0


def version(here: Site, number: int) -> Version:
    """A version by its number; NotFound where there is none."""
    with here.database.reading() as tx:
        one = configurations.of(tx, number)
        older = next(iter(configurations.listed(tx, before=number, limit=1)), None)
    return _version(one, older)


def _version(
    one: configurations.Configuration, older: configurations.Configuration | None
) -> Version:
    before = older.files if older else {}
    files = [
        name for name in sorted({*one.files, *before}) if one.files.get(name) != before.get(name)
    ]
    return Version(
        id=one.id,
        at=one.at,
        user=one.user,
        note=one.note,
        digest=one.digest,
        files=one.files,
        changed=tuple(files),
        told=tuple(told(before, one.files)),
        difference=difference(before, one.files) if older else "",
        first=older is None,
    )


def try_pipeline(here: Site, caller: Caller, name: str, match: MatchSettings) -> tuple[Tried, ...]:
    """Which of the last studies rules would take; a look at patients' data, and noted as that."""
    with here.database.transaction() as tx:
        studies = recent(tx)
        note(tx, here, caller, "pipeline.tried", detail=name)
    return tuple(try_rules(match, studies, here.store))


def going_back(texts: Texts, to: Texts) -> Changes:
    """The changes that make the files what they were."""
    changes: dict[str, str | None] = {file: None for file in texts if file not in to}
    return changes | {file: text for file, text in to.items() if texts.get(file) != text}


def owed(here: Site, peer: str) -> bool:
    """Are results still owed to a peer of this name?"""
    with here.database.reading() as tx:
        return peer in outbox.peers_owed(tx)
