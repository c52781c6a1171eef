"""Who may do what."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from dicomnode.config.fields import Name
from dicomnode.people import accounts
from dicomnode.people.accounts import Member, Role
from dicomnode.web import people
from dicomnode.web.access import Administrator, Viewer
from dicomnode.web.login.passwords import SHORTEST
from dicomnode.web.site import Here

__all__ = ["Change", "Me", "NewPerson", "Person", "router"]

router = APIRouter(prefix="/api", tags=["People"])

Password = Annotated[str, Field(min_length=SHORTEST, max_length=1024, description="Kept hashed.")]
Who = Annotated[str, Path(description="The user's name.", max_length=64)]


class Person(BaseModel):
    """Somebody who may log in."""

    name: str
    role: Role
    openid: bool = Field(description="Logs in by OpenID Connect, whose groups say the role.")
    disabled: bool = Field(description="May not log in any more.")
    created_at: datetime
    sessions: int = Field(description="Browsers that are logged in.")
    keys: int = Field(description="Keys for scripts.")


class NewPerson(BaseModel):
    """Somebody to be let in."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    role: Role
    password: Password


class Change(BaseModel):
    """What is to be otherwise; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    role: Role | None = None
    disabled: bool | None = None
    password: Password | None = None


class Me(BaseModel):
    """Who is asking."""

    name: str
    role: Role = Field(description="What the caller may do; of a key, what the key may do.")


@router.get("/me")
def read_me(caller: Viewer) -> Me:
    """Who is asking, and as what."""
    return Me(name=caller.name, role=caller.role)


@router.get("/people")
def list_people(here: Here, _: Administrator) -> list[Person]:
    """Everybody, by name."""
    with here.database.reading() as tx:
        return [_person(each) for each in accounts.listed(tx)]


@router.post("/people", status_code=201)
def add_person(here: Here, caller: Administrator, wanted: NewPerson) -> Person:
    """Let somebody in."""
    people.add(here, caller, wanted.name, wanted.role, wanted.password)
    return _read(here, wanted.name)


@router.get("/people/{name}")
def read_person(here: Here, _: Administrator, name: Who) -> Person:
    """One of them."""
    return _read(here, name)


@router.patch("/people/{name}")
def change_person(here: Here, caller: Administrator, name: Who, wanted: Change) -> Person:
    """Change role, password, or whether somebody may log in; it ends the user's sessions."""
    people.change(
        here,
        caller,
        name,
        role=wanted.role,
        disabled=wanted.disabled,
        password=wanted.password,
    )
    return _read(here, name)


@router.delete("/people/{name}", status_code=204, response_class=Response)
def remove_person(here: Here, caller: Administrator, name: Who) -> None:
    """Forget somebody; what they did stays in the audit trail."""
    people.remove(here, caller, name)


@router.delete("/people/{name}/sessions", status_code=204, response_class=Response)
def end_sessions(here: Here, caller: Administrator, name: Who) -> None:
    """Log somebody out everywhere."""
    people.log_out(here, caller, name)


def _read(here: Here, name: str) -> Person:
    with here.database.reading() as tx:
        return _person(people.demand_member(tx, name))


def _person(member: Member) -> Person:
    user = member.user
    return Person(
        name=user.name,
        role=user.role,
        openid=user.subject is not None,
        disabled=user.disabled,
        created_at=user.created_at,
        sessions=member.sessions,
        keys=member.keys,
    )
