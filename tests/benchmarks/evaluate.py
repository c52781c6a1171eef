"""How long `dicomnode evaluate` measures: seconds of the wall and of the processor.

    .venv/bin/python tests/benchmarks/evaluate.py            # the published table, or drawn numbers
    .venv/bin/python tests/benchmarks/evaluate.py --images 200000

The goal: 22,433 images, 14 findings, 1,000 resamples, in under a minute on two cores.
"""

import argparse
import tempfile
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
from rich.console import Console
from rich.table import Table

from dicomnode.learn.assess import Question, assess
from dicomnode.learn.measures.evaluation import Plan
from dicomnode.learn.measures.points import parse_point
from dicomnode.learn.page.page import page
from dicomnode.learn.prediction_columns import Patterns
from dicomnode.learn.predictions import Predictions, read_predictions, write_predictions
from tests.tools import NIH

_POINTS = tuple(parse_point(text) for text in ("youden", "sensitivity=0.95", "specificity=0.95"))


def main() -> None:
    """Print what reading, measuring and drawing take."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--images", type=int, default=0, help="drawn numbers for so many images")
    arguments.add_argument("--resamples", type=int, default=1000)
    given = arguments.parse_args()
    table = Table("step", "wall s", "processor s", title=f"{given.resamples} resamples")
    with tempfile.TemporaryDirectory() as folder:
        path = NIH / "chexnet_test_predictions.csv.gz"
        if given.images or not path.exists():
            path = Path(folder) / "drawn.csv.gz"
            write_predictions(_drawn(given.images or 22_433), path)
        clock = _Clock(table)
        predictions = read_predictions(path, Patterns())
        clock.lap(f"read {len(predictions.patients)} x {len(predictions.findings)}")
        plan = Plan(points=_POINTS, resamples=given.resamples)
        found = assess(predictions, Question(name="benchmark", plan=plan))
        clock.lap("measure")
        page(found, {})
        clock.lap("draw the page")
    Console().print(table)


class _Clock:
    """Writes a row for each lap."""

    def __init__(self, table: Table) -> None:
        self._table, self._wall, self._processor = table, perf_counter(), process_time()

    def lap(self, step: str) -> None:
        wall, processor = perf_counter(), process_time()
        spent = (f"{wall - self._wall:.1f}", f"{processor - self._processor:.1f}")
        self._table.add_row(step, *spent)
        self._wall, self._processor = wall, processor


def _drawn(images: int) -> Predictions:
    rng = np.random.default_rng(1)
    truth = (rng.random((images, 14)) < rng.uniform(0.002, 0.2, 14)).astype(np.int8)
    return Predictions(
        images=(),
        patients=tuple(str(number // 4) for number in range(images)),
        findings=tuple(f"finding{number}" for number in range(14)),
        truth=truth,
        scores=(rng.random((images, 14)) + truth * 0.5) / 1.5,
    )


if __name__ == "__main__":
    main()
