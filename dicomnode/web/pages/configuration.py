"""The configuration's pages: all of it, one file as a form or as text, and saving."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import FormData

from dicomnode.config.files import unwritable
from dicomnode.config.load import read
from dicomnode.config.proposal import (
    KINDS,
    NODE,
    Changes,
    Proposal,
    file_of,
    mistakes_of,
    names_of,
    propose,
    renamed,
    said,
)
from dicomnode.errors import ConfigChanged, ConfigError, NotFound
from dicomnode.web.access import Administrator, Caller
from dicomnode.web.configuration.changing import before_now, owed, peers_now, save, standing_of
from dicomnode.web.configuration.filling import Sent, look_at, open_file, prefilled
from dicomnode.web.configuration.form import Filling
from dicomnode.web.live import live
from dicomnode.web.rendering import is_of_script, page, part, text_of
from dicomnode.web.site import Here, Site

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_CHANGES: TypeAdapter[Changes] = TypeAdapter(dict[str, str | None])


async def _sent(request: Request) -> FormData:
    return await request.form()


Filled = Annotated[FormData, Depends(_sent)]


@router.get("/configuration")
def overview(request: Request, here: Here, caller: Administrator, saved: str = "") -> HTMLResponse:
    """Everything that is configured, and what is wrong with it."""
    texts = read(here.config)
    now, mistakes = standing_of(here, texts), mistakes_of(here.config, texts)
    good = now.last_good.files if now.last_good else {}
    wrong = {file for file in texts if any(here.config / file == each.file for each in mistakes)}
    tables = {
        file: said(good.get(file, text) if file in wrong else text) for file, text in texts.items()
    }
    pipelines = {name: tables[f"pipelines/{name}.toml"] for name in names_of(texts, "pipelines")}
    return page(
        request,
        "configuration.html",
        caller,
        node=tables.get(NODE, {}),
        peers={name: tables[f"peers/{name}.toml"] for name in names_of(texts, "peers")},
        pipelines=pipelines,
        cards=here.shelf(),
        health=peers_now(here, texts),
        mistakes=mistakes,
        wrong={file: file in good for file in wrong},
        folder=here.config,
        unwritable=unwritable(here.config),
        standing=now,
        saved=saved,
    )


@router.get("/configuration/standing")
def tell(here: Here, caller: Administrator) -> StreamingResponse:
    """Whether the files are in force, told when it changes."""
    return live(here, caller, lambda: {"standing": _standing(here, caller)})


def _standing(here: Site, caller: Caller) -> str:
    texts = read(here.config)
    values = {"standing": standing_of(here, texts), "mistakes": mistakes_of(here.config, texts)}
    return text_of("configuration_standing.html", caller, values)


@router.get("/configuration/add/{kind}")
def add(request: Request, here: Here, caller: Administrator, kind: str) -> HTMLResponse:
    """The form of a new peer or pipeline; what is known of it may stand in the address."""
    given = request.query_params
    filling = prefilled(here, caller, kind, given) if given else open_file(here, kind, "")
    return page(request, "configuration_file.html", caller, **filling.values())


@router.post("/configuration/add/{kind}")
def try_new(
    request: Request, here: Here, caller: Administrator, kind: str, form: Filled
) -> HTMLResponse:
    """What a new file would be."""
    return _looked(request, here, caller, open_file(here, kind, ""), form)


@router.get("/configuration/node")
def node(
    request: Request, here: Here, caller: Administrator, shown: str = "form", saved: str = ""
) -> HTMLResponse:
    """The node's own file."""
    return _file(request, here, caller, "", "", shown, saved)


@router.post("/configuration/node")
def try_node(request: Request, here: Here, caller: Administrator, form: Filled) -> HTMLResponse:
    """What the node's file would be."""
    return _looked(request, here, caller, open_file(here, "", ""), form)


@router.post("/configuration/save")
def store(
    request: Request,
    here: Here,
    caller: Administrator,
    changes: Annotated[str, Form()],
    seen: Annotated[str, Form()],
    words: Annotated[str, Form()] = "",
    back: Annotated[str, Form()] = "",
) -> Response:
    """Write what was looked at."""
    try:
        wanted = _CHANGES.validate_json(changes)
    except ValidationError as error:
        raise HTTPException(422, "this is no set of changes; load the page again") from error
    action = "configuration.rolled-back" if back else "configuration.saved"
    try:
        save(here, caller, wanted, seen, words=words.strip()[:500], action=action)
    except ConfigError as error:
        proposal = propose(here.config, read(here.config), wanted)
        changed = isinstance(error, ConfigChanged)
        why = "" if changed or proposal.mistakes else str(error)
        answer = _before(
            request, here, caller, proposal, words=words, problem=why, changed=changed, back=back
        )
        answer.status_code = 409 if changed else 422
        return answer
    return RedirectResponse(_place(wanted), 303)


