"""The files of the configuration as JSON, one by one: the node's, peers, pipelines; and tests."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from fastapi import APIRouter, Body, Depends, Header, HTTPException, Path, Query, Response
from pydantic import BaseModel, Field, WrapValidator

from dicomnode.config.fields import Section
from dicomnode.config.load import read
from dicomnode.config.peers import PeerSettings
from dicomnode.config.pipelines import PipelineSettings
from dicomnode.config.proposal import names_of
from dicomnode.config.settings import NodeSettings
from dicomnode.web.access import Administrator, Caller
from dicomnode.web.api.mistakes import Route
from dicomnode.web.configuration import changing
from dicomnode.web.configuration.trying import ask
from dicomnode.web.configuration.written import File
from dicomnode.web.site import Here, Site

__all__ = ["Condition", "Echo", "Kind", "Taken", "router"]

router = APIRouter(prefix="/api", tags=["Configuration"], route_class=Route)

_Settings = TypeVar("_Settings", bound=Section)


def _unchecked(value: Any, _handler: object) -> Any:
    """What is sent is checked with all other files, and then each mistake is told."""
    if not isinstance(value, dict):
        raise ValueError("must be an object")
    return value


_AS_SENT = WrapValidator(_unchecked)
Name = Annotated[str, Path(description="Of the file, without .toml.", max_length=64)]
Words = Annotated[str, Query(description="Why; kept in the history.", max_length=500)]


@dataclass(frozen=True, slots=True)
class Condition:
    """How a file has to be, so that it is changed (RFC 9110 13.1)."""

    tags: tuple[str, ...]  #: one of these; any where there is none
    absent: bool  #: it does not exist

    def demand(self, file: File) -> None:
        """Raise 412 where it is otherwise."""
        if self.tags and not (file.exists and ("*" in self.tags or file.tag in self.tags)):
            raise HTTPException(412, "it is not as you have read it any more; read it again")
        if self.absent and file.exists:
            raise HTTPException(412, "it exists already")


def _condition(
    if_match: Annotated[
        str,
        Header(description="The ETag of what was read: refused (412) where it is another by now."),
    ] = "",
    if_none_match: Annotated[str, Header(description="`*`: refused (412) where it exists.")] = "",
) -> Condition:
    tags = (tag.strip().removeprefix("W/") for tag in if_match.split(",") if tag.strip())
    return Condition(tuple(tags), if_none_match.strip() == "*")


Only = Annotated[Condition, Depends(_condition)]


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


class Kind(Generic[_Settings]):
    """Files of one kind, which read and are changed alike."""

    def __init__(self, folder: str, model: type[_Settings]) -> None:
        self._folder = folder  #: empty for the node's own
        self._model = model

    def every(self, here: Site) -> dict[str, _Settings]:
        """All of them, by name."""
        texts = read(here.config)
        return {
            name: self._said(File(here, self._folder, name, texts))
            for name in names_of(texts, self._folder)
        }

    def one(self, here: Site, name: str, response: Response) -> _Settings:
        """What one says, with all defaults; its ETag goes into the response."""
        file = File(here, self._folder, name)
        response.headers["etag"] = file.tag
        return self._said(file)

    def filled(self, here: Site, name: str, wanted: _Settings | None) -> _Settings:
        """What one says, or would say as it is sent."""
        return self._said(File(here, self._folder, name), wanted)

    def put(
        self, here: Site, caller: Caller, name: str, wanted: _Settings, only: Condition, words: str
    ) -> None:
        """Make it, or change it to what is sent."""
        file = File(here, self._folder, name)
        only.demand(file)
        file.save(caller, file.replaced(_sent(wanted)), words)

    def patch(
        self, here: Site, caller: Caller, name: str, wanted: _Settings, only: Condition, words: str
    ) -> None:
        """Change what is sent, and leave the rest."""
        file = File(here, self._folder, name)
        only.demand(file)
        file.save(caller, file.patched(_sent(wanted)), words)

    def remove(self, here: Site, caller: Caller, name: str, only: Condition, words: str) -> None:
        """Remove it; NotFound where there is none."""
        file = File(here, self._folder, name)
        file.demand()
        only.demand(file)
        file.save(caller, None, words)

    def _said(self, file: File, wanted: _Settings | None = None) -> _Settings:
        settings = file.settings(None if wanted is None else _sent(wanted))
        assert isinstance(settings, self._model)  # noqa: S101  # by the folder
        return settings


def _sent(wanted: object) -> Mapping[str, object]:
    """The object as it came: `_AS_SENT` leaves it unchecked."""
    assert isinstance(wanted, dict)  # noqa: S101  # or it was refused
    return wanted


_NODE = Kind("", NodeSettings)
_PEERS = Kind("peers", PeerSettings)
_PIPELINES = Kind("pipelines", PipelineSettings)


@router.get("/node")
def read_node(here: Here, _: Administrator, response: Response) -> NodeSettings:
    """This node, with all defaults."""
    return _NODE.one(here, "", response)


@router.patch("/node")
def change_node(
    here: Here,
    caller: Administrator,
    response: Response,
    wanted: Annotated[NodeSettings, _AS_SENT, Body()],
    only: Only,
    words: Words = "",
) -> NodeSettings:
    """Change what is said, and leave the rest; null leaves a value to its default."""
    _NODE.patch(here, caller, "", wanted, only, words)
    return _NODE.one(here, "", response)


@router.get("/peers")
def list_peers(here: Here, _: Administrator) -> dict[str, PeerSettings]:
    """Every peer, by name."""
    return _PEERS.every(here)


@router.get("/peers/{name}")
def read_peer(here: Here, _: Administrator, name: Name, response: Response) -> PeerSettings:
    """A peer, with all defaults."""
    return _PEERS.one(here, name, response)


@router.put("/peers/{name}")
def put_peer(
    here: Here,
    caller: Administrator,
    name: Name,
    response: Response,
    wanted: Annotated[PeerSettings, _AS_SENT, Body()],
    only: Only,
    words: Words = "",
) -> PeerSettings:
    """Make a peer, or change it to this; what is left out gets its default."""
    _PEERS.put(here, caller, name, wanted, only, words)
    return _PEERS.one(here, name, response)


@router.delete("/peers/{name}", status_code=204, response_class=Response)
def remove_peer(
    here: Here, caller: Administrator, name: Name, only: Only, words: Words = ""
) -> None:
    """Remove a peer that no pipeline names."""
    _PEERS.remove(here, caller, name, only, words)


@router.post("/peers/{name}/echo")
def echo_peer(
    here: Here,
    _: Administrator,
    name: Name,
    wanted: Annotated[PeerSettings | None, _AS_SENT, Body()] = None,
) -> Echo:
    """Ask a peer whether it hears us: as it is saved, or as it is sent here."""
    peer = _PEERS.filled(here, name, wanted).peer(name)
    heard = ask(peer, changing.our_title(read(here.config)))
    return Echo(ok=heard.ok, seconds=heard.seconds, message=heard.message, advice=heard.advice)


@router.get("/pipelines")
def list_pipelines(here: Here, _: Administrator) -> dict[str, PipelineSettings]:
    """Every pipeline, by name."""
    return _PIPELINES.every(here)


@router.get("/pipelines/{name}")
def read_pipeline(here: Here, _: Administrator, name: Name, response: Response) -> PipelineSettings:
    """A pipeline, with all defaults."""
    return _PIPELINES.one(here, name, response)


@router.put("/pipelines/{name}")
def put_pipeline(
    here: Here,
    caller: Administrator,
    name: Name,
    response: Response,
    wanted: Annotated[PipelineSettings, _AS_SENT, Body()],
    only: Only,
    words: Words = "",
) -> PipelineSettings:
    """Make a pipeline, or change it to this; what is left out gets its default."""
    _PIPELINES.put(here, caller, name, wanted, only, words)
    return _PIPELINES.one(here, name, response)


@router.delete("/pipelines/{name}", status_code=204, response_class=Response)
def remove_pipeline(
    here: Here, caller: Administrator, name: Name, only: Only, words: Words = ""
) -> None:
    """Remove a pipeline; what it did stays in the worklist."""
    _PIPELINES.remove(here, caller, name, only, words)


@router.post("/pipelines/{name}/try")
def try_pipeline(
    here: Here,
    caller: Administrator,
    name: Name,
    wanted: Annotated[PipelineSettings | None, _AS_SENT, Body()] = None,
) -> list[Taken]:
    """Which of the last 100 studies would have come into a pipeline: as saved, or as sent here."""
    rules = _PIPELINES.filled(here, name, wanted).match
    return [
        Taken(
            study_uid=each.study.study_uid,
            received_at=each.study.last_received_at,
            images=each.study.images,
            looked_at=each.looked,
            matching=each.matching,
            why_not=dict(each.why),
        )
        for each in changing.try_pipeline(here, caller, name, rules)
    ]
