"""The kinds in which a placard is drawn."""

from collections.abc import Callable, Mapping

from pydicom import Dataset

from dicomnode.records import ResultKind
from dicomnode.report.drawn.capture import placard_capture
from dicomnode.report.drawn.document import placard_document

__all__ = ["PLACARDS"]

#: What draws it: from a header, the placard and the order, under `uid` and `series_uid`.
PLACARDS: Mapping[ResultKind, Callable[..., Dataset]] = {
    ResultKind.SC: placard_capture,
    ResultKind.PDF: placard_document,
}
