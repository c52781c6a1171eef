"""One file of the configuration while somebody fills in its form, or writes its text."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count

from pydantic import ValidationError

from dicomnode.config.edit import set_values
from dicomnode.config.files import Texts
from dicomnode.config.filled import Shown, changes, filled, sent, shown
from dicomnode.config.forms import groups
from dicomnode.config.load import read
from dicomnode.config.peers import PeerSettings
from dicomnode.config.pipelines import MatchSettings
from dicomnode.config.proposal import (
    NODE,
    as_written,
    file_of,
    mistakes_of,
    model_of,
    propose,
    said,
    seen,
)
from dicomnode.config.template import new_file
from dicomnode.errors import ConfigError, Mistake, NotFound
from dicomnode.web.access import Caller
from dicomnode.web.configuration.changing import (
    known,
    our_title,
    standing_of,
    try_pipeline,
)
from dicomnode.web.configuration.form import Filling
from dicomnode.web.configuration.trying import ask
from dicomnode.web.site import Site

__all__ = ["Sent", "look_at", "open_file", "prefilled"]

Sent = Mapping[str, Sequence[str]]  #: what a form sent: texts by the names of inputs

_NAME = "name"  #: of the input for the name of what is new
_MARK = "\ufeff"  # of the bytes' order, as some editors write it
_PREFIX = "v."  #: of inputs for values, apart from those that the page needs


def open_file(here: Site, kind: str, name: str, *, as_text: bool = False) -> Filling:
    """A file as it is; a new one where there is no name.

    Raises:
        NotFound: there is no such file.
    """
    texts = read(here.config)
    new = bool(kind) and not name
    file = NODE if not kind else file_of(kind, name or "new")
    if not new and file not in texts:
        raise NotFound(f"there is no {file}")
    model = model_of(file)
    names = known(texts)
    before = new_file(model) if new else texts[file]
    digest = seen(texts, {} if new else {file: None})
    table = said(before)
    fields = groups(model, names)
    show = {one.name: shown(one, table) for group in fields for one in group.fields}
    return Filling(
        folder=here.config,
        file="" if new else file,
        kind=kind,
        name=name,
        new=new,
        before=before,
        text=before,
        digest=digest,
        opened=digest,
        groups=fields,
        show=show,
        as_text=as_text or not _is_toml(before),
        is_toml=_is_toml(before),
        standing=standing_of(here, texts),
        cards=here.shelf(),
        mistakes=() if new else _wrong_now(here, texts, file),
    )


def _wrong_now(here: Site, texts: Texts, file: str) -> tuple[Mistake, ...]:
    return tuple(
        each for each in mistakes_of(here.config, texts) if each.file == here.config / file
    )


def prefilled(here: Site, caller: Caller, kind: str, given: Mapping[str, str]) -> Filling:
    """A new file, as if somebody had filled in already what is given, where that is of a field."""
    filling = open_file(here, kind, "")
    values: dict[str, Sequence[str]] = {}
    for one in filling.fields:
        values |= sent(one, filling.show[one.name])
        values |= {one.name: [given[one.name]]} if one.name in given else {}
    form = {f"{_PREFIX}{name}": texts for name, texts in values.items()}
    form |= {"opened": [filling.opened], _NAME: [given.get(_NAME, "")]}
    return look_at(here, caller, filling, form)


def look_at(here: Site, caller: Caller, filling: Filling, form: Sent) -> Filling:
    """What would come of what somebody filled in or wrote; with a test, where one is asked for."""
    do = (form.get("do") or [""])[0]
    values = {name.removeprefix(_PREFIX): form[name] for name in form if name.startswith(_PREFIX)}
    filling = replace(
        filling,
        opened=(form.get("opened") or [""])[0],
        name=(form.get(_NAME) or [filling.name])[0].strip() if filling.new else filling.name,
        as_text="text" in form,
        review=do in ("review", "test"),
    )
    texts = read(here.config)
    unnamed = _unnamed(filling, texts)
    if filling.new:
        filling = replace(filling, file=_file_to_check(filling, texts, named=not unnamed))
    try:
        text, show = _filled(filling, texts, form["text"][0] if filling.as_text else None, values)
    except ConfigError as error:
        return replace(filling, mistakes=(*unnamed, *error.mistakes), show=_typed(filling, values))
    proposal = propose(here.config, texts, {filling.file: text})
    mistakes = (*unnamed, *proposal.mistakes)
    filling = replace(filling, text=text, show=show, proposal=proposal, mistakes=mistakes)
    return _tested(here, caller, filling) if do == "test" else filling


def _unnamed(filling: Filling, texts: Texts) -> tuple[Mistake, ...]:
    """Why something new cannot have the name that was filled in."""
    if not filling.new:
        return ()
    place = filling.folder / filling.kind
    if not filling.name:
        return (Mistake(file=place, key=_NAME, problem="is missing: the name of its file"),)
    try:
        file = file_of(filling.kind, filling.name)
    except ConfigError as error:
        return error.mistakes
    return (Mistake(file=place, key=_NAME, problem="exists already"),) if file in texts else ()


def _file_to_check(filling: Filling, texts: Texts, *, named: bool) -> str:
    """The file of what is new; while it has no name that it can have, one that is free."""
    if named:
        return file_of(filling.kind, filling.name)
    free = (file_of(filling.kind, f"new-{number}") for number in count(1))
    return next(file for file in free if file not in texts)


def _filled(
    filling: Filling, texts: Texts, written: str | None, values: Sent
) -> tuple[str, Mapping[str, Shown]]:
    """The text that comes of it, and what the fields show then."""
    if written is not None:
        text = as_written(written, filling.before)
        return text, {one.name: shown(one, said(text)) for one in filling.fields}
    model = model_of(filling.file)
    changed = changes(model, known(texts), said(filling.before), values)
    text = set_values(filling.folder / filling.file, filling.before, model, changed)
    return text, _typed(filling, values)


def _typed(filling: Filling, values: Sent) -> Mapping[str, Shown]:
    return {one.name: filled(one, values) for one in filling.fields}


def _is_toml(text: str) -> bool:
    return bool(said(f"it_is = true\n{text.removeprefix(_MARK)}"))


def _tested(here: Site, caller: Caller, filling: Filling) -> Filling:
    """Ask the peer, or try the rules on the last studies; where they are right."""
    table = said(filling.text)
    if filling.kind == "peers":
        try:
            peer = PeerSettings.model_validate(table).peer(filling.name)
        except ValidationError:
            return filling  # the mistakes are told
        return replace(filling, heard=ask(peer, our_title(read(here.config))))
    try:
        match = MatchSettings.model_validate(table.get("match", {}))
    except ValidationError:
        return filling
    return replace(filling, tried=try_pipeline(here, caller, filling.name, match))