def _place(changes: Changes) -> str:
    """Where one sees what was saved."""
    kept = [file for file, text in changes.items() if text is not None]
    if len(kept) == 1:
        return f"/configuration/{kept[0].removesuffix('.toml')}?saved=yes"
    return "/configuration?saved=yes"


@router.get("/configuration/{kind}/{name}")
def one(
    request: Request,
    here: Here,
    caller: Administrator,
    kind: str,
    name: str,
    shown: str = "form",
    saved: str = "",
) -> Response:
    """A peer or pipeline; where there is none called new, the form of a new one."""
    if name == "new" and kind in KINDS and file_of(kind, name) not in read(here.config):
        return RedirectResponse(f"/configuration/add/{kind}?{request.url.query}", 303)
    return _file(request, here, caller, kind, name, shown, saved)


@router.post("/configuration/{kind}/{name}")
def try_one(
    request: Request, here: Here, caller: Administrator, kind: str, name: str, form: Filled
) -> HTMLResponse:
    """What its file would be; or a test of what was filled in."""
    return _looked(request, here, caller, open_file(here, kind, name), form)


@router.post("/configuration/{kind}/{name}/rename")
def rename(
    request: Request,
    here: Here,
    caller: Administrator,
    kind: str,
    name: str,
    new: Annotated[str, Form()],
) -> HTMLResponse:
    """What it would be to give a peer or pipeline another name."""
    texts, wanted = read(here.config), new.strip()
    try:
        changes = renamed(here.config, texts, kind, name, wanted)
    except ConfigError as error:
        why = "; ".join(each.problem for each in error.mistakes)
        answer = _whole(request, here, caller, open_file(here, kind, name), refused=(wanted, why))
        answer.status_code = 422
        return answer
    return _before(
        request,
        here,
        caller,
        propose(here.config, texts, changes),
        what="Rename",
        words=f"{name} is {wanted} from now on",
        problem=_left_behind(here, kind, name),
    )


@router.post("/configuration/{kind}/{name}/remove")
def remove(
    request: Request, here: Here, caller: Administrator, kind: str, name: str
) -> HTMLResponse:
    """What it would be to remove a peer or pipeline."""
    file, texts = file_of(kind, name), read(here.config)
    if file not in texts:
        raise NotFound(f"there is no {file}")
    proposal = propose(here.config, texts, {file: None})
    problem = _left_behind(here, kind, name)
    return _before(request, here, caller, proposal, what="Remove", problem=problem)


def _left_behind(here: Site, kind: str, name: str) -> str:
    """What a name still stands for."""
    if kind == "peers" and owed(here, name):
        return (
            f"Results are still owed to {name}; under this name they wait until there is such a "
            "peer again."
        )
    if kind == "pipelines":
        return f"Studies that are under way in {name} wait until there is such a pipeline again."
    return ""


def _before(
    request: Request,
    here: Site,
    caller: Caller,
    proposal: Proposal,
    *,
    what: str = "Save",
    words: str = "",
    problem: str = "",
    changed: bool = False,
    back: str = "",
) -> HTMLResponse:
    """What is about to be changed, to be confirmed."""
    return page(
        request,
        "configuration_review.html",
        caller,
        folder=here.config,
        proposal=proposal,
        what=what,
        words=words,
        problem=problem,
        changed=changed,
        back=back,
    )


def _file(
    request: Request, here: Site, caller: Caller, kind: str, name: str, shown: str, saved: str
) -> HTMLResponse:
    filling = open_file(here, kind, name, as_text=shown == "text")
    return _whole(request, here, caller, filling, saved)


def _whole(
    request: Request,
    here: Site,
    caller: Caller,
    filling: Filling,
    saved: str = "",
    refused: tuple[str, str] = ("", ""),
) -> HTMLResponse:
    """A file's page; a peer's says how it stands. `refused`: a new name, and why it is none."""
    texts = read(here.config)
    is_peer = filling.kind == "peers" and not filling.new
    health = peers_now(here, texts).get(filling.name) if is_peer else None
    undo = before_now(here, texts) if saved else 0
    values = filling.values() | {"saved": saved, "health": health, "undo": undo}
    values["new_name"], values["not_renamed"] = refused
    return page(request, "configuration_file.html", caller, **values)


def _looked(
    request: Request, here: Site, caller: Caller, filling: Filling, form: FormData
) -> HTMLResponse:
    """A part where a script of ours asks, else a whole page."""
    sent: Sent = {name: [str(each) for each in form.getlist(name)] for name in form}
    looked = look_at(here, caller, filling, sent)
    if is_of_script(request):
        return part("configuration_look.html", caller, looked.values())
    return _whole(request, here, caller, looked)
