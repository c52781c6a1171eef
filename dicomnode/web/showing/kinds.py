"""The kinds of results: what each is called, and which can be read as a tree."""

from collections.abc import Mapping

from dicomnode.records import ResultKind

__all__ = ["NAMES", "TREES"]

NAMES: Mapping[ResultKind, str] = {
    ResultKind.SC: "Picture",
    ResultKind.SEG: "Segmentation",
    ResultKind.GSPS: "Presentation state",
    ResultKind.SR: "Report",
    ResultKind.SR3D: "3D report",
    ResultKind.TEXT: "Report in sentences",
    ResultKind.PDF: "PDF",
    ResultKind.KO: "Key images",
}

#: Structured Reports of any template.
TREES = frozenset({ResultKind.SR, ResultKind.SR3D, ResultKind.TEXT, ResultKind.KO})
