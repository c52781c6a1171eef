"""One good object of each kind, for the tests that break it or show it to others."""

from dataclasses import replace
from functools import cache
from io import BytesIO

from pydicom import Dataset, dcmread

from dicomnode.answers import Result
from dicomnode.records import ResultKind
from dicomnode.report.results import make_results
from tests.unit.report.samples import ORDER, make_prediction, make_source

__all__ = ["EVERY_KIND", "good", "results"]

EVERY_KIND = tuple(ResultKind)


@cache
def results() -> tuple[Result, ...]:
    """Every kind of result of one radiograph with an effusion."""
    source = make_source()
    order = replace(ORDER, kinds=frozenset(EVERY_KIND))
    return make_results(source, make_prediction(source), order)


def good(kind: ResultKind) -> Dataset:
    """An object of that kind, decoded anew."""
    return dcmread(BytesIO(next(made.part10 for made in results() if made.kind is kind)))
