"""The worklist's search, as pages and interface ask for it; a search for a patient is noted."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, HTTPException, Query
from pydantic import BeforeValidator

from dicomnode.records import State
from dicomnode.report.wording import percent
from dicomnode.web.access import Caller, note
from dicomnode.web.asked import Day
from dicomnode.web.site import Site
from dicomnode.worklist import rows
from dicomnode.worklist.criteria import Wanted
from dicomnode.worklist.rows import JobRow, StudyRow
from dicomnode.worklist.search import Place, search

__all__ = ["COLUMNS", "Asked", "Look", "as_line", "as_query", "every", "look"]

_AT_ONCE = 2000

States = Annotated[list[State], BeforeValidator(lambda texts: [text for text in texts if text])]


def _asked(
    text: Annotated[
        str,
        Query(
            max_length=200,
            description=(
                "Words, each of which is the beginning of a patient ID, accession number, AE title "
                "or pipeline, a study date (2026-11-21 or 21.11.2026), a state or a word that the "
                "page says it by, part of a finding's label, or the UID of a study or of one of "
                "its objects."
            ),
        ),
    ] = "",
    patient_id: Annotated[str, Query(max_length=64, description="Its beginning.")] = "",
    accession_number: Annotated[str, Query(max_length=64, description="Its beginning.")] = "",
    date_from: Annotated[Day, Query(description="Study date from this day on.")] = None,
    date_to: Annotated[Day, Query(description="Up to and with this day.")] = None,
    calling_ae: Annotated[str, Query(max_length=16, description="Who sent its last image.")] = "",
    state: Annotated[
        States | None, Query(description="Of the newest revision of a job: any of these.")
    ] = None,
    pipeline: Annotated[str, Query(max_length=64, description="Of that job.")] = "",
    finding: Annotated[str, Query(max_length=200, description="A label that is present.")] = "",
) -> Wanted:
    return Wanted(
        text=text.strip(),
        patient_id=patient_id.strip(),
        accession_number=accession_number.strip(),
        date_from=date_from,
        date_to=date_to,
        calling_ae=calling_ae.strip(),
        states=tuple(state or ()),
        pipeline=pipeline.strip(),
        finding=finding.strip(),
    )


#: In a route: `wanted: Asked`.
Asked = Annotated[Wanted, Depends(_asked)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One page of what was found."""

    studies: list[StudyRow]
    next: str  #: what to ask the next page with; empty where this is the last
    count: int
    exact: bool  #: else there are at least so many


def look(here: Site, caller: Caller, wanted: Wanted, *, after: str = "", limit: int = 50) -> Look:
    """The studies that are wanted, from behind `after` on; the first of several looks is noted.

    Raises:
        HTTPException: `after` is none of our places.
    """
    place = _place(after) if after else None
    if place is None and _names_patient(wanted):
        _note(here, caller, wanted, "studies.searched")
    return _look(here, wanted, place, limit)


def every(here: Site, caller: Caller, wanted: Wanted) -> Iterator[StudyRow]:
    """All that are wanted, in pieces: however many there are."""
    _note(here, caller, wanted, "studies.exported")
    return _pieces(here, wanted)


def as_query(wanted: Wanted) -> str:
    """The query that asks for the same."""
    asked = {name: getattr(wanted, name) for name in _NAMES}
    told = {name: str(value) for name, value in asked.items() if value}
    return urlencode([*told.items(), *(("state", str(state)) for state in wanted.states)])


_NAMES = [name for name in Wanted.__dataclass_fields__ if name != "states"]


def _look(here: Site, wanted: Wanted, place: Place | None, limit: int) -> Look:
    with here.database.reading() as tx:
        found = search(tx, wanted, after=place, limit=limit)
        return Look(
            studies=rows.of_studies(tx, found.study_uids),
            next=_text(found.next) if found.next else "",
            count=found.count,
            exact=found.exact,
        )


def _pieces(here: Site, wanted: Wanted) -> Iterator[StudyRow]:
    place = None
    while True:
        piece = _look(here, wanted, place, _AT_ONCE)
        yield from piece.studies
        if not piece.next:
            return
        place = _place(piece.next)


def _names_patient(wanted: Wanted) -> bool:
    return bool(wanted.patient_id or wanted.accession_number or wanted.text)


def _note(here: Site, caller: Caller, wanted: Wanted, action: str) -> None:
    asked = {name: getattr(wanted, name) for name in (*_NAMES, "states") if name != "patient_id"}
    words = [f"{name} {_said(value)}" for name, value in asked.items() if value]
    with here.database.transaction() as tx:
        whose = wanted.patient_id
        note(tx, here, caller, action, patient_id=whose, detail=", ".join(words))


def _said(value: object) -> str:
    return " or ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _text(place: Place) -> str:
    """A place as one word for an address."""
    parts = place.study_date, place.last_received_at.isoformat(), place.study_uid
    return urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def _place(text: str) -> Place:
    try:
        day, at, uid = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        received_at = datetime.fromisoformat(at)
        if received_at.tzinfo is None:
            raise ValueError("it has no zone")
        return Place(str(day), received_at, str(uid))
    except (TypeError, ValueError) as error:
        raise HTTPException(422, "after: it is not what a page before said is next") from error


# --- as lines of a table --------------------------------------------------------------------

_STUDY = (
    "study_uid", "patient_id", "accession_number", "study_date", "calling_ae", "images",
    "first_received_at", "last_received_at",
)  # fmt: skip
_JOB = ("id", "pipeline", "revision", "state", "reason", "updated_at")
COLUMNS = (*_STUDY, "job", *_JOB[1:], "findings", "seconds_to_result")


def as_line(study: StudyRow, job: JobRow | None) -> list[object]:
    """A study and one of its jobs, under `COLUMNS`; None where it has none."""
    cells = [getattr(study, name) for name in _STUDY]
    if job is None:
        return [*cells, *[""] * (len(COLUMNS) - len(cells))]
    present = "; ".join(f"{label} {percent(value)}" for label, value in job.findings.items())
    cells += [getattr(job, name) for name in _JOB]
    return [*cells, present, "" if job.seconds_to_result is None else job.seconds_to_result]
