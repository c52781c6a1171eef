import pytest

from dicomnode.worklist.studies import Completeness, completeness

WAIT, COMPLETE, PARTIAL = Completeness.WAIT, Completeness.COMPLETE, Completeness.PARTIAL


@pytest.mark.parametrize(
    ("received", "expected", "quiet_for_s", "answer"),
    [
        (1, None, 0, WAIT),
        (1, None, 9.9, WAIT),
        (1, None, 10, COMPLETE),
        (412, 412, 9.9, WAIT),
        (412, 412, 10, COMPLETE),
        (413, 412, 10, COMPLETE),
        (411, 412, 10, WAIT),
        (411, 412, 1799, WAIT),
        (411, 412, 1800, PARTIAL),
        (0, 0, 10, COMPLETE),
        (1, None, float("inf"), COMPLETE),
        (1, 2, float("inf"), PARTIAL),
    ],
)
def test_a_study_is_complete_when_it_is_quiet_and_all_is_here(
    received: int, expected: int | None, quiet_for_s: float, answer: Completeness
) -> None:
    found = completeness(
        received=received, expected=expected, quiet_for_s=quiet_for_s, quiet_s=10, limit_s=1800
    )

    assert found is answer
