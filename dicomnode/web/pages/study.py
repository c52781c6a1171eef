"""A study: what it is, what was made of it, its story; and what may be done with it."""

from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from pydicom.uid import UID

from dicomnode.errors import NotFound
from dicomnode.records import ResultKind
from dicomnode.storage.database import Connection
from dicomnode.web import acting, study
from dicomnode.web.access import Caller, Operator, Viewer, note
from dicomnode.web.acting import Done
from dicomnode.web.asked import LARGEST
from dicomnode.web.configuration.installed import installed_models
from dicomnode.web.live import live
from dicomnode.web.rendering import is_of_script, page, part, text_of
from dicomnode.web.showing import kinds
from dicomnode.web.showing.captions import caption
from dicomnode.web.showing.overlays import stacks
from dicomnode.web.site import Here, Site
from dicomnode.web.study import StudyView
from dicomnode.web.uids import InPath
from dicomnode.worklist import dossier

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_SHOWN = 24  #: pictures of a page
_LIVE = ("facts", "jobs", "answers", "story")  #: parts of the page that follow what happens
_LOOKS_AGAIN = 8  #: looks, after which a study is read anew though nothing seems to have happened

_ACTS: Mapping[str, Callable[[Site, Caller, Iterable[int]], list[Done]]] = {
    "retry": acting.retry,
    "hurry": acting.raise_priority,
    "cancel": acting.cancel,
}


@router.get("/studies/{study_uid}")
def show(
    request: Request,
    here: Here,
    caller: Viewer,
    study_uid: InPath,
    after: Annotated[int, Query(ge=0, le=LARGEST)] = 0,
) -> HTMLResponse:
    """The page; `after` an image, the next images. Noted in the audit trail."""
    return _page(request, here, caller, study_uid, after)


@router.get("/studies/{study_uid}/live")
def follow(
    here: Here,
    caller: Viewer,
    study_uid: InPath,
    seen: Annotated[str, Query(max_length=400)] = "",
) -> StreamingResponse:
    """Its parts as they change; `seen` are marks of those that the browser has."""
    return live(here, caller, _Follower(here, caller, study_uid, seen.split(".")).look)


@router.post("/studies/{study_uid}")
def act(
    request: Request,
    here: Here,
    caller: Operator,
    study_uid: InPath,
    act: Annotated[str, Form()],
    job: Annotated[int, Form(ge=0, le=LARGEST)] = 0,
    peer: Annotated[str, Form(max_length=64)] = "",
    pipeline: Annotated[str, Form(max_length=64)] = "",
    model: Annotated[str, Form(max_length=200)] = "",
) -> HTMLResponse:
    """Do something with the study, or with a job of it."""
    if act == "process":
        done = acting.process(here, caller, [study_uid], pipeline, model)
    elif act == "resend":
        done = acting.resend(here, caller, [job], peer)
    elif act in _ACTS:
        done = _ACTS[act](here, caller, [job])
    else:
        raise NotFound(f"nothing is called {act[:20]!r} here")
    if not is_of_script(request):
        return _page(request, here, caller, study_uid, 0, done)
    with here.database.reading() as tx:
        view = study.read(here, tx, study_uid)
    return part("study_jobs.html", caller, _values(here, view) | {"done": done})


@router.get("/studies/{study_uid}/images/{sop_instance_uid}")
def image(
    request: Request,
    here: Here,
    caller: Viewer,
    study_uid: InPath,
    sop_instance_uid: InPath,
    frame: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
) -> Response:
    """One image, large, with what lies over it."""
    with here.database.reading() as tx:
        found = dossier.find(tx, sop_instance_uid)
        view = study.read(here, tx, study_uid)
        beside = dossier.beside(tx, sop_instance_uid)
    if found.ref.study_uid != study_uid:
        raise NotFound(f"there is no such image in study {study_uid}")
    if found.kind is not None:
        return RedirectResponse(f"/results/{sop_instance_uid}", 303)
    _note(here, caller, view, "an image")
    over = [
        stack
        for stack in stacks(here.store, study_uid, _captures(view))
        if (stack.source_uid, stack.frame) == (sop_instance_uid, frame)
    ]
    values = {
        "view": view,
        "cards": here.shelf(),
        "uid": sop_instance_uid,
        "kind": UID(found.ref.sop_class_uid).name,
        "frame": frame,
        "frames": study.frames_of(here, found.ref),
        "stacks": over,
        "before": beside[0],
        "next": beside[1],
    }
    return page(request, "study_image.html", caller, **values)


