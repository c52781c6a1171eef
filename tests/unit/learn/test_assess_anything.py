"""Whatever stands in a table, an evaluation comes out: each figure is whole, or says why not."""

import json
from typing import Any

import numpy as np
import pytest

from dicomnode.cli import output
from dicomnode.cli.evaluation import as_json, print_evaluation
from dicomnode.learn.assess import Question, assess
from dicomnode.learn.measures.evaluation import Plan
from dicomnode.learn.measures.points import parse_point
from dicomnode.learn.measures.results import Evaluation
from dicomnode.learn.measures.sample import Opinion
from dicomnode.learn.page.page import page
from dicomnode.learn.predictions import Predictions

_POINTS = (
    "youden sensitivity=0.95 specificity=0.95 sensitivity=1 specificity=1 specificity=0 0 0.5 1"
)


def drawn(rng: np.random.Generator) -> tuple[Predictions, Question]:
    """A few images with next to nothing in them, and what may be asked of them."""
    images, findings = int(rng.choice([1, 2, 3, 5, 10, 40])), int(rng.integers(1, 4))
    size = (images, findings)

    def gaps(*shares: float) -> Any:
        return rng.random(size) < rng.choice(shares)

    truth = (rng.random(size) < rng.choice([0, 0.05, 0.5, 1])).astype(np.int8)
    scores = rng.random(size).round(int(rng.integers(0, 4)))
    opinions = [rng.random(size).round(1), (rng.random(size) < 0.5).astype(np.float64)]
    for said in (scores, *opinions):
        said[gaps(0, 0.5, 1)] = np.nan
    truth[gaps(0, 0.2, 1)] = -1
    names = tuple(f"finding {number}" for number in range(findings))
    predictions = Predictions(
        images=(),
        patients=tuple(str(p) for p in rng.integers(0, max(1, images // 2), images)),
        findings=names,
        truth=truth,
        scores=scores,
        opinions=(
            Opinion(name="other", scores=opinions[0]),
            Opinion(name="reader", scores=opinions[1], binary=True),
        ),
        facts={"sex": tuple(rng.choice(["F", "M", ""], images))},
        ages=rng.choice([10, 20, 50, np.nan], images),
    )
    card = {name: float(rng.random()) for name in names if rng.random() < 0.7}
    points = [parse_point(text) for text in rng.choice(_POINTS.split(), 4, replace=False)]
    plan = Plan(
        points=tuple(points + ([parse_point("card")] if card else [])),
        resamples=int(rng.choice([0, 1, 20])),
    )
    return predictions, Question(name="model", plan=plan, thresholds=card)


def whole_or_said(evaluation: Evaluation) -> None:
    """Every figure has value and interval, or a reason."""
    for line in evaluation.lines:
        at_points = [figure for point in line.points for figure in point.figures.values()]
        for figure in (line.auroc, *line.figures.values(), *at_points):
            if figure.low is None:
                assert figure.why
            else:
                assert figure.value is not None
                assert figure.high is not None
                assert figure.low <= figure.high


@pytest.mark.parametrize("seed", range(40))
def test_every_figure_is_whole_or_says_why_not(seed: int) -> None:
    evaluation = assess(*drawn(np.random.default_rng(seed)))

    whole_or_said(evaluation)
    assert page(evaluation, {}).endswith("</html>\n")
    json.dumps(as_json(evaluation), allow_nan=False)
    with output.console.capture() as printed:
        print_evaluation(evaluation)
    assert "told apart" in printed.get()
