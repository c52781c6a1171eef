"""Not analysed: said in the place where a result would be, with the reason and what to do.

A study without a result must never look like a study without a finding.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pydicom import Dataset

from dicomnode.answers import Refusal, Result
from dicomnode.dicom.uids import result_uid
from dicomnode.records import InstanceRef, ResultKind
from dicomnode.report import codes, identity, wording
from dicomnode.report.drawn.placard import not_analysed
from dicomnode.report.drawn.placards import PLACARDS
from dicomnode.report.part10 import finished
from dicomnode.report.reading import value
from dicomnode.report.request import Order
from dicomnode.report.sr.document import REPORTS, Naming, document
from dicomnode.report.sr.narrative import Section, narrative

__all__ = ["make_notices"]


def make_notices(headers: Sequence[Dataset], refusal: Refusal, order: Order) -> tuple[Result, ...]:
    """That the study of these images was not analysed, in each kind of the order that can say it.

    Those kinds are sc, sr, sr3d, text and pdf; of the others nothing is made. The same arguments
    give the same bytes.

    Raises:
        PatientsDiffer: the images name more than one patient.
        ReportError: they are of more than one study, or there is none; or the gate found a fault.
    """
    header = identity.one_patient(headers)
    refusal = replace(refusal, detail=_printable(refusal.detail))
    key = _key(headers, refusal, order)
    placard = not_analysed(refusal, order)
    results = []
    for kind in [kind for kind in ResultKind if kind in order.kinds]:
        uid, series_uid = result_uid(*key, kind, "1"), result_uid(*key, kind, "series")
        if kind in REPORTS:
            ds = _report(headers, refusal, order, kind, uid, series_uid)
        elif kind in PLACARDS:
            ds = PLACARDS[kind](header, placard, order, uid=uid, series_uid=series_uid)
        else:
            continue
        results.append(finished(ds, header, kind, {}))
    return tuple(results)


def _key(headers: Sequence[Dataset], refusal: Refusal, order: Order) -> tuple[str, ...]:
    """What the UIDs of the notices follow from."""
    images = [value(header, "SOPInstanceUID") for header in headers]
    model = refusal.model
    named = [repr(model)] if model else []
    asked = [order.pipeline, str(order.revision), str(order.received), str(order.expected)]
    asked += [str(order.partial), order.language]
    earlier = [ref.sop_instance_uid for ref in order.predecessors]
    why = ["not analysed", refusal.cause, refusal.detail]
    study = value(headers[0], "StudyInstanceUID")
    return (study, *images, "by", *named, "for", *asked, "after", *earlier, *why)


def _report(
    headers: Sequence[Dataset],
    refusal: Refusal,
    order: Order,
    kind: ResultKind,
    uid: str,
    series_uid: str,
) -> Dataset:
    naming = Naming(
        kind=kind,
        uid=uid,
        series_uid=series_uid,
        title="AI: NOT ANALYSED",
    )
    ds = document(headers[0], refusal, order, naming, _named(headers))
    title, words = codes.IMAGING_REPORT, order.words
    ds.update(narrative(title, _sections(refusal, order), words, refusal.model))
    return ds


def _named(headers: Sequence[Dataset]) -> Iterator[InstanceRef]:
    """The images, but for those of a header too poor to name one."""
    for header in headers:
        ref = InstanceRef(
            sop_class_uid=value(header, "SOPClassUID"),
            sop_instance_uid=value(header, "SOPInstanceUID"),
            series_uid=value(header, "SeriesInstanceUID"),
            study_uid=value(header, "StudyInstanceUID"),
        )
        if ref.sop_class_uid and ref.sop_instance_uid and ref.series_uid:
            yield ref


def _printable(detail: str) -> str:
    """The words of an error, whatever they quote: no notice fails for how its reason reads."""
    return "".join(c if c.isprintable() else " " for c in detail)


def _sections(refusal: Refusal, order: Order) -> list[Section]:
    words, model = order.words, refusal.model
    say = words.say
    reason = say("notice.reason", title=say("notice.title"), reason=wording.reason(refusal, words))
    impressions = [
        reason,
        say("notice.negative"),
        wording.disclaimer(model, words),
        wording.partial(order),
        wording.revision(order),
    ]
    procedure = [
        say("notice.detail", detail=refusal.detail) if refusal.detail else "",
        wording.model_named(model, words) if model else say("notice.unknown_model"),
        wording.digest(model, words) if model else "",
    ]
    return [
        Section(heading=codes.IMPRESSIONS, element=codes.IMPRESSION, sentences=impressions),
        Section(
            heading=codes.RECOMMENDATIONS,
            element=codes.RECOMMENDATION,
            sentences=[wording.remedy(refusal, words)],
        ),
        Section(heading=codes.PROCEDURES, element=codes.PROCEDURE, sentences=procedure),
    ]
