"""The configuration: its files as JSON, their history, and tests of what they say."""

from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from typing import Annotated, Any, cast

from fastapi import APIRouter, Body, Header, HTTPException, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field, WrapValidator

from dicomnode.config.load import digest_of, read
from dicomnode.config.peers import PeerSettings
from dicomnode.config.pipelines import PipelineSettings
from dicomnode.config.proposal import mistakes_of, names_of
from dicomnode.config.settings import NodeSettings
from dicomnode.errors import ConfigChanged, ConfigError, Mistake
from dicomnode.web.access import Administrator
from dicomnode.web.asked import Before, Number
from dicomnode.web.configuration import changing, written
from dicomnode.web.configuration.trying import ask
from dicomnode.web.site import Here

__all__ = ["Echo", "Saved", "State", "Taken", "Version", "Wrong", "router"]


class _Route(APIRoute):
    """Mistakes of the configuration are told one by one."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def told(request: Request) -> Response:
            try:
                return await handler(request)
            except ConfigError as error:
                status = 409 if isinstance(error, ConfigChanged) else 422
                wrong = [_wrong(each).model_dump() for each in error.mistakes]
                return JSONResponse({"problem": str(error), "mistakes": wrong}, status)

        return told


router = APIRouter(prefix="/api", tags=["Configuration"], route_class=_Route)


def _unchecked(value: Any, _handler: object) -> Any:
    """What is sent is checked with all other files, and then each mistake is told."""
    if not isinstance(value, dict):
        raise ValueError("must be an object")
    return value


_AS_SENT = WrapValidator(_unchecked)
Name = Annotated[str, Path(description="Of the file, without .toml.", max_length=64)]
Tag = Annotated[
    str,
    Header(description="The ETag of what was read: refused (412) where it is another by now."),
]
Absent = Annotated[str, Header(description="`*`: refused (412) where it exists.")]
Words = Annotated[str, Query(description="Why; kept in the history.", max_length=500)]


class Wrong(BaseModel):
    """A mistake in a file."""

    file: str
    line: int | None
    key: str = Field(description="Such as receive.port; empty for the file as a whole.")
    problem: str


class State(BaseModel):
    """Whether the files are right, and in force."""

    digest: str = Field(description="Of all files as they are.")
    mistakes: list[Wrong]
    running: bool = Field(description="Was a node seen within the last minute?")
    in_force: bool = Field(description="Has the node taken over the files as they are?")
    restart: list[str] = Field(description="Keys that were changed and count after a restart.")


class Version(BaseModel):
    """A configuration that was in force."""

    id: int
    at: datetime
    user: str = Field(description="Empty: by hand, in the files.")
    note: str
    digest: str
    changed: list[str] = Field(description="Files that are others than in the version before.")
    difference: str = Field(description="From the version before, as a unified diff.")


class Saved(BaseModel):
    """What was changed."""

    files: list[str]
    difference: str = Field(description="As a unified diff.")


class Echo(BaseModel):
    """What came of a C-ECHO."""

    ok: bool
    seconds: float
    message: str
    advice: str = Field(description="What to do; empty where nothing is.")


class Taken(BaseModel):
    """Whether rules would take a study."""

    study_uid: str
    received_at: datetime
    images: int
    looked_at: int = Field(description="Images of which the header was read.")
    matching: int = Field(description="Of those.")
    why_not: dict[str, str] = Field(description="Rules that said no, with what images have.")


@router.get("/configuration")
def read_state(here: Here, _: Administrator) -> State:
    """Whether the files are right, and in force."""
    texts = read(here.config)
    standing = changing.standing_of(here, texts)
    return State(
        digest=digest_of(texts),
        mistakes=[_wrong(each) for each in mistakes_of(here.config, texts)],
        running=standing.running,
        in_force=standing.in_force,
        restart=list(standing.node.restart) if standing.node else [],
    )


@router.get("/configuration/history")
def list_versions(
    here: Here,
    _: Administrator,
    before: Before = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> list[Version]:
    """Every configuration that was in force, newest first."""
    versions, _more = changing.history(here, before=before, limit=limit)
    return [_version(each) for each in versions]


@router.post("/configuration/rollback/{number}")
def roll_back(
    here: Here,
    caller: Administrator,
    number: Number,
) -> Saved:
    """Make the files what they were in a version."""
    texts = read(here.config)
    changes = changing.going_back(texts, changing.version(here, number).files)
    proposal = changing.save(
        here,
        caller,
        changes,
        written.seen(texts, changes),
        words=f"back to version {number}",
        action="configuration.rolled-back",
    )
    return Saved(files=sorted(proposal.changes), difference=proposal.difference)


@router.get("/node")
def read_node(here: Here, _: Administrator, response: Response) -> NodeSettings:
    """This node, with all defaults."""
    return _node(here, response)


@router.patch("/node")
def change_node(
    here: Here,
    caller: Administrator,
    response: Response,
    wanted: Annotated[NodeSettings, _AS_SENT, Body()],
    if_match: Tag = "",
    words: Words = "",
) -> NodeSettings:
    """Change what is said, and leave the rest; null leaves a value to its default."""
    file = written.File(here, "", "")
    _demand(file, if_match, "")
    file.save(caller, file.patched(_sent(wanted)), words)
    return _node(here, response)


def _node(here: Here, response: Response) -> NodeSettings:
    file = written.File(here, "", "")
    response.headers["etag"] = file.tag
    return cast(NodeSettings, file.settings())


@router.get("/peers")
def list_peers(here: Here, _: Administrator) -> dict[str, PeerSettings]:
    """Every peer, by name."""
    names = names_of(read(here.config), "peers")
    return {name: _peer(here, name) for name in names}


@router.get("/peers/{name}")
def read_peer(here: Here, _: Administrator, name: Name, response: Response) -> PeerSettings:
    """A peer, with all defaults."""
    response.headers["etag"] = written.File(here, "peers", name).tag
    return _peer(here, name)


@router.put("/peers/{name}")
def put_peer(
    here: Here,
    caller: Administrator,
    name: Name,
    response: Response,
    wanted: Annotated[PeerSettings, _AS_SENT, Body()],
    if_match: Tag = "",
    if_none_match: Absent = "",
    words: Words = "",
) -> PeerSettings:
    """Make a peer, or change it to this; what is left out gets its default."""
    _put(written.File(here, "peers", name), caller, wanted, if_match, if_none_match, words)
    return read_peer(here, caller, name, response)


@router.delete("/peers/{name}", status_code=204, response_class=Response)
def remove_peer(
    here: Here, caller: Administrator, name: Name, if_match: Tag = "", words: Words = ""
) -> None:
    """Remove a peer that no pipeline names."""
    _remove(written.File(here, "peers", name), caller, if_match, words)


@router.post("/peers/{name}/echo")
def echo_peer(
    here: Here,
    _: Administrator,
    name: Name,
    wanted: Annotated[PeerSettings | None, _AS_SENT, Body()] = None,
) -> Echo:
    """Ask a peer whether it hears us: as it is saved, or as it is sent here."""
    file = written.File(here, "peers", name)
    settings = file.settings(None if wanted is None else _sent(wanted))
    title = changing.our_title(read(here.config))
    heard = ask(cast(PeerSettings, settings).peer(name), title)
    return Echo(ok=heard.ok, seconds=heard.seconds, message=heard.message, advice=heard.advice)


@router.get("/pipelines")
def list_pipelines(here: Here, _: Administrator) -> dict[str, PipelineSettings]:
    """Every pipeline, by name."""
    names = names_of(read(here.config), "pipelines")
    return {name: _pipeline(here, name) for name in names}


@router.get("/pipelines/{name}")
def read_pipeline(here: Here, _: Administrator, name: Name, response: Response) -> PipelineSettings:
    """A pipeline, with all defaults."""
    response.headers["etag"] = written.File(here, "pipelines", name).tag
    return _pipeline(here, name)


@router.put("/pipelines/{name}")
def put_pipeline(
    here: Here,
    caller: Administrator,
    name: Name,
    response: Response,
    wanted: Annotated[PipelineSettings, _AS_SENT, Body()],
    if_match: Tag = "",
    if_none_match: Absent = "",
    words: Words = "",
) -> PipelineSettings:
    """Make a pipeline, or change it to this; what is left out gets its default."""
    _put(written.File(here, "pipelines", name), caller, wanted, if_match, if_none_match, words)
    return read_pipeline(here, caller, name, response)


@router.delete("/pipelines/{name}", status_code=204, response_class=Response)
def remove_pipeline(
    here: Here, caller: Administrator, name: Name, if_match: Tag = "", words: Words = ""
) -> None:
    """Remove a pipeline; what it did stays in the worklist."""
    _remove(written.File(here, "pipelines", name), caller, if_match, words)


@router.post("/pipelines/{name}/try")
def try_pipeline(
    here: Here,
    caller: Administrator,
    name: Name,
    wanted: Annotated[PipelineSettings | None, _AS_SENT, Body()] = None,
) -> list[Taken]:
    """Which of the last 100 studies would have come into a pipeline: as saved, or as sent here."""
    file = written.File(here, "pipelines", name)
    settings = cast(PipelineSettings, file.settings(None if wanted is None else _sent(wanted)))
    return [
        Taken(
            study_uid=each.study.study_uid,
            received_at=each.study.last_received_at,
            images=each.study.images,
            looked_at=each.looked,
            matching=each.matching,
            why_not=dict(each.why),
        )
        for each in changing.try_pipeline(here, caller, name, settings.match)
    ]


def _peer(here: Here, name: str) -> PeerSettings:
    return cast(PeerSettings, written.File(here, "peers", name).settings())


def _pipeline(here: Here, name: str) -> PipelineSettings:
    return cast(PipelineSettings, written.File(here, "pipelines", name).settings())


def _put(
    file: written.File,
    caller: Administrator,
    wanted: BaseModel,
    if_match: str,
    if_none_match: str,
    words: str,
) -> None:
    _demand(file, if_match, if_none_match)
    file.save(caller, file.replaced(_sent(wanted)), words)


def _remove(file: written.File, caller: Administrator, if_match: str, words: str) -> None:
    file.demand()
    _demand(file, if_match, "")
    file.save(caller, None, words)


def _demand(file: written.File, if_match: str, if_none_match: str) -> None:
    """Raise 412 where a file is not what the caller says (RFC 9110 13.1)."""
    there = [tag.strip().removeprefix("W/") for tag in if_match.split(",") if tag.strip()]
    if there and not (file.exists and ("*" in there or file.tag in there)):
        raise HTTPException(412, "it is not as you have read it any more; read it again")
    if if_none_match.strip() == "*" and file.exists:
        raise HTTPException(412, "it exists already")


def _sent(wanted: BaseModel) -> Mapping[str, object]:
    """The object as it came: `_AS_SENT` leaves it unchecked."""
    return cast("Mapping[str, object]", wanted)


def _wrong(mistake: Mistake) -> Wrong:
    return Wrong(
        file=str(mistake.file), line=mistake.line, key=mistake.key, problem=mistake.problem
    )


def _version(one: changing.Version) -> Version:
    return Version(
        id=one.id,
        at=one.at,
        user=one.user,
        note=one.note,
        digest=one.digest,
        changed=list(one.changed),
        difference=one.difference,
    )
