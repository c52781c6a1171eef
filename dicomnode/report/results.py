"""A prediction becomes finished objects, of each kind that is ordered.

Pure: the same source, prediction and order give the same bytes under the same UIDs.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from pydicom import Dataset

from dicomnode.answers import (
    Finding,
    Prediction,
    Result,
    Score,
)
from dicomnode.errors import ReportError
from dicomnode.records import ResultKind
from dicomnode.report import identity
from dicomnode.report.drawn.capture import captures
from dicomnode.report.drawn.document import documents
from dicomnode.report.marks.key_objects import selections
from dicomnode.report.marks.presentation import presentation_states
from dicomnode.report.marks.segmentation import segmentations
from dicomnode.report.part10 import finished
from dicomnode.report.reading import value
from dicomnode.report.request import Made, Making, Order, Source
from dicomnode.report.sr.measured import reports, reports_3d
from dicomnode.report.sr.sentences import text_reports

__all__ = ["Order", "Source", "make_results", "scores"]


#: What makes each kind: yields each object, and the one finding that it shows, if it shows one.
_Maker = Callable[[Making], Iterator[tuple[Dataset, Finding | None]]]
_MAKERS: Mapping[ResultKind, _Maker] = {
    ResultKind.SC: captures,
    ResultKind.SEG: segmentations,
    ResultKind.GSPS: presentation_states,
    ResultKind.SR: reports,
    ResultKind.SR3D: reports_3d,
    ResultKind.TEXT: text_reports,
    ResultKind.PDF: documents,
    ResultKind.KO: selections,
}


def make_results(source: Source, prediction: Prediction, order: Order) -> tuple[Result, ...]:
    """Every object the order asks for, in the order in which they must leave."""
    header = identity.one_patient(source.headers)
    study_uid = value(header, "StudyInstanceUID")
    if not prediction.frames or not prediction.findings:
        raise ReportError("the prediction is empty")
    if any(frame.image.study_uid != study_uid for frame in prediction.frames):
        raise ReportError("the prediction is of another study than the images")
    summary = scores(prediction)
    key = _key(prediction, order)
    model = prediction.model.tag
    results: list[Result] = []
    made: list[Made] = []
    for kind in [kind for kind in ResultKind if kind in order.kinds]:
        making = Making(
            source=source,
            patient=header,
            prediction=prediction,
            order=order,
            made=tuple(made),
            key=key,
        )
        for ds, finding in _MAKERS[kind](making):
            result = finished(ds, header, kind, summary, model)
            results.append(replace(result, members=prediction.model.members))
            made.append(Made(ref=results[-1].ref, kind=kind, finding=finding))
    return tuple(results)


def scores(prediction: Prediction) -> dict[str, Score]:
    """What is said of each label, for lists."""
    return {
        finding.label: Score(
            probability=finding.probability,
            presence=finding.presence,
            at_least=finding.at_least,
            threshold=finding.threshold,
            calibrated=bool(prediction.model.calibration),
        )
        for finding in prediction.findings
    }


def _key(prediction: Prediction, order: Order) -> tuple[str, ...]:
    """What the UIDs of results follow from.

    All that is said is in it: what was kept of a run that was killed stays, and a card that was
    changed since must not mix its answers with those.
    """
    frames = [f"{frame.image.sop_instance_uid}/{frame.frame}" for frame in prediction.frames]
    earlier = [ref.sop_instance_uid for ref in order.predecessors]
    asked = [order.pipeline, str(order.revision), str(order.received), str(order.expected)]
    study = prediction.frames[0].image.study_uid
    asked += [str(order.partial), order.language, order.ae_title, *sorted(order.kinds)]
    said = [repr(replace(finding, heat=None)) for finding in prediction.findings]
    said += [repr(prediction.model), str(prediction.left_out), prediction.form]
    said += ["together"] * prediction.together
    return (study, *frames, "said", *said, "for", *asked, "after", *earlier)