# --- the whole page, and its parts ----------------------------------------------------------


def _page(
    request: Request,
    here: Site,
    caller: Caller,
    study_uid: str,
    after: int,
    done: Iterable[Done] = (),
) -> HTMLResponse:
    with here.database.reading() as tx:
        view = study.read(here, tx, study_uid)
        images = dossier.images(tx, study_uid, after=after, limit=_SHOWN + 1)
    _note(here, caller, view)
    values = _values(here, view)
    values |= {
        "done": list(done),
        "after": after,
        "images": images[:_SHOWN],
        "more": images[_SHOWN - 1].id if len(images) > _SHOWN else 0,
        "kinds": {image.ref.sop_class_uid: UID(image.ref.sop_class_uid).name for image in images},
        "seen": ".".join(map(_mark, _parts(here, caller, view).values())),
    }
    return page(request, "study.html", caller, **values)


def _values(here: Site, view: StudyView) -> dict[str, object]:
    settings = here.settings()
    return {
        "view": view,
        "size": study.size_bytes(here, view.study.study_uid),
        "stacks": stacks(here.store, view.study.study_uid, _captures(view)),
        "pipelines": {name: rules for name, rules in settings.pipelines.items() if rules.enabled},
        "models": installed_models(settings.node.classify.models),
        "cards": here.shelf(),
        "conflict": settings.node.receive.conflict,
        "names": kinds.NAMES,
        "captions": _captions(here, view),
        "done": [],
    }


def _parts(here: Site, caller: Caller, view: StudyView) -> dict[str, str]:
    values = _values(here, view)
    return {name: text_of(f"study_{name}.html", caller, values) for name in _LIVE}


def _mark(html: str) -> str:
    return sha256(html.encode()).hexdigest()[:16]


def _captions(here: Site, view: StudyView) -> dict[str, str]:
    """What each result shows, by its UID."""
    uids = [made.ref.sop_instance_uid for each in view.jobs for made in each.results]
    study_uid = view.study.study_uid
    return {uid: caption(here.store.path_of_result(study_uid, uid)) for uid in uids}


def _captures(view: StudyView) -> list[str]:
    """Captures of each pipeline's newest answer that stands."""
    found: list[str] = []
    spoken: set[str] = set()
    for each in view.jobs:
        standing = [made for made in each.results if made.withdrawn_at is None]
        if not standing or each.job.pipeline in spoken or each.job.refused is not None:
            continue
        spoken.add(each.job.pipeline)
        found += [made.ref.sop_instance_uid for made in standing if made.kind is ResultKind.SC]
    return found


class _Follower:
    """Looks at a study again and again for one browser, and makes parts when something happened."""

    def __init__(self, here: Site, caller: Caller, study_uid: str, seen: Iterable[str]) -> None:
        self._here = here
        self._caller = caller
        self._study_uid = study_uid
        self._seen = dict(zip(_LIVE, seen, strict=False))
        self._mark: tuple[object, ...] | None = None
        self._looks = 0
        self._parts: dict[str, str] = {}

    def look(self) -> dict[str, str]:
        """The parts that are not, or no longer, as the browser has seen them."""
        with self._here.database.reading() as tx:
            self._read(tx)
        for name, html in self._parts.items():
            if self._seen.get(name) not in (None, _mark(html)):
                del self._seen[name]
        return {name: html for name, html in self._parts.items() if name not in self._seen}

    def _read(self, tx: Connection) -> None:
        mark = dossier.mark(tx, self._study_uid)
        self._looks += 1
        if mark == self._mark and self._looks % _LOOKS_AGAIN:
            return
        self._mark = mark
        view = study.read(self._here, tx, self._study_uid)
        self._parts = _parts(self._here, self._caller, view)


def _note(here: Site, caller: Caller, view: StudyView, detail: str = "") -> None:
    """A look is noted once for each page; its pictures are part of it."""
    uid, whose = view.study.study_uid, view.study.patient_id
    here.seen.is_new(caller.name, uid, now=here.now())
    with here.database.transaction() as tx:
        note(tx, here, caller, "study.seen", study_uid=uid, patient_id=whose, detail=detail)
