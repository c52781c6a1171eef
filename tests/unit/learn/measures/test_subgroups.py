"""Images are grouped as people name the groups; nothing is left out in silence."""

import numpy as np

from dicomnode.learn.measures.subgroups import by_age, by_value
from tests.unit.learn.measures.arrays import scores


def test_values_are_groups_and_unknown_is_one_too() -> None:
    groups = by_value("sex", ["M", "F", "", "M"])

    assert [(g.variable, g.name, g.rows.tolist()) for g in groups] == [
        ("sex", "F", [1]),
        ("sex", "M", [0, 3]),
        ("sex", "unknown", [2]),
    ]


def test_where_all_are_alike_there_are_no_groups() -> None:
    assert by_value("view", ["PA", "PA"]) == ()
    assert by_value("view", ["", ""]) == ()
    assert by_age(scores(30, 35)) == ()


def test_a_band_begins_at_its_age() -> None:
    groups = by_age(scores(17.9, 18, 39, 40, 59.5, 60, 80, np.nan))

    assert {g.name: g.rows.tolist() for g in groups} == {
        "under 18": [0],
        "18-39": [1, 2],
        "40-59": [3, 4],
        "60-79": [5],
        "80 and over": [6],
        "unknown": [7],
    }


def test_rare_values_are_put_together_and_counted() -> None:
    scanners = [f"scanner {i:02}" for i in range(14)] + [f"scanner {i:02}" for i in range(12)]
    groups = by_value("scanner", scanners)

    assert len(groups) == 13
    assert (groups[-1].name, len(groups[-1].rows)) == ("2 others", 2)
    assert sum(len(group.rows) for group in groups) == 26
