"""Results that are recalled: a rejection note for the archive, and for people an addendum.

The note is a Key Object with a rejection title, as IHE Imaging Object Change Management has it (RAD
TF-2, transaction RAD-66): an Image Manager that knows the profile then leaves the objects it names
out of what it answers and shows (113001: may be shown where that is asked for; 113037, 113038:
never; 113039: may be deleted). One that does not know it keeps showing them, and beside them the
addendum to a report, or the page to a picture or a document. These are not rejected: what was said,
and that it no longer stands, stays on record.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydicom import Dataset

from dicomnode.answers import ModelRef, Result
from dicomnode.dicom.uids import result_uid
from dicomnode.records import InstanceRef, ResultKind, WithdrawalReason
from dicomnode.report import codes, identity
from dicomnode.report.drawn.placard import Placard
from dicomnode.report.drawn.placards import PLACARDS
from dicomnode.report.marks.key_objects import add_document, pointers
from dicomnode.report.part10 import finished
from dicomnode.report.reading import value
from dicomnode.report.request import Order
from dicomnode.report.sr import items
from dicomnode.report.sr.document import REPORTS, Naming, document
from dicomnode.report.sr.narrative import Section, narrative
from dicomnode.report.sr.observer import observer

__all__ = ["make_withdrawal"]

_TITLE = "AI result WITHDRAWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Withdrawal:
    """What is withdrawn, and why."""

    model: ModelRef
    withdrawn: tuple[InstanceRef, ...]
    reason: WithdrawalReason
    key: tuple[str, ...]  #: what the UIDs follow from


def make_withdrawal(
    header: Dataset, withdrawn: Sequence[InstanceRef], reason: WithdrawalReason, order: Order
) -> tuple[Result, ...]:
    """An addendum or a page of each kind that is ordered and that people read; then the note.

    `header` is a stored result of ours: patient, study and model are copied from it. The note is
    about exactly `withdrawn`; an addendum follows the withdrawn reports of its own SOP class. The
    same arguments give the same bytes.

    Raises:
        ReportError: the gate finds a fault in what was made.
    """
    study = value(header, "StudyInstanceUID")
    named = [ref.sop_instance_uid for ref in withdrawn]
    told = _Withdrawal(
        model=_model(header),
        withdrawn=tuple(withdrawn),
        reason=reason,
        key=(study, *named, "withdrawn", reason, "for", order.pipeline, order.language),
    )
    order = replace(order, partial=False)  # all of it is withdrawn
    patient = identity.copied(header)  # and nothing of how we made it
    made = [
        (kind, _said(patient, told, kind, order))
        for kind in ResultKind
        if kind in order.kinds & {*REPORTS, *PLACARDS}
    ]
    made.append((ResultKind.KO, _note(patient, told, order)))
    model = told.model.tag
    return tuple(finished(ds, header, kind, {}, model) for kind, ds in made)


def _model(header: Dataset) -> ModelRef:
    """The model that spoke, as `identity.add_equipment` wrote it down."""
    return ModelRef(
        name=value(header, "ManufacturerModelName"),
        version=value(header, "SoftwareVersions").split("\\")[-1],
        digest="",
        manufacturer="",
        intended_use="",
        disclaimer="",
        explanation="",
    )


def _said(patient: Dataset, told: _Withdrawal, kind: ResultKind, order: Order) -> Dataset:
    if kind in REPORTS:
        return _addendum(patient, told, kind, order)
    uid, series_uid = result_uid(*told.key, kind), result_uid(*told.key, kind, "series")
    placard = _placard(told, order)
    return PLACARDS[kind](patient, placard, order, uid=uid, series_uid=series_uid)


def _placard(told: _Withdrawal, order: Order) -> Placard:
    what, reason, when, meaning = _sentences(told, order)
    return Placard(
        model=told.model,
        series=_TITLE,
        title=order.words.say("withdrawal.title"),
        warning=what,
        notes=(),
        sentences=(meaning, reason, when),
        small_print=(),
    )


def _addendum(patient: Dataset, told: _Withdrawal, kind: ResultKind, order: Order) -> Dataset:
    """In sentences, with the report as its predecessor (PS3.3 Table C.17-2)."""
    naming = Naming(
        kind=kind,
        uid=result_uid(*told.key, kind),
        series_uid=result_uid(*told.key, kind, "series"),
        title=_TITLE,
        digit="8",
    )
    reports = [ref for ref in told.withdrawn if ref.sop_class_uid == REPORTS[kind][0]]
    order = replace(order, predecessors=tuple(reports))
    ds = document(patient, told, order, naming, told.withdrawn)
    section = Section(
        heading=codes.ADDENDUM, element=codes.IMPRESSION, sentences=_sentences(told, order)
    )
    ds.update(narrative(codes.IMAGING_REPORT, [section], order.words, None))
    return ds


def _note(patient: Dataset, told: _Withdrawal, order: Order) -> Dataset:
    """The Key Object: TID 2010 with a title of CID 7010 that rejects."""
    ds = identity.copied(patient)
    ds.SOPInstanceUID = result_uid(*told.key, ResultKind.KO)
    series_uid = result_uid(*told.key, ResultKind.KO, "series")
    identity.add_series(ds, told, order, series_uid, _TITLE, "9")
    identity.add_equipment(ds, patient, told.model, order)
    said = order.words.joined(_sentences(told, order))
    children = [
        *_modifier(told.reason),
        *observer(None, order.words),
        items.text(codes.KEY_OBJECT_DESCRIPTION, said),
        *pointers(told.withdrawn),
    ]
    add_document(ds, codes.REJECTION[told.reason], children, told.withdrawn)
    return ds


def _modifier(reason: WithdrawalReason) -> list[Dataset]:
    """Rejected for quality, TID 2010 row 3 demands which; CID 7011 has nothing nearer to a model.

    PixelMed calls any modifier an error: it looks for the title beside the document, not in it.
    """
    if reason is not WithdrawalReason.QUALITY:
        return []
    return [items.code(codes.TITLE_MODIFIER, codes.OTHER_FAILURE, items.HAS_CONCEPT_MOD)]


def _sentences(told: _Withdrawal, order: Order) -> list[str]:
    """That, what, why, when, and what it means."""
    say, model = order.words.say, told.model
    moment = order.made_at.strftime("%Y-%m-%d %H:%M %z")
    return [
        say("withdrawal.what", name=model.name, version=model.version),
        say(f"withdrawal.{told.reason}"),
        say("withdrawal.when", moment=moment),
        say("withdrawal.meaning"),
    ]
