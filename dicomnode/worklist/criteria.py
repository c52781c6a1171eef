"""What a search asks of a study, as conditions that each have an index.

Each is said twice: for one row of `studies`, looked at for itself, and as the studies that an index
finds. `search.py` chooses.
"""

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

import sqlalchemy as sa

from dicomnode.records import State
from dicomnode.storage.database import Connection, distinct, texts_between
from dicomnode.worklist.rows import is_newest
from dicomnode.worklist.states import CALLED
from dicomnode.worklist.tables import findings, instances, jobs, results, studies

__all__ = [
    "Asked",
    "Wanted",
    "asked_of",
    "findings_known",
    "pipelines_known",
    "senders_known",
]

_WORDS = 4  #: of a free text; those behind are not looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is searched for; what is empty is not asked. All of it must hold."""

    patient_id: str = ""  #: its beginning, as all upper or all lower case too
    accession_number: str = ""  #: the same
    date_from: date | None = None  #: of the study
    date_to: date | None = None  #: the last day
    calling_ae: str = ""  #: who sent its last image
    states: tuple[State, ...] = ()  #: of the newest revision of one of its jobs
    pipeline: str = ""  #: of a job; of the one in those states, where states are asked too
    finding: str = ""  #: a label that is present
    text: str = ""  #: words, each of which is any of these, or a UID of it or of an image of it


class Asked(NamedTuple):
    """One thing that must hold."""

    holds: sa.ColumnElement[bool]  #: of a row of `studies`, looked at for itself
    uids: sa.Select[Any] | sa.CompoundSelect[Any]  #: of the studies, as an index finds them
    most: sa.Select[Any] | sa.CompoundSelect[Any]  #: the same or more, to be counted quickly
    along: sa.ColumnElement[bool] | None = None  #: the same, where the order's index holds it too

    @property
    def finds(self) -> sa.ColumnElement[bool]:
        """The same, for an index to find all studies by."""
        if self.along is not None:
            return self.along
        return studies.c.study_uid.in_(sa.select(self.uids.subquery().c[0]))


def findings_known(tx: Connection) -> list[str]:
    """Every label that was ever present, in order."""
    return distinct(tx, findings.c.label)


def pipelines_known(tx: Connection) -> list[str]:
    """Every pipeline that ever had a job, in order."""
    return distinct(tx, jobs.c.pipeline)


def senders_known(tx: Connection) -> list[str]:
    """Every AE title that sent the last image of a study, in order."""
    return distinct(tx, studies.c.calling_ae)


def asked_of(tx: Connection, wanted: Wanted) -> Iterator[Asked]:
    """Everything that must hold."""
    if wanted.patient_id:
        yield _of_study(studies.c.patient_id, _begins(tx, wanted.patient_id))
    if wanted.accession_number:
        yield _of_study(studies.c.accession_number, _begins(tx, wanted.accession_number))
    if wanted.date_from or wanted.date_to:
        first, last = wanted.date_from or date(1, 1, 1), wanted.date_to or date(9999, 12, 31)
        yield _of_study(studies.c.study_date, _days(first, last), leads=True)
    if wanted.calling_ae:
        yield _of_study(studies.c.calling_ae, _is_one_of(wanted.calling_ae), leads=True)
    if wanted.states or wanted.pipeline:
        yield _of_jobs(wanted.states, [wanted.pipeline] if wanted.pipeline else [])
    if wanted.finding:
        yield _of(findings, findings.c.label == wanted.finding)
    for word in wanted.text.split()[:_WORDS]:
        meant = [*_meant_of_it(tx, word), *_meant_of_others(tx, word.lower())]
        yield Asked(
            sa.or_(*(each.holds for each in meant)),
            sa.union_all(*(each.uids for each in meant)),
            sa.union_all(*(each.most for each in meant)),
        )


def _meant_of_it(tx: Connection, word: str) -> Iterator[Asked]:
    """What a word may mean that only one study or few have."""
    yield _of_study(studies.c.patient_id, _begins(tx, word))
    yield _of_study(studies.c.accession_number, _begins(tx, word))
    if day := _day(word):
        yield _of_study(studies.c.study_date, _days(day, day))
    if re.fullmatch(r"[0-9.]{1,64}", word):
        yield _of_study(studies.c.study_uid, _is_one_of(word))
        for table in (instances, results):
            yield _of(table, table.c.sop_instance_uid == word)


def _meant_of_others(tx: Connection, word: str) -> Iterator[Asked]:
    """What a word may mean that is one of few: a sender, a finding, a state, a pipeline."""
    titles = [title for title in senders_known(tx) if title.lower().startswith(word)]
    labels = [label for label in findings_known(tx) if word in label.lower()]
    pipelines = [name for name in pipelines_known(tx) if name.startswith(word)]
    if titles:
        yield _of_study(studies.c.calling_ae, _is_one_of(*titles))
    if labels:
        yield _of(findings, findings.c.label.in_(labels))
    states = [state for state in State if word in (state, *CALLED[state].split())]
    if states:
        yield _of_jobs(states, [])
    if pipelines:
        yield _of_jobs((), pipelines)


_Test = Callable[[sa.ColumnElement[str]], sa.ColumnElement[bool]]


def _of_study(column: sa.Column[str], test: _Test, *, leads: bool = False) -> Asked:
    which = test(column)
    uids = sa.select(studies.c.study_uid).where(which)
    return Asked(test(_plain(column)), uids, uids, which if leads else None)


def _of_jobs(states: Collection[State], pipelines: Collection[str]) -> Asked:
    """For studies with a job in a pipeline, or one whose newest revision is in a state."""
    which: list[sa.ColumnElement[bool]] = []
    if pipelines:
        which.append(jobs.c.pipeline.in_(pipelines))
    if not states:
        return _of(jobs, *which)
    which.append(is_newest())
    names = [str(state) for state in states]
    return Asked(
        _of(jobs, *which, _plain(jobs.c.state).in_(names)).holds,
        _of(jobs, *which, jobs.c.state.in_(names)).uids,
        _of(jobs, *which[:-1], jobs.c.state.in_(names)).uids,
    )


def _of(table: sa.Table, *which: sa.ColumnElement[bool]) -> Asked:
    """For studies with a row in another table."""
    uids = sa.select(table.c.study_uid).where(*which)
    return Asked(_is_there(uids.where(table.c.study_uid == studies.c.study_uid)), uids, uids)


def _is_there(rows: sa.Select[Any]) -> sa.ColumnElement[bool]:
    """Asked row by row: a join would be planned for more rows than are looked at."""
    return rows.limit(1).scalar_subquery().is_not(None)


def _plain(column: sa.Column[str]) -> sa.ColumnElement[str]:
    """A column that is looked at in rows that another index finds, and its own must not."""
    return column.concat("")


def _is_one_of(*texts: str) -> _Test:
    return lambda column: column == texts[0] if len(texts) == 1 else column.in_(texts)


def _begins(tx: Connection, text: str) -> _Test:
    cases = sorted({text, text.upper(), text.lower()})
    return lambda column: sa.or_(*(texts_between(tx, column, case, case) for case in cases))


def _days(first: date, last: date) -> _Test:
    low, high = (day.isoformat().replace("-", "") for day in (first, last))
    return lambda column: (column >= low) & (column <= high)


_DAY = re.compile(r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{4})")


def _day(word: str) -> date | None:
    """A day as ISO 8601 has it, or as 21.11.2026."""
    if found := _DAY.fullmatch(word):
        word = f"{found[3]}-{found[2]:0>2}-{found[1]:0>2}"
    try:
        return date.fromisoformat(word)
    except ValueError:
        return None
